// symma scorecard FILE: learning efficiency, generalisation, robustness and scalability, on one page.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <set>

#include "symma/cli/batch.h"
#include "symma/cli/commands.h"
#include "symma/cli/score_figures.h"
#include "symma/cli/score_plan.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/parallel.h"
#include "symma/core/record.h"
#include "symma/core/version.h"
#include "symma/fleet/round.h"
#include "symma/report/format.h"
#include "symma/report/scorecard.h"

namespace symma {
namespace {

namespace fs = std::filesystem;

struct ScoreArguments {
  std::string file, folder, budget, of = "mean";
  std::vector<std::string> settings, only;
  int64_t jobs = 0, seeds = 3;
  bool dry_run = false, quiet = false, json = false, force = false;
};

// "90s", "20m", "2h".
double seconds_of(const std::string& text) {
  double x = 0;
  char unit = 's';
  int used = 0;
  const int read = std::sscanf(text.c_str(), "%lf%c%n", &x, &unit, &used);
  const double scale = unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 : 0;
  if (read < 1 || (read == 2 && used != static_cast<int>(text.size())) || scale == 0 || !(x > 0) ||
      !std::isfinite(x))
    throw UserError("--budget " + text, "is no length of time", "write for example 90s, 20m or 2h");
  return x * scale;
}

// What is measured, and in how many rounds. It is kept in the folder, so that a scorecard that was stopped
// goes on with the same runs, however fast the machine is then.
struct ScorePlan {
  int64_t rounds = 0;
  std::vector<ScoreItem> items;
  Json left_out = Json::array();
  double seconds = 0;    // of one seed of the file, with that many rounds
  bool settled = false;  // whether the measured time of the first runs has been counted with
  double spent = 0;      // seconds, as estimated

  void leave(const ScoreItem& item, const std::string& why) {
    left_out.push_back({{"id", item.id}, {"axis", item.axis}, {"what", item.what}, {"why", why}});
  }
};

// What a scorecard is of; another one may not go on in its folder.
Json identity(const ScoreArguments& a) {
  return {{"experiment", read_file(a.file)},
          {"set", a.settings},
          {"budget", a.budget},
          {"seeds", a.seeds},
          {"only", a.only}};
}

Json as_json(const ScoreArguments& a, const ScorePlan& plan) {
  Json ids = Json::array();
  for (const auto& item : plan.items) ids.push_back(item.id);
  return {{"of", identity(a)},
          {"rounds", plan.rounds},
          {"settled", plan.settled},
          {"items", ids},
          {"left_out", plan.left_out}};
}

void keep(const ScoreArguments& a, const ScorePlan& plan) {
  write_file(in_folder(a.folder, "plan.json"), as_json(a, plan).dump(1) + "\n");
}

// Whether the folder holds a scorecard of the same; refuses one of another, or clears it with --force.
bool begun(const ScoreArguments& a) {
  const std::string path = in_folder(a.folder, "plan.json");
  if (!fs::exists(path)) {
    if (fs::exists(in_folder(a.folder, "experiment.toml")) || fs::exists(in_folder(a.folder, "sweep.json")))
      throw UserError(a.folder, "holds a run or a sweep", "choose another --out");
    return false;
  }
  const Json old = parse_json(read_file(path));
  if (old.is_object() && old.value("of", Json()) == identity(a)) return true;
  if (!a.force)
    throw UserError(a.folder, "holds a scorecard of another file, budget or settings",
                    "choose another --out, or replace it with --force");
  for (const char* name : {"runs", "logs", "plan.json", "scorecard.json", "scorecard.html"})
    fs::remove_all(in_folder(a.folder, name));
  return false;
}

// --only: those, what they are held against, and the file's own runs.
void keep_only(const std::vector<std::string>& only, std::vector<ScoreItem>& items) {
  if (only.empty()) return;
  std::set<std::string> wanted{"base"};
  for (const auto& id : only) {
    const auto it = std::find_if(items.begin(), items.end(), [&](const ScoreItem& i) { return i.id == id; });
    if (it == items.end()) {
      std::vector<std::string> ids;
      ids.reserve(items.size());
      for (const auto& item : items) ids.push_back(item.id);
      throw UserError("--only " + id, "is no figure of this scorecard", suggestion(id, ids));
    }
    wanted.insert(id), wanted.insert(it->to);
  }
  std::erase_if(items, [&](const ScoreItem& i) { return !wanted.contains(i.id); });
}

double seconds_a_seed(const ScoreItem& item, double of_base) {
  return 1.5 + item.cost * of_base;  // a process starts, and writes its page, in about that
}

// What fits: never less than what has priority 0, with fewer rounds where that alone is too much.
ScorePlan fit(const ScoreArguments& a, const Config& file, const Experiment& base) {
  ScorePlan plan;
  auto items = score_items(base, file, a.settings);
  keep_only(a.only, items);
  const double budget = a.budget.empty() ? INFINITY : seconds_of(a.budget) * 0.9;
  const double whole = base_seconds(base), turns = static_cast<double>(a.seeds) / static_cast<double>(a.jobs);
  // As much of the list as can be had with half of the rounds at least; what has priority 0, with ever fewer.
  int64_t reach = 0;
  for (const auto& item : items) reach = std::max(reach, item.priority);
  double share = 0, needed = 0;
  for (; reach >= 0 && share < 0.5; --reach) {
    double starts = 0, work = 0;
    for (const auto& item : items) {
      if (item.priority > reach) continue;
      starts += 1.5 * turns, work += item.cost * whole * turns;
    }
    share = std::min(1., (budget - starts) / work), needed = starts + work;
  }
  if (!(share >= 0.002))
    throw UserError(
        "--budget " + a.budget,
        fmt::format("is too little: with all rounds, the least that it takes is {}", duration(needed)),
        "give more time, or fewer rounds by --set rounds=");
  plan.rounds = std::max<int64_t>(1, std::llround(share * static_cast<double>(base.fleet.rounds)));
  plan.seconds = whole * share;
  for (auto& item : items) {
    const double cost = seconds_a_seed(item, plan.seconds) * turns;
    if (item.priority > 0 && plan.spent + cost > budget) {
      plan.leave(item, fmt::format("{} more than the budget has", duration(cost)));
      continue;
    }
    check_item(file, base, item);
    if (!item.left_out.empty()) {
      plan.leave(item, item.left_out);
      continue;
    }
    plan.spent += cost;
    plan.items.push_back(item);
  }
  return plan;
}

ScorePlan take_up(const ScoreArguments& a, const Config& file, const Experiment& base) {
  const Json old = read_json(in_folder(a.folder, "plan.json"));
  ScorePlan plan;
  plan.rounds = old["rounds"].get<int64_t>();
  plan.settled = old["settled"].get<bool>();
  plan.left_out = old["left_out"];
  const auto items = score_items(base, file, a.settings);
  for (const Json& id : old["items"])
    for (const auto& item : items)
      if (id == item.id) plan.items.push_back(item);
  return plan;
}

std::vector<Planned> runs_of(const ScoreArguments& a, const ScorePlan& plan, bool must_alone) {
  std::vector<Planned> out;
  const auto names = trained_as(plan.items);
  for (const auto& item : plan.items) {
    if (names.at(item.id) != item.id || (must_alone && item.priority > 0)) continue;
    for (int64_t seed = 1; seed <= a.seeds; ++seed) {
      Planned p{fmt::format("{},seed={}", item.id, seed), item.common, Json::object()};
      p.settings.push_back(fmt::format("rounds={}", plan.rounds));
      p.settings.insert(p.settings.end(), item.train.begin(), item.train.end());
      p.settings.push_back(fmt::format("seed={}", seed));
      out.push_back(p);
    }
  }
  return out;
}

void say(const ScoreArguments& a, const ScorePlan& plan) {
  const auto names = trained_as(plan.items);
  for (const auto& item : plan.items)
    fmt::print("{:<14} {:>10}  {:<22} {}{}\n", item.axis,
               names.at(item.id) == item.id
                   ? duration(seconds_a_seed(item, plan.seconds) * static_cast<double>(a.seeds))
                   : "no run",
               item.id, item.what,
               item.extra.contains("rule") ? ", " + item.extra["rule"].get<std::string>() : "");
  for (const Json& l : plan.left_out)
    fmt::print("left out: {}: {}\n", l["id"].get<std::string>(), l["why"].get<std::string>());
  fmt::print("{} runs of {} rounds, {} seed{}, about {} with {} at a time\n", runs_of(a, plan, false).size(),
             plan.rounds, a.seeds, a.seeds == 1 ? "" : "s", duration(plan.spent), a.jobs);
}

// Runs what has to be, sees how long that took, leaves out what then no longer fits, and runs the rest.
void run_all(const ScoreArguments& a, ScorePlan& plan, Json& failed) {
  const int each = std::max<int>(1, threads());
  const Batch batch{.file = a.file, .folder = a.folder, .jobs = a.jobs, .quiet = a.quiet, .threads = each};
  const auto begin = std::chrono::steady_clock::now();
  if (!plan.settled) {
    const auto outcomes = run_batch(batch, runs_of(a, plan, true));
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const double turns = static_cast<double>(a.seeds) / static_cast<double>(a.jobs);
    double planned = 0;
    for (const auto& item : plan.items)
      if (item.priority == 0) planned += seconds_a_seed(item, plan.seconds) * turns;
    const bool fresh = std::all_of(outcomes.begin(), outcomes.end(), [](const Outcome& o) { return o.ran; });
    if (fresh && !a.budget.empty() && plan.seconds > 0) {
      const double slower = std::max(0.2, took / planned), budget = seconds_of(a.budget) * 0.95;
      double spent = took;
      std::vector<ScoreItem> fits;
      for (const auto& item : plan.items) {
        const double cost = slower * seconds_a_seed(item, plan.seconds) * turns;
        if (item.priority > 0 && spent + cost > budget) {
          plan.leave(item, fmt::format("{} more than the budget still had", duration(cost)));
          continue;
        }
        if (item.priority > 0) spent += cost;
        fits.push_back(item);
      }
      plan.items = fits;
    }
    plan.settled = true;
    keep(a, plan);
  }
  const auto all = runs_of(a, plan, false);
  const auto outcomes = run_batch(batch, all);
  failed = Json::array();
  for (size_t i = 0; i < all.size(); ++i)
    if (outcomes[i].fate == Fate::kFailed) failed.push_back({{"run", all[i].name}, {"why", outcomes[i].why}});
}

void run_scorecard(ScoreArguments a) {
  const Config file = Config::load(a.file);
  const Experiment base = Experiment::build(laid_over(file, a.settings));
  for (const auto& line : base.let_lie)
    if (!a.quiet) std::fprintf(stderr, "notice: %s\n", line.c_str());
  rehearse(base);
  if (!a.budget.empty()) (void)seconds_of(a.budget);
  if (a.of == "median" && a.seeds < 2)
    throw UserError("--of median", "has no interval over the tasks of one seed",
                    "ask for two --seeds or more");
  if (a.folder.empty()) a.folder = "scorecards/" + base.fleet.name;
  // Runs at a time share the threads, and so does what is done here between them.
  if (a.jobs == 0) a.jobs = std::clamp<int64_t>(threads(), 1, 8);
  set_threads(std::max<int>(1, threads() / static_cast<int>(a.jobs)));
  if (a.dry_run) return say(a, fit(a, file, base));
  ScorePlan plan;
  if (begun(a)) {
    plan = take_up(a, file, base);
  } else {
    plan = fit(a, file, base);
    make_folder(a.folder);
    keep(a, plan);
  }
  Json failed = Json::array();
  run_all(a, plan, failed);
  const ScoreRuns runs{a.file, a.folder, a.settings, a.seeds, plan.rounds, a.of};
  const Json figures = score_figures(runs, base, plan.items);
  if (std::none_of(figures.begin(), figures.end(), [](const Json& f) { return f["id"] == "base"; }))
    throw UserError(a.folder,
                    "the runs of the file itself failed: " + failed.front()["why"].get<std::string>(),
                    "logs/ has what they said");
  Json card{{"symma", SYMMA_VERSION},
            {"experiment", base.fleet.name},
            {"file", a.file},
            {"learner", base.chosen.learner.kind()},
            {"metric", base.spec.metric},
            {"higher_is_better", base.spec.higher_is_better},
            {"steps", base.eval.steps},
            {"seeds", a.seeds},
            {"rounds", plan.rounds},
            {"rounds_asked", base.fleet.rounds},
            {"shortened", plan.rounds < base.fleet.rounds},
            {"of", a.of},
            {"ruled_by_few", ruled_by_few(runs)},
            {"before_adapting", before_adapting(runs)},
            {"figures", figures},
            {"left_out", plan.left_out},
            {"failed", failed}};
  card["sentences"] = scorecard_sentences(card);
  write_file(in_folder(a.folder, "scorecard.json"), card.dump(1) + "\n");
  write_file(in_folder(a.folder, "scorecard.html"), scorecard_html(card));
  if (a.json) {
    fmt::print("{}\n", card.dump());
  } else if (!a.quiet) {
    for (const auto& s : card["sentences"]) fmt::print("{}.\n", s.get<std::string>());
    for (const auto& f : failed)
      fmt::print("failed: {}: {}\n", f["run"].get<std::string>(), f["why"].get<std::string>());
    fmt::print("page: {}\n", in_folder(a.folder, "scorecard.html"));
  }
}

}  // namespace

void add_scorecard(CLI::App& app) {
  auto a = std::make_shared<ScoreArguments>();
  auto* c =
      app.add_subcommand("scorecard", "efficiency, generalisation, robustness and scalability, on one page");
  c->add_option("file", a->file, "experiment file (TOML)")->required();
  c->add_option("--budget", a->budget,
                "how long it may take: 90s, 20m, 2h; what matters least is left out, rounds are fewer");
  c->add_option("--set", a->settings, "lay a setting over the file, for all runs")
      ->take_all()
      ->allow_extra_args(false);
  c->add_option("--only", a->only,
                "this figure, by its id (--dry-run lists them), and what it is held against")
      ->take_all()
      ->allow_extra_args(false);
  c->add_option("--out", a->folder, "folder; scorecards/<name> unless given");
  c->add_option("--jobs", a->jobs, "runs at a time, each on its part of the threads; one a thread, at most 8")
      ->check(CLI::Range(1, 1024));
  c->add_option("--seeds", a->seeds, "seeds of each run")->check(CLI::Range(1, 1000));
  c->add_option("--of", a->of,
                "a seed's figure is the mean of its tasks, or their median, which a few astray don't move")
      ->check(CLI::IsMember({"mean", "median"}));
  c->add_flag("--force", a->force, "replace a scorecard that is there");
  c->add_flag("--dry-run", a->dry_run, "say what would be measured, and what it costs");
  c->add_flag("--quiet", a->quiet, "say nothing but what went wrong");
  c->add_flag("--json", a->json, "scorecard.json at the end, and no sentences");
  c->callback([a] { run_scorecard(*a); });
}

}  // namespace symma
