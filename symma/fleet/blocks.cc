#include "symma/fleet/blocks.h"

#include <fmt/format.h>

#include <filesystem>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/record.h"

namespace symma {
namespace fs = std::filesystem;
namespace {

constexpr const char* kBlocks = "checkpoint";
constexpr const char* kWhole = "checkpoint.safetensors";

std::string round_folder(int64_t round) {
  return fmt::format("{}/round-{:09}", kBlocks, round);
}

std::string block_file(int64_t round, int64_t first, int64_t last) {
  return fmt::format("{}/agents-{}-{}.safetensors", round_folder(round), first, last);
}

// The index of the newest round that has one: its round, and where it is.
std::optional<std::pair<int64_t, std::string>> newest_index(const RunOptions& run) {
  std::optional<std::pair<int64_t, std::string>> best;
  const std::string folder = in(run, kBlocks);
  if (!fs::is_directory(folder)) return best;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string index = (entry.path() / "index.json").string();
    if (!fs::exists(index)) continue;
    const Json content = read_json(index);
    if (!content.contains("round") || !content.at("round").is_number_integer() ||
        !content.contains("files") || !content.at("files").is_array())
      throw UserError(index, "is not an index of a checkpoint", "remove its folder");
    const auto round = content.at("round").get<int64_t>();
    if (!best || round > best->first) best = {round, index};
  }
  return best;
}

}  // namespace

std::string save_block(const Experiment& e, const RunOptions& run, const RunState& part) {
  const int64_t *first = part.learner.id.data_ptr<int64_t>(), *last = first + part.learner.size() - 1;
  const std::string folder = in(run, round_folder(part.round).c_str());
  const std::string file = block_file(part.round, *first, *last);
  for (int tries = 0;; ++tries) {
    make_folder(folder);
    try {
      write_safetensors(in(run, file.c_str()), file_of(e, part), Readers::kOwner);
      return file;
    } catch (const UserError&) {
      // One that stood still meanwhile: the first has removed what is older than its newest checkpoint.
      if (tries == 5) throw;
    }
  }
}

void save_index(const RunOptions& run, int64_t round, const std::vector<std::string>& files) {
  const std::string folder = round_folder(round);
  write_file(in(run, (folder + "/index.json").c_str()),
             Json{{"round", round}, {"files", files}}.dump(1) + "\n");
  // What somebody is just writing into goes the next time.
  std::error_code later;
  for (const auto& entry : fs::directory_iterator(in(run, kBlocks)))
    if (entry.path().filename() != fs::path(folder).filename()) fs::remove_all(entry.path(), later);
}

std::optional<RunState> saved_part(const Experiment& e, const RunOptions& run,
                                   const std::vector<int64_t>& agents) {
  const RunState fresh = start_run(e, agents);
  const std::string name = fs::path(block_file(0, agents.front(), agents.back())).filename().string();
  for (int tries = 0; tries < 3; ++tries) {
    // The first may remove an older checkpoint meanwhile.
    std::string newest;
    if (fs::is_directory(in(run, kBlocks)))
      for (const auto& entry : fs::directory_iterator(in(run, kBlocks)))
        if (const std::string file = (entry.path() / name).string(); fs::exists(file) && file > newest)
          newest = file;
    if (newest.empty()) break;
    try {
      return run_of(e, fresh, read_safetensors(newest), newest);
    } catch (const UserError&) {
      if (tries == 2 || fs::exists(newest)) throw;
    }
  }
  if (const std::string file = in(run, kWhole); fs::exists(file))
    return part_of(e, load_checkpoint(file, e), agents);
  return {};
}

bool has_checkpoint(const RunOptions& run) {
  return fs::exists(in(run, kWhole)) || newest_index(run);
}

void remove_blocks(const RunOptions& run) {
  std::error_code later;
  fs::remove_all(in(run, kBlocks), later);
}

std::optional<RunState> saved_run(const Experiment& e, const RunOptions& run) {
  std::optional<RunState> whole;
  if (const std::string file = in(run, kWhole); fs::exists(file)) whole = load_checkpoint(file, e);
  const auto index = newest_index(run);
  if (!index || (whole && whole->round >= index->first)) return whole;
  const RunState fresh = start_run(e);
  std::vector<RunState> parts;
  int64_t next = 0;
  const Json content = read_json(index->second);
  for (const Json& name : content.at("files")) {
    const std::string path = in(run, name.get<std::string>().c_str());
    if (!fs::exists(path))
      throw UserError(path, "is not here: the process that had these agents wrote it elsewhere",
                      "bring it here, or give all processes one folder that they share");
    const Safetensors file = read_safetensors(path);
    const auto id = file.tensors.find("id");
    if (id == file.tensors.end() || id->second.scalar_type() != at::kLong || id->second.dim() != 1 ||
        id->second.numel() == 0)
      throw UserError(path, "does not say of which agents it is",
                      "it is not the checkpoint of this experiment");
    const Tensor ids = id->second.contiguous();
    const std::vector<int64_t> agents(ids.data_ptr<int64_t>(), ids.data_ptr<int64_t>() + ids.numel());
    for (const int64_t a : agents)
      if (a != next++)
        throw UserError(index->second, fmt::format("agent {} is missing, or there twice", next - 1),
                        "the checkpoint is of another experiment");
    if (next > e.fleet.agents) break;
    parts.push_back(run_of(e, part_of(e, fresh, agents), file, path));
  }
  if (next != e.fleet.agents)
    throw UserError(index->second,
                    fmt::format("holds {} agents, and this experiment has {}", next, e.fleet.agents),
                    "the checkpoint is of another experiment");
  return join(e, parts);
}

}  // namespace symma
