// What homes are run by today: the rivals that a controller must beat.
//
// "rule_based" is the package's own, and worse than no battery. "self_consumption" charges what is left over
// and gives what is short, as the last hour was; with the next hour known it shows what a forecast of one's
// own home is worth. "idle" leaves batteries alone.
#include <algorithm>

#include "symma/envs/energy/homes.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

const HomesView& homes_of(const Env& env, const std::string& script) {
  return need_world<HomesView>(env, script, "\"homes\"");
}

// A number for each home from a rule; prices, where homes set them, in the middle.
template <class Rule>
Tensor by_rule(const Env& env, const HomesView& homes, Rule rule) {
  const EnvSpec& s = env.spec();
  Tensor out = at::zeros({s.copies, s.agents, homes.numbers()}, at::kFloat);
  for (int64_t i = 0; i < s.copies * s.agents; ++i)
    out.data_ptr<float>()[i * homes.numbers()] =
        static_cast<float>(std::clamp(rule(i / s.agents, i % s.agents), -1.0, 1.0));
  return out;
}

class RuleBased final : public Script {
 public:
  using Options = NoOptions;
  explicit RuleBased(const Options&) {}
  void check(const Env& env) const override { homes_of(env, "rule_based"); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    const HomesView& homes = homes_of(env, "rule_based");
    return by_rule(env, homes, [&](int64_t e, int64_t) {
      const int hour = homes.hour(e);
      return hour >= 9 && hour <= 21 ? -0.08 : 0.091;
    });
  }
};

class SelfConsumption final : public Script {
 public:
  struct Options {
    bool next_hour = false, evenings = false;
    void fields(Fields& f) {
      f.add("next_hour", next_hour, "of homes: the next hour's load and sun are known");
      f.add("evenings", evenings, "of homes: batteries give in hours 16 to 21 alone");
    }
  };
  explicit SelfConsumption(const Options& o) : o_(o) {}
  void check(const Env& env) const override { homes_of(env, "self_consumption"); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    const HomesView& homes = homes_of(env, "self_consumption");
    return by_rule(env, homes, [&](int64_t e, int64_t home) {
      const double a = -homes.draws(e, home, o_.next_hour ? 1 : 0) / homes.capacity(e);
      const int acts = homes.hour(e) % 24 + 1;  // an action acts in the next hour
      return o_.evenings && a < 0 && (acts < 16 || acts > 21) ? 0.0 : a;
    });
  }

 private:
  Options o_;
};

SYMMA_REGISTER(Script, "rule_based", RuleBased, "homes: charges at night, gives by day, whatever comes",
               "CityLearn 1.3.6");
SYMMA_REGISTER(Script, "self_consumption", SelfConsumption,
               "homes: charges what is left over, gives what is short", "symma; CityLearn challenge of 2022");

}  // namespace
}  // namespace symma
