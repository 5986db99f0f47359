// symma join FILE.toml: takes part, with agents of one's own, in a fleet that is trained elsewhere.
#include <fmt/format.h>

#include <filesystem>

#include "symma/cli/commands.h"
#include "symma/cli/members.h"
#include "symma/cli/processes.h"
#include "symma/cli/signals.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/interrupt.h"
#include "symma/core/record.h"
#include "symma/fleet/blocks.h"
#include "symma/fleet/roster.h"
#include "symma/fleet/together.h"

namespace symma {
namespace {

namespace fs = std::filesystem;

struct JoinArguments {
  std::string file, agents, fleet, key, fleet_key;
  std::vector<std::string> settings;
  RunOptions run;
  bool quiet = false;
};

// The folder that a member keeps its agents in; without them again where it is not let in.
class Home {
 public:
  Home(const RunOptions& run, const Experiment& e) : run_(run), fresh_(!fs::exists(run.folder)) {
    const bool known = is_there(in(run, kRunName));
    if (!run.force && !known && (is_there(in(run, "experiment.toml")) || has_checkpoint(run)))
      throw UserError(run.folder, "holds a run already", "choose another --out, or replace it with --force");
    make_folder(run.folder);
    lock_ = std::make_shared<FolderLock>(run.folder);
    if (run.force) {
      for (const char* file : {"checkpoint.safetensors", "metrics.jsonl", "summary.json", "scores.csv",
                               "gallery.json", "report.html", "roster.jsonl", kRunName})
        fs::remove(in(run, file));
      remove_blocks(run);
      forget_roster(run);
    }
    if (known && !run.force) of_ = read_file(in(run, kRunName)).substr(0, 16);
    write_file(in(run, "experiment.toml"), e.toml);
  }
  ~Home() {
    std::error_code ignored;
    if (fresh_ && !stays_) fs::remove_all(run_.folder, ignored);
  }
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;

  const std::string& of() const { return of_; }  // of which run its agents are; "" where there are none
  void stay() { stays_ = true; }

 private:
  RunOptions run_;
  bool fresh_, stays_ = false;
  std::string of_;
  std::shared_ptr<FolderLock> lock_;
};

void run_join(JoinArguments a) {
  Config config = Config::load(a.file);
  for (const auto& s : a.settings) config.set(s);
  TransportOptions o;
  Fields fields;
  o.fields(fields);
  config.read("transport", fields);
  Experiment e = Experiment::build(config);
  Meeting m;
  m.joins = agents_of(a.agents, "--agents");
  if (m.joins.back() >= e.fleet.agents)
    throw UserError("--agents", fmt::format("{}, and the fleet has {}", a.agents, e.fleet.agents),
                    fmt::format("agents are numbered 0 to {}", e.fleet.agents - 1));
  if (a.fleet.empty()) a.fleet = o.first;
  if (a.fleet.empty())
    throw UserError("--fleet", "is not given", "write where the fleet listens, such as tcp://10.0.0.5:7000");
  std::tie(m.host, m.port) = host_and_port(a.fleet, "--fleet");
  const std::string of_fleet = a.fleet_key.empty() ? o.fleet_key : a.fleet_key;
  if (of_fleet.empty())
    throw UserError("--fleet-key", "is not given",
                    "ask whoever runs the fleet for its public key; transport.fleet_key can have it too");
  m.keys = Keyring{read_key(a.key), {public_key_of(of_fleet, "--fleet-key")}};
  m.patience = o.patience;
  m.start = o.start;
  m.slow = o.slow;
  m.most_bytes = most_bytes(e);
  check_together(e, a.run, true);
  e.exchange.letters_may_be_lost = true;
  rehearse(e);
  if (a.run.folder.empty()) a.run.folder = "runs/" + e.fleet.name + "-agents-" + a.agents;
  Home home(a.run, e);
  m.about = about(e, home.of()).dump();
  const std::string who = "agents " + agents_text(m.joins);
  const auto say = [&](const std::string& words) {
    if (!a.quiet) std::fprintf(stderr, "%s: %s\n", who.c_str(), words.c_str());
  };
  say("asking the fleet at " + m.host + ":" + std::to_string(m.port));
  const std::unique_ptr<Lines> lines = meet(m);
  home.stay();
  listen_to_signals();
  Party party(lines->place(), lines->parts(), *lines,
              Entry::read(lines->entry(), static_cast<int64_t>(lines->parts().size())).run);
  RunState state;
  const TrainHooks hooks{.stop = [] { return stopped_by() != 0; }, .news = say};
  bool done = false;
  try {
    done = train_together(e, a.run, hooks, party, state);
    if (done) judge_together(e, party, state.learner);
  } catch (const Interrupted&) {
    if (stopped_by() == 0) throw;
    say("left in the middle of a round; the same command comes back, with what was saved before");
    throw Stopped{stopped_by()};
  }
  const std::string kept = "; they are kept in " + a.run.folder;
  if (!done && stopped_by() != 0) {
    say(fmt::format("left after round {}{}; the same command comes back", state.round, kept));
    throw Stopped{stopped_by()};
  }
  say(fmt::format("the fleet {} after round {}{}", done ? "is done" : "was stopped", state.round, kept));
}

}  // namespace

void add_join(CLI::App& app) {
  auto a = std::make_shared<JoinArguments>();
  auto* c = app.add_subcommand("join", "take part in a fleet that is trained elsewhere with --stay");
  c->add_option("file", a->file, "the fleet's experiment file (TOML)")->required();
  c->add_option("--agents", a->agents, "agents that are yours, such as 12-15")->required();
  c->add_option("--key", a->key, "file of your key; symma key makes one")->required();
  c->add_option("--fleet", a->fleet, "where the fleet listens, such as tcp://10.0.0.5:7000");
  c->add_option("--fleet-key", a->fleet_key, "the fleet's public key");
  c->add_option("--set", a->settings, "lay a setting over the file, such as transport.patience=5")
      ->take_all()
      ->allow_extra_args(false);
  c->add_option("--out", a->run.folder,
                "folder that keeps your agents; runs/<name>-agents-<agents> unless given");
  c->add_flag("--force", a->run.force, "replace what is there");
  c->add_flag("--quiet", a->quiet, "say nothing but what went wrong");
  c->callback([a] { run_join(*a); });
}

}  // namespace symma
