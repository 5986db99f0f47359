// Assembly against Jumanji 1.1.2 step by step, the sheet's dispatching rules on shops with proven optima, and
// what no schedule may do: be shorter than the optimum, or break the order of a job.
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "envs/worlds.h"
#include "symma/envs/robots/assembly.h"
#include "symma/envs/robots/assembly_options.h"
#include "symma/envs/robots/assembly_shop.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

const std::string kData = SHARED_DATA "assembly/";

std::string unpacked(const std::string& path) {
  std::string out(1 << 24, '\0');
  gzFile file = gzopen(path.c_str(), "rb");
  out.resize(std::max(0, gzread(file, out.data(), static_cast<unsigned>(out.size()))));
  gzclose(file);
  return out;
}

std::string written(const std::string& name, const std::string& text) {
  const auto path = std::filesystem::temp_directory_path() / ("symma_assembly_test_" + name);
  std::ofstream(path) << text;
  return path.string();
}

TEST(Assembly, AgreesStepByStepWithTheOriginal) {
  NEEDS_SHARED("assembly/jobshop_dev.txt");
  const Json golden = Json::parse(unpacked(kData + "jobshop_trace.json.gz"));
  int64_t steps = 0;
  for (const auto& episode : golden["episodes"]) {
    std::string text = "20 10\n";
    for (size_t j = 0; j < 20; ++j) {
      for (size_t k = 0; k < episode["machine"][j].size(); ++k) {
        if (episode["machine"][j][k] >= 0)
          text += fmt::format("{} {} ", episode["machine"][j][k].get<int>(),
                              episode["duration"][j][k].get<int>());
      }
      text += "\n";
    }
    auto env = make_world(
        "assembly", 1,
        fmt::format("file = \"{}\"\ntrain = [1, 1]\nauto_reset = false\n", written("trace", text)));
    Frame f;
    env->reset(Rng(0), f);
    for (const auto& step : episode["steps"]) {
      Tensor actions = at::zeros({1, 10}, at::kLong);
      for (int64_t m = 0; m < 10; ++m) actions[0][m] = step["action"][m].get<int64_t>();
      env->step(actions, f);
      ++steps;
      const auto& saving = dynamic_cast<Restorable&>(*env);
      const Tensor s = saving.save(0);
      const double* end = s.data_ptr<double>() + s.numel();  // shown, left, ratio stand last
      for (int64_t m = 0; m < 10; ++m) {
        EXPECT_EQ(f.reward[0][m].item<float>(), step["reward"].get<float>());
        const double shown = end[-30 + m];
        EXPECT_EQ(shown < 0 ? 20 : shown, step["job"][m].get<double>());
        EXPECT_EQ(end[-20 + m], step["left"][m].get<double>());
        std::string mask;
        for (int64_t k = 0; k < 21; ++k) mask += f.mask[0][m][k].item<bool>() ? '1' : '0';
        EXPECT_EQ(mask, step["mask"][m].get<std::string>()) << "machine " << m;
      }
      EXPECT_EQ(f.terminated.item<bool>(), step["last"].get<bool>());
    }
    EXPECT_EQ(judged(*env).at("makespan"), static_cast<double>(episode["steps"].size()));
  }
  EXPECT_EQ(steps, 176);
}

// "A step in which every machine is free and takes no-op ends the episode with the penalty".
TEST(Assembly, NobodyMayStandStill) {
  for (const std::string clock : {"unit", "event"}) {
    auto env = make_world("assembly", 1, "auto_reset = false\nclock = \"" + clock + "\"\n");
    Frame f;
    env->reset(Rng(3), f);
    env->step(at::full({1, 10}, 20, at::kLong), f);
    EXPECT_TRUE(f.terminated.item<bool>());
    EXPECT_LE(f.reward[0][0].item<float>(), -20 * 8 * 5.0F);
    EXPECT_GE(f.reward[0][0].item<float>(), -20 * 8 * 6.0F);
  }
}

double played(Env& env, const Script& script, int64_t seed = 0) {
  Frame f;
  env.reset(Rng(seed), f);
  double sum = 0;
  for (int64_t t = 0; t < env.spec().limit && !(f.terminated | f.truncated).all().item<bool>(); ++t) {
    env.step(script.act(env, f, Rng(seed).split("act", t)), f);
    sum += f.reward[0][0].item<double>();
  }
  return sum;
}

TEST(Assembly, RulesReachTheSheetsMakespans) {
  NEEDS_SHARED("assembly/jobshop_dev.txt");
  std::ifstream in(kData + "rules_dev.csv");
  std::string line;
  std::getline(in, line);
  const std::vector<std::string> rules{"spt", "lpt", "mwkr", "fifo", "lwkr"};
  int64_t shops = 0;
  for (int64_t number = 1; std::getline(in, line); ++number, ++shops) {
    std::replace(line.begin(), line.end(), ',', ' ');
    std::istringstream words(line);
    std::string name;
    double optimum = 0;
    words >> name >> optimum;
    for (const auto& rule : rules) {
      double want = 0;
      words >> want;
      const auto script = make_script(rule);
      // By units of time and by events, with all jobs to choose from.
      for (const std::string clock : {"unit", "event"}) {
        auto env = make_world("assembly", 1,
                              fmt::format("file = \"{}jobshop_dev.txt\"\ntrain = [{}, {}]\nauto_reset = "
                                          "false\nlimit = 2000\nwait = false\nclock = \"{}\"\n",
                                          kData, number, number, clock));
        EXPECT_EQ(-played(*env, *script), want) << name << " " << rule << " " << clock;
        EXPECT_EQ(judged(*env).at("makespan"), want);
        EXPECT_NEAR(judged(*env).at("gap"), 100 * (want / optimum - 1), 1e-9);
      }
    }
  }
  EXPECT_EQ(shops, 25);
}

// Operations of a saved copy: machine, planned, true duration, when begun and ended.
struct Made {
  int64_t jobs, operations, count;
  std::vector<double> machine, planned, actual, began, ended;
};
Made made_of(const Env& env, int64_t jobs, int64_t machines, int64_t operations, int64_t e = 0) {
  const Tensor s = dynamic_cast<const Restorable&>(env).save(e);
  const double* at = s.data_ptr<double>() + s.numel() - 3 * machines - 5 * jobs * operations;
  Made out{jobs, operations, jobs * operations, {}, {}, {}, {}, {}};
  for (auto* v : {&out.machine, &out.planned, &out.actual, &out.began, &out.ended}) {
    v->assign(at, at + out.count);
    at += out.count;
  }
  return out;
}

// Nobody is judged on a shop that was trained with: not where both are told, and not where test is what the
// file leaves.
TEST(Assembly, ShopsToTrainWithAreNotTestedOn) {
  std::string text;
  for (int k = 0; k < 4; ++k) text += fmt::format("2 2\n0 {} 1 2\n1 2 0 4\n\n", k + 1);
  const std::string file = written("four", text);
  const auto made = [&](const std::string& more) {
    return make_world("assembly", 1, fmt::format("file = \"{}\"\n{}", file, more));
  };
  const auto tested = [&](const std::string& more) {
    return dynamic_cast<HasTasks&>(*made(more)).task_parameters()[0].test;
  };
  using Range = std::array<double, 2>;
  EXPECT_EQ(tested(""), (Range{1, 4}));
  EXPECT_EQ(tested("train = [1, 3]\n"), (Range{4, 4}));
  EXPECT_EQ(tested("train = [2, 4]\n"), (Range{1, 1}));
  EXPECT_EQ(tested("train = [3, 4]\ntest = [1, 2]\n"), (Range{1, 2}));
  EXPECT_EQ(tested("train = [0, 0]\ntest = [0, 0]\n"), (Range{0, 0})) << "made up: a new one every time";
  for (const std::string more : {"train = [1, 4]\n", "train = [1, 3]\ntest = [3, 4]\n",
                                 "train = [0, 2]\ntest = [2, 2]\n", "train = [2, 3]\ntest = [2, 3]\n"})
    EXPECT_NE(error_of([&] { made(more); }).find("in train, too"), std::string::npos) << more;
}

// Whatever anybody does: jobs keep their order, machines do one thing at a time, parts are made before what
// is made of them, and no makespan is below the proven optimum.
TEST(Assembly, NoScheduleBeatsTheOptimum) {
  NEEDS_SHARED("assembly/jobshop_dev.txt");
  const auto random = make_script("random");
  for (int64_t number = 1; number <= 25; ++number) {
    auto env = make_world("assembly", 20,
                          fmt::format("file = \"{}jobshop_dev.txt\"\ntrain = [{}, {}]\nauto_reset = "
                                      "false\nlimit = 4000\nwait = {}\nclock = \"event\"\n",
                                      kData, number, number, number % 2 == 0));
    played(*env, *random, number);
    const auto& shop = (*read_shops(kData + "jobshop_dev.txt"))[number - 1];
    EXPECT_LE(shop.lower_bound(), shop.optimum) << shop.name;
    for (int64_t e = 0; e < 20; ++e) EXPECT_GE(judged(*env, e).at("makespan"), shop.optimum) << shop.name;
  }
}

TEST(Assembly, KeepsOrderMachinesAndJoins) {
  const auto random = make_script("random");
  int64_t joined = 0;
  for (int64_t seed = 0; seed < 60; ++seed) {
    const std::string clock = seed % 2 ? "unit" : "event", routes = seed % 3 ? "any" : "permutation";
    auto env =
        make_world("assembly", 1,
                   fmt::format("jobs = 9\nmachines = 4\noperations = 4\njoins = 3\nwait = false\nlimit = "
                               "3000\nauto_reset = false\nchoices = {}\nclock = \"{}\"\nroutes = \"{}\"\n",
                               seed % 5, clock, routes));
    const double broken = static_cast<double>(seed % 5) - 1;
    set_task(*env,
             {{"wear_0", 2}, {"wear_1", 0.5}, {"broken", broken}, {"fails_at", 0.2}, {"fails_for", 0.5}});
    const double returned = played(*env, *random, seed);
    const Made m = made_of(*env, 9, 4, 4);
    double last = 0;
    std::vector<double> done(9, 0);
    for (int64_t i = 0; i < m.count; ++i) {
      if (m.machine[i] < 0) continue;
      ASSERT_GE(m.began[i], 0) << "seed " << seed;
      const double wear = m.machine[i] == 0 ? 2 : m.machine[i] == 1 ? 0.5 : 1;
      EXPECT_EQ(m.actual[i], std::max(1.0, std::round(m.planned[i] * wear)));
      if (m.machine[i] != broken) {
        EXPECT_EQ(m.ended[i] - m.began[i], m.actual[i]);
      }
      EXPECT_GE(m.ended[i] - m.began[i], m.actual[i]) << "a machine that fails is late";
      if (i % m.operations > 0) {
        EXPECT_GE(m.began[i], m.ended[i - 1]) << "a job keeps its order";
      }
      for (int64_t k = 0; k < i; ++k) {
        if (m.machine[k] == m.machine[i]) {
          EXPECT_TRUE(m.began[k] >= m.ended[i] || m.began[i] >= m.ended[k]) << "a machine does one at a time";
        }
      }
      done[i / m.operations] = std::max(done[i / m.operations], m.ended[i]);
      last = std::max(last, m.ended[i]);
    }
    for (const auto& join : made_joins(9, 3)) {
      EXPECT_GE(m.began[join.job * m.operations], done[join.part]) << "parts come first";
      ++joined;
    }
    EXPECT_EQ(-returned, last);
    EXPECT_EQ(judged(*env).at("makespan"), last);
  }
  EXPECT_EQ(joined, 60 * 6);
}

// Two machines; job 2 is put together from jobs 0 and 1, by hand: 3 and 4 side by side, then 5.
TEST(Assembly, JoinsOfAFile) {
  const std::string path =
      written("joins", "# by hand\nbench 3 2 9\n0 3\n1 4\n0 5\njoin 2 0 0\njoin 2 0 1\n");
  for (const std::string clock : {"unit", "event"}) {
    auto env = make_world(
        "assembly", 1,
        fmt::format("file = \"{}\"\ntrain = [1, 1]\nauto_reset = false\nclock = \"{}\"\n", path, clock));
    EXPECT_EQ(played(*env, *make_script("mwkr")), -9);
    EXPECT_EQ(judged(*env).at("gap"), 0);
  }
}

// How a machine's last operation compared with the plan is seen of it, and of the next of each job; or of
// none.
TEST(Assembly, WearIsSeenFromTheFirstPartOnOrNotAtAll) {
  const auto world = [](const std::string& wear) {
    auto env = make_world(
        "assembly", 1,
        fmt::format("jobs = 6\nmachines = 3\noperations = 3\nwait = false\nchoices = 4\nclock = \"event\"\n"
                    "auto_reset = false\nwear = \"{}\"\n",
                    wear));
    set_task(*env, {{"wear_0", 2}, {"wear_1", 0.5}});
    return env;
  };
  auto shown = world("ratio"), hidden = world("hidden");
  const auto rule = make_script("fifo");
  Frame f, g;
  shown->reset(Rng(2), f), hidden->reset(Rng(2), g);
  std::set<float> seen;
  while (!f.terminated.item<bool>()) {
    const Tensor a = rule->act(*shown, f, Rng(1));
    shown->step(a, f), hidden->step(a, g);
    for (int64_t m = 0; m < 3; ++m) {
      for (int64_t k = 0; k < f.obs.size(2); ++k) {
        const float x = f.obs[0][m][k].item<float>(), y = g.obs[0][m][k].item<float>();
        const bool told = k == 3 || (k >= kSeenOfMachine && (k - kSeenOfMachine) % kSeenOfJob == 7);
        EXPECT_EQ(y, told ? 0 : x) << m << ", " << k;
        if (told) seen.insert(x);
      }
    }
  }
  EXPECT_TRUE(seen.contains(0) && seen.contains(1) && seen.contains(2))
      << "not yet, as planned, twice as long";
}

// Replanned: what is left of a job is what it will take, once each machine has made a part; then rules and
// who learns go by that.
TEST(Assembly, PlansAreMadeAnewFromTheFirstPartsOn) {
  auto env = make_world(
      "assembly", 1,
      "jobs = 8\nmachines = 3\noperations = 3\ndurations = [50, 90]\nroutes = \"permutation\"\nwait = "
      "false\nclock = \"event\"\nauto_reset = false\nlimit = 3000\nwear = \"replanned\"\n");
  set_task(*env, {{"wear_0", 2}, {"wear_1", 0.5}, {"wear_2", 1.2}});
  const auto& view = dynamic_cast<const AssemblyView&>(*env);
  const auto rule = make_script("mwkr");
  Frame f;
  env->reset(Rng(2), f);
  int64_t compared = 0;
  while (!f.terminated.item<bool>()) {
    env->step(rule->act(*env, f, Rng(1)), f);
    const Made m = made_of(*env, 8, 3, 3);
    std::set<double> made;
    for (int64_t i = 0; i < m.count; ++i)
      if (m.ended[i] >= 0) made.insert(m.machine[i]);
    if (made.size() < 3) continue;
    for (int64_t j = 0; j < 8; ++j) {
      double left = 0;
      for (int64_t i = j * m.operations; i < (j + 1) * m.operations; ++i)
        if (m.machine[i] >= 0 && m.began[i] < 0) left += m.actual[i];
      EXPECT_NEAR(view.work(0, j), left, 0.03 * left) << "durations are whole, ratios are of one";
      compared += left > 0;
    }
  }
  EXPECT_GT(compared, 20);
}

// The gap is the reward too.
TEST(Assembly, RewardIsTheGap) {
  auto env = make_world(
      "assembly", 1, "reward = \"gap\"\nauto_reset = false\nwait = false\nchoices = 4\nclock = \"event\"\n");
  const double returned = played(*env, *make_script("fifo"));
  EXPECT_NEAR(-returned - 100, judged(*env).at("gap"), 1e-3);
}

// 300 draws of the default generator, measured for the sheet: a lower bound of 50.5 +- 1.0. (Its means of
// rules on these shops, 56.8 for random dispatching, are not met: 61.5 here, 60.4 by a replay in Python of
// the same rules.)
TEST(Assembly, DefaultShopsAreThoseOfTheOriginal) {
  double sum = 0, square = 0;
  for (int64_t k = 0; k < 300; ++k) {
    const auto bound =
        static_cast<double>(make_shop({20, 10, 8, 1, 6, false, 0}, Rng(5).split("shop", k)).lower_bound());
    sum += bound / 300, square += bound * bound / 300;
  }
  EXPECT_NEAR(sum, 50.5, 1.0 + 1.96 * std::sqrt((square - sum * sum) / 300));
}

TEST(Assembly, BadInputIsOneClearLine) {
  const auto error = [](const std::string& text) {
    return error_of([&] { make_world("assembly", 1, fmt::format("file = \"{}\"\n", written("bad", text))); });
  };
  const std::vector<std::tuple<std::string, std::string, std::string>> cases{
      {"", "bad", "no shop"},
      {"2 2\n0 1 1 2\n", "bad:1", "1 of 2 jobs"},
      {"2 2\n0 1 1 2\n0 1 1\n", "bad:3", "3 numbers"},
      {"2 2\n0 1 1 2\n0 1 2 4\n", "bad:3", "machine 2"},
      {"1 2\n0 1 -1 2\n", "bad:2", "machine -1"},
      {"1 2\n0 1 1 0\n", "bad:2", "takes 0"},
      {"1 2\n0 1 1 2.5\n", "bad:2", "2.5"},
      {"1 2\n0 one 1 2\n", "bad:2", "one"},
      {"0 2\n", "bad:1", "0 jobs"},
      {"a shop of mine\n0 1\n", "bad:1", "begins no shop"},
      {"x 1 1 3\n0 4\n", "bad:1", "makespan of 3"},
      {"2 1\n0 1\n0 1\njoin 0 0 2\n", "bad:4", "job 2"},
      {"2 1\n0 1\n0 1\njoin 0 5 1\n", "bad:4", "operation 5"},
      {"2 1\n0 1\n0 1\njoin 0 0\n", "bad:4", "no join"},
      {"2 1\n0 1\n0 1\njoin 0 0 1\njoin 1 0 0\n", "bad:1", "circle"},
      {"2 1\n0 1\n0 1\n7\n", "bad:4", "begins no shop"}};
  for (const auto& [text, place, what] : cases) {
    const std::string said = error(text);
    EXPECT_NE(said.find(what), std::string::npos) << text << ": " << said;
    EXPECT_NE(said.find(place), std::string::npos) << text << ": " << said;
    EXPECT_EQ(said.find('\n'), std::string::npos);
  }
  EXPECT_NE(error_of([] { make_world("assembly", 1, "file = \"/no/such\"\n"); }).find("/no/such"),
            std::string::npos);
  EXPECT_NE(error_of([] { make_world("assembly", 1, "durations = [5]\n"); }).find("durations"),
            std::string::npos);
  EXPECT_NE(error_of([] { make_world("assembly", 1, "train = [1, 2]\n"); }).find("train"), std::string::npos);
  auto env = make_world("assembly", 1);
  const auto& names = dynamic_cast<HasTasks&>(*env).task_parameters();
  for (const auto& p : names) {
    const std::string said = error_of([&] { set_task(*env, {{p.name, -2}}); });
    EXPECT_NE(said.find(p.name), std::string::npos) << said;
  }
}

}  // namespace
}  // namespace symma
