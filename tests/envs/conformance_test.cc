// What every registered world must keep to, whatever its rules.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>

#include "envs/exits.h"
#include "envs/worlds.h"
#include "symma/core/parallel.h"

namespace symma {
namespace {

// Registered names, and further rules that go by one of them.
struct Rules {
  std::string label, name, options;
};

std::vector<Rules> all_rules() {
  std::vector<Rules> out;
  for (const auto& name : EnvRegistry::instance().names()) out.push_back({name, name, ""});
  out.push_back({"simple_spread_openai", "simple_spread", "variant = \"openai\"\n"});
  out.push_back({"simple_speaker_listener_openai", "simple_speaker_listener", "variant = \"openai\"\n"});
  out.push_back({"simple_tag_openai", "simple_tag", "variant = \"openai\"\nprey = 2\n"});
  out.push_back({"foraging_masked", "foraging", "mask = true\nagents = 4\nsight = 2\npenalty = 0.1\n"});
  out.push_back({"warehouse_two_stage", "warehouse", "reward = \"two_stage\"\nagents = 8\nsight = 2\n"});
  out.push_back({"navigation_three", "navigation", "robots = 3\nlimit = 40\n"});
  out.push_back({"navigation_levels", "navigation", "robots = 2\nlimit = 40\nlevels = 3\n"});
  out.push_back({"exits_levels", "exits_numbers", "levels = 4\n"});
  out.push_back(
      {"homes_auction", "homes", "homes = [1, 2, 3]\nmarket = \"auction\"\nreward = \"bill\"\nlimit = 30\n"});
  out.push_back({"homes_levels", "homes", "levels = 5\nlimit = 30\nreward = \"net\"\n"});
  out.push_back({"diabetes_meals", "diabetes", "dose = \"meals\"\nmeals = \"random\"\ndays = 2\n"});
  out.push_back({"diabetes_levels", "diabetes", "dose = \"meals\"\nlevels = 7\n"});
  out.push_back(
      {"search_rescue_three", "search_rescue", "searchers = 3\nlimit = 40\nlevels = 3\nrays = 16\n"});
  out.push_back(
      {"kitchen_partner", "kitchen", "partner = true\nlimit = 60\nlayout = \"coordination_ring\"\n"});
  out.push_back({"assembly_events", "assembly",
                 "clock = \"event\"\nwait = false\nchoices = 4\njobs = 9\njoins = 2\nmachines = 4\nreward = "
                 "\"gap\"\nlimit = 60\n"});
  out.push_back({"market_crowd", "market",
                 "players = 3\nunits = 2\ndays = 2\nimprove = false\nclear = false\nlimit = 60\n"});
  out.push_back({"market_prices", "market", "actions = \"prices\"\ntraders = 2\nquotes = 50\nlimit = 50\n"});
  out.push_back({"market_making_levels", "market_making", "levels = 5\nlimit = 30\n"});
  out.push_back({"execution_two", "execution", "sellers = 2\nnoise = true\nlimit = 9\n"});
  out.push_back({"trading_variance", "trading", "decides = \"variance\"\nlimit = 30\nlevels = 5\n"});
  out.push_back(
      {"roads_tolls", "roads",
       "network = \"grid\"\nplatoon = 8\nroutes = 3\nreward = \"toll\"\nchoices = \"used\"\nstart = "
       "\"usual\"\nsee = \"log\"\nsee_demand = true\n"});
  out.push_back({"roads_by_route", "roads", "see_share = true\nby_route = true\n"});
  out.push_back({"ring_levels", "ring",
                 "limit = 60\nlevels = 5\nautomated = 3\nevery = 2\nrecall = true\nbrake = 6\n"});
  out.push_back({"intersection_leaves", "intersection", "leaves = true\nown_pay = true\nlimit = 25\n"});
  out.push_back({"roads_common", "roads", "reward = \"common\"\n"});
  out.push_back({"climbing", "matrix_game", "game = \"climbing\"\n"});
  out.push_back(
      {"rock_paper_scissors_memory", "matrix_game", "game = \"rock_paper_scissors\"\nmemory = 3\n"});
  return out;
}

Tensor play(const EnvSpec& s, const Tensor& mask, int64_t t, int64_t first_copy = 0) {
  return random_actions(s, mask, Rng(99), t, first_copy);
}

Frame copy_of(const Frame& f) {
  return {f.obs.clone(),       f.reward.clone(),      f.terminated.clone(),
          f.truncated.clone(), f.mask.clone(),        f.state.clone(),
          f.final_obs.clone(), f.final_state.clone(), f.present.defined() ? f.present.clone() : f.present,
          f.final_present};
}

void expect_equal(const Frame& a, const Frame& b, const std::string& what) {
  EXPECT_TRUE(at::equal(a.obs, b.obs)) << what << ": obs";
  EXPECT_TRUE(at::equal(a.reward, b.reward)) << what << ": reward";
  EXPECT_TRUE(at::equal(a.terminated, b.terminated)) << what << ": terminated";
  EXPECT_TRUE(at::equal(a.truncated, b.truncated)) << what << ": truncated";
  EXPECT_TRUE(at::equal(a.mask, b.mask)) << what << ": mask";
  EXPECT_TRUE(at::equal(a.state, b.state)) << what << ": state";
  EXPECT_TRUE(at::equal(a.final_obs, b.final_obs)) << what << ": final_obs";
  ASSERT_EQ(a.present.defined(), b.present.defined());
  if (a.present.defined()) {
    EXPECT_TRUE(at::equal(a.present, b.present)) << what << ": present";
  }
}

class Worlds : public testing::TestWithParam<Rules> {
 protected:
  std::unique_ptr<Env> make(int64_t copies, const std::string& more = "") const {
    return make_world(GetParam().name, copies, GetParam().options + more);
  }
};

TEST_P(Worlds, SpacesAreHonoured) {
  auto env = make(8);
  const EnvSpec& s = env->spec();
  EXPECT_EQ(s.name, GetParam().name);
  EXPECT_FALSE(s.variant.empty());
  EXPECT_EQ(s.state, s.agents * s.obs);
  ASSERT_EQ(static_cast<int64_t>(s.agent_names.size()), s.agents);
  ASSERT_EQ(static_cast<int64_t>(s.action_names.size()), s.actions);
  ASSERT_EQ(static_cast<int64_t>(s.agent_obs.size()), s.agents);
  ASSERT_EQ(static_cast<int64_t>(s.agent_actions.size()), s.agents);
  EXPECT_EQ(*std::max_element(s.agent_obs.begin(), s.agent_obs.end()), s.obs);
  int64_t numbers = 1;
  for (int64_t n : s.obs_shape) numbers *= n;
  EXPECT_EQ(numbers, s.obs);
  ASSERT_EQ(static_cast<int64_t>(s.action_low.size()), s.continuous ? s.agents * s.actions : 0);
  ASSERT_EQ(s.action_high.size(), s.action_low.size());
  Frame f;
  env->reset(Rng(1), f);
  const void* memory = f.obs.data_ptr();
  for (int64_t t = 0; t < 2 * s.limit + 5; ++t) {
    EXPECT_EQ(f.obs.sizes(), at::IntArrayRef({8, s.agents, s.obs}));
    EXPECT_EQ(f.reward.sizes(), at::IntArrayRef({8, s.agents}));
    EXPECT_EQ(f.mask.sizes(), at::IntArrayRef({8, s.agents, s.actions}));
    EXPECT_EQ(f.state.sizes(), at::IntArrayRef({8, s.state}));
    EXPECT_EQ(f.obs.data_ptr(), memory) << "a step allocated";
    EXPECT_EQ(f.state.data_ptr(), memory);
    EXPECT_EQ(f.obs.scalar_type(), at::kFloat);
    ASSERT_TRUE(at::isfinite(f.obs).all().item<bool>());
    ASSERT_TRUE(at::isfinite(f.reward).all().item<bool>());
    ASSERT_TRUE(at::isfinite(f.final_obs).all().item<bool>());
    EXPECT_GE(f.obs.min().item<double>(), s.obs_low);
    EXPECT_LE(f.obs.max().item<double>(), s.obs_high);
    EXPECT_FALSE((f.terminated & f.truncated).any().item<bool>());
    EXPECT_TRUE(f.mask.any(2).all().item<bool>());
    for (int64_t a = 0; a < s.agents; ++a) {
      EXPECT_EQ(f.obs.select(1, a).slice(1, s.agent_obs[a]).abs().sum().item<double>(), 0)
          << "a shorter observation ends in zeros";
      EXPECT_FALSE(f.mask.select(1, a).slice(1, s.agent_actions[a]).any().item<bool>());
    }
    if (s.common_reward) {
      EXPECT_TRUE(at::equal(f.reward, f.reward.select(1, 0).unsqueeze(1).expand_as(f.reward)));
    }
    env->step(play(s, f.mask, t), f);
  }
}

TEST_P(Worlds, SameSeedSameEpisode) {
  auto a = make(4), b = make(4);
  const EnvSpec& s = a->spec();
  Frame fa, fb, fc;
  a->reset(Rng(5), fa);
  for (int64_t t = 0; t < 3; ++t) a->step(play(s, fa.mask, t), fa);
  a->reset(Rng(6), fc);  // whatever went before, a reset begins anew
  a->reset(Rng(6), fa);
  b->reset(Rng(6), fb);
  fa.final_obs.zero_();  // what stands there from earlier episodes is nobody's
  for (int64_t t = 0; t < s.limit + 30; ++t) {
    expect_equal(fa, fb, s.name);
    a->step(play(s, fa.mask, t), fa);
    b->step(play(s, fb.mask, t), fb);
  }
}

TEST_P(Worlds, CopiesEqualSingleWorlds) {
  constexpr int64_t kCopies = 5;
  auto all = make(kCopies);
  const EnvSpec& s = all->spec();
  Frame f;
  all->reset(Rng(7), f);
  std::vector<Frame> seen = {copy_of(f)};
  for (int64_t t = 0; t < s.limit + 30; ++t) {
    all->step(play(s, f.mask, t), f);
    seen.push_back(copy_of(f));
  }
  for (int64_t e = 0; e < kCopies; ++e) {
    auto one = make(1, fmt::format("first_copy = {}", e));
    Frame g;
    one->reset(Rng(7), g);
    for (int64_t t = 0;; ++t) {
      const Frame& w = seen[t];
      const Frame row = {w.obs.slice(0, e, e + 1),
                         w.reward.slice(0, e, e + 1),
                         w.terminated.slice(0, e, e + 1),
                         w.truncated.slice(0, e, e + 1),
                         w.mask.slice(0, e, e + 1),
                         w.state.slice(0, e, e + 1),
                         w.final_obs.slice(0, e, e + 1),
                         w.final_state.slice(0, e, e + 1),
                         s.leaving ? w.present.slice(0, e, e + 1) : Tensor(),
                         {}};
      expect_equal(g, row, s.name);
      if (t == s.limit + 30) break;
      one->step(play(one->spec(), g.mask, t, e), g);
    }
  }
}

TEST_P(Worlds, ThreadsDoNotMatter) {
  std::vector<Frame> ends;
  for (const int n : {1, 2, 3}) {
    set_threads(n);
    auto env = make(200);  // several pieces of work
    Frame f;
    env->reset(Rng(8), f);
    for (int64_t t = 0; t < 60; ++t) env->step(play(env->spec(), f.mask, t), f);
    ends.push_back(copy_of(f));
  }
  set_threads(1);
  expect_equal(ends[0], ends[1], GetParam().label);
  expect_equal(ends[0], ends[2], GetParam().label);
}

TEST_P(Worlds, EndedWorldsStayEnded) {
  auto env = make(3, "auto_reset = false");
  const EnvSpec& s = env->spec();
  Frame f;
  env->reset(Rng(9), f);
  std::vector<Frame> at_end(3);
  for (int64_t t = 0; t < s.limit + 10; ++t) {
    const Tensor ended = (f.terminated | f.truncated).clone();
    Tensor actions = play(s, f.mask, t);
    // What an ended copy is told is not looked at.
    actions.view({3, -1}).masked_fill_(ended.unsqueeze(1), s.continuous ? std::nan("") : -7);
    env->step(actions, f);
    for (int64_t e = 0; e < 3; ++e) {
      const bool done = (f.terminated[e] | f.truncated[e]).item<bool>();
      if (ended[e].item<bool>()) {
        EXPECT_TRUE(done);
        EXPECT_TRUE(at::equal(f.obs[e], at_end[e].obs[e]));
        EXPECT_TRUE(at::equal(f.terminated[e], at_end[e].terminated[e]));
        EXPECT_EQ(f.reward[e].abs().sum().item<double>(), 0);
      } else if (done) {
        at_end[e] = copy_of(f);
        EXPECT_TRUE(at::equal(f.obs[e], f.final_obs[e]));
      }
    }
  }
  EXPECT_TRUE((f.terminated | f.truncated).all().item<bool>()) << "the limit ends every episode";
}

TEST_P(Worlds, TheBoundaryShowsBothEpisodes) {
  auto on = make(2), off = make(2, "auto_reset = false");
  const EnvSpec& s = on->spec();
  Frame f, g;
  on->reset(Rng(10), f);
  off->reset(Rng(10), g);
  std::vector<bool> ended(2);
  for (int64_t t = 0; t < s.limit; ++t) {
    const Tensor a = play(s, g.mask, t), b = play(s, f.mask, t);
    off->step(a, g);
    on->step(b, f);
    for (int64_t e = 0; e < 2; ++e) {
      if (ended[e]) continue;
      EXPECT_TRUE(at::equal(f.reward[e], g.reward[e]));
      EXPECT_TRUE(at::equal(f.terminated[e], g.terminated[e]));
      EXPECT_TRUE(at::equal(f.truncated[e], g.truncated[e]));
      ended[e] = (f.terminated[e] | f.truncated[e]).item<bool>();
      if (!ended[e])
        EXPECT_TRUE(at::equal(f.obs[e], g.obs[e]));
      else
        EXPECT_TRUE(at::equal(f.final_obs[e], g.obs[e])) << "the last observation of the episode that ended";
    }
  }
  EXPECT_TRUE(ended[0] && ended[1]);
}

// The next episode of a copy is the same whether it follows from its end or is asked for, and whatever the
// others do.
TEST_P(Worlds, ChosenCopiesBeginTheirNextEpisode) {
  auto on = make(3), off = make(3, "auto_reset = false");
  const EnvSpec& s = on->spec();
  const Tensor second = at::tensor({0, 1, 0}, at::kInt).to(at::kBool);
  Frame f, g;
  EXPECT_NE(error_of([&] { off->reset(second, g); }), "");
  on->reset(Rng(17), f);
  off->reset(Rng(17), g);
  for (int64_t t = 0; t < 3; ++t) off->step(play(s, g.mask, t), g);
  const Frame before = copy_of(g);
  off->reset(second, g);
  for (const int64_t e : {0, 2}) {
    EXPECT_TRUE(at::equal(g.obs[e], before.obs[e]));
    EXPECT_TRUE(at::equal(g.reward[e], before.reward[e]));
    EXPECT_TRUE(at::equal(g.terminated[e], before.terminated[e]));
  }
  EXPECT_EQ(g.reward[1].abs().sum().item<double>(), 0);
  EXPECT_FALSE((g.terminated[1] | g.truncated[1]).item<bool>());
  // Where the copy comes to its second episode by itself, it is this one.
  for (int64_t t = 0; t < s.limit; ++t) {
    on->step(play(s, f.mask, t), f);
    if ((f.terminated[1] | f.truncated[1]).item<bool>()) break;
  }
  for (int64_t t = 0; t < 5; ++t) {
    ASSERT_TRUE(at::equal(f.obs[1], g.obs[1])) << t;
    EXPECT_TRUE(at::equal(f.mask[1], g.mask[1]));
    const Tensor a = play(s, f.mask, 100 + t), b = play(s, g.mask, 100 + t);
    on->step(a, f);
    off->step(b, g);
    EXPECT_TRUE(at::equal(f.reward[1], g.reward[1]));
    if ((f.terminated[1] | f.truncated[1]).item<bool>()) break;
  }
  EXPECT_NE(error_of([&] { off->reset(at::ones({3}, at::kLong), g); }).find("bool"), std::string::npos);
  EXPECT_NE(error_of([&] { off->reset(at::ones({2}, at::kBool), g); }).find("[3]"), std::string::npos);
}

TEST_P(Worlds, NumbersBeyondTheirBoundsAreTheBounds) {
  auto one = make(4), other = make(4);
  const EnvSpec& s = one->spec();
  if (!s.continuous) return;
  const Tensor low = at::tensor(s.action_low, at::kFloat).view({1, s.agents, s.actions}),
               high = at::tensor(s.action_high, at::kFloat).view({1, s.agents, s.actions});
  Frame f, g;
  one->reset(Rng(18), f);
  other->reset(Rng(18), g);
  bool beyond = false;
  for (int64_t t = 0; t < 40; ++t) {
    const Tensor far = 40 * play(s, f.mask, t), held = at::minimum(at::maximum(far, low), high);
    beyond = beyond || !far.equal(held);
    one->step(far, f);
    other->step(held, g);
    expect_equal(f, g, s.name);
  }
  EXPECT_EQ(beyond, at::isfinite(low).any().item<bool>() || at::isfinite(high).any().item<bool>());
}

TEST_P(Worlds, WhoHasLeftStaysAwayAndEarnsNothing) {
  auto env = make(6), told = make(6);
  const EnvSpec& s = env->spec();
  Frame f, g;
  env->reset(Rng(19), f);
  told->reset(Rng(19), g);
  ASSERT_EQ(f.present.defined(), s.leaving);
  ASSERT_EQ(f.final_present.defined(), s.leaving);
  if (!s.leaving) return;
  double gone = 0, last = 0;
  for (int64_t t = 0; t < 3 * s.limit; ++t) {
    const Tensor away = f.present.logical_not();
    EXPECT_TRUE(f.present.any(1).all().item<bool>()) << "an episode goes on while somebody is there";
    const Tensor actions = s.continuous ? 40 * play(s, f.mask, t) : play(s, f.mask, t);
    Tensor nonsense = actions.clone();
    for (int64_t e = 0; e < 6; ++e) {
      for (int64_t i = 0; i < s.agents; ++i)
        if (away[e][i].item<bool>()) nonsense[e][i].fill_(s.continuous ? std::nan("") : -7);
    }
    env->step(actions, f);
    told->step(nonsense, g);
    expect_equal(f, g, s.name);
    const Tensor over = f.terminated | f.truncated;
    if (!s.common_reward) {
      EXPECT_EQ(f.reward.masked_select(away).abs().sum().item<double>(), 0);
    }
    const Tensor still = at::where(over.unsqueeze(1), f.final_present, f.present);
    EXPECT_FALSE((still & away).any().item<bool>()) << "nobody comes back within an episode";
    gone += static_cast<double>(away.sum().item<int64_t>());
    last += static_cast<double>((f.terminated & f.final_present.any(1).logical_not()).sum().item<int64_t>());
  }
  EXPECT_GT(gone, 0);
  EXPECT_GT(last, 0) << "an episode ended because all had left";
}

TEST_P(Worlds, SavedCopiesGoOnAsTheyWould) {
  auto env = make(3), other = make(1);
  auto& source = dynamic_cast<Restorable&>(*env);
  auto& target = dynamic_cast<Restorable&>(*other);
  const EnvSpec& s = env->spec();
  Frame f, g;
  env->reset(Rng(11), f);
  other->reset(Rng(12), g);
  for (int64_t t = 0; t < 7; ++t) env->step(play(s, f.mask, t), f);
  const Tensor saved = source.save(1);
  target.restore(0, saved, g);
  EXPECT_TRUE(at::equal(target.save(0), saved));
  EXPECT_TRUE(at::equal(g.obs[0], f.obs[1]));
  for (int64_t t = 7; t < s.limit + 30; ++t) {  // into the next episode, whose random stream was saved too
    const Tensor actions = play(s, f.mask, t);
    env->step(actions, f);
    other->step(actions.slice(0, 1, 2), g);
    EXPECT_TRUE(at::equal(g.obs[0], f.obs[1]));
    EXPECT_TRUE(at::equal(g.mask[0], f.mask[1]));
    EXPECT_TRUE(at::equal(g.reward[0], f.reward[1]));
    if (s.leaving) {
      EXPECT_TRUE(at::equal(g.present[0], f.present[1]));
    }
  }
  EXPECT_NE(error_of([&] { target.restore(0, at::zeros({3}, at::kDouble), g); }), "");
}

TEST_P(Worlds, TasksVaryByCopy) {
  auto env = make(6);
  auto& tasks = dynamic_cast<HasTasks&>(*env);
  const EnvSpec& s = env->spec();
  ASSERT_FALSE(tasks.task_parameters().empty());
  for (const TaskRange range : {TaskRange::kTrain, TaskRange::kTest, TaskRange::kOod}) {
    const Tensor drawn = draw_tasks(tasks, 6, range, Rng(13));
    EXPECT_TRUE(at::equal(draw_tasks(tasks, 2, range, Rng(13)), drawn.slice(0, 0, 2)))
        << "each row has its own stream";
    tasks.set_tasks(drawn);
    Frame f;
    env->reset(Rng(14), f);
    for (int64_t t = 0; t < 60; ++t) {
      env->step(play(s, f.mask, t), f);
      ASSERT_TRUE(at::isfinite(f.obs).all().item<bool>());
      EXPECT_GE(f.obs.min().item<double>(), s.obs_low);
      EXPECT_LE(f.obs.max().item<double>(), s.obs_high);
    }
  }
  const auto k = static_cast<int64_t>(tasks.task_parameters().size());
  EXPECT_NE(error_of([&] { tasks.set_tasks(at::zeros({6, k + 1}, at::kDouble)); }), "");
  EXPECT_NE(error_of([&] { tasks.set_tasks(at::zeros({6, k}, at::kFloat)); }), "");
  EXPECT_NE(error_of([&] { tasks.set_tasks(at::full({6, k}, std::nan(""), at::kDouble)); }), "");
}

TEST_P(Worlds, DrawThemselves) {
  auto env = make(2);
  Frame f;
  env->reset(Rng(15), f);
  env->step(play(env->spec(), f.mask, 0), f);
  const auto& drawable = dynamic_cast<const Drawable&>(*env);
  EXPECT_NE(drawable.text(1), "");
  const std::string svg = drawable.svg(1);
  EXPECT_EQ(svg.rfind("<svg ", 0), 0u);
  EXPECT_EQ(svg.substr(svg.size() - 6), "</svg>");
}

TEST_P(Worlds, BadActionsAreOneClearError) {
  auto env = make(3);
  const EnvSpec& s = env->spec();
  Frame f;
  EXPECT_NE(error_of([&] {
              env->step(at::zeros({3, s.agents}, at::kLong), f);
            }).find("reset"),
            std::string::npos);
  env->reset(Rng(16), f);
  const Frame before = copy_of(f);
  const Tensor good = play(s, f.mask, 0);
  const auto with = [&](double a) {
    Tensor bad = good.clone();
    bad[1][s.agents - 1].fill_(a);
    return error_of([&] { env->step(bad, f); });
  };
  std::vector<double> wrong{-1, static_cast<double>(s.actions), static_cast<double>(int64_t{1} << 40)};
  if (s.continuous) wrong = {std::nan(""), std::numeric_limits<double>::infinity()};
  for (const double a : wrong) {
    const std::string message = with(a);
    EXPECT_NE(message.find(fmt::format("{:.0f}", a)), std::string::npos) << message;
    EXPECT_NE(message.find("copy 1"), std::string::npos) << message;
    EXPECT_NE(message.find(s.agent_names.back()), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
  const auto of_sizes = [&](std::vector<int64_t> sizes, at::ScalarType type) {
    if (s.continuous) sizes.push_back(s.actions);
    return error_of([&] { env->step(at::zeros(sizes, type), f); });
  };
  const at::ScalarType right = s.continuous ? at::kFloat : at::kLong;
  EXPECT_NE(of_sizes({3, s.agents + 1}, right).find("sizes"), std::string::npos);
  EXPECT_NE(of_sizes({2, s.agents}, right).find("sizes"), std::string::npos);
  EXPECT_NE(of_sizes({3 * s.agents}, right).find("sizes"), std::string::npos);
  const std::string type = s.continuous ? "float32" : "int64";
  for (const at::ScalarType other : {s.continuous ? at::kLong : at::kFloat, at::kInt})
    EXPECT_NE(of_sizes({3, s.agents}, other).find(type), std::string::npos);
  const Tensor forbidden = f.mask.logical_not().nonzero();
  if (forbidden.size(0) > 0) {
    Tensor bad = good.clone();
    const auto row = forbidden[0];
    bad[row[0].item<int64_t>()][row[1].item<int64_t>()] = row[2];
    EXPECT_NE(error_of([&] { env->step(bad, f); }).find("masked"), std::string::npos);
  }
  expect_equal(f, before, "a step that failed left the world as it was");
  auto other = make(4);
  Frame g;
  other->reset(Rng(1), g);
  EXPECT_NE(error_of([&] { env->step(good, g); }).find("frame"), std::string::npos);
  EXPECT_NE(error_of([&] { make(0); }), "");
  // And it goes on as one that was never asked.
  auto twin = make(3);
  Frame h;
  twin->reset(Rng(16), h);
  env->step(good, f);
  twin->step(good, h);
  expect_equal(f, h, GetParam().label);
}

INSTANTIATE_TEST_SUITE_P(Registered, Worlds, testing::ValuesIn(all_rules()),
                         [](const auto& info) { return info.param.label; });

}  // namespace
}  // namespace symma
