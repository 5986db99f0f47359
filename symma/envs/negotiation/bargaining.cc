// Bargaining: two players share three kinds of things by alternating offers (Lewis et al. 2017,
// arXiv:1706.05125; rules as in OpenSpiel's bargaining).
//
// A pool holds 5 to 7 items, at least one of each kind. Each player values the whole pool at 10, by values
// that the other does not see; every kind is worth something to one of them, and some kind to both. The first
// player offers, naming what it keeps; the other agrees or makes a counter-offer. No deal after max_turns
// offers is 0 for both. From the third action on, each multiplies what a deal pays by `discount`, and after
// each offer but the first the talks break off with chance `end`. Actions 0..119 are offers, of all triples
// that sum to 7 or less, the first number fastest; 120 agrees; 121 waits, which is all that the other player
// can do. An observation is OpenSpiel's tensor (2.x; 93 numbers for 10 turns): whether there is a deal, one
// of the numbers of offers made, thermometers of pool, own values and last offer; then 1 where it is one's
// turn.
#include <array>
#include <memory>

#include <fmt/format.h>

#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"

namespace symma {
namespace {

constexpr int kGoods = 3, kLeastItems = 5, kMostItems = 7, kWorth = 10;
constexpr int64_t kOffers = 120, kAgree = kOffers, kWait = kOffers + 1;
using Triple = std::array<int, kGoods>;

struct Pool {
  Triple items;
  std::array<Triple, 2> values;
};

std::vector<Triple> triples_up_to(int most, int sum) {
  std::vector<Triple> out;
  for (int c = 0; c <= most; ++c) {
    for (int b = 0; b <= most; ++b) {
      for (int a = 0; a <= most; ++a) {
        if (a + b + c <= sum) out.push_back({a, b, c});
      }
    }
  }
  return out;
}

int worth(const Triple& a, const Triple& b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

// Every pool that the rules allow, by its number of items; each is as likely as any other of the numbers
// allowed.
const std::array<std::vector<Pool>, kMostItems + 1>& pools() {
  static const auto all = [] {
    std::array<std::vector<Pool>, kMostItems + 1> out;
    for (const Triple& items : triples_up_to(kMostItems, kMostItems)) {
      const int n = items[0] + items[1] + items[2];
      if (n < kLeastItems || !items[0] || !items[1] || !items[2]) continue;
      std::vector<Triple> values;
      for (const Triple& v : triples_up_to(kWorth, 3 * kWorth)) {
        if (worth(items, v) == kWorth) values.push_back(v);
      }
      for (const Triple& v : values) {
        for (const Triple& w : values) {
          bool each = true, both = false;
          for (int i = 0; i < kGoods; ++i) {
            each &= v[i] || w[i];
            both |= v[i] && w[i];
          }
          if (each && both) out[n].push_back({items, {v, w}});
        }
      }
    }
    return out;
  }();
  return all;
}

const std::vector<Triple>& offers() {
  static const std::vector<Triple> all = triples_up_to(kMostItems, kMostItems);
  return all;
}

class Bargaining final : public Copies {
 public:
  struct Options : CopyOptions {
    int64_t max_turns = 10;
    double discount = 1, end = 0;
    Options() { limit = 50; }
    void fields(Fields& f) {
      f.add("max_turns", max_turns, "offers until the talks end").at_least(1).at_most(50);
      f.add("discount", discount, "what a deal keeps of its worth with each action from the third on")
          .above(0)
          .at_most(1);
      f.add("end", end, "chance that talks break off after an offer, the first excepted")
          .at_least(0)
          .at_most(1);
      CopyOptions::fields(f);
    }
  };

  Bargaining(const Options& o, int64_t copies)
      : Copies(make_spec(o, copies), o,
               {{.name = "items",
                 .doc = "in the pool; 0: 5, 6 or 7",
                 .value = 0,
                 .whole = true,
                 .train = {5, 6},
                 .test = {5, 6},
                 .ood = {7, 7},
                 .may = {0, kMostItems}},
                {.name = "discount",
                 .doc = "with each action from the third on",
                 .value = o.discount,
                 .train = {0.9, 1},
                 .test = {0.9, 1},
                 .ood = {0.7, 0.8},
                 .may = {0, 1},
                 .above = true},
                {.name = "end",
                 .doc = "chance that talks break off after an offer",
                 .value = o.end,
                 .train = {0, 0.1},
                 .test = {0, 0.1},
                 .ood = {0.2, 0.3},
                 .may = {0, 1}}},
               3 * kGoods + 3),
        max_turns_(o.max_turns),
        talks_(copies) {
    TORCH_INTERNAL_ASSERT(offers().size() == kOffers);
  }

  std::string text(int64_t e) const override {
    const Talks& t = talks_[e];
    const auto three = [](const Triple& x) { return fmt::format("{} {} {}", x[0], x[1], x[2]); };
    std::string out = fmt::format("pool {}, values {} and {}, {} offers", three(t.pool.items),
                                  three(t.pool.values[0]), three(t.pool.values[1]), t.turn);
    if (t.last >= 0) out += fmt::format(", player {} keeps {}", (t.turn + 1) % 2, three(offers()[t.last]));
    return out + (t.agreed ? ", agreed\n" : "\n");
  }

  std::string svg(int64_t e) const override {
    const Talks& t = talks_[e];
    Drawing d(300, 100);
    for (int i = 0; i < kGoods; ++i) {
      const int kept = t.last >= 0 ? offers()[t.last][i] : 0, proposer = (t.turn + 1) % 2;
      d.text(20, 25.0 * i + 25, 11, fmt::format("{}:{}", t.pool.values[0][i], t.pool.values[1][i]));
      for (int k = 0; k < t.pool.items[i]; ++k) {
        d.circle(30.0 * k + 55, 25.0 * i + 25, 9,
                 t.last < 0 ? "#cccccc" : colour(k < kept ? proposer : 1 - proposer));
      }
    }
    d.text(150, 92, 10, fmt::format("{} offers{}", t.turn, t.agreed ? ", agreed" : ""));
    return d.svg();
  }

 private:
  struct Talks {
    Pool pool;
    int turn = 0;   // offers made
    int last = -1;  // the offer on the table
    bool agreed = false;
  };

  static EnvSpec make_spec(const Options& o, int64_t copies) {
    EnvSpec s;
    s.name = "bargaining";
    s.variant = fmt::format("{} turns", o.max_turns);
    s.copies = copies;
    s.agents = 2;
    s.obs = 1 + (o.max_turns + 1) + 2 * kGoods * (kMostItems + 1) + kGoods * (kWorth + 1) + 1;
    s.actions = kOffers + 2;
    for (const Triple& t : offers()) s.action_names.push_back(fmt::format("keep {} {} {}", t[0], t[1], t[2]));
    s.action_names.push_back("agree");
    s.action_names.push_back("wait");
    s.obs_low = 0;
    s.obs_high = 1;
    if (o.limit <= o.max_turns)
      throw UserError("bargaining, limit", fmt::format("is {} steps for {} turns", o.limit, o.max_turns),
                      "the talks end by themselves: take more than max_turns");
    return s;
  }

  void check_task(const double* t, const std::string& place) const override {
    if (t[0] != 0 && t[0] < kLeastItems)
      throw UserError(place + ", items", fmt::format("is {}", t[0]), "5..7 would be right, or 0 for any");
  }

  void begin(int64_t e, Rng episode) override {
    Draws draws(episode);
    const auto items = static_cast<int>(task(e)[0]);
    int64_t count = 0;
    for (int n = kLeastItems; n <= kMostItems; ++n)
      count += !items || items == n ? static_cast<int64_t>(pools()[n].size()) : 0;
    int64_t pick = draws.below(count);
    for (int n = kLeastItems; n <= kMostItems; ++n) {
      if (items && items != n) continue;
      const auto size = static_cast<int64_t>(pools()[n].size());
      if (pick < size) {
        talks_[e] = {.pool = pools()[n][pick]};
        return;
      }
      pick -= size;
    }
  }

  bool advance(int64_t e, const int64_t* actions, int64_t now, Rng episode, float* reward) override {
    Talks& t = talks_[e];
    const int mover = t.turn % 2;
    if (actions[mover] == kAgree) {
      t.agreed = true;
      double keeps = 1;
      for (int64_t k = 2; k <= now; ++k) keeps *= task(e)[1];
      const int proposer = 1 - mover;
      const Triple& kept = offers()[t.last];
      Triple rest;
      for (int i = 0; i < kGoods; ++i) rest[i] = t.pool.items[i] - kept[i];
      reward[proposer] = static_cast<float>(worth(t.pool.values[proposer], kept) * keeps);
      reward[mover] = static_cast<float>(worth(t.pool.values[mover], rest) * keeps);
      return true;
    }
    t.last = static_cast<int>(actions[mover]);
    ++t.turn;
    if (t.turn >= max_turns_) return true;
    const double end = task(e)[2];
    return end > 0 && t.turn >= 2 && Draws(episode.split("end", now)).uniform() < end;
  }

  void observe(int64_t e, float* obs, bool* mask) const override {
    const Talks& t = talks_[e];
    const int mover = t.turn % 2;
    const int64_t d = spec().obs, n = spec().actions;
    std::fill_n(obs, 2 * d, 0.f);
    std::fill_n(mask, 2 * n, false);
    mask[(1 - mover) * n + kWait] = true;
    for (int64_t k = 0; k < kOffers; ++k) {
      const Triple& o = offers()[k];
      mask[mover * n + k] = o[0] <= t.pool.items[0] && o[1] <= t.pool.items[1] && o[2] <= t.pool.items[2];
    }
    mask[mover * n + kAgree] = t.last >= 0;
    for (int player = 0; player < 2; ++player) {
      float* out = obs + player * d;
      if (t.agreed) out[0] = 1;
      out[1 + t.turn] = 1;
      out += 1 + max_turns_ + 1;
      const auto thermometer = [&out](int value, int most) {
        std::fill_n(out, value + 1, 1.f);
        out += most + 1;
      };
      for (int i = 0; i < kGoods; ++i) thermometer(t.pool.items[i], kMostItems);
      for (int i = 0; i < kGoods; ++i) thermometer(t.pool.values[player][i], kWorth);
      for (int i = 0; i < kGoods && t.last >= 0; ++i) thermometer(offers()[t.last][i], kMostItems);
      obs[player * d + d - 1] = player == mover;
    }
  }

  void visit(int64_t e, Cargo& cargo) override {
    Talks& t = talks_[e];
    cargo(t.pool.items.data(), kGoods, {"a kind's items", 0, kMostItems});
    for (Triple& worth : t.pool.values) cargo(worth.data(), kGoods, {"a kind's value", 0, kWorth});
    // After the last offer nobody has a turn.
    cargo(t.turn, {"the number of offers", 0, max_turns_ - (ended(e) ? 0 : 1)});
    cargo(t.last, {"the offer on the table", -1, kOffers - 1}), cargo(t.agreed);
  }

  const int64_t max_turns_;
  std::vector<Talks> talks_;  // [E]
};

SYMMA_REGISTER(Env, "bargaining", Bargaining,
               "two players share items by alternating offers (OpenSpiel's rules)",
               "Lewis et al. 2017, arXiv:1706.05125");

}  // namespace
}  // namespace symma
