// Who is best is said only where it can be told: in pairs over the same tasks, over groups, over seeds.
#include "symma/report/words.h"

#include "report/runs.h"
#include "symma/core/rng.h"
#include "symma/eval/statistics.h"
#include "symma/report/arms.h"
#include "symma/report/format.h"

namespace symma {
namespace {

class Words : public Report {
 protected:
  // A run judged on `scores` after ten steps; runs of one `key` are of the same tasks.
  std::string judged(const std::string& name, const std::vector<double>& scores, int key = 1,
                     const std::vector<std::string>& groups = {}, int seed = 1) {
    const Summary all = summarise(scores, false, groups_of(groups));
    Json s = summary(name);
    s["seed"] = seed;
    s["settings"][""]["seed"] = seed;
    s["eval"] = {{"split", "test"},
                 {"metric", "mse"},
                 {"higher_is_better", false},
                 {"protocol", ""},
                 {"tasks", scores.size()},
                 {"steps", {10}},
                 {"mean", {all.mean}},
                 {"ci95", {number_of(all.ci95)}},
                 {"median", {all.median}},
                 {"q1", {all.q1}},
                 {"q3", {all.q3}},
                 {"judged_on", {{"seed", key}, {"task", {{"kind", "sinusoid"}}}}}};
    const std::string folder = run(name, s, nullptr);
    std::string csv = groups.empty() ? "split,agent,task,steps,mse\n" : "split,agent,task,group,steps,mse\n";
    for (size_t t = 0; t < scores.size(); ++t)
      csv += fmt::format("test,0,{},{}10,{}\n", t, groups.empty() ? "" : groups[t] + ",", scores[t]);
    write_file(folder + "/scores.csv", csv);
    return folder;
  }
  static Json number_of(double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); }
};

std::vector<double> noise(uint64_t seed, int64_t n, double mean, double sd) {
  Draws d(Rng(seed).split("noise"));
  std::vector<double> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(mean + sd * d.normal());
  return out;
}

TEST_F(Words, PairsTellApartWhatMeansCannot) {
  auto a = noise(1, 100, 5, 2), b = a;
  const auto small = noise(2, 100, 0.1, 0.05);
  for (size_t t = 0; t < b.size(); ++t) b[t] += small[t];
  const std::string paired = comparison_table({judged("a", a), judged("b", b)});
  EXPECT_NE(paired.find("Lowest mse after 10 steps: a "), std::string::npos) << paired;
  EXPECT_NE(paired.find("in pairs over the same tasks"), std::string::npos) << paired;
  // Of other tasks the same numbers say nothing.
  const std::string other = comparison_table({judged("c", a, 1), judged("d", b, 2)});
  EXPECT_NE(other.find("Not told apart in mse after 10 steps: c "), std::string::npos) << other;
}

TEST_F(Words, OneGroupThatDiffersCrownsNobody) {
  // Six homes on which nothing differs but by chance, one on which much does: 70 tasks of 7 homes.
  std::vector<double> a, b;
  std::vector<std::string> homes;
  const auto x = noise(3, 70, 1, 0.1), y = noise(4, 70, 1, 0.1);
  for (int t = 0; t < 70; ++t) {
    homes.push_back("home " + std::to_string(t % 7));
    a.push_back(x[t]);
    b.push_back(y[t] + (t % 7 == 0 ? 1.5 : 0));
  }
  const auto by_home = comparison_table({judged("a", a, 1, homes), judged("b", b, 1, homes)});
  EXPECT_NE(by_home.find("Not told apart"), std::string::npos) << by_home;
  EXPECT_NE(by_home.find("same groups"), std::string::npos) << by_home;
  const auto alone = comparison_table({judged("c", a), judged("d", b)});  // as if each task were a home
  EXPECT_NE(alone.find("Lowest mse after 10 steps: c "), std::string::npos) << alone;
}

// Runs that are one and the same but for chance: a winner is crowned in no more than one case of twenty,
// however many there are. The old words crowned one each time.
TEST_F(Words, NoiseCrownsNobody) {
  for (const int runs : {2, 5}) {
    int crowned = 0;
    constexpr int kTimes = 200;
    for (int k = 0; k < kTimes; ++k) {
      std::vector<Contender> all;
      for (int i = 0; i < runs; ++i) {
        Contender c;
        c.name = std::to_string(i);
        c.of_seeds = noise(1000 + 10 * static_cast<uint64_t>(k) + static_cast<uint64_t>(i), 4, 0, 1);
        const Summary s = summarise(c.of_seeds, false);
        c.mean = s.mean, c.ci95 = s.ci95;
        all.push_back(c);
      }
      ScoreFiles files;
      crowned += standing(files, all, "mse", 10, false).level == 1;
    }
    EXPECT_LE(crowned, kTimes * 0.05 + 3 * std::sqrt(kTimes * 0.05)) << runs;
  }
}

TEST_F(Words, BoldIsAllThatIsLevelWithTheBest) {
  const auto a = noise(5, 50, 1, 0.3), b = noise(6, 50, 1, 0.3), c = noise(7, 50, 4, 0.3);
  const std::string page = report_html({judged("a", a), judged("b", b), judged("c", c)});
  EXPECT_EQ(count(page, "class=\"number best\""), 2u);
  EXPECT_NE(page.find("Not told apart in mse after 10 steps"), std::string::npos);
}

TEST_F(Words, HeadlineNamesTheGroups) {
  Json s = summary("homes");
  s["eval"]["groups"] = 7;
  s["eval"]["group_word"] = "home";
  const std::string page = report_html({run("h", s)});
  EXPECT_NE(page.find("on 600 unseen test tasks of 7 homes"), std::string::npos);
  EXPECT_NE(page.find("Means and intervals are over the 7 homes"), std::string::npos);
  EXPECT_EQ(counted_words(1, "home"), "1 home");
  EXPECT_EQ(counted_words(3, "class"), "3 classes");
  EXPECT_EQ(counted_words(2, "city"), "2 cities");
}

TEST_F(Words, RulesChanceAndChangeStandBesideTheScore) {
  Json s = summary("rules");
  s["eval"]["metric"] = "accuracy";
  s["eval"]["higher_is_better"] = true;
  for (const char* key : {"mean", "median", "q1", "q3"}) s["eval"][key] = {0.2, 0.5, 0.75, 0.875};
  s["eval"]["ci95"] = {0.01, 0.01, 0.01, 0.01};
  s["eval"]["chance"] = 0.2;
  s["eval"]["rules"] = {{"nearest neighbour", {{"mean", 0.61}, {"ci95", 0.02}}}};
  s["eval"]["change"] = {{"from", 0},    {"to", 10},       {"difference", 0.675},
                         {"ci95", 0.02}, {"better", 0.99}, {"told_apart", true}};
  const std::string page = report_html({run("r", s)});
  EXPECT_NE(page.find("nearest neighbour</th><td class=\"number\">61.0 ± 2.0 %"), std::string::npos);
  EXPECT_NE(page.find("guessing</th><td class=\"number\">20.0 %"), std::string::npos);
  EXPECT_NE(page.find("10 steps of adapting raise accuracy by 67.5 ± 2.0 %, in pairs"), std::string::npos);
  EXPECT_EQ(page_data(page)["runs"][0]["eval"]["chance"], 0.2);
}

// What a sweep's table has no place for is named with the reason.
TEST_F(Words, RunsThatAreLeftOutOfASweepAreNamed) {
  const auto into_sweep = [&](const std::string& name, const auto& change) {
    const auto folder = judged(name, noise(7, 20, 1, 0.5));
    Json s = Json::parse(read_file(folder + "/summary.json"));
    s["settings"]["task"]["kind"] = name;
    change(s);
    write_file(folder + "/summary.json", s.dump());
    make_folder(root_ + "/sweep/runs");
    std::filesystem::rename(folder, root_ + "/sweep/runs/" + name);
  };
  into_sweep("sines", [](Json&) {});
  into_sweep("waves", [](Json&) {});
  into_sweep("spots", [](Json& s) { s["eval"]["metric"] = "accuracy"; });
  into_sweep("unjudged", [](Json& s) { s.erase("eval"); });
  const std::string table = comparison_table({root_ + "/sweep"}), page = report_html({root_ + "/sweep"});
  const std::string spots = "spots: is judged by accuracy, and others by mse",
                    unjudged = "unjudged: was not evaluated";
  EXPECT_NE(table.find("left out: " + spots), std::string::npos) << table;
  EXPECT_NE(table.find("left out: " + unjudged), std::string::npos) << table;
  EXPECT_NE(page.find("Left out: " + spots), std::string::npos);
  EXPECT_NE(page.find("Left out: " + unjudged), std::string::npos);
  EXPECT_EQ(comparison_json({root_ + "/sweep"})["left_out"], Json({spots, unjudged}));
  EXPECT_EQ(sweep_result(root_ + "/sweep", {}).left_out, Json({spots, unjudged}));
}

// What an interval is over is said of all arms, on the page as in the terminal.
TEST_F(Words, ArmsOfOneSeedAndOfSeveralSayWhatTheirIntervalsAreOver) {
  const auto of_seeds = [&](const std::string& sweep, int first, int second) {
    make_folder(root_ + "/" + sweep + "/runs");
    for (int arm = 0; arm < 2; ++arm)
      for (int seed = 1; seed <= (arm == 0 ? first : second); ++seed) {
        const auto folder =
            judged(fmt::format("{}{}s{}", sweep, arm, seed), noise(seed, 20, 1 + arm, 0.5), seed, {}, seed);
        Json s = Json::parse(read_file(folder + "/summary.json"));
        s["settings"]["learner"]["inner_rate"] = arm;
        write_file(folder + "/summary.json", s.dump());
        std::filesystem::rename(folder, fmt::format("{}/{}/runs/{}s{}", root_, sweep, arm, seed));
      }
    return std::pair(comparison_table({root_ + "/" + sweep}), report_html({root_ + "/" + sweep}));
  };
  const auto said = [](const std::pair<std::string, std::string>& both, const std::string& words) {
    EXPECT_NE(both.first.find("interval " + words + ","), std::string::npos) << both.first;
    EXPECT_NE(both.second.find("interval " + words + "."), std::string::npos) << words;
  };
  said(of_seeds("one", 1, 1), "over the tasks of one run");
  said(of_seeds("several", 2, 2), "over seeds, by Student's t");
  const std::string mixed = "over seeds, by Student's t, and of one seed over its tasks";
  said(of_seeds("late", 1, 3), mixed);
  said(of_seeds("early", 3, 1), mixed);
}

// Arms are ranked on test tasks, which is no choice of settings: that is said, with what validation chooses.
TEST_F(Words, TheArmThatValidationChoosesIsNamed) {
  const auto sweep = [&](const std::string& name, const std::vector<double>& test,
                         const std::vector<Json>& last) {
    make_folder(root_ + "/" + name + "/runs");
    for (size_t arm = 0; arm < test.size(); ++arm) {
      const auto folder = judged(fmt::format("{}{}", name, arm), noise(3, 20, test[arm], 0.1));
      Json s = Json::parse(read_file(folder + "/summary.json"));
      s["settings"]["learner"]["inner_rate"] = arm;
      write_file(folder + "/summary.json", s.dump());
      std::string rows;
      for (int k = 1; k <= 2; ++k) {
        Json row{{"round", k},  {"seconds", k},        {"tasks", k},
                 {"loss", 1.0}, {"disagreement", 0.0}, {"bits", 0}};
        if (!last[arm].is_null())
          row["validation"] = {
              {"metric", "mse"}, {"steps", {10}}, {"mean", {k == 1 ? Json(0.01) : last[arm]}}};
        rows += row.dump() + "\n";
      }
      write_file(folder + "/metrics.jsonl", rows);
      std::filesystem::rename(folder, fmt::format("{}/{}/runs/{}", root_, name, arm));
    }
    return comparison_table({root_ + "/" + name});
  };
  const std::string optimistic = "the best of 3 arms looks better on them than it is";
  const std::string chosen = sweep("chosen", {1, 2, 3}, {0.7, 0.5, 0.6});
  EXPECT_NE(chosen.find("Lowest mse after 10 steps: inner_rate 0"), std::string::npos) << chosen;
  EXPECT_NE(chosen.find(optimistic), std::string::npos) << chosen;
  EXPECT_NE(chosen.find("The last validation chooses inner_rate 1 (0.500), which has 1.9"), std::string::npos)
      << chosen;
  EXPECT_NE(
      report_html({root_ + "/chosen"}).find("The last validation chooses <strong>inner_rate 1</strong>"),
      std::string::npos);
  EXPECT_NE(comparison_json({root_ + "/chosen"})["standing"].dump().find("chooses inner_rate 1"),
            std::string::npos);
  const std::string none = sweep("none", {1, 2, 3}, {0.7, nullptr, 0.6});
  EXPECT_NE(none.find(optimistic), std::string::npos) << none;
  EXPECT_NE(none.find("have no validation"), std::string::npos) << none;
  EXPECT_EQ(none.find("chooses"), std::string::npos) << none;
}

TEST_F(Words, SeedsArePooledAndArmsNamedByWhatDiffers) {
  std::vector<std::string> folders;
  for (const std::string rate : {"0.1", "0.2"}) {
    for (int seed = 1; seed <= 3; ++seed) {
      const auto folder = judged(fmt::format("r{}s{}", rate, seed),
                                 noise(30 + seed, 20, rate == "0.1" ? 1 : 3, 0.5), seed, {}, seed);
      Json s = Json::parse(read_file(folder + "/summary.json"));
      s["experiment"] = "same";
      s["settings"]["learner"]["inner_rate"] = Json::parse(rate);
      write_file(folder + "/summary.json", s.dump());
      const std::string in_sweep = root_ + "/sweep/runs/" + fmt::format("rate={},seed={}", rate, seed);
      make_folder(root_ + "/sweep/runs");
      std::filesystem::rename(folder, in_sweep);
    }
  }
  bool sweep = false;
  const auto runs = read_runs(run_folders({root_ + "/sweep"}, &sweep));
  EXPECT_TRUE(sweep);
  const auto arms = arms_of(runs);
  ASSERT_EQ(arms.size(), 2u);
  EXPECT_EQ(arms[0].label, "inner_rate 0.1");
  ASSERT_EQ(arms[0].runs.size(), 3u);
  std::vector<double> means;
  for (const symma::Run* r : arms[0].runs) means.push_back(r->eval->mean[0]);
  EXPECT_DOUBLE_EQ(arms[0].ci95[0], summarise(means, false).ci95);
  EXPECT_TRUE(arms[0].iqm.empty());  // of three seeds there is no bootstrap
  const std::string table = comparison_table({root_ + "/sweep"});
  EXPECT_NE(table.find("Lowest mse after 10 steps: inner_rate 0.1"), std::string::npos) << table;
  EXPECT_NE(table.find("in pairs over the same seeds"), std::string::npos) << table;
  const std::string csv = arms_csv(arms);
  EXPECT_EQ(count(csv, "\n"), 7u);
  EXPECT_NE(csv.find("arm,seed,run,learner.inner_rate,steps,mse,bits,seconds\n"), std::string::npos) << csv;
  EXPECT_EQ(count(report_html({root_ + "/sweep"}), "<circle class=\"seed\""), 6u);
}

// Two runs of the same settings and seed are one sample, and no interval of two.
TEST_F(Words, ASeedIsCountedOnce) {
  std::vector<std::string> folders;
  for (const auto& [name, seed] : {std::pair{"a", 1}, {"again", 1}, {"b", 2}}) {
    folders.push_back(judged(name, noise(static_cast<uint64_t>(40 + seed), 20, 1, 0.5), 1, {}, seed));
    Json s = Json::parse(read_file(folders.back() + "/summary.json"));
    s["settings"][""]["name"] = name;
    write_file(folders.back() + "/summary.json", s.dump());
  }
  const auto runs = read_runs({folders[0], folders[1]});
  const auto one = arms_of(runs);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].runs.size(), 1u);
  EXPECT_EQ(one[0].ci95[0], runs[0].eval->ci95[0]);  // over its tasks
  const auto said = counted_once(one);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0],
            "counted once: " + folders[0] + " and " + folders[1] + ", of the same settings and seed");
  EXPECT_NE(arms_text(one, {}).find(said[0]), std::string::npos);
  EXPECT_EQ(arms_json(one)[0]["seeds"], Json({1}));
  const auto all = read_runs(folders);
  EXPECT_EQ(arms_json(arms_of(all))[0]["seeds"], Json({1, 2}));
}

// An interval is said with two digits of its own, however narrow: none of any width reads as one of no width.
TEST(Format, AnIntervalKeepsTwoDigits) {
  EXPECT_EQ(with_interval(0.00234, 0.000021, false), "0.002340 ± 0.000021");
  EXPECT_EQ(with_interval(0.36, 0.02, false), "0.360 ± 0.020");
  EXPECT_EQ(with_interval(12.5, 3.2, false), "12.5 ± 3.2");
  EXPECT_EQ(with_interval(1.5, 3e-9, false), "1.500000 ± 3.0e-09");
  EXPECT_EQ(with_interval(1.5, 0, false), "1.500 ± 0.000");
  EXPECT_EQ(with_interval(0.884, 0.009, true), "88.4 ± 0.9 %");
  EXPECT_EQ(with_interval(0.88412, 0.00021, true), "88.412 ± 0.021 %");
  EXPECT_EQ(with_interval(1, 0, true), "100.0 ± 0.0 %");
  for (double width = 1e-12; width < 1; width *= 1.7)
    for (const bool percent : {false, true})
      for (const double mean : {0.0, 0.0005, 0.00234, 0.36, 0.99, 12.0}) {
        const std::string said = with_interval(mean, width, percent);
        EXPECT_GT(std::stod(said.substr(said.find("± ") + 3)), 0) << said;
      }
}

Training validated(const std::vector<double>& scores) {
  Training t;
  for (size_t k = 0; k < scores.size(); ++k) {
    Validation v;
    v.round = 100.0 * static_cast<double>(k + 1);
    v.mean = {9, scores[k]};
    t.validation.push_back(v);
  }
  return t;
}

TEST(PastBest, IsSaidWhereAnErrorHasGrownByAQuarter) {
  EXPECT_EQ(past_best_words(validated({0.8, 0.4, 0.5, 4.84}), "mse", false),
            "Validation mse was best after round 200, 0.400, and is 4.84 at the end: later rounds did unseen "
            "tasks no good; try --set rounds=200");
  EXPECT_NE(past_best_words(validated({0.8, 0.4, std::nan("")}), "mse", false), "");
  EXPECT_NE(past_best_words(validated({0.8, 0.95, 0.9}), "accuracy", true), "");
  // Not where it wavers, falls, or is a return, and not without validation.
  EXPECT_EQ(past_best_words(validated({0.8, 0.4, 0.45}), "mse", false), "");
  EXPECT_EQ(past_best_words(validated({0.8, 0.4, 0.3}), "mse", false), "");
  EXPECT_EQ(past_best_words(validated({0.8, 0.9, 0.89}), "accuracy", true), "");
  EXPECT_EQ(past_best_words(validated({8, 9, 1}), "return", true), "");
  EXPECT_EQ(past_best_words({}, "mse", false), "");
}

}  // namespace
}  // namespace symma
