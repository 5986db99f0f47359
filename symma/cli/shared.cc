// What several commands need.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "symma/cli/commands.h"
#include "symma/core/errors.h"
#include "symma/fleet/folder.h"

namespace symma {

std::string in_folder(const std::string& folder, const std::string& file) {
  return (std::filesystem::path(folder) / file).string();
}

Experiment open_experiment(const std::string& folder, const std::vector<std::string>& settings) {
  const std::string file = in_folder(folder, "experiment.toml");
  if (!std::filesystem::exists(file))
    throw UserError(folder, "holds no run", "name a folder that symma train wrote");
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

std::string eval_table(const Json& eval, const Json& shares) {
  const bool percent = eval["metric"] == "accuracy";
  const auto show = [&](const Json& x) {
    return x.is_null() ? std::string("diverged")
           : percent   ? fmt::format("{:.1f}%", 100 * x.get<double>())
                       : fmt::format("{:.4g}", x.get<double>());
  };
  std::string out = fmt::format("{} on {} {} tasks{}\n", eval["metric"].get<std::string>(),
                                eval["tasks"].get<int64_t>(), eval["split"].get<std::string>(),
                                eval["protocol"].get_ref<const std::string&>().empty()
                                    ? ""
                                    : ", " + eval["protocol"].get<std::string>());
  out += fmt::format("  {:>5}  {:>9} {:<9} {:>9}  {:>9} .. {:<9}\n", "steps", "mean", "± 95%", "median",
                     "quartile", "quartile");
  for (size_t s = 0; s < eval["steps"].size(); ++s) {
    out += fmt::format("  {:>5}  {:>9} {:<9} {:>9}  {:>9} .. {:<9}", eval["steps"][s].get<int64_t>(),
                       show(eval["mean"][s]), "± " + show(eval["ci95"][s]), show(eval["median"][s]),
                       show(eval["q1"][s]), show(eval["q3"][s]));
    const auto diverged = eval["diverged"][s].get<int64_t>();
    out += diverged ? fmt::format("  {} diverged\n", diverged) : "\n";
  }
  const Json agents = eval.value("per_agent", Json::array());
  if (agents.size() < 2) return out;
  out += "  each agent's mean\n";
  for (size_t a = 0; a < agents.size() && a < 20; ++a) {
    out += fmt::format("  {:>5} ", a);
    for (const auto& x : agents[a]) out += fmt::format(" {:>9}", show(x));
    if (a < shares.size()) out += "   " + shares[a].get<std::string>();
    out += "\n";
  }
  if (agents.size() > 20) out += fmt::format("  ... and {} more in summary.json\n", agents.size() - 20);
  return out;
}

}  // namespace symma
