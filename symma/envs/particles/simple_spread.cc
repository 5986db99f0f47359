// Simple spread: N agents cover N landmarks, and should not touch each other (Lowe et al. 2017,
// arXiv:1706.02275).
//
// Observation of an agent, 4 + 2N + 4(N-1): its velocity and place, landmarks and other agents as seen from
// it, and what the others say (nothing: zeros). Let m be the sum over landmarks of the distance to the
// nearest agent.
//   "openai": an agent earns -m, and -1 for each agent it overlaps, itself too (so N a step, always); all are
//   handed the sum. "mpe2":   an agent earns half of -m and half of -1 for each other agent it overlaps.
// JaxMARL's follows "mpe2".
#include <cmath>

#include <fmt/format.h>

#include "symma/envs/particles/particles.h"

namespace symma {
namespace {

class SimpleSpread final : public Particles {
 public:
  struct Options : ParticleOptions {
    int64_t agents = 3;
    double local_ratio = 0.5;
    void fields(Fields& f) {
      f.add("agents", agents, "agents, and as many landmarks").at_least(1).at_most(32);
      f.add("local_ratio", local_ratio, "share of an agent's own collisions in its reward (mpe2)")
          .at_least(0)
          .at_most(1);
      ParticleOptions::fields(f);
    }
  };

  SimpleSpread(const Options& o, int64_t copies)
      : Particles(make_spec(o, copies), o,
                  {{.name = "arena",
                    .doc = "half the side of the square where all start",
                    .value = 1,
                    .train = {0.8, 1.2},
                    .test = {0.8, 1.2},
                    .ood = {1.4, 1.8},
                    .may = {0, 1e6},
                    .above = true},
                   {.name = "damping",
                    .doc = "share of its speed that an agent loses in a step",
                    .value = 0.25,
                    .train = {0.2, 0.3},
                    .test = {0.2, 0.3},
                    .ood = {0.4, 0.5},
                    .may = {0, 1}},
                   {.name = "radius",
                    .doc = "of an agent",
                    .value = 0.15,
                    .train = {0.1, 0.2},
                    .test = {0.1, 0.2},
                    .ood = {0.25, 0.3},
                    .may = {0, 1e6},
                    .above = true}},
                  discs_of(o)),
        local_(o.local_ratio) {}

 private:
  static EnvSpec make_spec(const Options& o, int64_t copies) {
    EnvSpec s;
    s.name = "simple_spread";
    s.variant = fmt::format("{}, {} agents", o.variant, o.agents);
    s.copies = copies;
    s.agents = o.agents;
    s.obs = 4 + 2 * o.agents + 4 * (o.agents - 1);
    s.actions = 5;
    s.action_names = move_names(o.variant);
    s.common_reward = o.variant == "openai";
    return s;
  }
  static std::vector<Disc> discs_of(const Options& o) {
    std::vector<Disc> d(2 * o.agents, Disc{.radius = 0.15});
    for (int64_t i = o.agents; i < 2 * o.agents; ++i)
      d[i] = {.radius = 0.05, .collides = false, .moves = false};
    return d;
  }

  void begin(int64_t e, Rng episode) override {
    Draws draws(episode);
    scatter(e, draws, task(e)[0], task(e)[0]);
  }

  bool advance(int64_t e, const int64_t* actions, int64_t, Rng, float* reward) override {
    const int64_t n = spec().agents;
    std::array<Disc, 64> own;
    for (int64_t i = 0; i < 2 * n; ++i) own[i] = kind(i);
    for (int64_t i = 0; i < n; ++i) own[i].radius = task(e)[2];
    move(e, actions, {.damping = task(e)[1]}, own.data());
    const Point* p = at(e);
    double far = 0;
    for (int64_t l = n; l < 2 * n; ++l) {
      double nearest = squared(p[0], p[l]);
      for (int64_t i = 1; i < n; ++i) nearest = std::min(nearest, squared(p[i], p[l]));
      far -= std::sqrt(nearest);
    }
    std::array<int, 32> hits{};
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = i + 1; j < n; ++j) {
        const int hit = touch(p[i], p[j], 2 * own[0].radius);
        hits[i] += hit;
        hits[j] += hit;
      }
    }
    if (openai()) {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += far - (hits[i] + 1);
      for (int64_t i = 0; i < n; ++i) reward[i] = static_cast<float>(sum);
    } else {
      for (int64_t i = 0; i < n; ++i) reward[i] = static_cast<float>(far * (1 - local_) - hits[i] * local_);
    }
    return false;
  }

  void observe(int64_t e, float* obs, bool*) const override {
    const int64_t n = spec().agents;
    const Point *p = at(e), *v = speed(e);
    for (int64_t i = 0; i < n; ++i) {
      obs = put(put(obs, v[i]), p[i]);
      for (int64_t l = n; l < 2 * n; ++l) obs = put(obs, p[l], p[i]);
      for (int64_t j = 0; j < n; ++j) {
        if (j != i) obs = put(obs, p[j], p[i]);
      }
      for (int64_t k = 0; k < 2 * (n - 1); ++k) *obs++ = 0;
    }
  }

  const double local_;
};

SYMMA_REGISTER(Env, "simple_spread", SimpleSpread,
               "agents cover landmarks without touching (openai or mpe2 rules)",
               "Lowe et al. 2017, arXiv:1706.02275");

}  // namespace
}  // namespace symma
