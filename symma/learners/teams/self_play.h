// A pool of past selves to play with and against.
//
// Rows that only meet their present selves chase one another in circles where the game has cycles. Here a
// share of the tasks is a match: the players of one side follow the present row and learn, those of the other
// sides follow a row of the past. The pool is an even sample of all rows offered so far (Vitter 1985,
// algorithm R), so the present learns a best response to the average of its past: fictitious play (Brown
// 1951; Heinrich et al. 2015), whose average is an equilibrium of a two-player zero-sum game.
#pragma once

#include "symma/learners/teams/teams.h"

namespace symma {

struct PoolOptions {
  int64_t pool = 0, pool_every = 20;
  double past = 0.5;
  std::vector<int64_t> sides;
  bool on() const { return pool > 0; }
  void fields(Fields& f);
};

// Who plays whom in a round.
struct Cast {
  Tensor rows;    // [B, A P]: a network for each player of each task
  Tensor learns;  // [B, A] bool: which players follow the present row, and learn
};

class Pool {
 public:
  // Throws UserError where the sides are not of all players.
  Pool(const PoolOptions&, int64_t players, int64_t columns /*of a row*/, bool shared /*by its players*/);

  // Adds own["pool"] [N, K, columns], and own["pool.offered"] [N]: how many rows were offered.
  void init(State&, int64_t agents) const;
  // Offers the present rows [N, columns], where an agent's update is due. `keys` are the agents'.
  void offer(State&, const Tensor& rows, const std::vector<Rng>& keys) const;
  // Players of T tasks of every agent; the task of a place draws from its key alone.
  Cast cast(const State&, const Tensor& rows /*[N,columns]*/, const std::vector<Rng>& keys /*[N T]*/) const;

 private:
  PoolOptions o_;
  int64_t players_, columns_, network_;  // columns of a row, and of one player's network in it
  bool shared_;
  std::vector<int64_t> side_;  // [A]: of each player
};

}  // namespace symma
