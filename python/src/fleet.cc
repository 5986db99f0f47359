// Experiments, runs and fleets: read, trained, judged, adapted; and a round's parts for loops of one's own.
#include <filesystem>

#include "bind.h"
#include "symma/core/errors.h"
#include "symma/core/safetensors.h"
#include "symma/eval/evaluate.h"
#include "symma/fleet/folder.h"
#include "symma/fleet/round.h"
#include "symma/fleet/summary.h"
#include "symma/fleet/sweep.h"
#include "symma/report/report.h"
#include "symma/tasks/has_columns.h"
#include "symma/tasks/supervised.h"

namespace symma::python {
namespace {

using Free = nb::call_guard<nb::gil_scoped_release>;
using SharedExperiment = std::shared_ptr<Experiment>;

Config laid(const std::string& file, const Json& settings, const std::string& origin) {
  Config config = file.empty() ? Config::of(Json::object(), origin) : Config::load(file);
  config.lay(settings, origin);
  return config;
}

// `run` is the folder of the run that it is of, if it is there already: its data are then what the run keeps
// of them.
SharedExperiment build(const std::string& file, const Json& settings, const std::string& origin,
                       const std::string& run) {
  Config config = laid(file, settings, origin);
  if (!run.empty()) recall_data(config, run);
  auto e = std::make_shared<Experiment>(Experiment::build(config));
  forget_recalled(*e);
  return e;
}

Json about(const Experiment& e) {
  Json layout = Json::array();
  for (const auto& entry : e.model->layout().entries())
    layout.push_back(
        {{"name", entry.name}, {"shape", entry.shape}, {"offset", entry.offset}, {"buffer", entry.buffer}});
  const auto* table = dynamic_cast<const HasColumns*>(e.family.get());
  const char* kinds[] = {"regression", "classification", "control", "game"};
  return {{"name", e.fleet.name},
          {"agents", e.fleet.agents},
          {"rounds", e.fleet.rounds},
          {"tasks", e.fleet.tasks},
          {"seed", e.fleet.seed},
          {"precision", e.fleet.precision},
          {"task", e.chosen.task.kind()},
          {"model", e.chosen.model.kind()},
          {"learner", e.chosen.learner.kind()},
          {"metric", e.spec.metric},
          {"higher_is_better", e.spec.higher_is_better},
          {"kind", kinds[static_cast<int>(e.spec.kind)]},
          {"in", e.spec.shape.in},
          {"out", e.spec.shape.out},
          {"steps", e.eval.steps},
          {"eval_tasks", e.eval.tasks},
          {"parameters", e.model->layout().size()},
          {"layout", layout},
          {"topology", e.exchange.options.topology},
          {"columns", table ? Json(table->columns()) : Json()},
          {"settings", e.settings}};
}

// A batch of tasks, with the agents that they are of.
struct Batch {
  SharedExperiment experiment;  // whose model the tasks are judged by
  std::shared_ptr<Drawn> drawn;
  const TaskBatch& tasks() const { return *drawn->tasks; }
};

Batch some(const SharedExperiment& e, const std::vector<int64_t>& agents, const std::string& split,
           const Rng& key) {
  for (int64_t a : agents)
    if (a != kEveryone && (a < 0 || a >= e->fleet.agents))
      throw UserError("agents", "there is no agent " + std::to_string(a),
                      "agents are 0 to " + std::to_string(e->fleet.agents - 1));
  return {e, std::make_shared<Drawn>(
                 Drawn{agents, e->family->sample(*e->model, asks_for(agents, key), split_of(split))})};
}

// Throws UserError at `place` unless a batch's tasks are such as this fleet's: their loss goes by the model
// of the fleet that they were drawn for, and their agents by its numbers.
void check_ours(const Experiment& e, const Batch& b, const std::string& place) {
  const Experiment& of = *b.experiment;
  const char* remedy = "give what this fleet's sample gave";
  if (&of == &e) return;
  if (of.fleet.agents != e.fleet.agents)
    throw UserError(place,
                    fmt::format("the batch is of a fleet of {} agents, and this one has {}", of.fleet.agents,
                                e.fleet.agents),
                    remedy);
  if (of.spec.kind != e.spec.kind || of.spec.shape.in != e.spec.shape.in ||
      of.spec.shape.out != e.spec.shape.out)
    throw UserError(place,
                    fmt::format("the batch is of \"{}\", {} to {}, and this fleet learns \"{}\", {} to {}",
                                of.chosen.task.kind(), of.spec.shape.in, of.spec.shape.out,
                                e.chosen.task.kind(), e.spec.shape.in, e.spec.shape.out),
                    remedy);
  if (of.settings.at("model") != e.settings.at("model"))
    throw UserError(place, "the batch is of a fleet of another model", remedy);
}

// Points of one's own as B tasks: x [B, K, in...], y [B, K, out] or, of classes, [B, K].
Batch points(const SharedExperiment& e, const Tensor& sx, const Tensor& sy, const Tensor& qx,
             const Tensor& qy) {
  Episodes data;
  data.support_x = sx, data.support_y = sy, data.query_x = qx, data.query_y = qy;
  return {e,
          std::make_shared<Drawn>(Drawn{
              {}, std::make_unique<SupervisedBatch>(*e->model, e->spec.kind, std::move(data), Mode::kEval)})};
}

nb::dict scores_of(const EvalResult& r) {
  nb::dict out, all;
  for (const auto& [name, table] : r.all) {
    const auto n = static_cast<int64_t>(table.size()), s = static_cast<int64_t>(table[0].size()),
               t = static_cast<int64_t>(table[0][0].size());
    Tensor values = at::empty({n, s, t}, at::kDouble);
    double* to = values.data_ptr<double>();
    for (const auto& agent : table)
      for (const auto& step : agent) to = std::copy(step.begin(), step.end(), to);
    all[name.c_str()] = view_of(values, true);
  }
  out["scores"] = all;
  out["steps"] = r.steps, out["agents"] = r.agents, out["metric"] = r.metric;
  return out;
}

nb::dict read_examples(const Experiment& e, const std::string& csv) {
  const auto* reader = dynamic_cast<const FewShot*>(e.family.get());
  if (!reader)
    throw UserError("adapt", "task \"" + e.chosen.task.kind() + "\" cannot read examples from a file",
                    "pass arrays of numbers");
  const FewShot::Reading r = [&] {
    nb::gil_scoped_release free;
    return reader->read(csv);
  }();
  nb::dict out;
  out["support_x"] = r.episode.support_x, out["support_y"] = r.episode.support_y,
  out["query_x"] = r.episode.query_x;
  out["labels"] = r.labels, out["shift"] = r.target_shift, out["scale"] = r.target_scale;
  return out;
}

void same(const RunState& run, const Tensor& theta) {
  const Tensor& now = run.learner.theta;
  if (theta.sizes() != now.sizes() || theta.scalar_type() != now.scalar_type())
    throw UserError(
        "theta", fmt::format("has another shape or type than the fleet's {} x {}", now.size(0), now.size(1)),
        "give a tensor of that shape and type");
  if (theta.requires_grad()) throw UserError("theta", "requires gradients", "pass theta.detach()");
}

}  // namespace

void bind_fleet(nb::module_& m) {
  m.def(
      "other_settings",
      [](const std::string& folder, const std::string& file, nb::handle settings, const std::string& origin) {
        const Json s = from_python(settings, "");
        const nb::gil_scoped_release free;
        return other_settings(folder, laid(file, s, origin));
      },
      "folder"_a, "file"_a, "settings"_a, "origin"_a,
      "The first setting by which the run of a folder differs from what is asked for; empty where there is "
      "none.");
  nb::class_<Experiment>(m, "Experiment", "An experiment, read, checked and built.")
      .def_static(
          "build",
          [](const std::string& file, nb::handle settings, const std::string& origin,
             const std::string& run) {
            const Json s = from_python(settings, "");
            nb::gil_scoped_release free;
            return build(file, s, origin, run);
          },
          "file"_a, "settings"_a, "origin"_a, "run"_a = "")
      .def_prop_ro("about", [](const Experiment& e) { return to_python(about(e)); })
      .def_ro("toml", &Experiment::toml)
      .def("rehearse", &rehearse, Free())
      .def(
          "forward",
          [](const Experiment& e, const Tensor& rows, const Tensor& x) {
            at::NoGradGuard no_grad;
            return e.model->forward(rows, x, Mode::kEval);
          },
          "rows"_a, "x"_a, Free(), "rows [B, P] and x [B, K, in...] to outputs [B, K, out].")
      .def(
          "logits",
          [](const Experiment& e, const Tensor& rows, const Tensor& x, bool train) {
            return e.model->forward(rows, x, train ? Mode::kTrain : Mode::kEval);
          },
          "rows"_a, "x"_a, "train"_a = false, Free())
      .def(
          "init", [](const Experiment& e, const std::vector<Rng>& keys) { return e.model->init(keys); },
          "keys"_a, Free())
      .def("read_examples", &read_examples, "csv"_a);
  nb::class_<State>(m, "State",
                    "What changes while agents learn; every tensor's first dimension is the agent.")
      .def(
          "__init__",
          [](State* self, const Tensor& theta, const TensorDict& own) {
            new (self) State(State::of(theta, own));
          },
          "theta"_a, "own"_a = TensorDict{})
      .def_ro("id", &State::id)
      .def_rw("theta", &State::theta)
      .def_rw("steps", &State::steps)
      .def_rw("own", &State::own)
      .def(
          "rows", [](const State& s, const std::vector<int64_t>& places) { return s.rows(places); },
          "places"_a);
  nb::class_<RunState>(m, "RunState")
      .def(nb::new_([](const Experiment& e) { return std::make_shared<RunState>(start_run(e)); }),
           "experiment"_a, Free())
      .def_static(
          "load",
          [](const std::string& path, const Experiment& e) {
            return std::make_shared<RunState>(load_checkpoint(path, e));
          },
          "path"_a, "experiment"_a, Free())
      .def(
          "save",
          [](const RunState& r, const std::string& path, const Experiment& e) {
            save_checkpoint(path, e, r);
          },
          "path"_a, "experiment"_a, Free())
      .def_prop_ro(
          "learner", [](RunState& r) -> State& { return r.learner; }, nb::rv_policy::reference_internal)
      .def_prop_rw(
          "theta", [](const RunState& r) { return r.learner.theta; },
          [](RunState& r, const Tensor& t) {
            same(r, t);
            r.learner.theta = t.clone();
          })
      .def_ro("round", &RunState::round)
      .def_ro("tasks", &RunState::tasks)
      .def_ro("seconds", &RunState::seconds)
      .def_prop_ro("bits", [](const RunState& r) { return r.exchange.total_bits(); })
      .def_prop_ro("disagreement", [](const RunState& r) { return disagreement(r.learner.theta); })
      .def(
          "leave", [](RunState& r) { r.lock.reset(); }, "Others may train in its folder from now on.")
      .def("clone", [](const RunState& r) {
        auto out = std::make_shared<RunState>(r);
        for (Tensor* t : {&out->learner.theta, &out->learner.steps, &out->rounds}) *t = t->clone();
        for (auto* dict : {&out->learner.own, &out->sums})
          for (auto& [name, t] : *dict) t = t.clone();
        TensorDict exchanged = kept(out->exchange);
        for (auto& [name, t] : exchanged) t = t.clone();
        keep(out->exchange, exchanged);
        return out;
      });
  m.def(
      "of_other_parts",
      [](const std::string& file, nb::handle settings, const std::string& origin) {
        return of_other_parts(laid(file, from_python(settings, ""), origin));
      },
      "file"_a, "settings"_a, "origin"_a,
      "Of settings laid over a file the keys that are options of parts that are not chosen.");
  m.def("conclude",
        [](const Experiment& e, const std::string& folder, const std::string& device, const RunState& run) {
          nb::gil_scoped_release free;
          conclude(e, {folder, false, false, device}, run);
          write_report({folder}, (std::filesystem::path(folder) / "report.html").string());
        });
  m.def("changed_data", &changed_data, "folder"_a, Free(),
        "What of a run's data is no longer what it was, in words; \"\" where all is, or is gone.");
  m.def("write_report", &write_report, "runs"_a, "path"_a, Free());
  m.def(
      "read_safetensors", [](const std::string& path) { return read_safetensors(path).tensors; }, "path"_a,
      Free());

  nb::class_<Batch>(m, "Batch", "B tasks, each with points or a world of its own.")
      .def_static("sample", &some, "experiment"_a, "agents"_a, "split"_a, "key"_a, Free())
      .def_static("points", &points, "experiment"_a, "support_x"_a, "support_y"_a, "query_x"_a, "query_y"_a)
      .def_prop_ro("agents", [](const Batch& b) { return b.drawn->who; })
      .def_prop_ro(
          "tasks",
          [](const Batch& b) -> const TaskBatch& {
            if (!b.drawn->tasks) throw UserError("batch", "holds no task", "in this round nobody takes part");
            return b.tasks();
          },
          nb::rv_policy::reference_internal);

  m.def(
      "round", [](const Experiment& e, RunState& run) { run_round(e, run); }, Free());
  m.def(
      "draw",
      [](const SharedExperiment& e, const RunState& run) {
        return Batch{e, std::make_shared<Drawn>(draw(*e, run))};
      },
      Free());
  m.def("learn", [](const Experiment& e, RunState& run, const Batch& b) {
    Scores s;
    {
      nb::gil_scoped_release free;
      check_ours(e, b, "step");
      const auto n = static_cast<int64_t>(b.drawn->who.size());
      if (n == 0 || b.tasks().size() % n != 0)
        throw UserError("step", "the batch is not of agents", "take one that this fleet's sample gave");
      s = learn(e, run, *b.drawn);
      ++run.round;
    }
    return to_python(s);
  });
  m.def(
      "communicate",
      [](const Experiment& e, RunState& run) {
        if (!e.exchange.graph.edges.empty()) communicate(e, run);
      },
      Free());
  m.def(
      "adapt",
      [](const Experiment& e, const State& state, const Batch& b, const std::vector<int64_t>& steps,
         const Rng& key) {
        if (steps.empty() || !std::is_sorted(steps.begin(), steps.end()) || steps[0] < 0)
          throw UserError("steps", "are not ascending numbers of 0 or more", "write for example [0, 1, 5]");
        check_ours(e, b, "adapt");
        if (b.tasks().size() % state.size() != 0)
          throw UserError(
              "adapt",
              fmt::format("{} tasks are not as many for each of {} agents", b.tasks().size(), state.size()),
              "give every agent as many tasks");
        return e.learner->adapt(state, b.tasks(), steps, key);
      },
      Free());
  m.def("evaluate", [](const Experiment& e, const RunState& run, const std::string& split, int64_t tasks,
                       const std::vector<int64_t>& steps) {
    if (tasks < 1) throw UserError("tasks", std::to_string(tasks) + " is out of range", "must be >= 1");
    if (steps.empty() || !std::is_sorted(steps.begin(), steps.end()) || steps[0] < 0)
      throw UserError("steps", "are not ascending numbers of 0 or more", "write for example [0, 1, 5]");
    EvalResult r;
    Json verdict;
    {
      nb::gil_scoped_release free;
      r = evaluate({*e.learner, *e.model, *e.family, run.learner, e.counted()}, split_of(split), tasks, steps,
                   e.eval.from == "own", Rng(e.fleet.seed).split("test"));
      verdict = eval_json(r, e.spec, e.protocol());
    }
    nb::dict out = scores_of(r);
    out["summary"] = to_python(verdict);
    return out;
  });
}

}  // namespace symma::python
