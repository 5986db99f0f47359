// symma sweep FILE --over key=value,...: every combination as a run of its own, then who is best, over seeds.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>

#include "symma/cli/batch.h"
#include "symma/cli/commands.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/record.h"
#include "symma/fleet/calendar.h"
#include "symma/fleet/experiment.h"
#include "symma/fleet/sweep.h"
#include "symma/report/sweep_folder.h"

namespace symma {
namespace {

namespace fs = std::filesystem;

struct SweepArguments {
  std::string file, folder;
  std::vector<std::string> over, settings;
  int64_t jobs = 0;
  bool halve = false, force = false, quiet = false, json = false, dry_run = false;
};

// The last validation of a run up to a round, after the most steps of adaptation; NaN where there is none, or
// where it is not finite. What a run did later, in a call before, is not looked at.
double validated(const std::string& folder, int64_t last) {
  double score = std::nan("");
  const std::string file = in_folder(folder, "metrics.jsonl");
  if (!fs::exists(file)) return score;
  for (const Json& row : read_records(file)) {
    if (row.at("round") > last) break;
    if (row.contains("validation") && row["validation"].contains("mean") &&
        !row["validation"]["mean"].empty()) {
      const Json& mean = row["validation"]["mean"].back();
      score = mean.is_number() ? mean.get<double>() : std::nan("");
    }
  }
  return score;
}

// Arms, by the names of their runs: combinations that differ by the seed alone.
std::vector<std::vector<size_t>> arms(const std::vector<Combination>& all) {
  std::map<std::string, size_t> number;
  std::vector<std::vector<size_t>> out;
  for (size_t i = 0; i < all.size(); ++i) {
    Json values = all[i].values;
    values.erase("seed");
    const auto [it, fresh] = number.emplace(values.dump(), out.size());
    if (fresh) out.emplace_back();
    out[it->second].push_back(i);
  }
  return out;
}

// The last round of a stage, as symma train --until has it.
int64_t last_round(const Settings& s, double until) {
  return std::llround(until * static_cast<double>(s.fleet.rounds));
}

constexpr double kStages[] = {0.25, 0.5};

// Arms are halved by what they are validated at, so each has to be by the end of the first stage. Told before
// anything is run.
void check_validates(const Config& file, const std::vector<Planned>& plan) {
  for (const Planned& p : plan) {
    std::optional<Settings> s;
    try {
      s = Settings::read(laid_over(file, p.settings));
    } catch (const UserError&) {
      continue;  // its own run says what is wrong with it, and is told as failed
    }
    const Calendar calendar(*s, s->fleet.rounds);
    const int64_t last = last_round(*s, kStages[0]);
    int64_t round = 1;
    while (round <= last && !(calendar.logs(round) && calendar.judges(round))) ++round;
    if (round > last)
      throw UserError(
          "symma sweep --halve",
          fmt::format("{} has no validation in its first {} rounds, a quarter of them", p.name, last),
          "lower eval.every or log_every, or leave --halve out");
  }
}

struct Halved {
  std::vector<Planned> left;
  std::vector<SweptRun> failed;
  std::vector<std::string> early;  // in words, of those that stopped before their end
};

// Successive halving: all to a quarter of their rounds, the better half of the arms to a half, the better
// half of these to the end (Jamieson & Talwalkar 2016). An arm of which a run failed, or diverged, goes no
// further, whoever else is there.
Halved halved(const Batch& whole, const Config& file, const std::vector<Combination>& all,
              const std::vector<Planned>& plan) {
  Halved out;
  auto left = arms(all);
  // Which way validation goes.
  const bool higher = Experiment::build(laid_over(file, plan.front().settings)).spec.higher_is_better;
  for (const double until : kStages) {
    if (left.size() < 2) break;
    std::vector<Planned> now;
    for (const auto& arm : left)
      for (size_t i : arm) now.push_back(plan[i]);
    Batch stage = whole;
    stage.until = until;
    const auto outcomes = run_batch(stage, now);
    const auto stopped = [&](size_t i) {
      out.early.push_back(fmt::format("{} stopped after {:.0f} % of its rounds", plan[i].name, 100 * until));
    };
    std::vector<std::pair<double, std::vector<size_t>>> judged;
    size_t at = 0;
    for (const auto& arm : left) {
      double sum = 0;
      std::vector<size_t> well;
      for (size_t i : arm) {
        const Outcome& o = outcomes[at++];
        if (o.fate == Fate::kFailed) {
          out.failed.push_back({plan[i].name, plan[i].values, true, o.why});
          continue;
        }
        well.push_back(i);
        const int64_t last = last_round(Settings::read(laid_over(file, plan[i].settings)), until);
        sum += validated(in_folder(whole.folder, "runs/" + plan[i].name), last);
      }
      const double mean = sum / static_cast<double>(arm.size());
      if (well.size() == arm.size() && std::isfinite(mean))
        judged.emplace_back(higher ? -mean : mean, arm);
      else
        std::for_each(well.begin(), well.end(), stopped);
    }
    if (judged.empty() && out.failed.empty())
      throw UserError("symma sweep --halve",
                      fmt::format("no arm has a finite validation after {:.0f} % of its rounds", 100 * until),
                      "all of them diverged: lower learner.meta_lr or inner_lr");
    std::stable_sort(judged.begin(), judged.end(),
                     [](const auto& x, const auto& y) { return x.first < y.first; });
    const size_t keep = std::min(judged.size(), (left.size() + 1) / 2);
    for (size_t k = keep; k < judged.size(); ++k)
      std::for_each(judged[k].second.begin(), judged[k].second.end(), stopped);
    judged.resize(keep);
    left.clear();
    for (const auto& [score, arm] : judged) left.push_back(arm);
  }
  for (const auto& arm : left)
    for (size_t i : arm) out.left.push_back(plan[i]);
  return out;
}

void run_sweep(SweepArguments a) {
  const Config file = Config::load(a.file);
  const Config config = laid_over(file, a.settings);
  SweepOptions options;
  Fields fields;
  options.fields(fields);
  config.read("sweep", fields);
  if (a.over.empty()) a.over = options.over;
  if (a.jobs == 0) a.jobs = std::max<int64_t>(1, options.jobs);
  if (a.over.empty())
    throw UserError("symma sweep", "nothing to go over",
                    "name settings with --over seed=1..5, or in the file's [sweep] section");
  std::vector<Axis> axes;
  for (const auto& text : a.over) axes.push_back(read_axis(text));
  const auto all = combinations(axes);
  std::vector<Planned> plan;
  // What is wrong with a key is told before anything is run.
  const auto common_of = fitting_each(file, a.settings, all);
  for (size_t i = 0; i < all.size(); ++i) {
    plan.push_back({all[i].name, common_of[i], all[i].values});
    plan.back().settings.insert(plan.back().settings.end(), all[i].settings.begin(), all[i].settings.end());
  }
  for (const auto& line : Experiment::build(laid_over(file, plan.front().settings)).let_lie)
    if (!a.quiet) std::fprintf(stderr, "notice: %s\n", line.c_str());
  if (a.folder.empty()) a.folder = "sweeps/" + fs::path(a.file).stem().string();
  if (a.dry_run) {
    for (const auto& p : plan) fmt::print("{}\n", p.name);
    fmt::print("{} runs in {}\n", plan.size(), a.folder);
    return;
  }
  if (a.halve) check_validates(file, plan);
  const Json common{{"experiment", read_file(a.file)}, {"set", a.settings}};
  claim_sweep(a.folder, common, a.force, {"file", "choose another --out", "replace it with --force"});
  const Batch batch{a.file, a.folder, a.jobs, 1, a.quiet};
  const Halved of = a.halve ? halved(batch, file, all, plan) : Halved{plan, {}, {}};
  const auto outcomes = run_batch(batch, of.left);
  std::vector<SweptRun> runs;
  for (size_t i = 0; i < of.left.size(); ++i)
    runs.push_back({of.left[i].name, of.left[i].values, outcomes[i].fate == Fate::kFailed, outcomes[i].why});
  runs.insert(runs.end(), of.failed.begin(), of.failed.end());
  const SweepEnd end = end_sweep(a.folder, common, a.over, runs, of.early, "logs/ has what each said");
  if (a.json) {
    fmt::print("{}\n", end.written.dump());
  } else if (!a.quiet) {
    fmt::print("{}", end.table);
    for (const auto& line : of.early) fmt::print("{}\n", line);
    for (const auto& line : end.failed) fmt::print("failed: {}\n", line);
    fmt::print("report: {}\n", in_folder(a.folder, "report.html"));
  }
  if (!end.failed.empty())
    throw UserError(a.folder, fmt::format("{} of {} runs failed", end.failed.size(), plan.size()),
                    "logs/ has what each said; the same command tries them again");
}

}  // namespace

void add_sweep(CLI::App& app) {
  auto a = std::make_shared<SweepArguments>();
  auto* c =
      app.add_subcommand("sweep", "run every combination of some settings, and say which is best over seeds");
  c->add_option("file", a->file, "experiment file (TOML)")->required();
  c->add_option("--over", a->over, "a setting and its values: seed=1..5, exchange.topology=none,ring,full")
      ->take_all()
      ->allow_extra_args(false);
  c->add_option("--set", a->settings, "lay a setting over the file, for all runs")
      ->take_all()
      ->allow_extra_args(false);
  c->add_option("--out", a->folder, "folder of the sweep; sweeps/<file> unless given");
  c->add_option("--jobs", a->jobs, "runs at a time, each on its part of the threads")
      ->check(CLI::Range(1, 1024));
  c->add_flag("--halve", a->halve,
              "the worse half of the arms stops at a quarter of the rounds, again at half");
  c->add_flag("--force", a->force, "replace a sweep that is there");
  c->add_flag("--dry-run", a->dry_run, "say what would be run");
  c->add_flag("--quiet", a->quiet, "say nothing but what went wrong");
  c->add_flag("--json", a->json, "sweep.json at the end, and no table");
  c->callback([a] { run_sweep(*a); });
}

}  // namespace symma
