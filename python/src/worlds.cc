// Worlds outwards: E copies of one, over arrays that a frame owns and a step rewrites.
#include "bind.h"
#include "symma/core/errors.h"
#include "symma/core/registry.h"
#include "symma/envs/env.h"

namespace symma::python {
namespace {

// What one caller at a time may use. Calls give up the interpreter's lock, so another thread could get in.
class World {
 public:
  World(const std::string& kind, int64_t copies, const Json& settings) {
    const auto draft = EnvRegistry::instance().draft(kind, "world");
    Fields fields;
    draft->fields(fields);
    Config::of(settings, kind).read("", fields);
    env_ = draft->build(copies);
  }

  Json spec() const {
    const EnvSpec& s = env_->spec();
    return {{"name", s.name},
            {"variant", s.variant},
            {"copies", s.copies},
            {"agents", s.agents},
            {"obs", s.obs},
            {"actions", s.actions},
            {"continuous", s.continuous},
            {"leaving", s.leaving},
            {"state", s.state},
            {"limit", s.limit},
            {"common_reward", s.common_reward},
            {"obs_low", s.obs_low},
            {"obs_high", s.obs_high},
            {"agent_names", s.agent_names},
            {"action_names", s.action_names},
            {"agent_obs", s.agent_obs},
            {"agent_actions", s.agent_actions},
            {"obs_shape", s.obs_shape},
            {"action_low", s.action_low},
            {"action_high", s.action_high}};
  }

  void reset(uint64_t seed) {
    const Alone alone(*this);
    nb::gil_scoped_release free;
    env_->reset(Rng(seed), frame_);
  }
  void reset_copies(const nb::ndarray<nb::ro, nb::device::cpu>& which) {
    const Tensor copies = tensor_of(which, "copies");
    const Alone alone(*this);
    nb::gil_scoped_release free;
    env_->reset(copies, frame_);
  }
  void step(const nb::ndarray<nb::ro, nb::device::cpu>& actions) {
    const Tensor a = wanted(tensor_of(actions, "actions"));
    const Alone alone(*this);
    nb::gil_scoped_release free;
    env_->step(a, frame_);
  }

  // Steps through actions [T, E, ...] without coming back in between; the frame is that of the last.
  void play(const nb::ndarray<nb::ro, nb::device::cpu>& actions) {
    const Tensor all = wanted(tensor_of(actions, "actions"));
    if (all.dim() < 1) throw UserError("actions", "are one number", "give [T, E, ...]");
    const Alone alone(*this);
    nb::gil_scoped_release free;
    for (int64_t t = 0; t < all.size(0); ++t) env_->step(all[t], frame_);
  }

  // Views of the frame by name; their memory stays where it is from the first reset on.
  nb::dict arrays() const {
    nb::dict out;
    for (const auto& [name, t] : std::initializer_list<std::pair<const char*, const Tensor*>>{
             {"obs", &frame_.obs},
             {"reward", &frame_.reward},
             {"terminated", &frame_.terminated},
             {"truncated", &frame_.truncated},
             {"mask", &frame_.mask},
             {"state", &frame_.state},
             {"final_obs", &frame_.final_obs},
             {"final_state", &frame_.final_state},
             {"present", &frame_.present},
             {"final_present", &frame_.final_present}}) {
      if (t->defined()) out[name] = view_of(*t, false);
    }
    return out;
  }

  Json parameters() const {
    Json out = Json::array();
    if (const auto* h = dynamic_cast<const HasTasks*>(env_.get()))
      for (const auto& p : h->task_parameters())
        out.push_back({{"name", p.name},
                       {"doc", p.doc},
                       {"value", p.value},
                       {"whole", p.whole},
                       {"train", p.train},
                       {"test", p.test},
                       {"ood", p.ood}});
    return out;
  }
  void set_tasks(const nb::ndarray<nb::ro, nb::device::cpu>& tasks) {
    const Alone alone(*this);
    need<HasTasks>("tasks").set_tasks(tensor_of(tasks, "tasks").to(at::kDouble));
  }
  nb::object draw_tasks(const std::string& split, uint64_t seed) {
    const std::map<std::string, TaskRange> ranges{
        {"train", TaskRange::kTrain}, {"test", TaskRange::kTest}, {"ood", TaskRange::kOod}};
    const auto it = ranges.find(split);
    if (it == ranges.end())
      throw UserError("split", "\"" + split + "\" is not known", suggestion(split, {"train", "test", "ood"}));
    return view_of(symma::draw_tasks(need<HasTasks>("tasks"), env_->spec().copies, it->second, Rng(seed)),
                   true);
  }

  nb::object save(int64_t copy) {
    const Alone alone(*this);
    return view_of(need<Restorable>("saving").save(at(copy)), true);
  }
  void restore(int64_t copy, const nb::ndarray<nb::ro, nb::device::cpu>& saved) {
    const Tensor t = tensor_of(saved, "saved").to(at::kDouble);
    if (!frame_.obs.defined())
      throw UserError(env_->spec().name, "was asked to restore before its first reset", "call reset first");
    const Alone alone(*this);
    need<Restorable>("saving").restore(at(copy), t, frame_);
  }
  std::string text(int64_t copy) {
    const Alone alone(*this);
    return need<Drawable>("pictures").text(at(copy));
  }
  std::string svg(int64_t copy) {
    const Alone alone(*this);
    return need<Drawable>("pictures").svg(at(copy));
  }
  bool can(const std::string& what) const {
    return what == "draw" ? dynamic_cast<const Drawable*>(env_.get()) != nullptr
                          : dynamic_cast<const Restorable*>(env_.get()) != nullptr;
  }

  // Numbers of other widths are taken for what they say; what would lose something is the world's to refuse.
  static Tensor tensor_of(const nb::ndarray<nb::ro, nb::device::cpu>& a, const std::string& place) {
    std::vector<int64_t> shape, strides;
    for (size_t i = 0; i < a.ndim(); ++i)
      shape.push_back(static_cast<int64_t>(a.shape(i))), strides.push_back(a.stride(i));
    at::ScalarType type;
    const nb::dlpack::dtype d = a.dtype();
    using Code = nb::dlpack::dtype_code;
    if (d == nb::dtype<float>())
      type = at::kFloat;
    else if (d == nb::dtype<double>())
      type = at::kDouble;
    else if (d == nb::dtype<int64_t>())
      type = at::kLong;
    else if (d == nb::dtype<int32_t>())
      type = at::kInt;
    else if (d == nb::dtype<int16_t>())
      type = at::kShort;
    else if (d == nb::dtype<int8_t>())
      type = at::kChar;
    else if (d == nb::dtype<uint8_t>())
      type = at::kByte;
    else if (d.code == static_cast<uint8_t>(Code::Bool) && d.bits == 8)
      type = at::kBool;
    else
      throw UserError(place, "are numbers of a type that symma does not take", "give int64 or float32");
    return at::from_blob(const_cast<void*>(a.data()), shape, strides,
                         type);  // lives as long as the call's array
  }

 private:
  struct Alone {
    explicit Alone(World& w) : world(w) {
      if (w.busy_)
        throw UserError(w.env_->spec().name, "is stepped by another thread",
                        "use a world of its own for each thread");
      w.busy_ = true;
    }
    ~Alone() { world.busy_ = false; }
    World& world;
  };

  Tensor wanted(const Tensor& a) const {
    const bool whole = at::isIntegralType(a.scalar_type(), false);
    if (env_->spec().continuous) return a.scalar_type() == at::kDouble ? a.to(at::kFloat) : a;
    return whole && a.scalar_type() != at::kLong ? a.to(at::kLong) : a;
  }
  int64_t at(int64_t copy) const {
    if (copy < 0 || copy >= env_->spec().copies)
      throw UserError(env_->spec().name, "has no copy " + std::to_string(copy),
                      "copies are 0 to " + std::to_string(env_->spec().copies - 1));
    return copy;
  }
  template <class T>
  T& need(const char* what) const {
    auto* t = dynamic_cast<T*>(env_.get());
    if (!t) throw UserError(env_->spec().name, std::string("has no ") + what, "choose another world");
    return *t;
  }

  std::unique_ptr<Env> env_;
  Frame frame_;
  bool busy_ = false;  // read and written with the interpreter's lock held
};

}  // namespace

void bind_worlds(nb::module_& m) {
  nb::class_<World>(m, "World", "E copies of one world. Arrays are views of a frame that each step rewrites.")
      .def(
          "__init__",
          [](World* self, const std::string& kind, int64_t copies, nb::handle settings) {
            const Json s = from_python(settings, kind);
            nb::gil_scoped_release free;
            new (self) World(kind, copies, s);
          },
          "kind"_a, "copies"_a, "settings"_a)
      .def_prop_ro("spec", [](const World& w) { return to_python(w.spec()); })
      .def("reset", &World::reset, "seed"_a)
      .def("reset_copies", &World::reset_copies, "copies"_a)
      .def("step", &World::step, "actions"_a)
      .def("play", &World::play, "actions"_a, "Steps through actions [T, E, ...] in one call.")
      .def("arrays", &World::arrays)
      .def_prop_ro("parameters", [](const World& w) { return to_python(w.parameters()); })
      .def("set_tasks", &World::set_tasks, "tasks"_a)
      .def("draw_tasks", &World::draw_tasks, "split"_a, "seed"_a)
      .def("save", &World::save, "copy"_a)
      .def("restore", &World::restore, "copy"_a, "saved"_a)
      .def("text", &World::text, "copy"_a)
      .def("svg", &World::svg, "copy"_a)
      .def("can", &World::can, "what"_a);
}

}  // namespace symma::python
