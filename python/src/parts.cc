// Parts written in Python are registered here, with their options; and models and tasks of the engine's, as
// Python has them.
#include "foreign.h"
#include "symma/core/errors.h"
#include "symma/core/registry.h"
#include "symma/tasks/supervised.h"

namespace symma::python {
namespace {

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
          return foreign_family(f(chosen, agents), name);
        });
  } else if (kind == "Env") {
    add(EnvRegistry::instance(), kind, name, summary, source, o, f,
        [name](const nb::object& f, const nb::dict& chosen, int64_t copies) {
          return foreign_world(f(chosen, copies), name, copies);
        });
  } else if (kind == "Model") {
    add(ModelRegistry::instance(), kind, name, summary, source, o, f,
        [name](const nb::object& f, const nb::dict& chosen, const ModelShape& s) {
          return foreign_model(f(chosen, s.in, s.out), name);
        });
  } else if (kind == "Learner") {
    add(LearnerRegistry::instance(), kind, name, summary, source, o, f,
        [name](const nb::object& f, const nb::dict& chosen, const LearnerSetting& s) {
          return foreign_learner(
              f(chosen, nb::cast(&s.model, nb::rv_policy::reference), to_python(spec_json(s.spec))), name);
        });
  } else if (kind == "Aggregator") {
    add(AggregatorRegistry::instance(), kind, name, summary, source, o, f,
        [name](const nb::object& f, const nb::dict& chosen) { return foreign_aggregator(f(chosen), name); });
  } else if (kind == "Compressor") {
    add(CompressorRegistry::instance(), kind, name, summary, source, o, f,
        [name](const nb::object& f, const nb::dict& chosen) { return foreign_compressor(f(chosen), name); });
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
