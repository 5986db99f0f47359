#include "symma/fleet/account.h"

#include <fmt/format.h>

#include "symma/core/errors.h"
#include "symma/exchange/privacy.h"
#include "symma/tasks/supervised.h"

namespace symma {

Account::Account(const Experiment& e) : allowed_(e.fleet.rounds), privacy_(e.exchange.privacy) {
  const ServerOptions& server = e.exchange.server;
  open_ = privacy_.agents() || privacy_.learners();
  if (!open_) return;
  if (privacy_.agents()) {
    every_ = e.exchange.options.every;
    if (privacy_.where == "server" && server.sampling == "poisson") q_ = server.share;
  } else {
    const auto* family = dynamic_cast<const Accountable*>(e.family.get());
    once_ = family && family->fresh();
  }
  step_ = renyi_spent({privacy_.noise, q_, 1});
  if (privacy_.budget <= 0) return;
  // The most rounds within the budget; epsilon grows with them.
  int64_t low = 0, high = e.fleet.rounds;
  while (low < high) {
    const int64_t mid = (low + high + 1) / 2;
    if (epsilon(mid) <= privacy_.budget)
      low = mid;
    else
      high = mid - 1;
  }
  allowed_ = low;
  if (steps(allowed_) == 0)
    throw UserError("[privacy] budget",
                    "epsilon is " + fmt::format("{:.4g}", epsilon(every_)) +
                        " after one step, and the budget " + fmt::format("{:.4g}", privacy_.budget),
                    "raise privacy.noise or the budget");
}

int64_t Account::steps(int64_t rounds) const {
  return once_ ? std::min<int64_t>(1, rounds) : rounds / every_;
}

double Account::epsilon(int64_t rounds) const {
  const int64_t n = steps(rounds);
  if (n == 0) return 0;
  std::vector<double> spent = step_;
  for (double& x : spent) x *= static_cast<double>(n);
  return epsilon_of(spent, privacy_.delta);
}

Json Account::summary(int64_t rounds) const {
  const Spending spending{privacy_.noise, q_, steps(rounds)};
  const double renyi = epsilon(rounds);
  const Unit unit = privacy_.unit == "agent"  ? Unit::kAgent
                    : privacy_.unit == "task" ? Unit::kTask
                                              : Unit::kExample;
  Json out{{"unit", privacy_.unit},   {"delta", privacy_.delta}, {"noise", privacy_.noise},  {"q", q_},
           {"steps", spending.steps}, {"epsilon", renyi},        {"budget", privacy_.budget}};
  double stated = renyi;
  if (spending.steps > 0) {
    const double composed = composed_epsilon({&spending, 1}, privacy_.delta).upper;
    out["epsilon_composed"] = std::isfinite(composed) ? Json(composed) : Json(nullptr);
    if (std::isfinite(composed)) stated = std::min(stated, composed);
  }
  out["statement"] = privacy_statement(unit, stated, privacy_.delta) +
                     (once_ ? "; every task is drawn anew, so each takes part in one round" : "");
  return out;
}

}  // namespace symma
