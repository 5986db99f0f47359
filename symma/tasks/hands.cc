#include "symma/tasks/hands.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>

namespace symma {
namespace {

using NodeKind = Hands::Node::Kind;

// Builds a tree by depth: states are numbered as they are met.
class Builder {
 public:
  explicit Builder(int64_t actions) { hands_.actions = actions; }

  int64_t node(NodeKind kind) {
    hands_.nodes.push_back({kind, -1, 0, {}, {}, {}});
    return std::ssize(hands_.nodes) - 1;
  }
  int64_t end(double pay) {
    const int64_t at = node(NodeKind::kEnd);
    hands_.nodes[at].pay = pay;
    return at;
  }
  // `play` builds what follows an action.
  int64_t decision(int64_t seat, const std::string& seen, const std::vector<int64_t>& legal,
                   const std::function<int64_t(int64_t)>& play) {
    const std::string name = std::to_string(seat) + ":" + seen;
    const auto [it, fresh] = number_.emplace(name, hands_.states);
    if (fresh) {
      ++hands_.states;
      hands_.names.push_back(name);
      hands_.seat.push_back(seat);
      legal_.push_back(legal);
    }
    const int64_t at = node(NodeKind::kDecision), state = it->second;
    hands_.nodes[at].state = state;
    for (const int64_t a : legal) {
      const int64_t next = play(a);
      hands_.nodes[at].next.push_back(next);
      hands_.nodes[at].action.push_back(a);
    }
    return at;
  }
  int64_t chance(const std::vector<int64_t>& cards, const std::function<int64_t(int64_t)>& deal) {
    const int64_t at = node(NodeKind::kChance);
    for (const int64_t c : cards) {
      const int64_t next = deal(c);
      hands_.nodes[at].next.push_back(next);
      hands_.nodes[at].chance.push_back(1.0 / static_cast<double>(cards.size()));
    }
    return at;
  }

  Hands finish() {
    const int64_t s = hands_.states, n = hands_.actions;
    hands_.legal = at::zeros({s, n}, at::kBool);
    for (int64_t i = 0; i < s; ++i)
      for (const int64_t a : legal_[i]) hands_.legal[i][a] = true;
    std::vector<double> worth;
    std::map<std::vector<int64_t>, int64_t> number[2];
    std::vector<int64_t> at_end[2], path[2];
    const std::function<void(int64_t, double)> walk = [&](int64_t at, double chance) {
      const Hands::Node& node = hands_.nodes[at];
      if (node.kind == NodeKind::kEnd) {
        worth.push_back(chance * node.pay);
        for (int64_t p = 0; p < 2; ++p)
          at_end[p].push_back(number[p].emplace(path[p], std::ssize(number[p])).first->second);
        return;
      }
      for (size_t i = 0; i < node.next.size(); ++i) {
        if (node.kind == NodeKind::kChance) {
          walk(node.next[i], chance * node.chance[i]);
          continue;
        }
        auto& own = path[hands_.seat[node.state]];
        own.push_back(node.state * n + node.action[i]);
        walk(node.next[i], chance);
        own.pop_back();
      }
    };
    walk(0, 1);
    hands_.worth = at::tensor(worth, at::kDouble);
    for (int64_t p = 0; p < 2; ++p) {
      size_t longest = 1;
      for (const auto& [sequence, i] : number[p]) longest = std::max(longest, sequence.size());
      hands_.sequence[p] = at::full({std::ssize(number[p]), static_cast<int64_t>(longest)}, s * n, at::kLong);
      for (const auto& [sequence, i] : number[p])
        for (size_t k = 0; k < sequence.size(); ++k)
          hands_.sequence[p][i][static_cast<int64_t>(k)] = sequence[k];
      hands_.at_end[p] = at::tensor(at_end[p], at::kLong);
    }
    return std::move(hands_);
  }

 private:
  Hands hands_;
  std::map<std::string, int64_t> number_;
  std::vector<std::vector<int64_t>> legal_;
};

// A policy as numbers, [S n].
std::vector<double> numbers(const Tensor& policy) {
  const Tensor p = policy.to(at::kDouble).contiguous();
  return {p.data_ptr<double>(), p.data_ptr<double>() + p.numel()};
}

class Cfr {
 public:
  explicit Cfr(const Hands& h)
      : h_(h), regret_(h.states * h.actions), sum_(regret_.size()), now_(regret_.size()) {
    for (int64_t s = 0; s < h.states; ++s) match(s);
  }

  void round() {
    for (int64_t seat = 0; seat < 2; ++seat) {
      walk(0, seat, 1, 1);
      for (int64_t s = 0; s < h_.states; ++s) match(s);
    }
  }

  Tensor average() const {
    Tensor out = at::tensor(sum_, at::kDouble).view({h_.states, h_.actions});
    const Tensor total = out.sum(1, true), legal = h_.legal.to(at::kDouble);
    return at::where(total > 0, out / total.clamp_min(1e-300), legal / legal.sum(1, true));
  }

 private:
  // Regret matching: in proportion to what is regretted, or evenly.
  void match(int64_t s) {
    const int64_t n = h_.actions;
    const bool* legal = h_.legal.data_ptr<bool>() + s * n;
    double total = 0, ways = 0;
    for (int64_t a = 0; a < n; ++a)
      if (legal[a]) total += std::max(0.0, regret_[s * n + a]), ++ways;
    for (int64_t a = 0; a < n; ++a) {
      now_[s * n + a] = !legal[a] ? 0 : total > 0 ? std::max(0.0, regret_[s * n + a]) / total : 1 / ways;
    }
  }

  // The value of a node to `seat`; `own` and `others` are how likely they, and chance, make it.
  double walk(int64_t at, int64_t seat, double own, double others) {
    const Hands::Node& node = h_.nodes[at];
    if (node.kind == NodeKind::kEnd) return seat == 0 ? node.pay : -node.pay;
    double value = 0;
    if (node.kind == NodeKind::kChance) {
      for (size_t i = 0; i < node.next.size(); ++i)
        value += node.chance[i] * walk(node.next[i], seat, own, others * node.chance[i]);
      return value;
    }
    const int64_t first = node.state * h_.actions;
    const bool mine = h_.seat[node.state] == seat;
    std::array<double, 3> of{};
    for (size_t i = 0; i < node.next.size(); ++i) {
      const double p = now_[first + node.action[i]];
      of[i] = walk(node.next[i], seat, mine ? own * p : own, mine ? others : others * p);
      value += p * of[i];
    }
    if (!mine) return value;
    for (size_t i = 0; i < node.next.size(); ++i) {
      const int64_t to = first + node.action[i];
      regret_[to] += others * (of[i] - value);
      sum_[to] += own * now_[to];
    }
    return value;
  }

  const Hands& h_;
  std::vector<double> regret_, sum_, now_;
};

}  // namespace

Hands kuhn() {
  Builder b(2);
  const std::string rank = "JQK";
  // `said` is of p (pass) and b (bet); its length says whose turn it is.
  std::function<int64_t(int64_t, int64_t, std::string)> play = [&](int64_t c0, int64_t c1,
                                                                   const std::string& said) -> int64_t {
    const double win = c0 > c1 ? 1 : -1;
    if (said == "pp") return b.end(win);
    if (said == "bb" || said == "pbb") return b.end(2 * win);
    if (said == "bp") return b.end(1);
    if (said == "pbp") return b.end(-1);
    const int64_t seat = std::ssize(said) % 2;
    return b.decision(seat, rank[seat == 0 ? c0 : c1] + said, {0, 1},
                      [&](int64_t a) { return play(c0, c1, said + (a == 0 ? 'p' : 'b')); });
  };
  b.chance({0, 1, 2}, [&](int64_t c0) {
    std::vector<int64_t> rest;
    for (int64_t c = 0; c < 3; ++c)
      if (c != c0) rest.push_back(c);
    return b.chance(rest, [&](int64_t c1) { return play(c0, c1, ""); });
  });
  return b.finish();
}

Hands leduc() {
  Builder b(3);  // fold, call (or check), raise
  const std::array<std::string, 6> name{"Ja", "Jb", "Qa", "Qb", "Ka", "Kb"};
  struct Table {
    std::array<int64_t, 2> card, in{1, 1};  // cards, and what each has paid
    int64_t open = -1;                      // the public card
    int64_t turn = 0, raises = 0, said = 0;
    std::string seen;
  };
  std::function<int64_t(const Table&)> play = [&](const Table& t) -> int64_t {
    const int64_t me = t.turn, other = 1 - me;
    const bool behind = t.in[me] < t.in[other];
    std::vector<int64_t> legal;
    if (behind) legal.push_back(0);
    legal.push_back(1);
    if (t.raises < 2) legal.push_back(2);
    return b.decision(me, name[t.card[me]] + t.seen, legal, [&](int64_t a) -> int64_t {
      if (a == 0) return b.end(static_cast<double>(me == 0 ? -t.in[0] : t.in[1]));
      Table next = t;
      next.in[me] = t.in[other];
      next.turn = other, ++next.said, next.seen += a == 1 ? 'c' : 'r';
      if (a == 2) {
        next.in[me] += t.open < 0 ? 2 : 4, ++next.raises;
        return play(next);
      }
      if (next.said < 2) return play(next);  // the first has checked
      if (t.open >= 0) {
        const auto strength = [&](int64_t p) {
          const int64_t rank = t.card[p] / 2;
          return rank == t.open / 2 ? 10 : rank;
        };
        const int64_t mine = strength(0), its = strength(1);
        return b.end(mine == its ? 0.0 : static_cast<double>(mine > its ? next.in[1] : -next.in[0]));
      }
      std::vector<int64_t> rest;
      for (int64_t c = 0; c < 6; ++c)
        if (c != t.card[0] && c != t.card[1]) rest.push_back(c);
      return b.chance(rest, [&](int64_t c) {
        Table second = next;
        second.open = c, second.turn = 0, second.raises = 0, second.said = 0, second.seen += "/" + name[c];
        return play(second);
      });
    });
  };
  const std::vector<int64_t> deck{0, 1, 2, 3, 4, 5};
  b.chance(deck, [&](int64_t c0) {
    std::vector<int64_t> rest;
    for (const int64_t c : deck)
      if (c != c0) rest.push_back(c);
    return b.chance(rest, [&](int64_t c1) {
      Table t;
      t.card = {c0, c1};
      return play(t);
    });
  });
  return b.finish();
}

Tensor values(const Hands& h, const Tensor& seat0, const Tensor& seat1) {
  const auto reach = [&](const Tensor& log_policy, int64_t p) {
    const int64_t b = log_policy.size(0);
    const Tensor flat = at::cat({log_policy.flatten(1), at::zeros({b, 1}, log_policy.options())}, 1);
    const Tensor index = h.sequence[p].to(flat.device());
    const Tensor each = flat.index_select(1, index.flatten()).view({b, index.size(0), index.size(1)});
    return each.sum(2).exp().index_select(1, h.at_end[p].to(flat.device()));  // [B, Z]
  };
  return at::mv(reach(seat0, 0) * reach(seat1, 1), h.worth.to(seat0.options()));
}

Tensor action_values(const Hands& h, const Tensor& policy) {
  const std::vector<double> p = numbers(policy);
  const int64_t n = h.actions, count = std::ssize(h.nodes);
  // How likely each seat's own actions make a node, and chance.
  std::vector<double> by[2], chance(count, 1), worth(count, 0);
  by[0].assign(count, 1), by[1].assign(count, 1);
  for (int64_t at = 0; at < count; ++at) {
    const Hands::Node& node = h.nodes[at];
    for (size_t i = 0; i < node.next.size(); ++i) {
      const int64_t to = node.next[i];
      chance[to] = chance[at], by[0][to] = by[0][at], by[1][to] = by[1][at];
      if (node.kind == NodeKind::kChance) chance[to] *= node.chance[i];
      if (node.kind == NodeKind::kDecision) by[h.seat[node.state]][to] *= p[node.state * n + node.action[i]];
    }
  }
  std::vector<double> sum(h.states * n, 0), weight(h.states, 0);
  for (int64_t at = count - 1; at >= 0; --at) {
    const Hands::Node& node = h.nodes[at];
    if (node.kind == NodeKind::kEnd) worth[at] = node.pay;
    for (size_t i = 0; i < node.next.size(); ++i) {
      const double of = worth[node.next[i]];
      if (node.kind == NodeKind::kChance) {
        worth[at] += node.chance[i] * of;
        continue;
      }
      const int64_t seat = h.seat[node.state], a = node.state * n + node.action[i];
      worth[at] += p[a] * of;
      sum[a] += chance[at] * by[1 - seat][at] * (seat == 0 ? of : -of);
    }
    if (node.kind == NodeKind::kDecision) weight[node.state] += chance[at] * by[1 - h.seat[node.state]][at];
  }
  for (int64_t a = 0; a < h.states * n; ++a) sum[a] /= std::max(weight[a / n], 1e-300);
  return at::tensor(sum, at::kDouble).view({h.states, n});
}

double best_response(const Hands& h, const Tensor& policy, int64_t seat) {
  const std::vector<double> other = numbers(policy);
  const int64_t n = h.actions;
  // How likely chance and the other make each node, and which nodes a state has.
  std::vector<double> likely(h.nodes.size(), 0), value(h.nodes.size(), 0);
  std::vector<char> known(h.nodes.size(), 0);
  std::vector<std::vector<int64_t>> of_state(h.states);
  likely[0] = 1;
  for (size_t at = 0; at < h.nodes.size(); ++at) {
    const Hands::Node& node = h.nodes[at];
    if (node.state >= 0) of_state[node.state].push_back(static_cast<int64_t>(at));
    for (size_t i = 0; i < node.next.size(); ++i) {
      double p = 1;
      if (node.kind == NodeKind::kChance) p = node.chance[i];
      if (node.kind == NodeKind::kDecision && h.seat[node.state] != seat)
        p = other[node.state * n + node.action[i]];
      likely[node.next[i]] = likely[at] * p;
    }
  }
  std::vector<int64_t> best(h.states, -1);  // place among a node's actions
  const std::function<double(int64_t)> worth = [&](int64_t at) -> double {
    if (known[at]) return value[at];
    const Hands::Node& node = h.nodes[at];
    double v = 0;
    if (node.kind == NodeKind::kEnd) {
      v = seat == 0 ? node.pay : -node.pay;
    } else if (node.kind == NodeKind::kDecision && h.seat[node.state] == seat) {
      int64_t& choice = best[node.state];
      if (choice < 0) {
        double most = 0;
        for (size_t i = 0; i < node.next.size(); ++i) {
          double total = 0;
          for (const int64_t one : of_state[node.state]) total += likely[one] * worth(h.nodes[one].next[i]);
          if (choice < 0 || total > most) most = total, choice = static_cast<int64_t>(i);
        }
      }
      v = worth(node.next[choice]);
    } else {
      for (size_t i = 0; i < node.next.size(); ++i) {
        const double p =
            node.kind == NodeKind::kChance ? node.chance[i] : other[node.state * n + node.action[i]];
        if (p != 0) v += p * worth(node.next[i]);
      }
    }
    known[at] = 1;
    return value[at] = v;
  };
  return worth(0);
}

double nash_conv(const Hands& h, const Tensor& policy) {
  return best_response(h, policy, 0) + best_response(h, policy, 1);
}

Tensor cfr(const Hands& h, int64_t rounds) {
  Cfr solver(h);
  for (int64_t i = 0; i < rounds; ++i) solver.round();
  return solver.average();
}

}  // namespace symma
