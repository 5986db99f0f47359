#include "symma/cli/reopen.h"

#include <fmt/format.h>

#include <algorithm>

#include "symma/cli/commands.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/fleet/folder.h"

namespace symma {

Experiment open_experiment(const std::string& folder, const std::vector<std::string>& settings) {
  const std::string file = in_folder(folder, "experiment.toml");
  if (!is_there(file)) throw UserError(folder, "holds no run", "name a folder that symma train wrote");
  Config config = Config::load(file);
  const bool other_data = std::any_of(settings.begin(), settings.end(), [](const std::string& s) {
    return s.starts_with("task.path=") || s.starts_with("task.test_path=");
  });
  if (!other_data) recall_data(config, folder);
  for (const auto& s : settings) config.set(s);
  Experiment e = Experiment::build(config);
  forget_recalled(e);
  return e;
}

void check_agent(const Experiment& e, int64_t agent) {
  if (agent < 0 || agent >= e.fleet.agents)
    throw UserError("--agent", fmt::format("there is no agent {}", agent),
                    fmt::format("agents are 0 to {}", e.fleet.agents - 1));
}

}  // namespace symma
