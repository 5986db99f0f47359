// Scripts that play in any world.
#include "symma/envs/script.h"

#include <algorithm>
#include <cmath>

namespace symma {

Tensor scripted(const Script& script, const Env& env, const Frame& frame, Rng rng) {
  const Tensor did = script.act(env, frame, rng);
  return env.spec().numbers > 0 && did.scalar_type() != at::kLong ? nearest_choices(env.spec(), did) : did;
}

namespace {

class Random final : public Script {
 public:
  using Options = NoOptions;
  explicit Random(const Options&) {}
  void check(const Env&) const override {}
  Tensor act(const Env& env, const Frame& frame, Rng rng) const override {
    const EnvSpec& s = env.spec();
    const int64_t a = s.agents, n = s.actions;
    const bool* mask = frame.mask.data_ptr<bool>();
    Tensor out = s.continuous ? at::zeros({s.copies, a, n}, at::kFloat) : at::zeros({s.copies, a}, at::kLong);
    for (int64_t e = 0; e < s.copies; ++e) {
      Draws d(rng.split("copy", e));
      for (int64_t i = e * a; i < (e + 1) * a; ++i) {
        if (s.continuous) {
          for (int64_t k = 0; k < n; ++k) {
            const double low = s.action_low[(i - e * a) * n + k], high = s.action_high[(i - e * a) * n + k];
            out.data_ptr<float>()[i * n + k] = static_cast<float>(
                std::isfinite(low) && std::isfinite(high) ? d.uniform(low, high) : d.normal());
          }
          continue;
        }
        int64_t left = d.below(std::max<int64_t>(1, std::count(mask + i * n, mask + (i + 1) * n, true)));
        for (int64_t k = 0; k < n; ++k) {
          if (mask[i * n + k] && left-- == 0) out.data_ptr<int64_t>()[i] = k;
        }
      }
    }
    return out;
  }
};

class Idle final : public Script {
 public:
  using Options = NoOptions;
  explicit Idle(const Options&) {}
  void check(const Env&) const override {}
  Tensor act(const Env& env, const Frame& frame, Rng) const override {
    const EnvSpec& s = env.spec();
    const int64_t a = s.agents, n = s.actions;
    if (s.continuous || s.numbers > 0)
      return at::zeros({s.copies, a, s.continuous ? n : s.numbers}, at::kFloat);
    const bool* mask = frame.mask.data_ptr<bool>();
    Tensor out = at::zeros({s.copies, a}, at::kLong);
    for (int64_t i = 0; i < s.copies * a; ++i)
      out.data_ptr<int64_t>()[i] = std::find(mask + i * n, mask + (i + 1) * n, true) - (mask + i * n);
    return out;
  }
};

SYMMA_REGISTER(Script, "random", Random, "every allowed action alike; numbers evenly between their bounds",
               "symma");
SYMMA_REGISTER(Script, "idle", Idle, "the first allowed action; numbers of zero", "symma");

}  // namespace
}  // namespace symma
