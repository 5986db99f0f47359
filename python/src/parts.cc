// Parts written in Python: task families, worlds, models, learners, aggregators, compressors. Each is an
// object of Python behind the engine's interface. Calls come from any of the engine's threads and take the
// interpreter's lock; what an object raises arrives as itself where the engine was called.
#include "bind.h"
#include "symma/core/errors.h"
#include "symma/core/registry.h"
#include "symma/envs/env.h"
#include "symma/exchange/aggregator.h"
#include "symma/exchange/compressor.h"
#include "symma/learners/learner.h"
#include "symma/tasks/supervised.h"

namespace symma::python {
namespace {

using Object = std::shared_ptr<nb::object>;

struct Option {
  std::string name, doc;
  std::variant<bool, int64_t, double, std::string, std::vector<double>, std::vector<std::string>> value;
};

std::vector<Option> options_from(nb::handle list) {
  std::vector<Option> out;
  for (nb::handle item : list) {
    Option o{nb::cast<std::string>(item[0]), nb::cast<std::string>(item[2]), false};
    const Json v = from_python(item[1], o.name);
    if (v.is_boolean())
      o.value = v.get<bool>();
    else if (v.is_number_integer())
      o.value = v.get<int64_t>();
    else if (v.is_number())
      o.value = v.get<double>();
    else if (v.is_string())
      o.value = v.get<std::string>();
    else if (v.is_array() && !v.empty() && v[0].is_string())
      o.value = v.get<std::vector<std::string>>();
    else if (v.is_array())
      o.value = v.get<std::vector<double>>();
    else
      throw UserError(o.name, "has a default that is no setting",
                      "give a number, a string, true or false, or a list");
    out.push_back(std::move(o));
  }
  return out;
}

// A draft whose fields point into its own storage. `wrap` makes the part of what the factory made.
template <class Part, class... Args>
class DraftOf : public Draft<Part, Args...> {
 public:
  using Wrap =
      std::function<std::unique_ptr<Part>(const nb::object& factory, const nb::dict& options, Args...)>;
  DraftOf(std::vector<Option> options, Object factory, Wrap wrap)
      : options_(std::move(options)), factory_(std::move(factory)), wrap_(std::move(wrap)) {}
  void fields(Fields& f) override {
    for (Option& o : options_) std::visit([&](auto& v) { f.add(o.name, v, o.doc); }, o.value);
  }
  std::unique_ptr<Part> build(Args... args) const override {
    return in_python([&] {
      nb::dict chosen;
      for (const Option& o : options_)
        std::visit([&](const auto& v) { chosen[o.name.c_str()] = to_python(Json(v)); }, o.value);
      return wrap_(*factory_, chosen, args...);
    });
  }
  std::unique_ptr<Draft<Part, Args...>> clone() const override { return std::make_unique<DraftOf>(*this); }

 private:
  std::vector<Option> options_;
  Object factory_;
  Wrap wrap_;
};

// Numbers of an array, read through the buffer protocol: a task of a few points is copied in a microsecond.
class Numbers {
 public:
  Numbers(nb::handle h, const std::string& place) : place_(place) {
    nb::object o = nb::borrow(h);
    if (THPVariable_Check(o.ptr())) {
      tensor_ = THPVariable_Unpack(o.ptr()).detach().cpu().contiguous();
      shape_.assign(tensor_.sizes().begin(), tensor_.sizes().end());
      return;
    }
    if (!open(o)) {
      o = nb::module_::import_("numpy").attr("ascontiguousarray")(o);
      if (!open(o)) {
        o = o.attr("astype")("float64");
        if (!open(o)) throw UserError(place, "is no array of numbers", "return numpy arrays or tensors");
      }
    }
  }
  ~Numbers() {
    if (buffer_.obj) PyBuffer_Release(&buffer_);
  }
  Numbers(const Numbers&) = delete;
  Numbers& operator=(const Numbers&) = delete;

  const std::vector<int64_t>& shape() const { return shape_; }
  bool whole() const { return buffer_.obj ? kind_ == 'i' : at::isIntegralType(tensor_.scalar_type(), true); }

  void copy(float* to) const { each(to); }
  void copy(int64_t* to) const { each(to); }

 private:
  bool open(const nb::object& o) {
    if (PyObject_GetBuffer(o.ptr(), &buffer_, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) != 0) {
      PyErr_Clear();
      buffer_.obj = nullptr;
      return false;
    }
    const std::string format = buffer_.format ? buffer_.format : "B";
    kind_ = format == "f" || format == "d"                                 ? 'f'
            : std::string("?bBhHiIlLqQ").find(format) != std::string::npos ? 'i'
                                                                           : 0;
    code_ = format[0];
    if (!kind_) {
      PyBuffer_Release(&buffer_);
      buffer_.obj = nullptr;
      return false;
    }
    shape_.assign(buffer_.shape, buffer_.shape + buffer_.ndim);
    return true;
  }
  template <class From, class To>
  void cast(const void* from, To* to, int64_t n) const {
    const auto* f = static_cast<const From*>(from);
    for (int64_t i = 0; i < n; ++i) {
      if constexpr (std::is_floating_point_v<From>) {
        if (!std::isfinite(f[i]))
          throw UserError(place_, fmt::format("holds {}", f[i]), "give finite numbers");
      }
      to[i] = static_cast<To>(f[i]);
    }
  }
  template <class To>
  void each(To* to) const {
    if (!buffer_.obj) {
      const Tensor d = tensor_.to(at::kDouble);
      return cast<double>(d.data_ptr(), to, d.numel());
    }
    const int64_t n = buffer_.len / buffer_.itemsize;
    switch (code_) {
      case 'f':
        return cast<float>(buffer_.buf, to, n);
      case 'd':
        return cast<double>(buffer_.buf, to, n);
      case '?':
      case 'B':
        return cast<uint8_t>(buffer_.buf, to, n);
      case 'b':
        return cast<int8_t>(buffer_.buf, to, n);
      case 'h':
        return cast<int16_t>(buffer_.buf, to, n);
      case 'H':
        return cast<uint16_t>(buffer_.buf, to, n);
      case 'i':
        return cast<int32_t>(buffer_.buf, to, n);
      case 'I':
        return cast<uint32_t>(buffer_.buf, to, n);
      case 'L':
      case 'Q':
        return cast<uint64_t>(buffer_.buf, to, n);
      default:
        return cast<int64_t>(buffer_.buf, to, n);
    }
  }

  std::string place_;
  Py_buffer buffer_{};
  Tensor tensor_;
  std::vector<int64_t> shape_;
  char kind_ = 0, code_ = 0;
};

std::string words(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// What an object says of itself, as settings.
Json told(const nb::object& o, const char* name) {
  return from_python(o.attr(name), name);
}

class Family : public TaskFamily {
 public:
  Family(const nb::object& o, std::string name) : name_(std::move(name)), sample_(keep(o.attr("sample"))) {
    const Json s = told(o, "spec");
    spec_.shape = {s["in"].get<std::vector<int64_t>>(), s["out"].get<int64_t>()};
    const bool classes = s["classes"].get<int64_t>() > 0;
    spec_.kind = classes ? Kind::kClassification : Kind::kRegression;
    spec_.metric = classes ? "accuracy" : "mse";
    spec_.higher_is_better = classes;
    for (Split split : {Split::kTrain, Split::kValidation, Split::kTest, Split::kOod})
      splits_.push_back(keep(nb::str(split_name(split))));
  }
  TaskSpec spec() const override { return spec_; }

  std::unique_ptr<TaskBatch> sample(const Model& model, std::span<const Ask> asks,
                                    Split split) const override {
    Episodes e;
    in_python([&] {
      for (size_t i = 0; i < asks.size(); ++i) {
        const nb::object task = (*sample_)(asks[i].agent, asks[i].key.split(split_name(split)),
                                           *splits_[static_cast<int>(split)]);
        if (!PyTuple_Check(task.ptr()) || PyTuple_GET_SIZE(task.ptr()) != 4)
          throw UserError(name_, "returned no tuple of four arrays",
                          "return support_x, support_y, query_x, query_y");
        fill(task, 0, "support_x", e.support_x, asks.size(), i);
        fill(task, 1, "support_y", e.support_y, asks.size(), i);
        fill(task, 2, "query_x", e.query_x, asks.size(), i);
        fill(task, 3, "query_y", e.query_y, asks.size(), i);
        for (const auto& [x, y, what] :
             {std::tuple{&e.support_x, &e.support_y, "support"}, {&e.query_x, &e.query_y, "query"}})
          if (x->size(1) != y->size(1))
            throw UserError(
                name_,
                fmt::format("returned {} points and {} targets of the {}", x->size(1), y->size(1), what),
                "return a target for each point");
      }
    });
    return std::make_unique<SupervisedBatch>(model, spec_.kind, std::move(e),
                                             split == Split::kTrain ? Mode::kTrain : Mode::kEval);
  }

 private:
  void fill(const nb::object& task, int at, const char* what, Tensor& all, size_t b, size_t i) const {
    const std::string place = name_ + ", " + what;
    const Numbers numbers(PyTuple_GET_ITEM(task.ptr(), at), place);
    const bool x = at % 2 == 0, labels = !x && spec_.kind == Kind::kClassification;
    std::vector<int64_t> point;  // the sizes of one
    if (x)
      point = spec_.shape.in;
    else if (!labels)
      point = {spec_.shape.out};
    std::vector<int64_t> shape = numbers.shape();
    if (!shape.empty() && shape.size() == 1 && point == std::vector<int64_t>{1}) shape.push_back(1);
    std::vector<int64_t> right = point;
    right.insert(right.begin(), shape.empty() ? 1 : shape[0]);
    if (shape != right)
      throw UserError(
          place, "has shape " + words(numbers.shape()),
          fmt::format("[K{}{}] would be right", point.empty() ? "" : ", ", fmt::join(point, ", ")));
    if (labels && !numbers.whole())
      throw UserError(place, "holds numbers that are not whole", "labels are 0 to classes - 1");
    right.insert(right.begin(), static_cast<int64_t>(b));
    if (!all.defined()) all = at::empty(right, labels ? at::kLong : at::kFloat);
    if (all.size(1) != right[1])
      throw UserError(place, fmt::format("has {} points, and the task before it {}", right[1], all.size(1)),
                      "give all tasks as many");
    const int64_t each = all.numel() / static_cast<int64_t>(b), from = static_cast<int64_t>(i) * each;
    if (!labels) return numbers.copy(all.data_ptr<float>() + from);
    int64_t* to = all.data_ptr<int64_t>() + from;
    numbers.copy(to);
    for (int64_t j = 0; j < each; ++j)
      if (to[j] < 0 || to[j] >= spec_.shape.out)
        throw UserError(place, fmt::format("holds label {}", to[j]),
                        fmt::format("labels are 0 to {}", spec_.shape.out - 1));
  }

  std::string name_;
  TaskSpec spec_;
  Object sample_;
  std::vector<Object> splits_;
};

// A world whose copies are objects of Python's, stepped one after another. The object fills the frame's
// arrays.
class ForeignWorld : public Env, public HasTasks {
 public:
  ForeignWorld(const nb::object& o, const std::string& name, int64_t copies) : object_(keep(o)) {
    const Json s = told(o, "spec");
    spec_.name = name, spec_.variant = name, spec_.copies = copies;
    spec_.agents = s["agents"], spec_.obs = s["obs"], spec_.actions = s["actions"];
    spec_.continuous = s["continuous"], spec_.leaving = s["leaving"], spec_.limit = s["limit"];
    spec_.common_reward = s["common_reward"];
    spec_.state = spec_.agents * spec_.obs;
    spec_.agent_names = s["agent_names"].get<std::vector<std::string>>();
    spec_.action_names = s["action_names"].get<std::vector<std::string>>();
    spec_.agent_obs = s["agent_obs"].get<std::vector<int64_t>>();
    spec_.agent_actions = s["agent_actions"].get<std::vector<int64_t>>();
    spec_.obs_shape = s["obs_shape"].get<std::vector<int64_t>>();
    spec_.action_low = s["action_low"].get<std::vector<double>>();
    spec_.action_high = s["action_high"].get<std::vector<double>>();
    for (const Json& p : s["parameters"]) {
      const auto range = [&](const char* key) {
        return std::array<double, 2>{p[key][0].get<double>(), p[key][1].get<double>()};
      };
      parameters_.push_back(
          {p["name"], p["doc"], p["value"], p["whole"], range("train"), range("test"), range("ood")});
    }
  }
  const EnvSpec& spec() const override { return spec_; }
  void reset(Rng rng, Frame& frame) override {
    if (!frame.obs.defined()) allocate(frame);
    in_python([&] { object_->attr("reset")(rng, views(frame)); });
  }
  void reset(const Tensor& copies, Frame& frame) override {
    if (copies.scalar_type() != at::kBool || copies.sizes() != at::IntArrayRef({spec_.copies}))
      throw UserError(spec_.name, "the copies to reset are of another shape or type",
                      fmt::format("[{}] bool would be right", spec_.copies));
    in_python([&] { object_->attr("reset_copies")(view_of(copies.contiguous(), false), views(frame)); });
  }
  void step(const Tensor& actions, Frame& frame) override {
    std::vector<int64_t> right{spec_.copies, spec_.agents};
    if (spec_.continuous) right.push_back(spec_.actions);
    if (actions.sizes() != at::IntArrayRef(right) ||
        actions.scalar_type() != (spec_.continuous ? at::kFloat : at::kLong))
      throw UserError(
          spec_.name,
          "actions are " + words(actions.sizes().vec()) + " of type " + c10::toString(actions.scalar_type()),
          words(right) + (spec_.continuous ? " float32 would be right" : " int64 would be right"));
    in_python([&] { object_->attr("step")(view_of(actions.contiguous(), false), views(frame)); });
  }
  const std::vector<TaskParameter>& task_parameters() const override { return parameters_; }
  void set_tasks(const Tensor& tasks) override {
    if (tasks.scalar_type() != at::kDouble ||
        tasks.sizes() != at::IntArrayRef({spec_.copies, static_cast<int64_t>(parameters_.size())}))
      throw UserError(spec_.name, "tasks are " + words(tasks.sizes().vec()),
                      fmt::format("[{}, {}] float64 would be right", spec_.copies, parameters_.size()));
    in_python([&] { object_->attr("set_tasks")(view_of(tasks.contiguous(), false)); });
  }

 private:
  void allocate(Frame& f) const {
    const int64_t e = spec_.copies, a = spec_.agents;
    f.obs = at::zeros({e, a, spec_.obs}, at::kFloat), f.final_obs = at::zeros_like(f.obs);
    f.state = f.obs.view({e, spec_.state}), f.final_state = f.final_obs.view({e, spec_.state});
    f.reward = at::zeros({e, a}, at::kFloat);
    f.terminated = at::zeros({e}, at::kBool), f.truncated = at::zeros({e}, at::kBool);
    f.mask = at::zeros({e, a, spec_.actions}, at::kBool);
    for (int64_t i = 0; i < a; ++i) f.mask.select(1, i).narrow(1, 0, spec_.agent_actions[i]).fill_(true);
    if (spec_.leaving) f.present = at::ones({e, a}, at::kBool), f.final_present = at::ones({e, a}, at::kBool);
  }
  // Made once a frame: its memory stays where it is.
  nb::object views(const Frame& f) {
    if (shown_ && shown_of_ == f.obs.data_ptr()) return *shown_;
    nb::dict out;
    for (const auto& [name, t] :
         std::initializer_list<std::pair<const char*, const Tensor*>>{{"obs", &f.obs},
                                                                      {"final_obs", &f.final_obs},
                                                                      {"reward", &f.reward},
                                                                      {"terminated", &f.terminated},
                                                                      {"truncated", &f.truncated},
                                                                      {"mask", &f.mask},
                                                                      {"present", &f.present},
                                                                      {"final_present", &f.final_present}}) {
      if (t->defined()) out[name] = view_of(*t, true);
    }
    shown_ = keep(out), shown_of_ = f.obs.data_ptr();
    return out;
  }

  EnvSpec spec_;
  std::vector<TaskParameter> parameters_;
  Object object_, shown_;
  void* shown_of_ = nullptr;
};

class ForeignModel : public Model {
 public:
  ForeignModel(const nb::object& o, std::string name) : name_(std::move(name)), object_(keep(o)) {
    for (nb::handle entry : o.attr("layout"))
      layout_.add(nb::cast<std::string>(entry[0]), nb::cast<std::vector<int64_t>>(entry[1]));
  }
  const Layout& layout() const override { return layout_; }
  Tensor init(std::span<const Rng> keys) const override {
    return in_python([&] {
      return tensor_from(object_->attr("init")(std::vector<Rng>(keys.begin(), keys.end())), name_ + ".init");
    });
  }
  Tensor forward(const Tensor& theta, const Tensor& x, Mode mode) const override {
    return call("forward", theta, x, mode);
  }
  Tensor features(const Tensor& theta, const Tensor& x, Mode mode) const override {
    return call("features", theta, x, mode);
  }

 private:
  Tensor call(const char* what, const Tensor& theta, const Tensor& x, Mode mode) const {
    const bool grad = at::GradMode::is_enabled();  // is a thread's own, and Python's calls see this thread's
    return in_python([&] {
      const at::AutoGradMode as_here(grad);
      return nb::cast<Tensor>(object_->attr(what)(theta, x, mode == Mode::kTrain));
    });
  }
  std::string name_;
  Object object_;
  Layout layout_;
};

class ForeignLearner : public Learner {
 public:
  ForeignLearner(const nb::object& o, std::string name) : name_(std::move(name)), object_(keep(o)) {}
  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    return in_python([&] {
      const nb::object made = object_->attr("init")(std::vector<Rng>(keys.begin(), keys.end()));
      TensorDict own;
      nb::object theta = made;
      if (PyTuple_Check(made.ptr()) && nb::len(made) == 2) {
        theta = made[0];
        for (auto [key, value] : nb::cast<nb::dict>(nb::object(made[1])))
          own[nb::cast<std::string>(key)] = tensor_from(value, name_ + ".init");
      }
      return State::of(tensor_from(theta, name_ + ".init").to(type), own);
    });
  }
  Scores step(State& state, const TaskBatch& batch, Rng rng) const override {
    return in_python([&] {
      const Tensor clock = state.steps;
      const nb::object told = object_->attr("step")(nb::cast(&state, nb::rv_policy::reference),
                                                    nb::cast(&batch, nb::rv_policy::reference), rng);
      Scores out;
      for (auto [key, value] : nb::cast<nb::dict>(told))
        out[nb::cast<std::string>(key)] = tensor_from(value, name_ + ".step").detach();
      if (state.steps.is_same(clock)) state.steps = clock + 1;  // an agent's clock goes on by itself
      if (!out.contains("loss"))
        throw UserError(name_ + ".step", "told no \"loss\"", "return {\"loss\": [N], ...}");
      for (const auto& [key, t] : out)
        if (t.dim() != 1 || t.size(0) != state.size())
          throw UserError(name_ + ".step", "\"" + key + "\" has shape " + words(t.sizes().vec()),
                          fmt::format("[{}], a number for each agent", state.size()));
      return out;
    });
  }
  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng rng) const override {
    return in_python([&] {
      const nb::object rows = object_->attr("adapt")(nb::cast(&state, nb::rv_policy::reference),
                                                     nb::cast(&batch, nb::rv_policy::reference),
                                                     std::vector<int64_t>(steps.begin(), steps.end()), rng);
      std::vector<Tensor> out;
      for (nb::handle row : rows) out.push_back(tensor_from(row, name_ + ".adapt").detach());
      if (out.size() != steps.size())
        throw UserError(name_ + ".adapt", fmt::format("returned {} tensors", out.size()),
                        fmt::format("one for each of {} numbers of steps", steps.size()));
      for (const Tensor& t : out)
        if (t.dim() != 2 || t.size(0) != batch.size())
          throw UserError(name_ + ".adapt", "returned rows of shape " + words(t.sizes().vec()),
                          fmt::format("[{}, P] would be right", batch.size()));
      return out;
    });
  }

 private:
  std::string name_;
  Object object_;
};

class ForeignAggregator : public Aggregator {
 public:
  ForeignAggregator(const nb::object& o, std::string name) : name_(std::move(name)), object_(keep(o)) {
    const Json l = told(o, "laws");
    laws_ = {l["robust"], l["translation"], l["scale"], l["permutation"], l["needs_rows"]};
  }
  Laws laws() const override { return laws_; }
  int64_t most_bad(int64_t n) const override {
    return in_python([&] { return nb::cast<int64_t>(object_->attr("most_bad")(n)); });
  }
  Tensor combine(const Inputs& in, Rng rng) const override {
    const Tensor row = in_python([&] {
      return tensor_from(object_->attr("combine")(in.rows, in.bad, in.centre, rng), name_ + ".combine");
    });
    if (row.dim() != 1 || row.size(0) != in.rows.size(1))
      throw UserError(name_ + ".combine", "returned shape " + words(row.sizes().vec()),
                      fmt::format("[{}] would be right", in.rows.size(1)));
    return row.to(in.rows.options());
  }

 private:
  std::string name_;
  Object object_;
  Laws laws_;
};

class ForeignCompressor : public Compressor {
 public:
  ForeignCompressor(const nb::object& o, std::string name) : name_(std::move(name)), object_(keep(o)) {}
  Bytes encode(const Tensor& row, Rng rng) const override {
    return in_python([&] {
      const nb::object bytes = object_->attr("encode")(row, rng);
      if (!PyBytes_Check(bytes.ptr()))
        throw UserError(name_ + ".encode", "returned no bytes", "return bytes");
      const auto* at = reinterpret_cast<const uint8_t*>(PyBytes_AS_STRING(bytes.ptr()));
      return Bytes(at, at + PyBytes_GET_SIZE(bytes.ptr()));
    });
  }
  Decoded decode(std::span<const uint8_t> bytes, int64_t size) const override {
    const Tensor row = in_python([&] {
      const nb::object told =
          object_->attr("decode")(nb::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size()), size);
      return told.is_none() ? Tensor() : tensor_from(told, name_ + ".decode");
    });
    if (!row.defined()) return {{}, name_ + " cannot read it"};
    if (row.dim() != 1 || row.size(0) != size) return {{}, "a row of another length"};
    return {row.to(at::kDouble), ""};
  }
  bool unbiased() const override {
    return in_python([&] { return nb::cast<bool>(object_->attr("unbiased")); });
  }
  double contraction(int64_t size) const override {
    return in_python([&] { return nb::cast<double>(object_->attr("contraction")(size)); });
  }

 private:
  std::string name_;
  Object object_;
};

template <class Part, class... Args, class Wrap>
void add(Registry<Part, Args...>& to, const std::string& kind, const std::string& name,
         const std::string& summary, const std::string& source, std::vector<Option> options, Object factory,
         Wrap wrap) {
  const DraftOf<Part, Args...> draft(std::move(options), std::move(factory), wrap);
  to.add(kind, name, summary, source, [draft] { return draft.clone(); });
}

Json spec_json(const TaskSpec& s) {
  const char* kinds[] = {"regression", "classification", "control", "game"};
  return {{"in", s.shape.in},
          {"out", s.shape.out},
          {"kind", kinds[static_cast<int>(s.kind)]},
          {"metric", s.metric},
          {"classes", s.classes}};
}

void register_part(const std::string& kind, const std::string& name, const std::string& summary,
                   const std::string& source, nb::handle options, nb::object factory) {
  std::vector<Option> o = options_from(options);
  Object f = keep(std::move(factory));
  if (kind == "TaskFamily") {
    add(TaskFamilyRegistry::instance(), kind, name, summary, source, o, f,
        [name](const nb::object& f, const nb::dict& chosen, int64_t agents) {
          return std::make_unique<Family>(f(chosen, agents), name);
        });
  } else if (kind == "Env") {
    add(EnvRegistry::instance(), kind, name, summary, source, o, f,
        [name](const nb::object& f, const nb::dict& chosen, int64_t copies) {
          return std::make_unique<ForeignWorld>(f(chosen, copies), name, copies);
        });
  } else if (kind == "Model") {
    add(ModelRegistry::instance(), kind, name, summary, source, o, f,
        [name](const nb::object& f, const nb::dict& chosen, const ModelShape& s) {
          return std::make_unique<ForeignModel>(f(chosen, s.in, s.out), name);
        });
  } else if (kind == "Learner") {
    add(LearnerRegistry::instance(), kind, name, summary, source, o, f,
        [name](const nb::object& f, const nb::dict& chosen, const LearnerSetting& s) {
          return std::make_unique<ForeignLearner>(
              f(chosen, nb::cast(&s.model, nb::rv_policy::reference), to_python(spec_json(s.spec))), name);
        });
  } else if (kind == "Aggregator") {
    add(AggregatorRegistry::instance(), kind, name, summary, source, o, f,
        [name](const nb::object& f, const nb::dict& chosen) {
          return std::make_unique<ForeignAggregator>(f(chosen), name);
        });
  } else if (kind == "Compressor") {
    add(CompressorRegistry::instance(), kind, name, summary, source, o, f,
        [name](const nb::object& f, const nb::dict& chosen) {
          return std::make_unique<ForeignCompressor>(f(chosen), name);
        });
  } else {
    throw UserError("register", "kind \"" + kind + "\" is not one that Python can add to",
                    suggestion(kind, {"TaskFamily", "Env", "Model", "Learner", "Aggregator", "Compressor"}));
  }
}

Stage stage_of(const std::string& name) {
  if (name == "support") return Stage::kSupport;
  if (name == "query") return Stage::kQuery;
  throw UserError("stage", "\"" + name + "\" is not known", suggestion(name, {"support", "query"}));
}

}  // namespace

Tensor tensor_from(nb::handle h, const std::string& place) {
  if (THPVariable_Check(h.ptr())) return THPVariable_Unpack(h.ptr());
  const Numbers numbers(h, place);
  Tensor out = at::empty(numbers.shape(), numbers.whole() ? at::kLong : at::kFloat);
  if (numbers.whole())
    numbers.copy(out.data_ptr<int64_t>());
  else
    numbers.copy(out.data_ptr<float>());
  return out;
}

void bind_parts(nb::module_& m) {
  using Free = nb::call_guard<nb::gil_scoped_release>;
  m.def("register_part", &register_part, "kind"_a, "name"_a, "summary"_a, "source"_a, "options"_a,
        "factory"_a);
  nb::class_<Model>(m, "Model", "A network without its parameters: a function of rows.")
      .def_prop_ro(
          "size", [](const Model& model) { return model.layout().size(); }, "P, parameters of a row.")
      .def_prop_ro(
          "layout",
          [](const Model& model) {
            Json out = Json::array();
            for (const auto& e : model.layout().entries())
              out.push_back(
                  {{"name", e.name}, {"shape", e.shape}, {"offset", e.offset}, {"buffer", e.buffer}});
            return to_python(out);
          })
      .def(
          "init", [](const Model& model, const std::vector<Rng>& keys) { return model.init(keys); }, "keys"_a,
          Free(), "[B, P]; row b from keys[b] alone.")
      .def(
          "forward",
          [](const Model& model, const Tensor& rows, const Tensor& x, bool train) {
            return model.forward(rows, x, train ? Mode::kTrain : Mode::kEval);
          },
          "rows"_a, "x"_a, "train"_a = false, Free(),
          "rows [B, P] and x [B, K, in...] to [B, K, out]; differentiable to any order.")
      .def(
          "features",
          [](const Model& model, const Tensor& rows, const Tensor& x, bool train) {
            return model.features(rows, x, train ? Mode::kTrain : Mode::kEval);
          },
          "rows"_a, "x"_a, "train"_a = false, Free());
  nb::class_<TaskBatch>(m, "Tasks", "B tasks; row b of a matrix of rows works on task b.")
      .def("__len__", &TaskBatch::size)
      .def_prop_ro(
          "data",
          [](const TaskBatch& b) -> nb::object {
            const auto* s = dynamic_cast<const SupervisedBatch*>(&b);
            if (!s) return nb::none();
            nb::dict out;
            out["support_x"] = s->x(Stage::kSupport), out["support_y"] = s->y(Stage::kSupport);
            out["query_x"] = s->x(Stage::kQuery), out["query_y"] = s->y(Stage::kQuery);
            return out;
          },
          "Points by name, [B, K, ...] tensors; None where tasks are worlds.")
      .def(
          "loss",
          [](const TaskBatch& b, const Tensor& rows, const std::string& stage, const Rng& key) {
            return b.loss(rows, stage_of(stage), key);
          },
          "rows"_a, "stage"_a, "key"_a = Rng(0), Free(), "[B] of rows [B, P]; differentiable to any order.")
      .def(
          "score",
          [](const TaskBatch& b, const Tensor& rows, const Rng& key) {
            Scores s;
            {
              nb::gil_scoped_release free;
              s = b.score(rows, key);
            }
            return to_python(s);
          },
          "rows"_a, "key"_a = Rng(0), "By name, [B] each, on the query points.");
}

}  // namespace symma::python
