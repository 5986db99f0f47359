// A run of a fleet whose roster changed, played again in one process from what roster.jsonl says: the same
// bits. Who killed whom does not matter; whose letters did not come does.
#pragma once

#include <vector>

#include "symma/fleet/checkpoint.h"
#include "symma/fleet/folder.h"

namespace symma {

// The whole fleet as it stood in the end. Throws UserError where the folder does not say how it went, or the
// run was gone on with.
RunState replay(const Experiment&, const std::string& folder);

// Agents whose rows, or what they keep of their learning, differ between two runs; ascending.
std::vector<int64_t> differing_agents(const RunState&, const RunState&);

}  // namespace symma
