// Speaker and listener: one knows which landmark is the goal and cannot move, the other moves and hears three
// words (Lowe et al. 2017, arXiv:1706.02275).
//
// The speaker sees the goal's colour, 3; the listener its velocity, the landmarks from where it is, and the
// last word said (one of three is 1; none at first), 11. Both earn the squared distance from listener to
// goal, negative; under the "openai" rules each is handed the sum of both, twice as much.
#include <array>

#include <fmt/format.h>

#include "symma/envs/particles/particles.h"

namespace symma {
namespace {

class SimpleSpeakerListener final : public Particles {
 public:
  using Options = ParticleOptions;

  SimpleSpeakerListener(const Options& o, int64_t copies)
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
                    .doc = "share of its speed that the listener loses in a step",
                    .value = 0.25,
                    .train = {0.2, 0.3},
                    .test = {0.2, 0.3},
                    .ood = {0.4, 0.5},
                    .may = {0, 1}}},
                  {{.radius = 0.075, .collides = false, .moves = false},
                   {.radius = 0.075, .collides = false},
                   {.radius = 0.04, .collides = false, .moves = false},
                   {.radius = 0.04, .collides = false, .moves = false},
                   {.radius = 0.04, .collides = false, .moves = false}},
                  2),
        goal_(copies),
        word_(copies) {}

  std::string text(int64_t e) const override {
    return Particles::text(e) + fmt::format("goal: landmark_{}, last word: {}\n", goal_[e], word_[e]);
  }

 private:
  static EnvSpec make_spec(const Options& o, int64_t copies) {
    EnvSpec s;
    s.name = "simple_speaker_listener";
    s.variant = o.variant;
    s.copies = copies;
    s.agents = 2;
    s.obs = 11;
    s.actions = 5;
    s.agent_names = {"speaker", "listener"};
    s.agent_obs = {3, 11};
    s.agent_actions = {3, 5};
    s.action_names = move_names(o.variant);
    for (int i = 0; i < 3; ++i) s.action_names[i] += fmt::format(" / say_{}", i);
    s.common_reward = o.variant == "openai";
    return s;
  }

  void begin(int64_t e, Rng episode) override {
    Draws draws(episode);
    goal_[e] = static_cast<int>(draws.below(3));
    word_[e] = -1;
    scatter(e, draws, task(e)[0], task(e)[0]);
  }

  bool advance(int64_t e, const int64_t* actions, int64_t, Rng, float* reward) override {
    move(e, actions, {.damping = task(e)[1]}, &kind(0));
    word_[e] = static_cast<int>(actions[0]);
    const double near = -squared(at(e)[1], at(e)[2 + goal_[e]]);
    reward[0] = reward[1] = static_cast<float>(openai() ? near + near : near);
    return false;
  }

  void observe(int64_t e, float* obs, bool*) const override {
    std::fill_n(obs, 22, 0.f);
    for (int i = 0; i < 3; ++i) obs[i] = i == goal_[e] ? 0.65f : 0.15f;
    const Point* p = at(e);
    float* out = put(obs + 11, speed(e)[1]);
    for (int l = 2; l < 5; ++l) out = put(out, p[l], p[1]);
    if (word_[e] >= 0) out[word_[e]] = 1;
  }

  void visit(int64_t e, Cargo& cargo) override {
    Particles::visit(e, cargo);
    cargo(goal_[e], {"the goal", 0, 2}), cargo(word_[e], {"the word", -1, 2});
  }

  std::vector<int> goal_, word_;  // [E]
};

SYMMA_REGISTER(Env, "simple_speaker_listener", SimpleSpeakerListener,
               "one agent tells another where to go (openai or mpe2 rules)",
               "Lowe et al. 2017, arXiv:1706.02275");

}  // namespace
}  // namespace symma
