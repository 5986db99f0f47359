// What a run spends of its privacy; what it may spend decides how long it is.
//
// Counted as sampling is really done. Unit "agent": each exchange is one step, in which an agent takes part
// with probability q = server.share if the coins are Poisson and the noise is the server's (under secure
// aggregation only where a crowd comes together almost surely), by turns in every so many, and surely, q = 1,
// otherwise. Units "task" and "example": where every task is drawn anew, a unit
// takes part in one round and no other, so the whole run is one step; where tasks come again, a unit may be
// in every round, q = 1. How far a unit moves a sum is the adjacency's (adjacency.h).
//
// One figure is stated, along the run and at its end: the least upper bound that is known. That is the exact
// one where the mechanism is a Gaussian, the smaller of the composed one and the Renyi accountant's where it
// is sampled, and the Renyi accountant's where the noise is a sum of discrete Gaussians.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "symma/exchange/privacy.h"
#include "symma/fleet/experiment.h"

namespace symma {

// Rounds [from, to) that drew noise of their own. A run that was killed plays rounds again, with other noise:
// what they are of has then been said twice.
struct Span {
  int64_t from = 0, to = 0;
};

class Account {
 public:
  // `earlier` has what was spent before round `begin`, as SpentFile has it.
  explicit Account(const Experiment&, std::vector<Span> earlier = {}, int64_t begin = 0);
  bool open() const { return open_; }        // whether anything is protected
  int64_t steps(int64_t rounds) const;       // that a unit may take part in, after so many rounds
  double epsilon(int64_t rounds) const;      // an upper bound
  double renyi_bound(int64_t rounds) const;  // by the Renyi accountant alone
  // The last round that the budget allows, at most `rounds`. Throws UserError where it allows none.
  int64_t last_round(int64_t rounds) const { return std::min(rounds, allowed()); }
  // For summary.json: the unit, the settings, epsilon, and the statement in words.
  Json summary(int64_t rounds) const;
  // Unit, adjacency and whose noise it is, in words; what is said when a run starts.
  std::string terms() const;

 private:
  int64_t allowed() const;                        // rounds within the budget; searched for once it is asked
  std::vector<Span> spans(int64_t rounds) const;  // of rounds
  Spending spending(int64_t rounds) const;        // noise in what a unit moves
  bool open_ = false, once_ = false, scales_ = false;
  int64_t every_ = 1, turns_ = 1, repeats_ = 1, begin_ = 0, rounds_ = 0;
  double q_ = 1, sensitivity_ = 1;
  double delta_ = 0;  // what is left of delta for the noise
  PrivacyOptions privacy_;
  std::vector<Span> earlier_;
  mutable std::optional<int64_t> allowed_;
  mutable std::unique_ptr<Composition> composition_;  // made when it is first asked for
  mutable std::pair<int64_t, double> known_{-1, 0};   // the last figure, by steps
};

// In front of every statement of a run whose noise follows from its seed.
extern const char* const kProtectsNothing;

// What a run with secure aggregation says of its keys.
std::string secure_statement(const Experiment&);

}  // namespace symma
