#include "symma/fleet/folder.h"

#include <fmt/format.h>

#include <filesystem>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/record.h"
#include "symma/fleet/blocks.h"
#include "symma/tasks/known.h"

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

std::string data_file(const std::string& folder) {
  return (fs::path(folder) / "data.json").string();
}

Json read_data(const std::string& folder) {
  if (!is_there(data_file(folder))) return nullptr;
  const Json known = parse_json(read_file(data_file(folder)));
  return known.is_object() ? known : Json::object();
}

}  // namespace

void recall_data(Config& config, const std::string& folder) {
  const Json known = read_data(folder);
  if (known.is_null() || known.value("task", Json()) != config.word("task", "kind", "")) return;
  config.set("task.known=" + Json(data_file(folder)).dump());
}

void forget_recalled(Experiment& e) {
  if (!e.settings["task"].contains("known")) return;
  Json& known = e.settings["task"]["known"];
  const std::string line = "known = " + known.dump();
  if (const auto at = e.toml.find(line); at != std::string::npos)
    e.toml = e.toml.substr(0, at) + "known = \"\"" + e.toml.substr(at + line.size());
  known = "";
}

std::string changed_data(const std::string& folder) {
  const Json known = read_data(folder);
  return known.is_null() ? "" : what_changed(sources_in(known, data_file(folder)));
}

RunState open_run(const Experiment& e, const RunOptions& run) {
  const std::string settings = in(run, "experiment.toml");
  std::shared_ptr<const FolderLock> lock;
  if (fs::exists(run.folder)) lock = std::make_shared<FolderLock>(run.folder);
  const auto begin = [&] {
    RunState state = start_run(e);
    state.lock = lock;
    return state;
  };
  const bool there = fs::exists(settings) || has_checkpoint(run);
  if (run.resume && there) {
    // Read as a file of today, so an option that has come since is at its default.
    const Settings old = Settings::read(Config::load(settings));
    const std::string differs = first_difference(old.settings, e.settings);
    if (!differs.empty())
      throw UserError(settings, "this run was made with other settings than now asked for (" + differs + ")",
                      "resume with the same ones, or choose another --out");
    if (const Json known = read_data(run.folder); !known.is_null())
      (void)locate(sources_in(known, data_file(run.folder)));  // it goes on with what it began with
    // A run killed before its first checkpoint starts again from the beginning.
    std::optional<RunState> saved = saved_run(e, run);
    RunState state = saved ? std::move(*saved) : start_run(e);
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
    for (const char* file :
         {"checkpoint.safetensors", "metrics.jsonl", "lineage.jsonl", "summary.json", "scores.csv",
          "gallery.json", "report.html", "spent.txt", "data.json", "roster.jsonl", "run.id"})
      fs::remove(in(run, file));
    remove_blocks(run);
    fs::remove_all(in(run, "roster"));
    for (const auto& entry : fs::directory_iterator(run.folder)) {
      if (entry.path().filename().string().starts_with("events.out.tfevents.")) fs::remove(entry.path());
    }
  }
  write_file(settings, e.toml);
  if (const auto* keeps = dynamic_cast<const KeepsData*>(e.family.get())) {
    Json known{{"format", "symma data 1"}, {"task", e.chosen.task.kind()}};
    known.update(keeps->known());
    write_file(data_file(run.folder), known.dump(1) + "\n");
  }
  return begin();
}

}  // namespace symma
