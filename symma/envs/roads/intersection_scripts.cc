// How to cross by rule. "idle" brakes: its action is the first, "slower".
#include "symma/envs/roads/intersection.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

const CrossingView& crossing_of(const Env& env, const std::string& script) {
  return need_world<CrossingView>(env, script, "\"intersection\"");
}

class Faster final : public Script {
 public:
  using Options = NoOptions;
  explicit Faster(const Options&) {}
  void check(const Env& env) const override { crossing_of(env, "faster"); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    return at::full({env.spec().copies, env.spec().agents}, 2, at::kLong);
  }
};

// Slows down while a conflict is foreseen with a car that has the right of way. Worse than driving on: who
// stops on the crossing is run into.
class GiveWay final : public Script {
 public:
  using Options = NoOptions;
  explicit GiveWay(const Options&) {}
  void check(const Env& env) const override { crossing_of(env, "give_way"); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    const CrossingView& view = crossing_of(env, "give_way");
    const EnvSpec& s = env.spec();
    Tensor out = at::full({s.copies, s.agents}, 2, at::kLong);
    for (int64_t e = 0; e < s.copies; ++e) {
      for (int64_t i = 0; i < s.agents; ++i) {
        const auto& cars = view.cars(e);
        const size_t k = view.car_of(e, i);
        for (size_t j = 0; j < cars.size(); ++j) {
          if (j == k || cars[j].gone || !conflict(cars[k], cars[j])) continue;
          // As the right of way asks the pair, in the order of the road.
          const bool yields = k < j ? first_yields(cars[k], cars[j]) : !first_yields(cars[j], cars[k]);
          if (yields) out.data_ptr<int64_t>()[e * s.agents + i] = 0;
        }
      }
    }
    return out;
  }
};

SYMMA_REGISTER(Script, "faster", Faster, "intersection: drives on at full speed", "symma");
SYMMA_REGISTER(Script, "give_way", GiveWay, "intersection: slows down for who has the right of way", "symma");

}  // namespace
}  // namespace symma
