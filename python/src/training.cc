// Training, in one process or as one of several, and the plan of a sweep.
#include <chrono>
#include <filesystem>

#include "bind.h"
#include "symma/core/errors.h"
#include "symma/fleet/hidden_rows.h"
#include "symma/fleet/sweep.h"
#include "symma/fleet/together.h"
#include "symma/fleet/train.h"
#include "symma/nn/model.h"
#include "symma/report/report.h"
#include "symma/report/sweep_folder.h"
#include "symma/transports/zmq.h"

namespace symma::python {
namespace {

// What training came to.
struct Ended {
  std::shared_ptr<RunState> state;
  bool done = false, interrupted = false;
};

// What stands between the engine's hooks and what is written in Python. Progress is told at most ten times a
// second, and signals are looked after fifty times a second: the interpreter's lock is left alone in between.
struct Watch {
  using Clock = std::chrono::steady_clock;
  nb::object progress, listener, stop;
  bool interrupted = false;
  std::exception_ptr raised{};  // what another signal's handler raised
  Clock::time_point told{}, looked{};

  TrainHooks hooks() {
    using std::chrono::milliseconds;
    TrainHooks out;
    if (!progress.is_none()) {
      out.progress = [this](const Progress& p) {
        const auto now = Clock::now();
        if (p.round != p.rounds && now - told < milliseconds(100)) return;
        told = now;
        in_python([&] {
          progress(to_python(Json{{"round", p.round},
                                  {"rounds", p.rounds},
                                  {"rounds_per_s", p.rounds_per_s},
                                  {"seconds_left", p.seconds_left},
                                  {"loss", p.loss},
                                  {"score", p.score},
                                  {"epsilon", p.epsilon()}}));
        });
      };
    }
    out.stop = [this] {
      const auto now = Clock::now();
      if (stop.is_none() && now - looked < milliseconds(20)) return false;
      looked = now;
      return in_python([&] {
        if (!stop.is_none() && nb::cast<bool>(stop())) return interrupted = true;
        if (PyErr_CheckSignals() == 0) return false;
        interrupted = PyErr_ExceptionMatches(PyExc_KeyboardInterrupt) != 0;
        if (interrupted)
          PyErr_Clear();
        else
          raised = std::make_exception_ptr(nb::python_error());
        return true;
      });
    };
    if (!listener.is_none())
      out.listeners.push_back([this](const Json& row) { in_python([&] { listener(to_python(row)); }); });
    return out;
  }
};

Ended train_run(const Experiment& e, const RunOptions& options, const nb::object& progress,
                const nb::object& listener) {
  Ended out{std::make_shared<RunState>()};
  Watch watch{progress, listener, nb::none()};
  const TrainHooks hooks = watch.hooks();
  nb::gil_scoped_release free;
  if (!options.resume || !std::filesystem::exists(in(options, "checkpoint.safetensors"))) rehearse(e);
  out.done = train(e, options, hooks, *out.state);
  if (watch.raised) std::rethrow_exception(watch.raised);
  out.interrupted = watch.interrupted;
  return out;
}

std::vector<std::vector<int64_t>> shares(const Experiment& e, int64_t places) {
  check_together(e, {});
  std::vector<std::vector<int64_t>> out = shares_of(e.fleet.agents, block_size(*e.model), places);
  check_crowd(e, out);
  return out;
}

// One process of several: trains, and judges its own agents; the first writes what all came to. Returns the
// round reached and whether it is done.
std::pair<int64_t, bool> train_part(Experiment& e, const RunOptions& options, Meeting meeting, int64_t places,
                                    const nb::object& progress, const nb::object& stop) {
  Watch watch{progress, nb::none(), stop};
  const TrainHooks hooks = watch.hooks();
  nb::gil_scoped_release free;
  meeting.parts = shares(e, places);
  e.exchange.letters_may_be_lost = true;
  const auto letters = meet(meeting);
  Party party(meeting.place, meeting.parts, *letters);
  RunState state;
  bool done = false;
  try {
    done = train_together(e, options, hooks, party, state);
  } catch (const ToldElsewhere&) {
    return {0, false};
  }
  if (watch.raised) std::rethrow_exception(watch.raised);
  if (done) {
    auto judged =
        judge_together(e, party, party.first() ? state.learner.rows(party.agents()) : state.learner);
    if (party.first()) {
      conclude(e, options, state, std::move(judged));
      write_report({options.folder}, in(options, "report.html"));
    }
  }
  return {state.round, done};
}

}  // namespace

void bind_training(nb::module_& m) {
  using Free = nb::call_guard<nb::gil_scoped_release>;
  nb::class_<Ended>(m, "Ended")
      .def_ro("state", &Ended::state)
      .def_ro("done", &Ended::done)
      .def_ro("interrupted", &Ended::interrupted);
  m.def(
      "train",
      [](const Experiment& e, const std::string& folder, bool resume, bool force, const std::string& device,
         const nb::object& progress, const nb::object& listener) {
        return train_run(e, {folder, resume, force, device}, progress, listener);
      },
      "experiment"_a, "folder"_a, "resume"_a, "force"_a, "device"_a, "progress"_a.none(),
      "listener"_a.none());
  m.def("shares", &shares, "experiment"_a, "places"_a, Free(),
        "The agents of each of several processes. Raises UserError where several cannot train it.");
  m.def(
      "train_part",
      [](Experiment& e, const std::string& folder, bool resume, bool force, int64_t place, int64_t places,
         const std::string& host, int64_t port, const std::string& secret, double patience, double start,
         const nb::object& progress, const nb::object& stop) {
        if (secret.size() < 32) throw UserError("secret", "has fewer than 32 characters", "draw a new one");
        return train_part(e, {folder, resume, force, "cpu"}, {place, {}, host, port, secret, patience, start},
                          places, progress, stop);
      },
      "experiment"_a, "folder"_a, "resume"_a, "force"_a, "place"_a, "places"_a, "host"_a, "port"_a,
      "secret"_a, "patience"_a, "start"_a, "progress"_a.none(), "stop"_a.none());
  m.def(
      "sweep_plan",
      [](const std::vector<std::string>& over) {
        std::vector<Axis> axes;
        axes.reserve(over.size());
        for (const auto& text : over) axes.push_back(read_axis(text));
        Json out = Json::array();
        for (const auto& c : combinations(axes)) out.push_back({{"name", c.name}, {"values", c.values}});
        return to_python(out);
      },
      "over"_a, "Every combination: its name, and its settings by their dotted keys.");
  m.def(
      "claim_sweep",
      [](const std::string& folder, nb::handle common, bool force) {
        claim_sweep(folder, from_python(common, "sweep"), force,
                    {"experiment", "choose another out=", "replace it with force=True"});
      },
      "folder"_a, "common"_a, "force"_a);
  m.def("is_done", &is_done, "folder"_a,
        "Whether a folder holds a run that is trained, judged and reported.");
  m.def(
      "end_sweep",
      [](const std::string& folder, nb::handle common, const std::vector<std::string>& over,
         nb::handle runs) {
        const Json given = from_python(common, "sweep"), all = from_python(runs, "sweep");
        std::vector<SweptRun> swept;
        for (const Json& r : all)
          swept.push_back({r["name"], r["values"], r.contains("why"), r.value("why", "")});
        const nb::gil_scoped_release free;
        end_sweep(folder, given, over, swept, {}, "mend what the first says");
      },
      "folder"_a, "common"_a, "over"_a, "runs"_a);
}

}  // namespace symma::python
