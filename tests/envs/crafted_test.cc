// Saved states that no world has saved: each number of them mutated. A world refuses one, and is then as it
// was, or goes on from it: to the end of this process, without a NaN in what is seen.
#include <cmath>
#include <limits>

#include "envs/worlds.h"

namespace symma {
namespace {

struct Variant {
  std::string world, options;
};
void PrintTo(const Variant& v, std::ostream* out) {
  *out << v.world << ": " << v.options;
}

// Every world of the registry as it is, and some whose options make other state.
std::vector<Variant> variants() {
  std::vector<Variant> out;
  for (const auto& name : EnvRegistry::instance().names()) out.push_back({name, ""});
  for (const Variant& v : std::vector<Variant>{
           {"assembly", "jobs = 5\nmachines = 3\noperations = 3\nclock = \"event\"\njoins = 2\n"},
           {"assembly", "jobs = 4\nmachines = 3\noperations = 3\nchoices = 2\nwait = false\n"},
           {"diabetes", "dose = \"meals\"\nmeals = \"random\"\n"},
           {"diabetes", "dose = \"pump\"\n"},
           {"execution", "sellers = 3\nnoise = true\n"},
           {"foraging", "rows = 5\ncolumns = 6\nagents = 2\nfoods = 2\nmask = true\nsight = 2\n"},
           {"homes", "homes = [1, 2]\nmarket = \"auction\"\nlimit = 30\nreward = \"bill\"\n"},
           {"intersection", "players = 3\nleaves = true\n"},
           {"kitchen", "partner = true\n"},
           {"market", "traders = 2\nunits = 2\nplayers = 1\nquotes = 30\ndays = 3\n"},
           {"market", "traders = 2\nactions = \"prices\"\nhighest = 20\n"},
           {"matrix_game", "memory = 2\n"},
           {"navigation", "robots = 2\nlevels = 3\n"},
           {"payloads", "messages = 1\n"},
           {"ring", "cars = 5\nautomated = 2\nrecall = true\n"},
           {"search_rescue", "searchers = 3\ntargets = 5\nrays = 8\n"},
           {"trading", "limit = 20\ndecides = \"variance\"\n"},
           {"warehouse", "agents = 2\nsize = \"tiny\"\n"}})
    out.push_back(v);
  return out;
}

class Crafted : public testing::TestWithParam<Variant> {
 protected:
  std::unique_ptr<Env> make(bool auto_reset) const {
    const auto& [world, options] = GetParam();
    return make_world(world, 1, fmt::format("{}auto_reset = {}\n", options, auto_reset));
  }
};

// What is seen, drawn and judged, and some steps on.
void go_on(Env& env, Frame& f, Rng rng) {
  const EnvSpec& s = env.spec();
  for (int64_t t = 0; t < 4; ++t) {
    const auto& drawn = dynamic_cast<const Drawable&>(env);
    drawn.text(0), drawn.svg(0);
    if (const auto* judge = dynamic_cast<const Judged*>(&env)) judge->scores(0);
    ASSERT_FALSE(f.obs.isnan().any().item<bool>()) << "what is seen";
    env.step(random_actions(s, f.mask, rng, t), f);
    ASSERT_FALSE(f.reward.isnan().any().item<bool>()) << "rewards";
  }
}

void expect_same(const Frame& a, const Frame& b) {
  EXPECT_TRUE(at::equal(a.obs, b.obs));
  EXPECT_TRUE(at::equal(a.mask, b.mask));
  EXPECT_TRUE(at::equal(a.terminated, b.terminated));
  EXPECT_TRUE(at::equal(a.truncated, b.truncated));
}

TEST_P(Crafted, IsRefusedOrGoesOn) {
  int64_t refused = 0, tried = 0, dull = 0;
  for (const auto& [auto_reset, played] : {std::pair<bool, int64_t>{false, 0}, {true, 2}, {false, 11}}) {
    auto source = make(auto_reset), env = make(auto_reset);
    auto& tasks = dynamic_cast<HasTasks&>(*source);
    auto& target = dynamic_cast<Restorable&>(*env);
    if (played == 2) tasks.set_tasks(draw_tasks(tasks, 1, TaskRange::kTrain, Rng(21)));
    Frame f, g;
    source->reset(Rng(11), f), env->reset(Rng(12), g);
    for (int64_t t = 0; t < played; ++t) source->step(random_actions(source->spec(), f.mask, Rng(13), t), f);
    const Tensor saved = dynamic_cast<Restorable&>(*source).save(0);
    target.restore(0, saved, g);
    ASSERT_TRUE(at::equal(target.save(0), saved));
    const int64_t n = saved.numel();
    Draws d(Rng(14).split("numbers", played));
    const auto value = [&](double x, int64_t k) {
      const double all[] = {std::nan(""),
                            std::numeric_limits<double>::infinity(),
                            -std::numeric_limits<double>::infinity(),
                            1e300,
                            -1e300,
                            -1,
                            0,
                            x + 1,
                            x - 1,
                            x + 0.5,
                            2147483648.0,
                            9007199254740992.0,
                            -9223372036854775808.0,
                            1e15,
                            -1e15,
                            255,
                            100000,
                            -x,
                            1e6};
      return all[k % static_cast<int64_t>(std::size(all))];
    };
    constexpr int64_t kValues = 19;
    const auto meet = [&](const Tensor& crafted, const std::string& what) {
      SCOPED_TRACE(what);
      Frame before = g;
      before.obs = g.obs.clone(), before.mask = g.mask.clone();
      before.terminated = g.terminated.clone(), before.truncated = g.truncated.clone();
      const Tensor own = target.save(0);
      ++tried;
      bool taken = true;
      try {
        target.restore(0, crafted, g);
      } catch (const UserError&) {
        taken = false;
        ++refused;
        ASSERT_TRUE(at::equal(target.save(0), own)) << "what refuses a state is as it was";
        expect_same(before, g);
      }
      if (taken) {
        dull += at::equal(target.save(0), saved);
        ASSERT_NO_FATAL_FAILURE(go_on(*env, g, Rng(15)));
      }
    };
    // All numbers of small states; of large ones the head, and some of the rest.
    for (int64_t i = 0; i < n; ++i) {
      if (n > 300 && i > 120 && d.below(n) > 120) continue;
      for (int64_t k = 0; k < kValues; ++k) {
        if (k > 8 && n > 150 && d.below(3)) continue;
        Tensor crafted = saved.clone();
        crafted[i] = value(crafted[i].item<double>(), k);
        meet(crafted, fmt::format("number {} of {} is {} for {}, after {} steps", i, n,
                                  crafted[i].item<double>(), saved[i].item<double>(), played));
        if (HasFatalFailure()) return;
      }
    }
    for (int64_t again = 0; again < 200; ++again) {
      Tensor crafted = saved.clone();
      std::string what = "mutated:";
      for (int64_t k = 0; k < 2 + again % 5; ++k) {
        const int64_t i = again % 2 ? d.below(n) : n - 1 - d.below(target.world_size());
        crafted[i] = value(crafted[i].item<double>(), 5 + d.below(14));
        what += fmt::format(" {} is {}", i, crafted[i].item<double>());
      }
      meet(crafted, what);
      if (HasFatalFailure()) return;
    }
  }
  std::cout << refused << " of " << tried << " refused\n";
  EXPECT_GT(refused, tried / 5);
  EXPECT_GT(tried - refused, dull) << "some others are taken";
}

INSTANTIATE_TEST_SUITE_P(, Crafted, testing::ValuesIn(variants()),
                         [](const auto& info) { return fmt::format("{}_{}", info.param.world, info.index); });

}  // namespace
}  // namespace symma
