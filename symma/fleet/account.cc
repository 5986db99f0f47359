#include "symma/fleet/account.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "symma/core/errors.h"
#include "symma/core/numbers.h"
#include "symma/fleet/adjacency.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

Unit unit_of(const PrivacyOptions& p) {
  return p.unit == "agent" ? Unit::kAgent : p.unit == "task" ? Unit::kTask : Unit::kExample;
}

// How many of from..to-1 are `offset` modulo `turns`.
int64_t turns_in(int64_t from, int64_t to, int64_t turns, int64_t offset) {
  const auto below = [&](int64_t n) { return n > offset ? (n - offset - 1) / turns + 1 : 0; };
  return below(to) - below(from);
}

// How often an agent is in a server's sum: by a coin of chance q, which nothing else hangs on, but for a
// share of the exchanges in which all may be told.
struct AtServer {
  double q = 1, told = 0;
};

// Of a secure sum all see whether there is one, and that says of the coins that `crowd` or more came up.
// Where the others alone make a crowd, an agent's own coin is as good as hidden. Where they are one too few,
// there is a sum if and only if the agent is in it: with this chance its coin hides nothing. Where there is
// none, nothing is told that hangs on an agent's row: one that counts as nothing tosses its coin all the
// same.
double makes_up_the_crowd(int64_t n, double q, int64_t crowd) {
  const auto a = static_cast<double>(crowd - 1), b = static_cast<double>(n - crowd);
  if (b < 0) return 0;  // there is never a sum
  return std::exp(std::lgamma(a + b + 1) - std::lgamma(a + 1) - std::lgamma(b + 1) + (a + 1) * std::log(q) +
                  b * std::log1p(-q));
}

AtServer at_server_of(const Exchange& x) {
  const ServerOptions& server = x.server;
  // Agents that bring the noise are protected from the server too, which knows who takes part.
  if (x.privacy.distributed() || x.privacy.mechanism != "gaussian" || server.sampling != "poisson" ||
      server.share == 1)
    return {};
  // What hostile agents make of an agent's update may come in an exchange that the agent is not in: late, or
  // with what their own compressed messages had left out.
  if (x.attack && (x.compressor || x.faults.late > 0)) return {};
  if (!server.secure) return {server.share, 0};
  // Who is lost moves what a sum needs, beside the coins: no help from them is counted then.
  if (x.faults.gaps()) return {};
  return {server.share, makes_up_the_crowd(x.graph.agents, server.share, server.crowd)};
}

// The most spans that any round is in.
int64_t deepest(const std::vector<Span>& spans) {
  int64_t most = 0;
  for (const Span& a : spans) {
    int64_t n = 0;
    for (const Span& b : spans) n += b.from <= a.from && a.from < b.to;
    most = std::max(most, n);
  }
  return most;
}

}  // namespace

const char* const kProtectsNothing =
    "protects nothing: the noise follows from the seed (privacy.noise_key = \"seed\")";

std::string secure_statement(const Experiment& e) {
  return e.exchange.privacy.seeded() ? "secure aggregation hides nothing: its keys follow from the seed "
                                       "(privacy.noise_key = \"seed\")"
                                     : "secure aggregation: the server sees sums alone";
}

Account::Account(const Experiment& e, std::vector<Span> earlier, int64_t begin)
    : begin_(begin), rounds_(e.fleet.rounds), privacy_(e.exchange.privacy), earlier_(std::move(earlier)) {
  open_ = privacy_.on();
  if (!open_) return;
  sensitivity_ = sensitivity(e.exchange);
  delta_ = privacy_.delta;
  if (privacy_.agents()) {
    every_ = e.exchange.options.every;
    turns_ = e.exchange.turns();
    if (privacy_.at_server()) {
      // What an exchange tells in full is left out of delta: a mixture of the two is no further apart than
      // its parts are, each by its share. Where that leaves too little, no help from coins is counted.
      const AtServer how = at_server_of(e.exchange);
      const double told = how.told * static_cast<double>(steps(std::max(begin_, rounds_)));
      if (told <= delta_ / 2) q_ = how.q, delta_ -= told;
    }
  } else {
    const auto* family = dynamic_cast<const Accountable*>(e.family.get());
    once_ = family && family->fresh();
    scales_ = !once_;
    // Repetitions have the same tasks of a finite set, and their models are told together.
    if (!once_) repeats_ = e.fleet.seeds;
  }
}

int64_t Account::allowed() const {
  if (!open_ || privacy_.budget <= 0) return rounds_;
  if (allowed_) return *allowed_;
  // The most rounds within the budget; epsilon grows with them.
  int64_t low = begin_, high = std::max(begin_, rounds_);
  while (low < high) {
    const int64_t mid = (low + high + 1) / 2;
    if (epsilon(mid) <= privacy_.budget)
      low = mid;
    else
      high = mid - 1;
  }
  if (steps(low) == 0)
    throw UserError("[privacy] budget",
                    "epsilon is " + fmt::format("{:.4g}", epsilon(every_)) +
                        " after one step, and the budget " + fmt::format("{:.4g}", privacy_.budget),
                    "raise privacy.noise or the budget");
  allowed_ = low;
  return low;
}

std::vector<Span> Account::spans(int64_t rounds) const {
  std::vector<Span> out;
  for (const Span& s : earlier_)
    if (s.to > s.from) out.push_back(s);
  if (rounds > begin_) out.push_back({begin_, rounds});
  return out;
}

int64_t Account::steps(int64_t rounds) const {
  const std::vector<Span> all = spans(rounds);
  if (once_) return deepest(all);
  int64_t most = 0;
  const bool tree = privacy_.mechanism == "tree";
  for (int64_t offset = 0; offset < (tree ? 1 : turns_); ++offset) {
    int64_t n = 0;
    for (const Span& s : all) n += turns_in(s.from / every_, s.to / every_, tree ? 1 : turns_, offset);
    most = std::max(most, n);
  }
  return most * repeats_;
}

Spending Account::spending(int64_t rounds) const {
  if (privacy_.mechanism != "tree") return {privacy_.noise / sensitivity_, q_, steps(rounds)};
  double most = 0;
  for (int64_t offset = 0; offset < turns_; ++offset) {
    double square = 0;
    for (const Span& s : spans(rounds)) {
      const int64_t from = s.from / every_, to = s.to / every_;
      square +=
          tree_square(to - from, privacy_.restart, turns_, ((offset - from) % turns_ + turns_) % turns_);
    }
    most = std::max(most, square);
  }
  if (most == 0) return {privacy_.noise / sensitivity_, 1, 0};
  return {privacy_.noise / (sensitivity_ * std::sqrt(most)), 1, 1};
}

double Account::renyi_bound(int64_t rounds) const {
  const Spending s = spending(rounds);
  return s.steps == 0 ? 0 : renyi_epsilon({&s, 1}, delta_);
}

double Account::epsilon(int64_t rounds) const {
  const int64_t n = steps(rounds);
  if (n == 0) return 0;
  if (known_.first == n) return known_.second;
  const Spending s = spending(rounds);
  double least = 0;
  if (privacy_.distributed()) {
    least = renyi_bound(rounds);  // of discrete Gaussians that is certain, and the exact figure is not theirs
  } else if (s.q == 1) {
    least = gaussian_epsilon(std::sqrt(static_cast<double>(s.steps)) / s.sigma, delta_);
  } else {
    if (!composition_)
      composition_ = std::make_unique<Composition>(s.sigma, s.q, steps(std::max(rounds, rounds_)), delta_);
    least = std::min(renyi_bound(rounds), composition_->at(n).upper);
  }
  known_ = {n, least};
  return least;
}

std::string Account::terms() const {
  std::string out =
      fmt::format("one {} ({}), ", unit_name(unit_of(privacy_)), adjacency_words(privacy_.adjacency));
  out += privacy_.mechanism == "tree" ? "noise of a tree"
         : privacy_.distributed()     ? "noise in each sum, a share of it from each agent"
                                      : "noise in each step";
  return out +
         (privacy_.seeded() ? std::string("; ") + kProtectsNothing : std::string(", drawn by the system"));
}

Json Account::summary(int64_t rounds) const {
  const Spending s = spending(rounds);
  const double stated = epsilon(rounds);
  Json out{{"unit", privacy_.unit},
           {"adjacency", privacy_.adjacency},
           {"sensitivity", sensitivity_},
           {"mechanism", privacy_.mechanism},
           {"where", privacy_.where},
           {"noise_key", privacy_.noise_key},
           {"protects", !privacy_.seeded()},
           {"delta", privacy_.delta},
           {"noise", privacy_.noise},
           {"q", q_},
           {"steps", steps(rounds)},
           {"epsilon", number(stated)},
           {"epsilon_renyi", number(renyi_bound(rounds))},
           {"budget", privacy_.budget}};
  if (s.steps > 0 && !privacy_.distributed()) {
    const double composed = s.q == 1 ? stated : composition_->at(s.steps).upper;
    out["epsilon_composed"] = number(composed);
  }
  std::string statement = privacy_statement(unit_of(privacy_), stated, privacy_.delta, privacy_.adjacency);
  if (once_) statement += "; every task is drawn anew, so each takes part in one round";
  if (repeats_ > 1) statement += fmt::format("; {} repetitions on the same data, told together", repeats_);
  if (scales_) statement += "; columns' scales and how many groups there are count as public";
  int64_t again = 0;
  for (const Span& a : earlier_) again += a.to - a.from;
  again -= begin_;
  if (again > 0)
    statement += fmt::format("; {} rounds were played again after a stop, and count again", again);
  if (privacy_.seeded())
    statement = std::string(kProtectsNothing) + "; with the system's noise it would be " + statement;
  out["statement"] = statement;
  return out;
}

}  // namespace symma
