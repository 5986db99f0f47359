// Episodes of the original implementations, replayed step by step. scripts/make_golden_traces made them and
// says what they hold.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "envs/worlds.h"
#include "symma/core/safetensors.h"

namespace symma {
namespace {

Safetensors trace(const std::string& name) {
  return read_safetensors(fmt::format(SYMMA_SOURCE_DIR "/tests/golden/{}.safetensors", name));
}

// CRC-32 as zlib has it; `chain` is the CRC of what came before.
uint32_t crc32(const std::vector<uint8_t>& bytes, uint32_t chain) {
  static const auto table = [] {
    std::array<uint32_t, 256> t;
    for (uint32_t i = 0; i < 256; ++i) {
      t[i] = i;
      for (int k = 0; k < 8; ++k) t[i] = t[i] & 1 ? t[i] >> 1 ^ 0xedb88320u : t[i] >> 1;
    }
    return t;
  }();
  chain = ~chain;
  for (const uint8_t b : bytes) chain = chain >> 8 ^ table[(chain ^ b) & 255];
  return ~chain;
}

std::vector<uint8_t> plus_one(const float* obs, int64_t n) {
  std::vector<uint8_t> out(n);
  for (int64_t i = 0; i < n; ++i) {
    EXPECT_EQ(obs[i], std::floor(obs[i]));
    out[i] = static_cast<uint8_t>(obs[i] + 1);
  }
  return out;
}

// Puts copy e's world into the state whose own part is given.
void put_state(Env& env, int64_t e, const Tensor& world, Frame& f) {
  auto& r = dynamic_cast<Restorable&>(env);
  Tensor saved = r.save(e);
  ASSERT_EQ(world.numel(), r.world_size());
  saved.slice(0, saved.numel() - r.world_size()).copy_(world);
  r.restore(e, saved, f);
}

TEST(Crc32, HasTheKnownValue) {
  EXPECT_EQ(crc32({'1', '2', '3', '4', '5', '6', '7', '8', '9'}, 0), 0xCBF43926u);
}

class ForagingTrace : public testing::TestWithParam<std::string> {};

TEST_P(ForagingTrace, AgreesStepByStep) {
  const Safetensors s = trace(GetParam());
  const auto meta = [&](const char* key) { return s.metadata.at(key); };
  const Tensor start = s.tensors.at("start"), given = s.tensors.at("actions").to(at::kLong),
               reward = s.tensors.at("reward"), terminated = s.tensors.at("terminated"),
               length = s.tensors.at("length"), crc = s.tensors.at("crc"), full = s.tensors.at("obs");
  const int64_t n = start.size(0), agents = given.size(2), stride = std::stoll(meta("stride"));
  ASSERT_GE(n, 100);
  auto env = make_world(
      "foraging", n,
      fmt::format("rows = {0}\ncolumns = {0}\nagents = {1}\nfoods = {2}\nsight = {3}\ncoop = {4}\npenalty = "
                  "{5}\nauto_reset = false",
                  meta("rows"), agents, meta("foods"), meta("sight"), meta("coop") == "1", meta("penalty")));
  Frame f;
  env->reset(Rng(1), f);
  for (int64_t e = 0; e < n; ++e) put_state(*env, e, start[e].to(at::kDouble), f);
  std::vector<uint32_t> chain(n, 0);
  const int64_t state = env->spec().state;
  std::vector<int64_t> full_at(full.size(0));  // the row of `obs` where an episode begins
  for (int64_t e = 0, row = 0; row < full.size(0); row += length[e++].item<int64_t>() + 1) full_at[e] = row;
  int64_t eaten = 0, cleared = 0, failed = 0;
  const auto look = [&](int64_t e, int64_t t) {
    const auto bytes = plus_one(f.obs.data_ptr<float>() + e * state, state);
    chain[e] = crc32(bytes, chain[e]);
    if (t % stride == 0) {
      ASSERT_EQ(chain[e], crc[e][t / stride].item<int64_t>()) << "episode " << e << ", step " << t;
    }
    if (e < 4) {
      const Tensor row = full[full_at[e] + t];
      ASSERT_TRUE(std::equal(bytes.begin(), bytes.end(), row.data_ptr<uint8_t>()))
          << "episode " << e << ", step " << t << "\n"
          << row;
    }
  };
  for (int64_t e = 0; e < n; ++e) look(e, 0);
  for (int64_t t = 0; t < 50; ++t) {
    env->step(given.select(1, t).contiguous(), f);
    for (int64_t e = 0; e < n; ++e) {
      const int64_t last = length[e].item<int64_t>();
      if (t >= last) continue;
      for (int64_t i = 0; i < agents; ++i) {
        const float ours = f.reward[e][i].item<float>(), theirs = reward[e][t][i].item<float>();
        ASSERT_NEAR(ours, theirs, 1e-6) << "episode " << e << ", step " << t;
        eaten += theirs > 0;
        failed += theirs < 0;
      }
      const bool gone = terminated[e][t].item<int64_t>();
      ASSERT_EQ(f.terminated[e].item<bool>(), gone);
      ASSERT_EQ((f.terminated[e] | f.truncated[e]).item<bool>(), t + 1 == last);
      cleared += gone;
      look(e, t + 1);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(eaten, 10) << "the trace shows food being eaten";
  EXPECT_EQ(failed > 10, meta("penalty") != "0.0");
  EXPECT_EQ(cleared > 0, std::stoll(meta("rows")) < 10 && meta("coop") == "0")
      << "only on a small field is all of it ever eaten by chance";
}

INSTANTIATE_TEST_SUITE_P(Golden, ForagingTrace,
                         testing::Values("foraging_8x8-2p-3f", "foraging_10x10-3p-3f",
                                         "foraging_2s-7x7-4p-4f-pen", "foraging_8x8-2p-2f-coop"),
                         [](const auto& info) { return std::to_string(info.index); });

struct Depot {
  std::string name;
  int64_t least_deliveries;
};

class WarehouseTrace : public testing::TestWithParam<Depot> {};

TEST_P(WarehouseTrace, AgreesStepByStep) {
  const Safetensors s = trace(GetParam().name);
  const Tensor robots = s.tensors.at("robots"), queue = s.tensors.at("queue"),
               pairs = s.tensors.at("actions").to(at::kLong), crc = s.tensors.at("crc"),
               requests = s.tensors.at("requests"), paid = s.tensors.at("half_rewards");
  const int64_t n = robots.size(0), agents = robots.size(1), steps = pairs.size(1),
                stride = std::stoll(s.metadata.at("stride"));
  const Tensor given = at::stack({pairs.div(5, "floor"), pairs.remainder(5)}, 3).view({n, steps, 1, agents});
  auto env =
      make_world("warehouse", 1,
                 fmt::format("agents = {}\nlimit = {}\nauto_reset = false\nreward = \"{}\"\nsize = \"{}\"",
                             agents, steps, s.metadata.at("reward"), s.metadata.at("size")));
  auto& restorable = dynamic_cast<Restorable&>(*env);
  ASSERT_EQ(env->spec().obs, 71);
  Frame f;
  env->reset(Rng(1), f);
  const int64_t size = restorable.world_size(), state = env->spec().state;
  const auto own = [&](const Tensor& saved) { return saved.slice(0, saved.numel() - size); };  // a view

  Tensor expected = at::zeros({n, steps, 1, agents});
  const auto pay = paid.accessor<int32_t, 2>();
  for (int64_t i = 0; i < paid.size(0); ++i) expected[pay[i][0]][pay[i][1]][0][pay[i][2]] = pay[i][3] / 2.0;
  const auto want = requests.accessor<int32_t, 2>();  // episode, step, place in the queue, shelf: in order
  EXPECT_GE(requests.size(0), GetParam().least_deliveries);
  int64_t event = 0;
  for (int64_t e = 0; e < n; ++e) {
    env->reset(Rng(e), f);
    // Robots: x, y, direction, what it carries, whether it delivered. Then counts, and the requests in order.
    Tensor world = own(restorable.save(0)).clone();
    for (int64_t i = 0; i < agents; ++i) world.slice(0, 5 * i, 5 * i + 3).copy_(robots[e][i]);
    world.slice(0, 5 * agents + 2, 6 * agents + 2).copy_(queue[e]);
    put_state(*env, 0, world, f);
    uint32_t chain = crc32(plus_one(f.obs.data_ptr<float>(), state), 0);
    ASSERT_EQ(chain, crc[e][0].item<int64_t>());
    for (int64_t t = 0; t < steps; ++t) {
      const bool delivery = event < requests.size(0) && want[event][0] == e && want[event][1] == t;
      const Tensor before = delivery ? restorable.save(0) : Tensor();
      env->step(given[e][t], f);
      // Which shelf is requested next is chance. A draw of ours that is on the other goal pays at once, which
      // the trace's never do (see the script): then take another stream, whose key the saved state has from
      // its eighth number on.
      for (int64_t again = 1; delivery && again < 50 && !at::equal(f.reward, expected[e][t]); ++again) {
        Tensor other = before.clone();
        other[7] = again;
        restorable.restore(0, other, f);
        env->step(given[e][t], f);
      }
      ASSERT_TRUE(at::equal(f.reward, expected[e][t])) << "episode " << e << ", step " << t << "\n"
                                                       << f.reward << expected[e][t];
      ASSERT_FALSE(f.terminated.item<bool>());
      ASSERT_EQ(f.truncated.item<bool>(), t + 1 == steps);
      if (delivery) {
        Tensor saved = restorable.save(0);
        for (; event < requests.size(0) && want[event][0] == e && want[event][1] == t; ++event)
          own(saved)[5 * agents + 2 + want[event][2]] = want[event][3];
        restorable.restore(0, saved, f);
      }
      chain = crc32(plus_one(f.obs.data_ptr<float>(), state), chain);
      if ((t + 1) % stride == 0) {
        ASSERT_EQ(chain, crc[e][(t + 1) / stride].item<int64_t>())
            << "episode " << e << ", a step in " << t + 2 - stride << ".." << t + 1;
      }
    }
  }
  EXPECT_EQ(event, requests.size(0));
}

INSTANTIATE_TEST_SUITE_P(Golden, WarehouseTrace,
                         testing::Values(Depot{"warehouse_tiny-4ag", 10},
                                         Depot{"warehouse_tiny-10ag-guided", 100},
                                         Depot{"warehouse_tiny-6ag-two-stage", 50},
                                         Depot{"warehouse_small-6ag-global", 10}),
                         [](const auto& info) { return std::to_string(info.index); });

struct Physics {
  std::string world, variant;
  int64_t least;  // episodes
};

class ParticleTrace : public testing::TestWithParam<Physics> {};

TEST_P(ParticleTrace, AgreesStepByStep) {
  const Physics& p = GetParam();
  const Safetensors s = trace(p.world + "_" + p.variant);
  const Tensor place = s.tensors.at("place"), speed = s.tensors.at("speed"), reward = s.tensors.at("reward"),
               obs = s.tensors.at("obs");
  const Tensor given = s.tensors.at("actions").to(at::kLong);
  const int64_t n = place.size(0), agents = speed.size(1), seen = obs.size(2);
  const Tensor extra = s.tensors.contains("extra") ? s.tensors.at("extra") : at::zeros({n, 0}, at::kDouble);
  ASSERT_GE(n, p.least);
  auto env = make_world(p.world, n, fmt::format("variant = \"{}\"\nauto_reset = false", p.variant));
  Frame f;
  env->reset(Rng(1), f);
  for (int64_t e = 0; e < n; ++e)
    put_state(*env, e, at::cat({place[e].flatten(), speed[e].flatten(), extra[e]}), f);
  for (int64_t t = 0; t <= 25; ++t) {
    const Tensor ours = f.obs.select(1, t % agents);  // [n, D]
    EXPECT_EQ(ours.slice(1, seen).abs().sum().item<double>(), 0);
    ASSERT_LE((ours.slice(1, 0, seen) - obs.select(1, t)).abs().max().item<double>(), 1e-6)
        << "observations at step " << t;
    if (t == 25) break;
    env->step(given.select(1, t).contiguous(), f);
    // Rewards are of the size of 10, where a float's last place is 1e-6. One number stands for all of a
    // common reward.
    ASSERT_EQ(reward.size(2) == 1, env->spec().common_reward);
    const Tensor gap = (f.reward - reward.select(1, t)).abs() / reward.select(1, t).abs().clamp_min(1);
    ASSERT_LE(gap.max().item<double>(), 1e-6) << "rewards at step " << t;
    ASSERT_FALSE(f.terminated.any().item<bool>());
    ASSERT_EQ(f.truncated.all().item<bool>(), t == 24);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, ParticleTrace,
                         testing::Values(Physics{"simple_spread", "mpe2", 100},
                                         Physics{"simple_spread", "openai", 100},
                                         Physics{"simple_tag", "mpe2", 20},
                                         Physics{"simple_tag", "openai", 20},
                                         Physics{"simple_speaker_listener", "mpe2", 20},
                                         Physics{"simple_speaker_listener", "openai", 20}),
                         [](const auto& info) { return info.param.world + "_" + info.param.variant; });

TEST(BargainingTrace, AgreesStepByStep) {
  const Safetensors s = trace("bargaining");
  const Tensor pools = s.tensors.at("pools"), given = s.tensors.at("actions"),
               length = s.tensors.at("length"), returns = s.tensors.at("returns"), crc = s.tensors.at("crc");
  auto env = make_world("bargaining", 1, "discount = 0.9\nauto_reset = false");
  Frame f;
  int64_t deals = 0;
  for (int64_t n = 0; n < pools.size(0); ++n) {
    env->reset(Rng(1), f);
    put_state(*env, 0, at::cat({pools[n].flatten().to(at::kDouble), at::tensor({0., -1., 0.}, at::kDouble)}),
              f);
    uint32_t chain = 0;
    const auto look = [&] {
      for (int64_t p = 0; p < 2; ++p) chain = crc32(plus_one(f.obs.data_ptr<float>() + p * 94, 93), chain);
    };
    const int64_t steps = length[n].item<int64_t>();
    for (int64_t t = 0; t < steps; ++t) {
      look();
      ASSERT_FALSE(f.terminated.item<bool>());
      Tensor actions = at::full({1, 2}, 121, at::kLong);
      actions[0][t % 2] = given[n][t].to(at::kLong);
      env->step(actions, f);
    }
    look();
    ASSERT_EQ(chain, crc[n].item<int64_t>()) << "game " << n;
    ASSERT_TRUE(f.terminated.item<bool>());
    ASSERT_TRUE(at::allclose(f.reward[0].to(at::kDouble), returns[n], 0, 1e-6)) << f.reward << returns[n];
    deals += returns[n].sum().item<double>() > 0;
  }
  EXPECT_GT(deals, 50);
}

}  // namespace
}  // namespace symma
