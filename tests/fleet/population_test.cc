// Population-based training: rows learn by their own settings, the worst go on from better ones, and a run
// is a function of its file and its seed.
#include "symma/fleet/population.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "fleet/fleets.h"
#include "symma/core/files.h"
#include "symma/core/parallel.h"
#include "symma/core/record.h"
#include "symma/learners/own_settings.h"

namespace symma {
namespace {

Experiment population(Json more = Json::object(), Json rest = Json::object()) {
  Json p = {{"settings", {"meta_lr", "inner_lr"}},
            {"low", {1e-6, 1e-4}},
            {"high", {0.1, 0.5}},
            {"ready", 3},
            {"tasks", 6}};
  for (const auto& [key, value] : more.items()) p[key] = value;
  rest["population"] = p;
  return fleet(rest);
}

RunState rounds(const Experiment& e, RunState run, int64_t until, int threads = 1) {
  set_threads(threads);
  while (run.round < until) run_round(e, run);
  set_threads(0);
  return run;
}

// ---- Rows learn by their own settings. The independent truth: a plain fleet with each row's settings.

TEST(OwnSettings, EachRowLearnsAsAPlainFleetWithItsSettings) {
  const Experiment e = population({{"start", "drawn"}, {"ready", 1000}});
  const RunState all = rounds(e, start_run(e), 8);
  const Tensor settings = all.learner.own.at(OwnSettings::kKey);
  ASSERT_EQ(settings.sizes(), at::IntArrayRef({5, 2}));
  EXPECT_FALSE(settings[0].equal(settings[1]));
  for (int64_t i = 0; i < 5; ++i) {
    const Experiment plain =
        fleet({{"learner",
                {{"meta_lr", settings[i][0].item<double>()}, {"inner_lr", settings[i][1].item<double>()}}}});
    const RunState same = rounds(plain, start_run(plain), 8);
    EXPECT_TRUE(all.learner.theta[i].allclose(same.learner.theta[i], 1e-4, 1e-6)) << i;
    EXPECT_FALSE(all.learner.theta[i].allclose(same.learner.theta[(i + 1) % 5], 1e-4, 1e-6)) << i;
    // And adapts by them.
    const std::vector<int64_t> who(3, kEveryone), steps{2};
    const auto batch = e.family->sample(*e.model, asks_for(who, Rng(5)), Split::kTest);
    const Tensor a = e.learner->adapt(all.learner.rows(i, i + 1), *batch, steps, Rng(6))[0],
                 b = plain.learner->adapt(same.learner.rows(i, i + 1), *batch, steps, Rng(6))[0];
    EXPECT_TRUE(a.allclose(b, 1e-4, 1e-5)) << i;
  }
}

TEST(OwnSettings, WholeNumbersAreRounded) {
  const Experiment e =
      population({{"settings", {"inner_steps"}}, {"low", {1.0}}, {"high", {4.0}}, {"ready", 1000}});
  RunState run = start_run(e);
  run.learner.own[OwnSettings::kKey] = at::tensor({1.0, 1.4, 2.6, 3.0, 4.0}, at::kDouble).view({5, 1});
  const RunState all = rounds(e, run, 2);
  for (const auto& [row, inner_steps] : std::map<int64_t, int64_t>{{1, 1}, {2, 3}, {4, 4}}) {
    const Experiment plain = fleet({{"learner", {{"inner_steps", inner_steps}}}});
    EXPECT_TRUE(
        all.learner.theta[row].allclose(rounds(plain, start_run(plain), 2).learner.theta[row], 1e-4, 1e-6))
        << row;
  }
}

// What others ask of a learner is asked of the row's own, and what a row's agent says to nobody is not
// copied.
TEST(OwnSettings, AnswerForTheLearnersOfTheirRows) {
  const Experiment e = population({{"start", "drawn"}, {"ready", 1000}});
  const RunState run = rounds(e, start_run(e), 1);
  const Tensor settings = run.learner.own.at(OwnSettings::kKey);
  for (int64_t i = 0; i < 5; ++i) {
    const auto rule = dynamic_cast<const Descends&>(*e.learner).descent(run.learner, i);
    ASSERT_TRUE(rule.has_value());
    EXPECT_NEAR(rule->rates.item<double>(), settings[i][1].item<double>(), 1e-6);
  }
  for (const char* kind : {"fedrep", "ditto", "apfl"}) {
    try {
      population({{"settings", {"meta_lr"}}, {"low", {1e-4}}, {"high", {0.5}}},
                 {{"learner", {{"kind", kind}}}});
      ADD_FAILURE() << kind << " is taken";
    } catch (const UserError& refused) {
      EXPECT_NE(std::string(refused.what()).find("at home"), std::string::npos) << refused.what();
    }
  }
}

// The best may be none of the agents that are judged.
TEST(Population, OfWhichSomeAreJudgedHasItsBest) {
  const Experiment all = population({}, {{"rounds", 4}}),
                   some = population({}, {{"rounds", 4}, {"eval", {{"agents", 2}}}});
  const std::string folder =
      (std::filesystem::path(testing::TempDir()) / fmt::format("population_some_{}", ::getpid())).string();
  Json found;
  for (const Experiment* e : {&all, &some}) {
    RunState run;
    train(*e, {.folder = folder, .force = true}, {}, run);
    const Json summary = conclude(*e, {.folder = folder}, run);
    if (e == &all) found = summary["population"];
    EXPECT_EQ(summary["population"]["scores"], found["scores"]);
  }
  std::filesystem::remove_all(folder);
}

// ---- Who goes on from whom.

TEST(ChooseParents, TruncationReplacesTheWorstByTheBest) {
  PopulationOptions p;
  p.worst = 0.25;
  const std::vector<double> score{5, 1, NAN, 2, 9, 3, 4, INFINITY};
  std::map<int64_t, std::map<int64_t, int>> seen;  // copier -> copied -> times
  for (int k = 0; k < 400; ++k) {
    const auto from = choose_parents(p, score, false, Rng(k));
    for (int64_t i = 0; i < 8; ++i) {
      if (from[i] != i) ++seen[i][from[i]];
    }
  }
  // The two that are not finite copy one of the two best, each as often.
  ASSERT_EQ(seen.size(), 2u);
  for (const int64_t worst : {2, 7}) {
    ASSERT_EQ(seen[worst].size(), 2u);
    EXPECT_NEAR(seen[worst][1], 200, 45);  // 4.5 deviations of a fair coin
    EXPECT_EQ(seen[worst][1] + seen[worst][3], 400);
  }
  // Where higher is better, 9 and 5 are the best.
  const auto from = choose_parents(p, score, true, Rng(1));
  for (const int64_t worst : {2, 7}) EXPECT_TRUE(from[worst] == 4 || from[worst] == 0);
}

// In a binary tournament the agent of rank r (0 the best) loses to each of the r better ones with probability
// 1/(N - 1), so it copies with probability r/(N - 1).
TEST(ChooseParents, TournamentCopiesByRank) {
  PopulationOptions p;
  p.select = "tournament";
  const std::vector<double> score{3, 0, 4, 1, 2};
  const int times = 4000;
  std::vector<int> copies(5);
  for (int k = 0; k < times; ++k) {
    const auto from = choose_parents(p, score, false, Rng(k));
    for (int64_t i = 0; i < 5; ++i) {
      copies[i] += from[i] != i;
      EXPECT_LE(score[from[i]], score[i]);
    }
  }
  for (int64_t i = 0; i < 5; ++i) {
    const double q = score[i] / 4;
    EXPECT_NEAR(copies[i] / static_cast<double>(times), q, 4.5 * std::sqrt(q * (1 - q) / times) + 1e-12) << i;
  }
}

TEST(Explore, MovesCopiesAloneAndKeepsThemInRange) {
  PopulationOptions p;
  p.settings = {"a", "b"}, p.low = {1e-3, 1}, p.high = {1e-1, 4};
  const Tensor settings = at::tensor({1e-2, 2., 1e-2, 2., 0.09, 1.1}, at::kDouble).view({3, 2});
  std::map<double, int> seen;
  for (int k = 0; k < 300; ++k) {
    const Tensor out = explore(p, settings, {0, 0, 1}, Rng(k));
    EXPECT_TRUE(out[0].equal(settings[0]));
    ++seen[std::round(1e6 * out[1][0].item<double>())];
    EXPECT_LE(out[2][0].item<double>(), 0.1);
    EXPECT_GE(out[2][1].item<double>(), 1);
  }
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_NEAR(seen[8000], 150, 39);
  EXPECT_EQ(seen[8000] + seen[12000], 300);
  // Drawn anew, half of the values lie below the geometric mean of the bounds.
  p.resample = 1;
  int below = 0;
  for (int k = 0; k < 400; ++k) {
    const double x = explore(p, settings, {0, 0, 1}, Rng(k))[1][0].item<double>();
    EXPECT_TRUE(x >= 1e-3 && x <= 1e-1);
    below += x < 1e-2;
  }
  EXPECT_NEAR(below, 200, 45);
}

TEST(Select, CopiesTheWholeRow) {
  const Experiment e = population({{"start", "drawn"}, {"worst", 0.4}});
  RunState run = rounds(e, start_run(e), 2);
  const State before = run.learner;
  const Json row = select(e, run.learner, 3);
  int copies = 0;
  for (int64_t i = 0; i < 5; ++i) {
    const auto from = row["from"][i].get<int64_t>();
    copies += from != i;
    EXPECT_TRUE(run.learner.theta[i].equal(before.theta[from]));
    EXPECT_TRUE(run.learner.own.at("adam.m")[i].equal(before.own.at("adam.m")[from]));
    EXPECT_TRUE(run.learner.own.at("adam.v")[i].equal(before.own.at("adam.v")[from]));
    const Tensor now = run.learner.own.at(OwnSettings::kKey)[i],
                 then = before.own.at(OwnSettings::kKey)[from];
    EXPECT_EQ(now.equal(then), from == i);
    EXPECT_EQ(row["settings"]["meta_lr"][i].get<double>(), now[0].item<double>());
    EXPECT_EQ(row["settings"]["inner_lr"][i].get<double>(), now[1].item<double>());
  }
  EXPECT_EQ(copies, 2);
}

// A search that copies another goes on sampling by its own stream.
TEST(Select, ACopiedSearchDrawsItsOwnDirections) {
  const Experiment e = population({{"settings", {"meta_lr"}}, {"low", {1e-4}}, {"high", {0.1}}},
                                  {{"learner", {{"kind", "openai_es"}, {"population", 4}}}});
  const RunState run = rounds(e, start_run(e), 7);
  EXPECT_TRUE(run.learner.id.equal(at::arange(5, at::kLong)));
}

// ---- A run is a function of its settings and its seed.

TEST(Population, ResumedEqualsUnbrokenAndThreadsDoNotMatter) {
  std::vector<Json> ways{{{"start", "drawn"}, {"resample", 0.5}}, {{"select", "tournament"}}};
  std::vector<Json> rest{Json::object(),
                         Json::parse(R"({"exchange": {"topology": "ring"}, "precision": "float64"})")};
  for (size_t k = 0; k < ways.size(); ++k) {
    const Experiment e = population(ways[k], rest[k]);
    const RunState unbroken = rounds(e, start_run(e), 11, 1);
    expect_same(unbroken, rounds(e, start_run(e), 11, 2));
    const std::string file =
        (std::filesystem::path(testing::TempDir()) / fmt::format("population_{}.safetensors", ::getpid()))
            .string();
    save_checkpoint(file, e, rounds(e, start_run(e), 5, 2));
    expect_same(unbroken, rounds(e, load_checkpoint(file, e), 11, 1));
    std::filesystem::remove(file);
    EXPECT_EQ(Experiment::build(Config::parse(e.toml, "again")).toml, e.toml);
  }
}

TEST(Population, LineageSurvivesAnInterruption) {
  const Experiment e = population({}, {{"rounds", 12}, {"checkpoint_every", 4}});
  const auto folder = [](const char* name) {
    return (std::filesystem::path(testing::TempDir()) / fmt::format("population_{}_{}", name, ::getpid()))
        .string();
  };
  RunState a, b;
  train(e, {.folder = folder("whole"), .force = true}, {}, a);
  int asked = 0;
  train(e, {.folder = folder("broken"), .force = true}, {.stop = [&] { return ++asked == 7; }}, b);
  EXPECT_EQ(b.round, 7);
  b = {};  // one state at a time holds the folder
  train(e, {.folder = folder("broken"), .resume = true}, {}, b);
  const auto whole = read_records(folder("whole") + "/lineage.jsonl");
  ASSERT_EQ(whole.size(), 5u);  // the beginning, and rounds 3, 6, 9 and 12
  EXPECT_EQ(whole, read_records(folder("broken") + "/lineage.jsonl"));
  for (size_t k = 0; k < whole.size(); ++k) EXPECT_EQ(whole[k]["round"].get<size_t>(), 3 * k);
  const Json summary = conclude(e, {.folder = folder("whole")}, a);
  const auto best = summary["population"]["best"].get<int64_t>();
  const Json& judged = summary["population"]["validation"];
  for (const Json& other : judged) EXPECT_LE(judged[best].get<double>(), other.get<double>());
  EXPECT_EQ(summary["population"]["scores"], summary["eval"]["per_agent"][best]);
  for (const char* name : {"whole", "broken"}) std::filesystem::remove_all(folder(name));
}

// ---- What it is for: eight agents that begin with a rate too small to learn anything end as well as with a
// good one.

TEST(Population, RecoversABadLearningRate) {
  const auto end = [](const Json& p, double rate) {
    Json sections = {
        {"agents", 8},
        {"tasks", 4},
        {"learner", {{"meta_lr", rate}, {"inner_lr", 0.05}}},
        {"model", {{"hidden", {12}}}},
        {"task",
         {{"slice_by", "none"}, {"amplitude", {2.0, 3.0}}, {"phase", {0.0, 0.5}}, {"x", {-2.0, 2.0}}}},
        {"eval", {{"steps", {1}}}}};
    if (!p.is_null()) sections["population"] = p;
    const Experiment e = fleet(sections);
    const RunState run = rounds(e, start_run(e), 1500, 0);
    const Subject subject{*e.learner, *e.model, *e.family, run.learner};
    const Json r = eval_json(evaluate(subject, Split::kTest, 200, {1}, false, Rng(9)), e.spec, "");
    double best = INFINITY;
    for (const Json& agent : r["per_agent"]) best = std::min(best, agent[0].get<double>());
    return best;
  };
  const Json pbt = {
      {"settings", {"meta_lr"}}, {"low", {1e-6}}, {"high", {1.0}}, {"ready", 25}, {"factors", {0.5, 2.0}}};
  const double bad = end(nullptr, 1e-6), good = end(nullptr, 3e-3), recovered = end(pbt, 1e-6);
  EXPECT_GT(bad, 3 * good);
  EXPECT_LT(recovered, good + 0.25 * (bad - good));
}

// ---- What makes no sense is refused, with the reason.

std::string refused(const Json& p, const Json& rest = Json::object()) {
  try {
    population(p, rest);
  } catch (const UserError& e) {
    return e.what();
  }
  return "";
}

TEST(Population, RefusesWhatMakesNoSense) {
  const auto says = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(says(refused({{"settings", {"meta_lr", "iner_lr"}}}), "did you mean \"inner_lr\"") ||
              says(refused({{"settings", {"meta_lr", "iner_lr"}}}), "inner_lr?"));
  EXPECT_TRUE(says(refused({{"settings", {"optimizer"}}, {"low", {1.0}}, {"high", {2.0}}}), "is no number"));
  EXPECT_TRUE(says(refused({{"low", {1e-6}}}), "1 values for 2 settings"));
  EXPECT_TRUE(says(refused({{"low", {0.2, 1e-4}}}), "above its high"));
  EXPECT_TRUE(says(refused({{"low", {1e-2, 1e-4}}}), "set start to drawn"));
  EXPECT_TRUE(says(refused({{"settings", {"order"}}, {"low", {1.0}}, {"high", {5.0}}}), "out of range"));
  EXPECT_TRUE(says(refused({}, {{"agents", 1}}), "one agent"));
  EXPECT_TRUE(says(refused({}, Json::parse(R"({"privacy": {"unit": "task"}})")), "no noise protects"));
  EXPECT_TRUE(says(refused({}, Json::parse(R"({"exchange": {"topology": "full"}, "faults": {"agents": [1]},
                                              "aggregator": {"kind": "median"}})")),
                   "hostile"));
  EXPECT_TRUE(says(refused({}, Json::parse(R"({"exchange": {"topology": "star", "payload": "updates"}})")),
                   "differences"));
}

}  // namespace
}  // namespace symma
