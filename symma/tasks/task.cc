#include "symma/tasks/task.h"

#include <map>

namespace symma {

const char* split_name(Split split) {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kValidation:
      return "validation";
    case Split::kTest:
      return "test";
    case Split::kOod:
      return "ood";
  }
  TORCH_CHECK(false, "no such split");
}

std::vector<Rng> keys_of(std::span<const Ask> asks) {
  std::vector<Rng> out;
  out.reserve(asks.size());
  for (const Ask& ask : asks) out.push_back(ask.key);
  return out;
}

std::vector<Ask> asks_for(std::span<const int64_t> agents, Rng rng) {
  std::map<int64_t, uint64_t> asked;
  std::vector<Ask> out;
  out.reserve(agents.size());
  for (int64_t a : agents)
    out.push_back({a, rng.split("agent", static_cast<uint64_t>(a)).split("task", asked[a]++)});
  return out;
}

}  // namespace symma
