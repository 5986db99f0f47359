// symma eval RUN: judges a trained fleet again, with other settings or on other data.
#include <fmt/format.h>

#include "symma/cli/commands.h"
#include "symma/cli/reopen.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/eval/listed.h"
#include "symma/eval/scores.h"
#include "symma/fleet/train.h"
#include "symma/report/report.h"
#include "symma/tasks/known.h"
#include "symma/tasks/named.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

struct EvalArguments {
  std::string run, data, episodes, out;
  std::vector<std::string> settings;
};

// What was found is said before it is kept: a folder may be one that only others write.
void keep(const EvalArguments& a, const Json& result, const std::vector<EvalResult>& judged) {
  const std::string folder = a.out.empty() ? a.run : a.out, file = in_folder(folder, "eval.json");
  if (!a.out.empty()) make_folder(folder);
  write_file(in_folder(folder, "eval_scores.csv"), scores_csv(judged));
  write_file(file, result.dump(1) + "\n");
  fmt::print("written: {}\n", file);
}

// Every agent on episodes that a file lists.
void run_listed(const EvalArguments& a) {
  const Experiment e = open_experiment(a.run, a.settings);
  if (!dynamic_cast<const PlaysEpisodes*>(e.family.get()))
    throw UserError("--episodes", "task \"" + e.chosen.task.kind() + "\" plays no listed episodes",
                    "use a run on images or table");
  const RunState state = load_checkpoint(in_folder(a.run, "checkpoint.safetensors"), e);
  const EpisodeList list = EpisodeList::load(a.episodes);
  const Subject subject{*e.learner, *e.model, *e.family, state.learner, e.counted()};
  const EvalResult judged = evaluate_listed(subject, list, e.eval.steps, Rng(e.fleet.seed).split("listed"));
  Json result = verdict(e, judged);
  result["judged_on"] = {{"episodes", source_of(a.episodes).hash}, {"tasks", list.episodes.size()}};
  fmt::print("{}", eval_table(result, Json::array()));
  keep(a, result, {judged});
}

void run_eval(const EvalArguments& a) {
  if (!a.episodes.empty()) return run_listed(a);
  std::vector<std::string> settings = a.settings;
  Experiment e = open_experiment(a.run, settings);
  if (!a.data.empty()) {
    // A family that reads test data from a file says so by having the option.
    Json& task = e.settings["task"];
    if (!task.contains("test_path"))
      throw UserError("--data", "task \"" + e.chosen.task.kind() + "\" reads no files", "leave it out");
    const Json data = task["test_path"].is_array() ? Json::array({a.data}) : Json(a.data);
    settings.push_back("task.test_path=" + data.dump());
    // What was trained on stays as it was: with a test_path it would be more groups, and other scales.
    if (auto* judged = dynamic_cast<OtherTests*>(e.family.get())) {
      judged->test_on(a.data);
      task["test_path"] = data;
    } else {
      e = open_experiment(a.run, settings);
    }
  }
  if (const auto* family = dynamic_cast<const Warns*>(e.family.get()); family && !a.data.empty())
    for (const auto& line : family->warnings()) std::fprintf(stderr, "warning: %s\n", line.c_str());
  const RunState state = load_checkpoint(in_folder(a.run, "checkpoint.safetensors"), e);
  const bool as_it_stands = settings.empty();
  const auto say = [&](const Json& test, const Json& ood) {
    fmt::print("{}", eval_table(test, as_it_stands ? agent_share(e) : Json::array()));
    if (!ood.is_null()) fmt::print("{}", eval_table(ood, Json::array()));
  };
  if (as_it_stands && a.out.empty()) {
    conclude(e, {.folder = a.run}, state, {},
             [&](const Json& summary) { say(summary["eval"], summary.value("ood", Json())); });
    write_report({a.run}, in_folder(a.run, "report.html"));
    return;
  }
  // Judged otherwise than the run's file says: beside its summary, not over it.
  std::vector<EvalResult> judged{judge(e, state.learner, Split::kTest)};
  const Json result = verdict(e, judged[0]);
  Json ood;
  if (as_it_stands && e.eval.ood) {
    judged.push_back(judge(e, state.learner, Split::kOod));
    ood = verdict(e, judged[1]);
  }
  say(result, ood);
  keep(a, result, judged);
}

}  // namespace

void add_eval(CLI::App& app) {
  auto a = std::make_shared<EvalArguments>();
  auto* c = app.add_subcommand("eval", "judge a trained fleet again");
  c->add_option("run", a->run, "folder of the run")->required();
  c->add_option("--data", a->data, "test on the tasks in this file or folder");
  c->add_option("--episodes", a->episodes,
                "judge on the episodes that a CSV file lists, or on Omniglot's one-shot runs")
      ->excludes("--data");
  c->add_option("--set", a->settings, "lay a setting over the run's, such as eval.tasks=2000")
      ->take_all()
      ->allow_extra_args(false);
  c->add_option("--out", a->out, "folder for eval.json and eval_scores.csv; RUN unless given");
  c->callback([a] { run_eval(*a); });
}

}  // namespace symma
