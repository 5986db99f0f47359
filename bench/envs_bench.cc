// Environment steps a second of one thread, with random actions drawn beforehand. A step advances one copy,
// all its agents.
#include <benchmark/benchmark.h>

#include "symma/core/options.h"
#include "symma/core/parallel.h"
#include "symma/envs/env.h"

namespace symma {
namespace {

std::unique_ptr<Env> world(const char* name, const char* options, int64_t copies) {
  set_threads(1);
  const auto draft = EnvRegistry::instance().draft(name, "bench");
  Fields fields;
  draft->fields(fields);
  Config::parse(std::string("[env]\n") + options, "bench").read("env", fields);
  return draft->build(copies);
}

// Numbers that players set are drawn between `least` and `most`.
void play(benchmark::State& bench, const char* name, const char* options, double least = -1,
          double most = 1) {
  const int64_t copies = bench.range(0);
  const auto env = world(name, options, copies);
  const EnvSpec& s = env->spec();
  Frame frame;
  env->reset(Rng(1), frame);
  constexpr int64_t kPool = 512;
  std::vector<Tensor> actions;
  for (int64_t i = 0; i < kPool; ++i) {
    const Rng own = Rng(2).split("actions", i);
    const auto drawn = [&] { return uniform(own, {copies, s.agents}, 0, 1) * s.actions; };
    // Of float32 numbers just below 1 the product may round to what is no action.
    actions.push_back(s.continuous ? uniform(own, {copies, s.agents, s.actions}, least, most)
                                   : drawn().to(at::kLong).clamp_max_(s.actions - 1));
  }
  int64_t t = 0;
  for (auto _ : bench) {
    env->step(actions[t++ % kPool], frame);
    benchmark::ClobberMemory();
  }
  bench.SetItemsProcessed(bench.iterations() * copies);
  bench.counters["decisions"] = benchmark::Counter(
      static_cast<double>(bench.iterations() * copies * s.agents), benchmark::Counter::kIsRate);
}

// Where actions are masked they are drawn as the world goes on, among those that are allowed: the drawing is
// counted too. An item is one decision, of a player who has a choice.
void decide(benchmark::State& bench, const char* name, const char* options) {
  const int64_t copies = bench.range(0);
  const auto env = world(name, options, copies);
  const EnvSpec& s = env->spec();
  Frame frame;
  env->reset(Rng(1), frame);
  Tensor actions = at::zeros({copies, s.agents}, at::kLong);
  const bool* mask = frame.mask.data_ptr<bool>();
  uint64_t x = 88172645463325252;  // xorshift: 64 bits a draw (Marsaglia 2003)
  int64_t decisions = 0;
  std::vector<int64_t> allowed(s.actions);
  for (auto _ : bench) {
    for (int64_t i = 0; i < copies * s.agents; ++i) {
      int64_t n = 0;
      const bool* own = mask + i * s.actions;
      for (int64_t k = 0; k < s.actions; ++k) {
        allowed[n] = k;
        n += own[k];
      }
      x ^= x << 13, x ^= x >> 7, x ^= x << 17;
      actions.data_ptr<int64_t>()[i] = allowed[n == 1 ? 0 : x % n];
      decisions += n > 1;
    }
    env->step(actions, frame);
    benchmark::ClobberMemory();
  }
  bench.SetItemsProcessed(decisions);
}

BENCHMARK_CAPTURE(play, foraging_8x8_2p_3f, "foraging", "")->Arg(64)->Arg(512);
BENCHMARK_CAPTURE(play, foraging_10x10_3p_3f, "foraging", "rows = 10\ncolumns = 10\nagents = 3")->Arg(64);
BENCHMARK_CAPTURE(play, foraging_15x15_3p_5f, "foraging", "rows = 15\ncolumns = 15\nagents = 3\nfoods = 5")
    ->Arg(64);
BENCHMARK_CAPTURE(play, warehouse_tiny_4ag, "warehouse", "")->Arg(64)->Arg(512);
BENCHMARK_CAPTURE(play, warehouse_small_4ag, "warehouse", "size = \"small\"")->Arg(64);
BENCHMARK_CAPTURE(play, spread_mpe2, "simple_spread", "variant = \"mpe2\"")->Arg(64)->Arg(512);
BENCHMARK_CAPTURE(play, spread_openai, "simple_spread", "variant = \"openai\"")->Arg(64);
BENCHMARK_CAPTURE(play, tag, "simple_tag", "")->Arg(64);
BENCHMARK_CAPTURE(play, matrix_climbing, "matrix_game", "game = \"climbing\"")->Arg(64);
// Rates by chance would end an episode at once: the pump is given what keeps a patient alive.
BENCHMARK_CAPTURE(play, diabetes, "diabetes", "", 0, 0.02)->Arg(64);
BENCHMARK_CAPTURE(play, search_rescue, "search_rescue", "")->Arg(64);
BENCHMARK_CAPTURE(play, kitchen_cramped_room, "kitchen", "")->Arg(64);
BENCHMARK_CAPTURE(decide, assembly_20x10, "assembly", "")->Arg(64);
BENCHMARK_CAPTURE(
    decide, assembly_10x10_events, "assembly",
    "jobs = 10\noperations = 10\nroutes = \"permutation\"\nclock = \"event\"\nchoices = 6\nwait = false")
    ->Arg(64);
BENCHMARK_CAPTURE(decide, market_12, "market", "")->Arg(64);
BENCHMARK_CAPTURE(decide, market_1_of_12, "market", "players = 1\nquotes = 100")->Arg(64);
BENCHMARK_CAPTURE(play, box_pushing, "box_pushing", "")->Arg(64);
BENCHMARK_CAPTURE(play, payloads, "payloads", "")->Arg(64);
BENCHMARK_CAPTURE(play, roads_grid, "roads", "network = \"grid\"")->Arg(64);
BENCHMARK_CAPTURE(play, roads_grid_tolls, "roads", "network = \"grid\"\nreward = \"toll\"")->Arg(64);
BENCHMARK_CAPTURE(play, ring, "ring", "")->Arg(64);
BENCHMARK_CAPTURE(play, intersection, "intersection", "")->Arg(64);
// Five, as CityLearn's first district has; made-up days cost what real ones do.
BENCHMARK_CAPTURE(play, homes, "homes", "homes = [1, 2, 3, 4, 5]")->Arg(64);

}  // namespace
}  // namespace symma

BENCHMARK_MAIN();
