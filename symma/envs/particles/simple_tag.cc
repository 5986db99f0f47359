// Tag: slow predators chase fast prey among obstacles (Lowe et al. 2017, arXiv:1706.02275).
//
// Predators come first. Each earns 10 for every overlap of any predator with any prey; prey loses 10 for each
// predator that it overlaps, and more and more beyond |x| or |y| of 0.9. An observation: own velocity and
// place, obstacles and other agents from there, and velocities of the other prey; so predators see more
// numbers than prey.
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "symma/envs/particles/particles.h"

namespace symma {
namespace {

class SimpleTag final : public Particles {
 public:
  struct Options : ParticleOptions {
    int64_t predators = 3, prey = 1, obstacles = 2;
    void fields(Fields& f) {
      f.add("predators", predators, "slower agents, who chase").at_least(1).at_most(16);
      f.add("prey", prey, "faster agents, who flee").at_least(1).at_most(16);
      f.add("obstacles", obstacles, "discs in the way").at_least(0).at_most(16);
      ParticleOptions::fields(f);
    }
  };

  SimpleTag(const Options& o, int64_t copies)
      : Particles(make_spec(o, copies), o,
                  {{.name = "prey_speed",
                    .doc = "of the prey, as a share of the published: pushes and top speed",
                    .value = 1,
                    .train = {0.75, 1},
                    .test = {0.75, 1},
                    .ood = {1.1, 1.3},
                    .may = {0, 1e6},
                    .above = true},
                   {.name = "obstacle_radius",
                    .doc = "of an obstacle",
                    .value = 0.2,
                    .train = {0.15, 0.25},
                    .test = {0.15, 0.25},
                    .ood = {0.3, 0.35},
                    .may = {0, 1e6},
                    .above = true},
                   {.name = "arena",
                    .doc = "half the side of the square where agents start",
                    .value = 1,
                    .train = {0.8, 1.2},
                    .test = {0.8, 1.2},
                    .ood = {1.4, 1.8},
                    .may = {0, 1e6},
                    .above = true}},
                  discs_of(o)),
        predators_(o.predators) {}

 private:
  static EnvSpec make_spec(const Options& o, int64_t copies) {
    EnvSpec s;
    s.name = "simple_tag";
    s.variant =
        fmt::format("{}, {} predators, {} prey, {} obstacles", o.variant, o.predators, o.prey, o.obstacles);
    s.copies = copies;
    s.agents = o.predators + o.prey;
    const int64_t seen = 4 + 2 * o.obstacles + 2 * (s.agents - 1);
    s.obs = seen + 2 * o.prey;
    s.actions = 5;
    s.action_names = move_names(o.variant);
    for (int64_t i = 0; i < s.agents; ++i) {
      const bool chases = i < o.predators;
      s.agent_names.push_back(chases ? fmt::format("predator_{}", i)
                                     : fmt::format("prey_{}", i - o.predators));
      s.agent_obs.push_back(seen + 2 * (chases ? o.prey : o.prey - 1));
    }
    return s;
  }
  static std::vector<Disc> discs_of(const Options& o) {
    std::vector<Disc> d(o.predators, Disc{.radius = 0.075, .push = 3, .max_speed = 1});
    d.insert(d.end(), o.prey, Disc{.radius = 0.05, .push = 4, .max_speed = 1.3});
    d.insert(d.end(), o.obstacles, Disc{.radius = 0.2, .moves = false});
    return d;
  }

  void begin(int64_t e, Rng episode) override {
    Draws draws(episode);
    scatter(e, draws, task(e)[2], 0.9 * task(e)[2]);
  }

  bool advance(int64_t e, const int64_t* actions, int64_t, Rng, float* reward) override {
    const int64_t agents = spec().agents;
    std::array<Disc, 64> own;
    for (int64_t i = 0; i < discs(); ++i) own[i] = kind(i);
    for (int64_t i = predators_; i < agents; ++i) own[i].push *= task(e)[0], own[i].max_speed *= task(e)[0];
    for (int64_t i = agents; i < discs(); ++i) own[i].radius = task(e)[1];
    move(e, actions, {}, own.data());
    const Point* p = at(e);
    double caught = 0;
    for (int64_t i = predators_; i < agents; ++i) {
      double earned = 0;
      for (int64_t j = 0; j < predators_; ++j)
        earned -= touch(p[i], p[j], own[j].radius + own[i].radius) ? 10 : 0;
      caught -= earned;
      reward[i] = static_cast<float>(earned - outside(std::abs(p[i].x)) - outside(std::abs(p[i].y)));
    }
    std::fill_n(reward, predators_, static_cast<float>(caught));
    return false;
  }

  static double outside(double x) {
    if (x < 0.9) return 0;
    if (x < 1.0) return (x - 0.9) * 10;
    return std::min(std::exp(2 * x - 2), 10.0);
  }

  void observe(int64_t e, float* obs, bool*) const override {
    const int64_t agents = spec().agents;
    const Point *p = at(e), *v = speed(e);
    for (int64_t i = 0; i < agents; ++i, obs += spec().obs) {
      float* out = put(put(obs, v[i]), p[i]);
      for (int64_t l = agents; l < discs(); ++l) out = put(out, p[l], p[i]);
      for (int64_t j = 0; j < agents; ++j) {
        if (j != i) out = put(out, p[j], p[i]);
      }
      for (int64_t j = predators_; j < agents; ++j) {
        if (j != i) out = put(out, v[j]);
      }
      std::fill(out, obs + spec().obs, 0.f);
    }
  }

  const int64_t predators_;
};

SYMMA_REGISTER(Env, "simple_tag", SimpleTag, "predators chase prey among obstacles (openai or mpe2 rules)",
               "Lowe et al. 2017, arXiv:1706.02275");

}  // namespace
}  // namespace symma
