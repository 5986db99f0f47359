#include "symma/fleet/folder.h"

#include <fmt/format.h>

#include <filesystem>

#include "symma/core/errors.h"
#include "symma/core/files.h"

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

namespace {

// What a killed process was about to write.
void remove_halves(const std::string& folder) {
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".part" && entry.is_regular_file()) fs::remove(entry.path());
}

}  // namespace

RunState open_run(const Experiment& e, const RunOptions& run) {
  const std::string checkpoint = in(run, "checkpoint.safetensors"), settings = in(run, "experiment.toml");
  std::shared_ptr<const FolderLock> lock;
  if (fs::exists(run.folder)) lock = std::make_shared<FolderLock>(run.folder);
  const auto begin = [&] {
    RunState state = start_run(e);
    state.lock = lock;
    return state;
  };
  const bool there = fs::exists(settings) || fs::exists(checkpoint);
  if (run.resume && there) {
    // Read as a file of today, so an option that has come since is at its default.
    const Settings old = Settings::read(Config::load(settings));
    const std::string differs = first_difference(old.settings, e.settings);
    if (!differs.empty())
      throw UserError(settings, "this run was made with other settings than now asked for (" + differs + ")",
                      "resume with the same ones, or choose another --out");
    // A run killed before its first checkpoint starts again from the beginning.
    RunState state = fs::exists(checkpoint) ? load_checkpoint(checkpoint, e) : start_run(e);
    state.lock = lock;
    if (e.fleet.rounds < std::max(state.round, old.fleet.rounds))
      throw UserError(settings,
                      fmt::format("this run is of {} rounds, and {} are asked for",
                                  std::max(state.round, old.fleet.rounds), e.fleet.rounds),
                      "ask for more, or choose another --out");
    remove_halves(run.folder);
    // What a run is, its file says: also how long, once it goes on for longer.
    if (read_file(settings) != e.toml) write_file(settings, e.toml);
    return state;
  }
  if (there && !run.force)
    throw UserError(run.folder, "holds a run already",
                    "go on with --resume, replace it with --force, or choose another --out");
  make_folder(run.folder);
  if (!lock) {
    lock = std::make_shared<FolderLock>(run.folder);
    if (fs::exists(settings))
      throw UserError(run.folder, "another symma has just begun to train in it", "choose another --out");
  }
  remove_halves(run.folder);
  if (there) {
    for (const char* file : {"checkpoint.safetensors", "metrics.jsonl", "lineage.jsonl", "summary.json",
                             "scores.csv", "gallery.json", "report.html", "spent.txt"})
      fs::remove(in(run, file));
    for (const auto& entry : fs::directory_iterator(run.folder)) {
      if (entry.path().filename().string().starts_with("events.out.tfevents.")) fs::remove(entry.path());
    }
  }
  write_file(settings, e.toml);
  return begin();
}

}  // namespace symma
