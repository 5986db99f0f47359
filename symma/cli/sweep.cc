// symma sweep FILE --over key=value,...: every combination as a run of its own, then who is best, over seeds.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>

#include "symma/cli/batch.h"
#include "symma/cli/commands.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/record.h"
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

// The last validation of a run, after the most steps of adaptation; NaN where there is none.
double validated(const std::string& folder) {
  double score = std::nan("");
  const std::string file = in_folder(folder, "metrics.jsonl");
  if (!fs::exists(file)) return score;
  for (const Json& row : read_records(file)) {
    if (row.contains("validation") && row["validation"].contains("mean") &&
        !row["validation"]["mean"].empty()) {
      const Json& last = row["validation"]["mean"].back();
      score = last.is_number() ? last.get<double>() : std::nan("");
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

// Which way validation goes, from any run's log.
bool higher_is_better(const Config& file, const std::vector<std::string>& settings) {
  Config one = file;
  for (const auto& s : settings) one.set(s);
  return Experiment::build(one).spec.higher_is_better;
}

// Successive halving: all to a quarter of their rounds, the better half of the arms to a half, the better
// half of these to the end (Jamieson & Talwalkar 2016). Returns those that are left.
std::vector<Planned> halved(const Batch& whole, const Config& file, const std::vector<Combination>& all,
                            const std::vector<Planned>& plan, std::vector<std::string>* told) {
  auto left = arms(all);
  const bool higher = higher_is_better(file, plan.front().settings);
  for (const double until : {0.25, 0.5}) {
    if (left.size() < 2) break;
    std::vector<Planned> now;
    for (const auto& arm : left)
      for (size_t i : arm) now.push_back(plan[i]);
    Batch stage = whole;
    stage.until = until;
    run_batch(stage, now);
    std::vector<std::pair<double, std::vector<size_t>>> judged;
    for (const auto& arm : left) {
      double sum = 0;
      for (size_t i : arm) sum += validated(in_folder(whole.folder, "runs/" + plan[i].name));
      const double mean = sum / static_cast<double>(arm.size());
      judged.emplace_back(std::isfinite(mean) ? (higher ? -mean : mean) : INFINITY, arm);
    }
    std::stable_sort(judged.begin(), judged.end(),
                     [](const auto& x, const auto& y) { return x.first < y.first; });
    const size_t keep = (left.size() + 1) / 2;
    for (size_t k = keep; k < judged.size(); ++k) {
      for (size_t i : judged[k].second)
        told->push_back(fmt::format("{} stopped after {:.0f} % of its rounds", plan[i].name, 100 * until));
    }
    judged.resize(keep);
    left.clear();
    for (const auto& [score, arm] : judged) left.push_back(arm);
  }
  std::vector<Planned> out;
  for (const auto& arm : left)
    for (size_t i : arm) out.push_back(plan[i]);
  return out;
}

void run_sweep(SweepArguments a) {
  const Config file = Config::load(a.file);
  Config config = file;
  for (const auto& s : a.settings) config.set(s);
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
  for (const auto& c : all) {
    plan.push_back({c.name, fitting(file, a.settings, c.settings), c.values});
    plan.back().settings.insert(plan.back().settings.end(), c.settings.begin(), c.settings.end());
  }
  // What is wrong with a key is told before anything is run.
  check_settings(file, a.settings, all);
  Config first = file;
  for (const auto& s : plan.front().settings) first.set(s);
  for (const auto& line : Experiment::build(first).let_lie)
    if (!a.quiet) std::fprintf(stderr, "notice: %s\n", line.c_str());
  if (a.folder.empty()) a.folder = "sweeps/" + fs::path(a.file).stem().string();
  if (a.dry_run) {
    for (const auto& p : plan) fmt::print("{}\n", p.name);
    fmt::print("{} runs in {}\n", plan.size(), a.folder);
    return;
  }
  const Json common{{"experiment", read_file(a.file)}, {"set", a.settings}};
  claim_sweep(a.folder, common, a.force, {"file", "choose another --out", "replace it with --force"});
  const Batch batch{a.file, a.folder, a.jobs, 1, a.quiet};
  std::vector<std::string> early;
  const auto due = a.halve ? halved(batch, file, all, plan, &early) : plan;
  const auto outcomes = run_batch(batch, due);
  std::vector<SweptRun> runs;
  for (size_t i = 0; i < due.size(); ++i)
    runs.push_back({due[i].name, due[i].values, outcomes[i].fate == Fate::kFailed, outcomes[i].why});
  const SweepEnd end = end_sweep(a.folder, common, a.over, runs, early, "logs/ has what each said");
  if (a.json) {
    fmt::print("{}\n", end.written.dump());
  } else if (!a.quiet) {
    fmt::print("{}", end.table);
    for (const auto& line : early) fmt::print("{}\n", line);
    for (const auto& line : end.failed) fmt::print("failed: {}\n", line);
    fmt::print("report: {}\n", in_folder(a.folder, "report.html"));
  }
  if (!end.failed.empty())
    throw UserError(a.folder, fmt::format("{} of {} runs failed", end.failed.size(), due.size()),
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
