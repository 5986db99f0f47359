// Tasks: what a row learns from, and what it is judged on.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "symma/core/errors.h"
#include "symma/core/registry.h"
#include "symma/core/rng.h"
#include "symma/core/tensor.h"
#include "symma/nn/model.h"

namespace symma {

enum class Stage { kSupport, kQuery };                  // learned from; judged on. The two share no points.
enum class Split { kTrain, kValidation, kTest, kOod };  // tasks of different splits are different tasks
enum class Kind { kRegression, kClassification, kControl, kGame };

const char* split_name(Split);  // "train", "validation", "test", "ood"

// B tasks; row b of theta works on task b.
class TaskBatch {
 public:
  virtual ~TaskBatch() = default;
  virtual int64_t size() const = 0;  // B
  // Tasks [begin, end) alone. Losses of the slice equal those rows of the whole.
  virtual std::unique_ptr<TaskBatch> slice(int64_t begin, int64_t end) const = 0;
  virtual Tensor loss(const Tensor& theta /*[B,P]*/, Stage,
                      Rng) const = 0;                                  // [B], differentiable to any order
  virtual Scores score(const Tensor& theta /*[B,P]*/, Rng) const = 0;  // [B] each, on the query stage
};

// Optional: a batch whose tasks can be put away as tensors and made again, for learners that stay with a task
// for several rounds and keep it in their State.
class Portable {
 public:
  virtual ~Portable() = default;
  virtual TensorDict pack(Stage) const = 0;  // what the stage's loss is made of, [B, ...] each
  // Tasks whose support and query are what was packed, with this batch's model and mode.
  virtual std::unique_ptr<TaskBatch> unpack(const TensorDict&) const = 0;
};

// Optional: a batch whose tasks were drawn, for learners that draw something of their own for each: by a
// task's key it is the same wherever the task stands.
class Keyed {
 public:
  virtual ~Keyed() = default;
  virtual const std::vector<Rng>& keys() const = 0;  // B of them; empty where tasks were given
};

// The batch as what a learner learns from. Throws UserError that names the learner where it is something
// else.
template <class Batch>
const Batch& need(const TaskBatch& batch, const std::string& learner) {
  if (const auto* wanted = dynamic_cast<const Batch*>(&batch)) return *wanted;
  throw UserError("[learner] kind", "\"" + learner + "\" " + Batch::kNeeded, "use \"maml\", or another task");
}

// What a family's tasks look like.
struct TaskSpec {
  ModelShape shape;  // the sizes of one input, and the number of outputs
  Kind kind = Kind::kRegression;
  std::string metric;  // the score to show first: "mse", "accuracy"
  bool higher_is_better = false;
  // Where each task names classes of its own: those of the whole training set, for pretraining on all of
  // them. 0 where an output means the same in every task.
  int64_t classes = 0;
  // Of worlds: players of a team, what each sees (an input is that, and perhaps the player's number as a
  // one-hot), steps of an episode, and episodes a task.
  int64_t players = 0, seen = 0, limit = 0, copies = 0;
  bool continuous = false;             // actions are numbers: an output is their means and log deviations
  bool leaving = false;                // players may leave before their episode ends
  std::vector<int64_t> scripted = {};  // players whom a script plays: they learn nothing
  bool advantages = false;             // lessons come with advantages
  bool taught = false;                 // the task's own loss is the distance to a teacher's actions
  bool feedback = false;               // players are shown what they did and earned
  bool labels = true;                  // points with labels
  bool hands = false;                  // matches are hands of cards
};

// The whole population's distribution, rather than one agent's slice.
inline constexpr int64_t kEveryone = -1;

// One task: whose slice it is of (an agent's number, or kEveryone), and the key that it is drawn from.
struct Ask {
  int64_t agent;
  Rng key;
};

// A task for each entry of `agents`: the t-th that agent a asks for is drawn from rng.split("agent",
// a).split("task", t), whoever else asks.
std::vector<Ask> asks_for(std::span<const int64_t> agents, Rng);

std::vector<Rng> keys_of(std::span<const Ask>);

// A distribution over tasks, one slice for each agent.
class TaskFamily {
 public:
  virtual ~TaskFamily() = default;
  virtual TaskSpec spec() const = 0;
  // One task for each ask, drawn from its key and the split alone: a task is the same wherever it stands, and
  // whoever else is asked for. All draws that the batch makes for a task later come from that key and the
  // caller's.
  virtual std::unique_ptr<TaskBatch> sample(const Model&, std::span<const Ask>, Split) const = 0;
};

using TaskFamilyRegistry = Registry<TaskFamily, int64_t /*agents*/>;

}  // namespace symma
