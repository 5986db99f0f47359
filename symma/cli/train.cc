// symma train FILE.toml: trains, judges, reports.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "symma/cli/commands.h"
#include "symma/cli/members.h"
#include "symma/cli/processes.h"
#include "symma/cli/signals.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/interrupt.h"
#include "symma/core/parallel.h"
#include "symma/fleet/account.h"
#include "symma/fleet/blocks.h"
#include "symma/fleet/cautions.h"
#include "symma/fleet/hidden_rows.h"
#include "symma/fleet/together.h"
#include "symma/fleet/train.h"
#include "symma/report/format.h"
#include "symma/report/report.h"
#include "symma/report/words.h"

namespace symma {
namespace {

std::string duration(double seconds) {
  const auto s = std::llround(std::max(0.0, seconds));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

// One line that rewrites itself on a terminal; a plain line now and then elsewhere.
class ProgressLine {
  using Clock = std::chrono::steady_clock;

 public:
  ProgressLine(std::string metric, bool protects)
      : metric_(std::move(metric)), protects_(protects), terminal_(::isatty(STDERR_FILENO)) {}

  void show(const Progress& p) {
    const auto now = Clock::now();
    const bool last = p.round == p.rounds;
    if (terminal_ ? (!last && now - shown_ < pause_) : !(p.round * 10 / p.rounds > tenth_ || last)) return;
    shown_ = now;
    tenth_ = p.round * 10 / p.rounds;
    std::string line = fmt::format("round {}/{} ({:.0f}%)  {:.3g} rounds/s  {} left", p.round, p.rounds,
                                   100.0 * static_cast<double>(p.round) / static_cast<double>(p.rounds),
                                   p.rounds_per_s, duration(p.seconds_left));
    // Several processes know their loss from the first row of metrics.jsonl on.
    row_ = row_ || p.logged;
    if (row_ || !std::isnan(p.loss)) line += fmt::format("  loss {:.4g}", p.loss);
    if (!std::isnan(p.score)) line += fmt::format("  validation {} {:.4g}", metric_, p.score);
    if (const double epsilon = p.epsilon(); !std::isnan(epsilon))
      line +=
          fmt::format("  epsilon {:.3g}{}", rounded_up(epsilon, 3), protects_ ? "" : " (protects nothing)");
    std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", line.c_str());
    std::fflush(stderr);
    // A line that takes long to make is shown the more rarely.
    pause_ = std::max<Clock::duration>(std::chrono::milliseconds(200), 10 * (Clock::now() - now));
  }

  void say(const std::string& news) const {
    std::fprintf(stderr, terminal_ ? "\r\033[K%s\n" : "%s\n", news.c_str());
    std::fflush(stderr);
  }

  void end() const {
    if (terminal_) std::fputc('\n', stderr);
  }

 private:
  std::string metric_;
  bool protects_, terminal_;
  Clock::time_point shown_{};
  Clock::duration pause_{};
  int64_t tenth_ = 0;
  bool row_ = false;  // metrics.jsonl has one of this process
};

struct TrainArguments {
  std::string file;
  std::vector<std::string> settings;
  RunOptions run;
  double until = 1;  // share of the rounds after which to stop and save
  bool quiet = false, json = false, stay = false;
  int64_t processes = 1;
  bool threads_given = false;
};

void run_train(TrainArguments a) {
  if (a.file.empty()) {
    if (!a.run.resume || a.run.folder.empty())
      throw UserError("symma train", "no experiment file",
                      "name one, such as examples/points/collaborate.toml, or a run with --resume --out DIR");
    a.file = in_folder(a.run.folder, "experiment.toml");
  }
  if (a.run.resume && is_there(in_folder(a.file, "experiment.toml")))
    throw UserError(a.file, "is the folder of a run",
                    "go on with: symma train --resume --out " + shell_word(a.file));
  Config config = Config::load(a.file);
  for (const auto& s : a.settings) config.set(s);
  if (a.run.resume && !a.run.folder.empty()) recall_data(config, a.run.folder);
  Experiment e = Experiment::build(config);
  forget_recalled(e);
  device_for(e.spec.kind, a.run.device, "--device " + a.run.device);
  const std::optional<Launch> launch = launched([](const char* name) { return std::getenv(name); });
  const bool speaks = !launch || launch->place == 0;
  if (speaks)
    for (const auto& line : cautions(e)) std::fprintf(stderr, "warning: %s\n", line.c_str());
  if (a.run.folder.empty()) a.run.folder = "runs/" + e.fleet.name;
  if (speaks && (!a.run.resume || !has_checkpoint(a.run))) rehearse(e);
  const auto last = static_cast<int64_t>(std::llround(a.until * static_cast<double>(e.fleet.rounds)));
  const std::string checkpoint = in_folder(a.run.folder, "checkpoint.safetensors");
  if (a.until < 1 && a.run.resume && std::filesystem::exists(checkpoint) &&
      load_checkpoint(checkpoint, e).round >= last)
    return;  // it is that far already
  TransportOptions transport;
  Fields of_transport;
  transport.fields(of_transport);
  config.read("transport", of_transport);
  if (launch && launch->by != "symma" && a.processes > 1)
    throw UserError("--processes", launch->by + " has started several already", "leave it out");
  if (a.stay && (launch || a.processes > 1))
    throw UserError("--stay", "is of one process, which others join, and several were started",
                    "start one, and symma join for each of the others");
  const int64_t places = launch ? launch->places : a.processes;
  std::vector<std::vector<int64_t>> shares;
  if (places > 1) {
    check_together(e, a.run);
    shares = shares_of(e.fleet.agents, block_size(*e.model), places);
    check_crowd(e, shares);
    if (transport.mode == "free") check_free(e);
    e.exchange.letters_may_be_lost = true;
  }
  if (!launch && places > 1)
    std::exit(start_processes(places, std::max(1, threads() / static_cast<int>(places))));
  std::unique_ptr<Transport> letters;
  std::optional<Party> party;
  if (launch) {
    if (!a.threads_given) set_threads(std::max(1, threads() / static_cast<int>(processes_here())));
    letters = meet_others(*launch, transport, shares);
    party.emplace(launch->place, shares, *letters);
    if (transport.mode == "free") party->run_free(transport.staleness);
  }
  if (a.stay) {
    check_together(e, a.run, true);
    if (transport.mode == "free")
      throw UserError("transport.mode", "is free, and a fleet that others join goes by rounds",
                      "set it to rounds, or start all processes from the beginning");
    e.exchange.letters_may_be_lost = true;
    const Staying staying(e, transport, a.run);
    letters = staying.open();
    party.emplace(0, staying.shares(), *letters, staying.run());
    if (!a.quiet) std::fprintf(stderr, "%s", staying.invitation(a.file).c_str());
  }
  const Account account(e);
  if (!a.quiet && speaks) {
    if (a.run.resume && !is_there(in_folder(a.run.folder, "experiment.toml")) && !has_checkpoint(a.run))
      std::fprintf(stderr, "notice: %s holds no run to go on with; a new one begins there\n",
                   a.run.folder.c_str());
    for (const auto& line : e.let_lie) std::fprintf(stderr, "notice: %s\n", line.c_str());
    std::fprintf(stderr, "%s: %ld %s%s, %s on %s, model %s with %ld parameters, topology %s\n",
                 e.fleet.name.c_str(), static_cast<long>(e.fleet.agents),
                 e.fleet.seeds > 1 ? "seed" : "agent", e.fleet.agents == 1 ? "" : "s",
                 e.chosen.learner.kind().c_str(), e.chosen.task.kind().c_str(), e.chosen.model.kind().c_str(),
                 static_cast<long>(e.model->layout().size()), e.exchange.options.topology.c_str());
    if (account.open()) std::fprintf(stderr, "privacy: %s\n", account.terms().c_str());
    if (e.exchange.server.secure) std::fprintf(stderr, "%s\n", secure_statement(e).c_str());
    if (a.run.resume && account.open() && !e.exchange.privacy.seeded())
      std::fprintf(stderr,
                   "noise is drawn anew: what comes is not, bit for bit, what would have come unbroken\n");
  }
  ProgressLine line(e.spec.metric, !e.exchange.privacy.seeded());
  listen_to_signals();
  RunState state;
  const TrainHooks hooks{.progress =
                             [&](const Progress& p) {
                               if (!a.quiet) line.show(p);
                             },
                         .stop = [&] { return stopped_by() != 0 || (a.until < 1 && state.round >= last); },
                         .save = save_asked,
                         .news =
                             [&](const std::string& news) {
                               if (!a.quiet) line.say(news);
                             }};
  const std::string on = "go on with: symma train --resume --out " + shell_word(a.run.folder);
  bool done = false;
  std::vector<EvalResult> judged;
  try {
    done = party ? train_together(e, a.run, hooks, *party, state) : train(e, a.run, hooks, state);
  } catch (const ToldElsewhere&) {
    std::exit(2);
  } catch (const Interrupted&) {
    if (stopped_by() == 0) throw;
    if (speaks) std::fprintf(stderr, "\nstopped in a round that did not end; %s\n", on.c_str());
    throw Stopped{stopped_by()};
  }
  if (party && done)
    judged = judge_together(e, *party, speaks ? state.learner.rows(party->agents()) : state.learner);
  if (!speaks) return;
  if (!a.quiet) line.end();
  if (!done) {
    if (state.round > 0)
      std::fprintf(stderr, "stopped after round %ld and saved; %s\n", static_cast<long>(state.round),
                   on.c_str());
    else
      std::fprintf(stderr, "stopped in the first round, with nothing to save; %s\n", on.c_str());
    if (stopped_by() == 0) return;  // by --until
    throw Stopped{stopped_by()};
  }
  const Json summary = [&] {
    try {
      const Expendable at_once;
      return conclude(e, a.run, state, std::move(judged));
    } catch (const Interrupted&) {
      std::fprintf(stderr, "all rounds are done and saved; stopped while judging; %s\n", on.c_str());
      throw Stopped{stopped_by()};
    }
  }();
  const std::string report = in_folder(a.run.folder, "report.html");
  write_report({a.run.folder}, report);
  if (a.json) {
    fmt::print("{}\n", summary.dump());
    return;
  }
  if (a.quiet) return;
  fmt::print("{}", eval_table(summary["eval"], summary["agent_share"]));
  fmt::print("{}", newcomers_words(summary));
  if (const std::string words =
          past_best_words(read_run(a.run.folder).training, e.spec.metric, e.spec.higher_is_better);
      !words.empty())
    fmt::print("{}\n", words);
  if (summary.contains("ood")) fmt::print("{}", eval_table(summary["ood"], Json::array()));
  const int64_t lost = state.learner.theta.isfinite().logical_not().any(1).sum().item<int64_t>();
  if (lost > 0)
    fmt::print(
        "{} of {} agents diverged: their parameters are not finite; lower learner.meta_lr or inner_lr\n",
        lost, e.fleet.agents);
  const Json& apart = summary["exchange"]["disagreement"];
  fmt::print("{} rounds in {}, {:.0f} tasks/s", state.round, duration(state.seconds),
             summary["tasks_per_s"].get<double>());
  if (const double sent = summary["exchange"]["bits"].get<double>(); sent > 0)
    fmt::print("; {} sent, disagreement {}", bits(sent),
               apart.is_null() ? "not finite" : fmt::format("{:.3g}", apart.get<double>()));
  fmt::print("\n");
  if (summary.contains("faults"))
    fmt::print("agents {} are hostile or broken ({}); {}\n", summary["faults"]["agents"].dump(),
               summary["faults"]["kind"].get<std::string>(), summary["faults"]["over"].get<std::string>());
  if (summary.contains("population")) {
    const Json& p = summary["population"];
    const double at_end = p["scores"].back().is_null() ? std::nan("") : p["scores"].back().get<double>();
    fmt::print("best agent by validation: {}, {} {:.4g} after {} steps, with {}\n", p["best"].dump(),
               e.spec.metric, at_end, p["steps"].back().dump(), p["settings"].dump());
  }
  if (summary.contains("privacy")) {
    const Json& p = summary["privacy"];
    fmt::print("{}{}\n", p["statement"].get<std::string>(),
               state.round < e.fleet.rounds ? "; stopped there, before the budget was passed" : "");
  }
  if (summary.contains("secure")) fmt::print("{}\n", summary["secure"]["statement"].get<std::string>());
  fmt::print("report: {}\n", report);
}

}  // namespace

void add_train(CLI::App& app) {
  auto a = std::make_shared<TrainArguments>();
  auto* c = app.add_subcommand("train", "train a fleet, judge it on unseen tasks, write a report");
  c->add_option("file", a->file, "experiment file (TOML); examples are in examples/");
  c->add_option("--set", a->settings, "lay a setting over the file, such as learner.inner_lr=0.1")
      ->take_all()
      ->allow_extra_args(false);
  c->add_option("--out", a->run.folder, "folder of the run; runs/<name> unless given");
  c->add_flag("--resume", a->run.resume, "go on from the run's checkpoint");
  c->add_flag("--force", a->run.force, "replace a run that is there");
  c->add_option("--until", a->until, "stop and save after this share of the rounds; --resume goes on")
      ->check(CLI::Range(0.0, 1.0));
  c->add_flag("--quiet", a->quiet, "say nothing but what went wrong");
  c->add_flag("--json", a->json, "the summary as JSON at the end, and no table");
  c->add_option("--device", a->run.device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  c->add_flag("--stay", a->stay, "begin alone, with a door open for those of transport.members: symma join");
  c->add_option("--processes", a->processes, "processes of this machine that share the agents among them")
      ->check(CLI::Range(1, 1024));
  c->callback([a, &app] {
    a->threads_given = app.get_option("--threads")->count() > 0;
    run_train(*a);
  });
}

}  // namespace symma
