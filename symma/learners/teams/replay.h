// Past episodes, in a learner's state: a ring of `capacity` episodes for each agent. They are kept
// whole, so value learners' memory goes with the world's limit, and so does what a round plays.
#pragma once

#include "symma/learners/teams/teams.h"

namespace symma {

// Adds own["replay.*"] [N, C, ...] and own["replay.count"] [N], of all episodes ever added.
void replay_init(State&, int64_t agents, int64_t capacity, const TeamShape&);
// Puts episodes [N, L, ...] in the place of the oldest. Writes in place where no other state holds the
// memory.
void replay_add(State&, const Rollout&);
// What is wrong with replayed episodes that came from a file; "" where nothing is.
std::string replay_fault(const State&);
int64_t replay_size(const State&, int64_t place);  // episodes that the agent at that place holds
// `episodes` different ones for each agent, of those that it holds; agent i's drawn from keys[i]; cut to the
// longest of them.
Rollout replay_draw(const State&, int64_t episodes, const std::vector<Rng>& keys);

}  // namespace symma
