// Checkpoints of a fleet in several processes: a folder a round, a file for the agents of each process,
// written by their owner, and index.json last, which says what belongs together. Loading goes by the agents'
// numbers, so another number of processes can take up. docs/files.md has the form.
#pragma once

#include <optional>
#include <string>

#include "symma/fleet/checkpoint.h"
#include "symma/fleet/folder.h"

namespace symma {

// Writes one process's part, and returns the file's name, relative to the run's folder.
std::string save_block(const Experiment&, const RunOptions&, const RunState& part);

// Makes these files the newest checkpoint, and removes older ones.
void save_index(const RunOptions&, int64_t round, const std::vector<std::string>& files);

// The newest whole checkpoint of a run's folder, of one process or of several; nothing where there is none.
std::optional<RunState> saved_run(const Experiment&, const RunOptions&);

// What these agents were last saved as, by their own process or with the whole fleet; nothing where they were
// not.
std::optional<RunState> saved_part(const Experiment&, const RunOptions&, const std::vector<int64_t>& agents);

// Whether there is one.
bool has_checkpoint(const RunOptions&);

// Removes the checkpoints by blocks: one of the whole fleet is there.
void remove_blocks(const RunOptions&);

}  // namespace symma
