// symma replay RUN: a fleet whose processes came and went, played again in one, and held against what it
// became.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "symma/cli/commands.h"
#include "symma/cli/reopen.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/fleet/replay.h"

namespace symma {
namespace {

void run_replay(const std::string& folder) {
  Experiment e = open_experiment(folder, {});
  e.exchange.letters_may_be_lost = true;
  const RunState was = load_checkpoint(in_folder(folder, "checkpoint.safetensors"), e);
  const RunState again = replay(e, folder);
  const std::vector<int64_t> other = differing_agents(was, again);
  if (!other.empty())
    throw UserError(folder, fmt::format("played again, agents {} become others", fmt::join(other, ", ")),
                    "was it written by another version, or on another kind of processor?");
  fmt::print("{} rounds played again: the same bits for all {} agents\n", again.round, e.fleet.agents);
}

}  // namespace

void add_replay(CLI::App& app) {
  auto folder = std::make_shared<std::string>();
  auto* c =
      app.add_subcommand("replay", "play a fleet whose processes came and went again, by its roster.jsonl");
  c->add_option("run", *folder, "folder of a run of several processes")->required();
  c->callback([folder] { run_replay(*folder); });
}

}  // namespace symma
