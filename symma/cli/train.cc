// symma train FILE.toml: trains, judges, reports.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "symma/cli/commands.h"
#include "symma/core/errors.h"
#include "symma/fleet/train.h"
#include "symma/report/report.h"

namespace symma {
namespace {

volatile std::sig_atomic_t interrupted = 0;

// The first Ctrl-C asks the loop to stop after its round; a second one ends the program at once.
void on_interrupt(int) {
  interrupted = 1;
  std::signal(SIGINT, SIG_DFL);
}

std::string duration(double seconds) {
  const auto s = std::llround(std::max(0.0, seconds));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

// In quotes where a shell would read it otherwise.
std::string shell_word(const std::string& s) {
  const auto plain = [](unsigned char c) { return std::isalnum(c) || std::strchr("_-./+,:@%=", c); };
  if (!s.empty() && std::all_of(s.begin(), s.end(), plain)) return s;
  std::string out = "'";
  for (char c : s) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// One line that rewrites itself on a terminal; a plain line now and then elsewhere.
class ProgressLine {
 public:
  ProgressLine(std::string metric) : metric_(std::move(metric)), terminal_(::isatty(STDERR_FILENO)) {}

  void show(const Progress& p) {
    const auto now = std::chrono::steady_clock::now();
    const bool last = p.round == p.rounds;
    if (terminal_ ? (!last && now - shown_ < std::chrono::milliseconds(200))
                  : !(p.round * 10 / p.rounds > tenth_ || last))
      return;
    shown_ = now;
    tenth_ = p.round * 10 / p.rounds;
    std::string line =
        fmt::format("round {}/{} ({:.0f}%)  {:.3g} rounds/s  {} left  loss {:.4g}", p.round, p.rounds,
                    100.0 * static_cast<double>(p.round) / static_cast<double>(p.rounds), p.rounds_per_s,
                    duration(p.seconds_left), p.loss);
    if (!std::isnan(p.score)) line += fmt::format("  validation {} {:.4g}", metric_, p.score);
    if (!std::isnan(p.epsilon)) line += fmt::format("  epsilon {:.3g}", p.epsilon);
    std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", line.c_str());
    std::fflush(stderr);
  }

  void end() const {
    if (terminal_) std::fputc('\n', stderr);
  }

 private:
  std::string metric_;
  bool terminal_;
  std::chrono::steady_clock::time_point shown_{};
  int64_t tenth_ = 0;
};

struct TrainArguments {
  std::string file;
  std::vector<std::string> settings;
  RunOptions run;
};

void check_device(const std::string& device) {
  if (device != "cuda") return;
  if (!at::hasCUDA())
    throw UserError("--device cuda", "this libtorch has no CUDA",
                    "build against a CUDA libtorch through CMAKE_PREFIX_PATH, or use --device cpu");
}

void run_train(TrainArguments a) {
  check_device(a.run.device);
  if (a.file.empty()) {
    if (!a.run.resume || a.run.folder.empty())
      throw UserError("symma train", "no experiment file",
                      "name one, such as examples/points/collaborate.toml, or a run with --resume --out DIR");
    a.file = in_folder(a.run.folder, "experiment.toml");
  }
  Config config = Config::load(a.file);
  for (const auto& s : a.settings) config.set(s);
  if (a.run.resume && !a.run.folder.empty()) recall_data(config, a.run.folder);
  Experiment e = Experiment::build(config);
  forget_recalled(e);
  if (a.run.folder.empty()) a.run.folder = "runs/" + e.fleet.name;
  if (!a.run.resume || !std::filesystem::exists(in_folder(a.run.folder, "checkpoint.safetensors")))
    rehearse(e);
  std::fprintf(stderr, "%s: %ld agent%s, %s on %s, model %s with %ld parameters, topology %s\n",
               e.fleet.name.c_str(), static_cast<long>(e.fleet.agents), e.fleet.agents == 1 ? "" : "s",
               e.learner_kind.c_str(), e.task_kind.c_str(), e.model_kind.c_str(),
               static_cast<long>(e.model->layout().size()), e.exchange.options.topology.c_str());
  ProgressLine line(e.spec.metric);
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  RunState state;
  const bool done = train(
      e, a.run,
      {.progress = [&](const Progress& p) { line.show(p); }, .stop = [] { return interrupted != 0; }}, state);
  line.end();
  if (!done) {
    std::fprintf(stderr, "stopped after round %ld and saved; go on with: symma train --resume --out %s\n",
                 static_cast<long>(state.round), shell_word(a.run.folder).c_str());
    return;
  }
  const Json summary = conclude(e, a.run, state);
  const std::string report = in_folder(a.run.folder, "report.html");
  write_report({a.run.folder}, report);
  fmt::print("{}", eval_table(summary["eval"], summary["agent_share"]));
  if (summary.contains("ood")) fmt::print("{}", eval_table(summary["ood"], Json::array()));
  const int64_t lost = state.learner.theta.isfinite().logical_not().any(1).sum().item<int64_t>();
  if (lost > 0)
    fmt::print(
        "{} of {} agents diverged: their parameters are not finite; lower learner.meta_lr or inner_lr\n",
        lost, e.fleet.agents);
  const Json& apart = summary["exchange"]["disagreement"];
  fmt::print("{} rounds in {}, {:.0f} tasks/s; {} bits exchanged, disagreement {}\n", state.round,
             duration(state.seconds), summary["tasks_per_s"].get<double>(),
             summary["exchange"]["bits"].get<int64_t>(),
             apart.is_null() ? "not finite" : fmt::format("{:.3g}", apart.get<double>()));
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
  c->add_option("--device", a->run.device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  c->callback([a] { run_train(*a); });
}

}  // namespace symma
