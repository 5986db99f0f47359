#include "symma/fleet/folder.h"

#include <fmt/format.h>

#include <filesystem>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/fleet/blocks.h"

namespace symma {
namespace fs = std::filesystem;

std::string in(const RunOptions& run, const char* file) {
  return (std::filesystem::path(run.folder) / file).string();
}

std::string first_difference(const Json& old_settings, const Json& new_settings) {
  const Json nothing = Json::object();
  for (const auto& [section, values] : new_settings.items()) {
    const Json& before = old_settings.contains(section) ? old_settings.at(section) : nothing;
    for (const auto& [key, value] : values.items()) {
      if (section.empty() && key == "rounds") continue;
      const Json old = before.value(key, Json());
      if (old != value)
        return fmt::format("{}{}: {}, and {} is asked for", section.empty() ? "" : section + ".", key,
                           old.dump(), value.dump());
    }
  }
  return "";
}

RunState open_run(const Experiment& e, const RunOptions& run) {
  const std::string settings = in(run, "experiment.toml");
  const bool there = fs::exists(settings) || has_checkpoint(run);
  if (run.resume && there) {
    // Read as a file of today, so an option that has come since is at its default.
    const Settings old = Settings::read(Config::load(settings));
    const std::string differs = first_difference(old.settings, e.settings);
    if (!differs.empty())
      throw UserError(settings, "this run was made with other settings than now asked for (" + differs + ")",
                      "resume with the same ones, or choose another --out");
    // A run killed before its first checkpoint starts again from the beginning.
    std::optional<RunState> saved = saved_run(e, run);
    RunState state = saved ? std::move(*saved) : start_run(e);
    if (e.fleet.rounds < std::max(state.round, old.fleet.rounds))
      throw UserError(settings,
                      fmt::format("this run is of {} rounds, and {} are asked for",
                                  std::max(state.round, old.fleet.rounds), e.fleet.rounds),
                      "ask for more, or choose another --out");
    // What a run is, its file says: also how long, once it goes on for longer.
    if (read_file(settings) != e.toml) write_file(settings, e.toml);
    return state;
  }
  if (there && !run.force)
    throw UserError(run.folder, "holds a run already",
                    "go on with --resume, replace it with --force, or choose another --out");
  make_folder(run.folder);
  if (there) {
    for (const char* file : {"checkpoint.safetensors", "metrics.jsonl", "lineage.jsonl", "summary.json",
                             "scores.csv", "gallery.json", "report.html", "spent.txt"})
      fs::remove(in(run, file));
    remove_blocks(run);
    for (const auto& entry : fs::directory_iterator(run.folder)) {
      if (entry.path().filename().string().starts_with("events.out.tfevents.")) fs::remove(entry.path());
    }
  }
  write_file(settings, e.toml);
  return start_run(e);
}

}  // namespace symma
