// How automated cars drive when nobody has learned.
#include <algorithm>

#include "symma/envs/roads/ring.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

const RingView& ring_of(const Env& env, const std::string& script) {
  return need_world<RingView>(env, script, "\"ring\"");
}

template <class Rule>
Tensor by_rule(const Env& env, Rule rule) {
  const EnvSpec& s = env.spec();
  Tensor out = at::zeros({s.copies, s.agents, 1}, at::kFloat);
  for (int64_t i = 0; i < s.copies * s.agents; ++i)
    out.data_ptr<float>()[i] = static_cast<float>(rule(i / s.agents, i % s.agents));
  return out;
}

class Human final : public Script {
 public:
  using Options = NoOptions;
  explicit Human(const Options&) {}
  void check(const Env& env) const override { ring_of(env, "human"); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    const RingView& ring = ring_of(env, "human");
    return by_rule(env, [&](int64_t e, int64_t i) { return ring.human(e, i); });
  }
};

// Commands 0 where the gap is below the first bound, min(v_ahead, set) rising from 0 to the second, then as
// much more as the set speed is above its own up to the third, and the set speed beyond. Flow's code has its
// own speed there where the paper has the other's: by the paper's rule the wave on 230 m stays.
class FollowerStopper final : public Script {
 public:
  struct Options {
    double set = 0.95;
    void fields(Fields& f) {
      f.add("set", set, "of the ring: the speed it aims at, over the uniform speed of its ring")
          .above(0)
          .at_most(5);
    }
  };
  explicit FollowerStopper(const Options& o) : o_(o) {}
  void check(const Env& env) const override { ring_of(env, "follower_stopper"); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    const RingView& ring = ring_of(env, "follower_stopper");
    return by_rule(env, [&](int64_t e, int64_t i) {
      const double v = ring.speed(e, i), ahead = ring.leader(e, i), gap = ring.gap(e, i),
                   set = o_.set * ring.even(e);
      const double dv = std::min(ahead - v, 0.0), slower = std::min(std::max(ahead, 0.0), set);
      const double first = 4.5 + dv * dv / (2 * 1.5), second = 5.25 + dv * dv / 2,
                   third = 6 + dv * dv / (2 * .5);
      const double command = gap <= first    ? 0
                             : gap <= second ? slower * (gap - first) / (second - first)
                             : gap <= third  ? slower + (set - v) * (gap - second) / (third - second)
                                             : set;
      return (command - v) / ring.held();
    });
  }

 private:
  Options o_;
};

SYMMA_REGISTER(Script, "human", Human, "ring: an automated car drives as humans do, without their noise",
               "Treiber et al. 2000");
SYMMA_REGISTER(Script, "follower_stopper", FollowerStopper, "ring: holds a set speed and a growing gap",
               "Stern et al. 2018, arXiv:1705.01693");

}  // namespace
}  // namespace symma
