// One round of a fleet: sample, learn, exchange, select.
#pragma once

#include "symma/fleet/checkpoint.h"
#include "symma/fleet/experiment.h"

namespace symma {

// One round for all agents of the state, without files. What their steps return is added to the state's sums.
// Where some of the fleet is elsewhere, letters go to it.
void run_round(const Experiment&, RunState&, Transport* elsewhere = nullptr);

// What a round is made of, for loops of one's own.
struct Drawn {
  std::vector<int64_t> who;          // the agents that take part
  std::unique_ptr<TaskBatch> tasks;  // their tasks, agent-major; null where nobody takes part
};
Drawn draw(const Experiment&, const RunState&);
// The agents of `drawn` learn, the others stand still. Returns what their steps did, one for each of them.
Scores learn(const Experiment&, RunState&, const Drawn&);
// Mixes the rows, and tells the agents' optimisers what their rows became.
void communicate(const Experiment&, RunState&, Transport* elsewhere = nullptr);

// "cpu" or "cuda" as what the agents learn on. Throws UserError, of `place`, where there is no such device,
// or where the tasks are worlds or games: they are played on the processor, move by move.
at::Device device_for(Kind, const std::string& name, const std::string& place);

// A step of the first agent and an adaptation to its tasks, thrown away: whatever a learner refuses of a
// task, a model or a setting it refuses here (UserError), before a run has written anything.
void rehearse(const Experiment&);

// The rows of those who count.
Tensor counted_rows(const Experiment&, const Tensor&);

// The mean of a score over those who count and took part since the last line of the log; not a number where
// nobody did.
double mean_of(const Experiment&, const RunState&, const std::string& score);

}  // namespace symma
