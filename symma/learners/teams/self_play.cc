#include "symma/learners/teams/self_play.h"

#include <fmt/format.h>

#include <cstring>

#include "symma/learners/rows.h"

namespace symma {

void PoolOptions::fields(Fields& f) {
  f.add("pool", pool,
        "past rows that are kept, to play with and against; 0: everyone is played by the present")
      .at_least(0);
  f.add("pool_every", pool_every, "rounds from one row offered to the pool to the next").at_least(1);
  f.add("past", past, "share of the tasks in which all sides but one are played by past rows")
      .at_least(0)
      .at_most(1);
  f.add("sides", sides, "players of each side, in their order; none: every player is a side").at_least(1);
}

Pool::Pool(const PoolOptions& o, int64_t players, int64_t columns, bool shared)
    : o_(o),
      players_(players),
      columns_(columns),
      network_(shared ? columns : columns / players),
      shared_(shared) {
  if (o_.sides.empty()) o_.sides.assign(players, 1);
  for (size_t s = 0; s < o_.sides.size(); ++s)
    side_.insert(side_.end(), o_.sides[s], static_cast<int64_t>(s));
  if (static_cast<int64_t>(side_.size()) != players) {
    throw UserError("[learner] sides", fmt::format("are of {} players in all", side_.size()),
                    fmt::format("this world has {}", players));
  }
}

void Pool::init(State& s, int64_t agents) const {
  if (!o_.on()) return;
  s.own["pool"] = at::zeros({agents, o_.pool, columns_}, s.theta.options());
  s.own["pool.offered"] = at::zeros({agents}, at::kLong);
}

void Pool::offer(State& s, const Tensor& rows, const std::vector<Rng>& keys) const {
  const std::vector<int64_t> steps = whole_numbers(s.steps);
  Tensor pool = s.own.at("pool").clone(),
         offered = s.own.at("pool.offered").to(at::kLong).contiguous().clone();
  for (int64_t i = 0; i < rows.size(0); ++i) {
    if (steps[i] % o_.pool_every != 0) continue;
    int64_t& before = offered.data_ptr<int64_t>()[i];
    const int64_t place = before < o_.pool ? before : Draws(keys[i].split("place")).below(before + 1);
    if (place < o_.pool) pool[i][place].copy_(rows[i]);
    ++before;
  }
  s.own["pool"] = pool, s.own["pool.offered"] = offered;
}

Cast Pool::cast(const State& s, const Tensor& rows, const std::vector<Rng>& keys) const {
  const int64_t n = rows.size(0), b = static_cast<int64_t>(keys.size()), tasks = b / n;
  const Tensor pool = s.own.at("pool"), offered = s.own.at("pool.offered").to(at::kLong).contiguous();
  Cast out{at::empty({b, players_ * network_}, rows.options()), at::ones({b, players_}, at::kBool)};
  for (int64_t i = 0; i < b; ++i) {
    const int64_t agent = i / tasks, kept = std::min(offered.data_ptr<int64_t>()[agent], o_.pool);
    Draws d(keys[i]);
    const bool match = d.uniform() < o_.past && kept > 0;
    const int64_t learner = d.below(static_cast<int64_t>(o_.sides.size()));
    std::vector<int64_t> rival(o_.sides.size());
    for (int64_t& r : rival) r = kept > 0 ? d.below(kept) : 0;
    for (int64_t p = 0; p < players_; ++p) {
      const bool past = match && side_[p] != learner;
      const Tensor from = past ? pool[agent][rival[side_[p]]] : rows[agent];
      out.rows[i]
          .narrow(0, p * network_, network_)
          .copy_(from.narrow(0, shared_ ? 0 : p * network_, network_));
      out.learns.data_ptr<bool>()[i * players_ + p] = !past;
    }
  }
  return out;
}

}  // namespace symma
