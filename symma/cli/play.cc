// symma play RUN: an episode of what a run learned to play, as pictures and as a table.
#include <fmt/format.h>

#include <filesystem>

#include "symma/cli/commands.h"
#include "symma/cli/reopen.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/fleet/train.h"
#include "symma/tasks/control.h"

namespace symma {
namespace {

struct PlayArguments {
  std::string run, out;
  int64_t agent = 0, episodes = 1, steps = -1;
  bool json = false;
};

void run_play(PlayArguments a) {
  const Experiment e = open_experiment(a.run, {});
  const RunState run = load_checkpoint(in_folder(a.run, "checkpoint.safetensors"), e);
  check_agent(e, a.agent);
  if (a.out.empty()) a.out = in_folder(a.run, "played");
  const int64_t steps = a.steps < 0 ? e.eval.steps.back() : a.steps;
  make_folder(a.out);
  std::string csv = "episode,step,earned\n";
  Json all = Json::array();
  for (int64_t k = 0; k < a.episodes; ++k) {
    const Rng rng = Rng(e.fleet.seed).split("play", k);
    const std::vector<int64_t> who{kEveryone};
    const auto batch = e.family->sample(*e.model, asks_for(who, rng), Split::kTest);
    const auto* world = dynamic_cast<const ControlBatch*>(batch.get());
    if (!world)
      throw UserError(a.run, "task \"" + e.chosen.task.kind() + "\" is no world",
                      "its report.html draws its tasks");
    const std::vector<int64_t> when{steps};
    const auto rows =
        e.learner->adapt(run.learner.rows(a.agent, a.agent + 1), *batch, when, rng.split("adapt"));
    at::NoGradGuard no_grad;
    const auto pictures = world->watch(0, rows[0], rng.split("watch"));
    for (size_t s = 0; s < pictures.size(); ++s) {
      csv += fmt::format("{},{},{:.9g}\n", k, s, pictures[s].earned);
      write_file(in_folder(a.out, fmt::format("episode{}_step{:04}.svg", k, s)), pictures[s].svg);
    }
    const double earned = pictures.empty() ? 0 : pictures.back().earned;
    all.push_back({{"episode", k}, {"steps", pictures.size()}, {"earned", earned}});
    if (!a.json)
      fmt::print("episode {}: {} steps, earned {:.4g}\n", k, pictures.size() - (pictures.empty() ? 0 : 1),
                 earned);
  }
  write_file(in_folder(a.out, "episodes.csv"), csv);
  if (a.json)
    fmt::print("{}\n", Json{{"folder", a.out}, {"episodes", all}}.dump());
  else
    fmt::print("pictures and episodes.csv: {}\n", a.out);
}

}  // namespace

void add_play(CLI::App& app) {
  auto a = std::make_shared<PlayArguments>();
  auto* c =
      app.add_subcommand("play", "let a trained team play, and keep the episodes as pictures and a table");
  c->add_option("run", a->run, "folder of the run")->required();
  c->add_option("--agent", a->agent, "who plays; 0 unless given");
  c->add_option("--episodes", a->episodes, "how many")->check(CLI::Range(1, 10000));
  c->add_option("--steps", a->steps, "steps of adaptation first; the run's most unless given")
      ->check(CLI::Range(0, 10000));
  c->add_option("--out", a->out, "folder; played/ in the run's unless given");
  c->add_flag("--json", a->json, "as JSON");
  c->callback([a] { run_play(*a); });
}

}  // namespace symma
