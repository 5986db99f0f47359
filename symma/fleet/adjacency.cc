#include "symma/fleet/adjacency.h"

#include "symma/tasks/supervised.h"

namespace symma {
namespace {

bool sampled(const Exchange& x) {
  return x.server.share < 1;
}

bool by_coins(const Exchange& x) {
  return !sampled(x) || x.server.sampling == "poisson";
}

}  // namespace

bool draws_anew(const TaskFamily& family) {
  const auto* known = dynamic_cast<const Accountable*>(&family);
  return known && known->fresh();
}

std::string default_adjacency(const Exchange& x, bool fresh) {
  const PrivacyOptions& p = x.privacy;
  if (!p.agents()) return fresh ? "zero-out" : "replace";
  if (!p.at_server()) return "zero-out";
  if (sampled(x) && x.server.sampling == "fixed" && !p.distributed()) return "replace";
  return by_coins(x) && !x.server.secure && p.mechanism == "gaussian" ? "add-remove" : "zero-out";
}

std::string adjacency_refused(const Exchange& x, bool fresh, const std::string& adjacency) {
  const PrivacyOptions& p = x.privacy;
  const bool replace = adjacency == "replace", remove = adjacency == "add-remove";
  if (!p.agents()) {
    if (!remove) return "";
    return fresh ? "another task is drawn in the place of one that is left out"
                 : "a batch has a fixed size, so one that comes takes another's place";
  }
  if (remove && !p.at_server()) return "an agent's message says by itself that it is there";
  if (remove && x.server.secure) return "whether a sum comes out says how many take part";
  if (remove && sampled(x) && x.server.sampling == "fixed")
    return "in a sample of fixed size an agent that comes takes another's place";
  if (remove && sampled(x) && x.server.sampling == "turns")
    return "whose turn it is goes by the agents' numbers";
  if (remove && p.mechanism == "tree") return "the account of a tree is of an agent that counts as nothing";
  if (replace && p.at_server() && !p.distributed() && sampled(x) && x.server.sampling == "poisson" &&
      p.mechanism == "gaussian")
    return "there is no account of an agent that is another where each takes part by a coin";
  return "";
}

double sensitivity(const Exchange& x) {
  const double one = x.privacy.adjacency == "replace" ? 2 : 1;
  if (!x.privacy.at_server() || !x.attack) return one;
  return one + 2 * static_cast<double>(x.graph.agents - static_cast<int64_t>(x.honest().size()));
}

}  // namespace symma
