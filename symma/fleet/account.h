// What a run spends of its privacy, by the Renyi accountant; what it may spend decides how long it is.
//
// Counted as sampling is really done. Unit "agent": each exchange is one step, in which an agent takes part
// with probability q = server.share if the coins are Poisson and the noise is the server's, and surely, q =
// 1, otherwise. Units "task" and "example": where every task is drawn anew, a unit takes part in one round
// and no other, so the whole run is one step; where tasks come again, a unit may be in every round, q = 1.
#pragma once

#include <vector>

#include "symma/fleet/experiment.h"

namespace symma {

class Account {
 public:
  explicit Account(const Experiment&);
  bool open() const { return open_; }    // whether anything is protected
  int64_t steps(int64_t rounds) const;   // after so many rounds
  double epsilon(int64_t rounds) const;  // by the Renyi accountant
  // The last round that the budget allows, at most `rounds`.
  int64_t last_round(int64_t rounds) const { return std::min(rounds, allowed_); }
  // For summary.json: the unit, the settings, epsilon by both accountants, and the statement in words.
  Json summary(int64_t rounds) const;

 private:
  bool open_ = false, once_ = false;
  int64_t every_ = 1, allowed_ = 0;
  double q_ = 1;
  PrivacyOptions privacy_;
  std::vector<double> step_;  // the divergence of one step at each of renyi_orders()
};

}  // namespace symma
