// Inputs that failed once, each in a folder of ../shared/cases with a README of what is expected. Skipped
// where they are not.
#include <cmath>

#include "cli/program.h"

namespace {

using namespace program;

class Cases : public BadInput {
 protected:
  // The folder of a case, its files copied where this test may write; skips the test where there is none.
  bool enter(const std::string& name) {
    const fs::path from = fs::path(SYMMA_SOURCE_DIR).parent_path() / "shared/cases" / name;
    if (!fs::exists(from)) return false;
    for (const auto& entry : fs::directory_iterator(from))
      fs::copy(entry.path(), at / entry.path().filename(),
               fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    return true;
  }
  // The last mean of a run on base.toml with pretraining, 400 rounds.
  double score(const std::string& csv) {
    run_well({"train", "base.toml", "--set", "task.path=" + csv, "--set", "agents=1", "--set", "rounds=400",
              "--set", "learner.kind=pretrain", "--set", "learner.meta_lr=0.01", "--out", "r_" + csv},
             at.path());
    return json_file(at / ("r_" + csv + "/summary.json"))["eval"]["mean"].back().get<double>();
  }
};

#define ENTER(name) \
  if (!enter(name)) GTEST_SKIP() << "no ../shared/cases/" << name

TEST_F(Cases, ANameTwiceInAHeader) {
  ENTER("duplicate_target");
  expect_refusal(run({"train", "base.toml", "--set", "task.path=d.csv", "--out", "r"}, at.path()),
                 {"d.csv", "\"y\"", "twice"});
}

TEST_F(Cases, AColumnWithoutSpreadInTraining) {
  ENTER("constant_feature_in_training");
  const double without = score("const0.csv");
  EXPECT_LT(without, 0.01);
  EXPECT_LT(score("const1.csv"), 0.1);
  EXPECT_LT(score("const2.csv"), 0.1);
}

TEST_F(Cases, NumbersAreStandardisedBeforeTheyAreRounded) {
  ENTER("float32_before_standardising");
  const double from_zero = score("ts0.csv");
  EXPECT_LT(score("ts1.csv"), 2 * from_zero);
  // Targets of 1e8 + a: rounded to floats, eight apart, they were as good as one number, and "predicted" to
  // 2e-5.
  const double far_away = score("tg1.csv");
  EXPECT_GT(far_away, 2e-4);
  EXPECT_LT(far_away, 0.05);
}

TEST_F(Cases, AGzipThatEndsEarly) {
  ENTER("gzip_cut_short");
  expect_refusal(run({"train", "base.toml", "--set", "task.path=gzcut.csv.gz", "--out", "r"}, at.path()),
                 {"gzcut.csv.gz", "damaged gzip"});
}

TEST_F(Cases, TextThatIsNotUtf8) {
  ENTER("latin1_group_names");
  expect_refusal(run({"train", "base.toml", "--set", "task.path=d.csv", "--out", "r"}, at.path()),
                 {"d.csv:", "no UTF-8"});
}

TEST_F(Cases, OtherFormsAreNamed) {
  ENTER("utf16_semicolon");
  for (const auto& [file, word] : {std::pair{"c_utf16.csv", "UTF-16"},
                                   {"c_semicolon.csv", "semicolons"},
                                   {"c_cr_only.csv", "CR line ends"}})
    expect_refusal(
        run({"train", "base.toml", "--set", std::string("task.path=") + file, "--out", "r"}, at.path()),
        {file, word});
}

TEST_F(Cases, CellsWithCommasAreQuoted) {
  ENTER("predictions_csv_not_quoted");
  run_well({"train", "base.toml", "--set", "task.path=lab.csv", "--set", "task.predict=classification",
            "--set", "task.shots=2", "--out", "r"},
           at.path());
  run_well({"adapt", "r", "--data", "few_lab.csv"}, at.path());
  const Words rows = lines(slurp(at / "r/adapted/predictions.csv"));
  ASSERT_GT(rows.size(), 1u);
  for (size_t i = 1; i < rows.size(); ++i) {
    bool quoted = false;
    int cells = 1;
    for (const char c : rows[i]) quoted ^= c == '"', cells += c == ',' && !quoted;
    EXPECT_EQ(cells, 4) << rows[i];
  }
}

TEST_F(Cases, AGroupIsJudgedOnItsOwnRowsWhateverOthersHave) {
  ENTER("small_group_cuts_queries");
  const auto scores = [&](const std::string& csv) {
    run_well({"train", "base.toml", "--set", "task.path=" + csv, "--set", "agents=1", "--set", "rounds=20",
              "--set", "task.test_fraction=0.3", "--set", "eval.tasks=100", "--set", "eval.steps=[0]",
              "--out", "r_" + csv},
             at.path());
    return lines(slurp(at / ("r_" + csv + "/scores.csv")));
  };
  // Before learning has told them apart, a group of 200 rows has the score that it has among groups of 200:
  // the files differ in one group, which is judged on its one row. It cut all others to one row, too.
  const Words uneven = scores("uneven.csv"), even = scores("even.csv");
  ASSERT_EQ(uneven.size(), even.size());
  const auto mse = [](const std::string& row) { return std::stod(row.substr(row.rfind(',') + 1)); };
  int alike = 0;
  for (size_t i = 1; i < even.size(); ++i)
    alike += std::abs(mse(uneven[i]) - mse(even[i])) < 0.2 * mse(even[i]);
  EXPECT_GT(alike, 50) << "of 100";
}

TEST_F(Cases, OtherTaskRoundsAreOtherSettings) {
  ENTER("resume_other_task_rounds");
  run_well({"train", "game.toml", "--out", "r"}, at.path());
  const std::string before = slurp(at / "r/experiment.toml");
  expect_refusal(run({"train", "game.toml", "--set", "task.rounds=5", "--resume", "--out", "r"}, at.path()),
                 {"task.rounds: 20", "5 is asked for"}, true);
  EXPECT_EQ(slurp(at / "r/experiment.toml"), before);
  expect_refusal(run({"train", "game.toml", "--set", "rounds=1", "--resume", "--out", "r"}, at.path()),
                 {"is of 2 rounds, and 1"}, true);
}

// A run of a table knows its columns and scales, so it adapts wherever the shell stands, whatever became of
// the file; and what needs the file notices.
TEST_F(Cases, ARunOfATableStandsByItself) {
  ENTER("relative_data_path");
  run_well({"train", "base.toml", "--set", "rounds=20", "--out", "elsewhere/r"}, at.path());
  fs::create_directory(at / "other");
  const Words rows = lines(slurp(at / "d.csv"));
  std::string few;
  for (size_t i = 0; i < 6; ++i) few += rows[i] + "\n";
  spill(at / "few.csv", few);
  const auto predicted = [&] {
    run_well({"adapt", "../elsewhere/r", "--data", "../few.csv"}, at / "other");
    return slurp(at / "elsewhere/r/adapted/predictions.csv");
  };
  const std::string before = predicted();
  run_well({"eval", "../elsewhere/r"}, at / "other");
  const std::string data = slurp(at / "d.csv");
  std::string doubled = rows[0] + "\n";
  for (size_t i = 1; i < rows.size(); ++i)
    if (!rows[i].empty()) doubled += rows[i] + "9\n";
  spill(at / "d.csv", doubled);
  EXPECT_EQ(predicted(), before);
  expect_refusal(run({"eval", "../elsewhere/r"}, at / "other"), {"d.csv", "changed"}, true);
  expect_refusal(run({"train", "--resume", "--out", "../elsewhere/r", "--set", "rounds=30"}, at / "other"),
                 {"d.csv", "changed"}, true);
  fs::remove(at / "d.csv");
  EXPECT_EQ(predicted(), before);
  // Judged on other data it needs its own no more.
  spill(at / "new.csv", data);
  run_well({"eval", "../elsewhere/r", "--data", "../new.csv"}, at / "other");
  EXPECT_TRUE(json_file(at / "elsewhere/r/eval.json").contains("seen") ||
              json_file(at / "elsewhere/r/eval.json").contains("eval"));
}

TEST_F(Cases, HostileFilesRunOrAreRefused) {
  ENTER("hostile");
  for (const auto& entry : fs::directory_iterator(at.path())) {
    if (!entry.path().filename().string().starts_with("opt_")) continue;
    const Result r =
        run({"train", entry.path().filename().string(), "--set", "rounds=2", "--set", "eval.tasks=2", "--set",
             "eval.validation_tasks=2", "--out", "r_" + entry.path().stem().string()},
            at.path());
    EXPECT_TRUE(r.code == 0 || r.code == 2) << entry.path() << ": " << r.err;
    if (r.code == 2) {
      EXPECT_FALSE(fs::exists(at / ("r_" + entry.path().stem().string())))
          << "left behind by " << entry.path();
    }
  }
}

TEST_F(Cases, HostileRunsAndDataAreRefused) {
  ENTER("hostile");
  expect_refusal(run({"train", "dotted.toml", "--out", "r"}, at.path()), {"dotted.toml", "parts"});
  expect_refusal(run({"train", "g.toml", "--out", "r"}, at.path()), {"g.csv.gz", "damaged gzip"});
  EXPECT_FALSE(fs::exists(at / "r"));
  expect_refusal(run({"train", "--resume", "--out", "replay_count"}, at.path()), {"checkpoint.safetensors"},
                 true);
}

TEST_F(Cases, ThreadsAreThoseThatItMayUse) {
  ENTER("affinity_ignored");
  const Result r =
      Process({"taskset", "-c", "0", SYMMA_PROGRAM, "train", "sin.toml", "--out", "r"}, at.path()).wait();
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(json_file(at / "r/summary.json")["threads"], 1);
}

TEST_F(Cases, NamesInArchivesAreUtf8) {
  ENTER("unicode_zip");
  for (const std::string file : {"uni.zip", "onetxt.zip", "pax.tar.gz"}) {
    if (!fs::exists(at / file)) continue;
    const Result r =
        run({"train", "img.toml", "--set", "task.path=[\"" + file + "\"]", "--out", "r_" + file}, at.path());
    EXPECT_EQ(r.code, 0) << file << ": " << r.err;
  }
}

TEST_F(Cases, ClassesStandWhereTheLinksAre) {
  ENTER("symlinked_images");
  // The links travelled as files that hold where they lead.
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(at / "links2"))
    if (entry.is_regular_file() && !entry.is_symlink()) files.push_back(entry.path());
  for (const auto& file : files) {
    const std::string leads = slurp(file);
    if (!leads.starts_with("../")) continue;
    fs::remove(file);
    fs::create_symlink(leads, file);
  }
  fs::create_directory_symlink("..", at / "links2/alpha0/loop");
  run_well({"train", "img.toml", "--set", "task.path=[\"links2\"]", "--out", "r"}, at.path());
  const std::string shares = json_file(at / "r/summary.json")["agent_share"].dump();
  EXPECT_TRUE(holds(shares, "alpha")) << shares;
  EXPECT_FALSE(holds(shares, "beta")) << shares;
}

TEST_F(Cases, TheSameNameInTwoBranchesIsTold) {
  ENTER("same_names_in_two_branches");
  expect_refusal(
      run({"train", "img.toml", "--set", "task.path=[\"two2\"]", "--set", "task.shots=5", "--out", "r"},
          at.path()),
      {"is there already", "images_background"});
}

// One file serves to compare kinds: options in it of a kind that was not chosen are not looked at, others
// are.
TEST_F(BadInput, OptionsOfOtherKindsMayStand) {
  spill(at / "s.toml", kSines + "[learner]\ninner_steps = 2\n");
  run_well({"train", "s.toml", "--set", "learner.kind=pretrain", "--set", "rounds=2", "--out", "r"},
           at.path());
  expect_refusal(
      run({"train", "s.toml", "--set", "learner.kind=pretrain", "--set", "learner.iner_lr=2", "--out", "q"},
          at.path()),
      {"iner_lr", "did you mean inner_lr"});
  EXPECT_FALSE(fs::exists(at / "q"));
}

// What a learner needs of a task is said before anything is written.
TEST_F(BadInput, ALearnerThatRefusesItsTaskLeavesNoFolder) {
  spill(at / "w.toml",
        "agents = 1\nrounds = 2\n[task]\nkind = \"control\"\n[model]\nkind = \"mlp\"\n[learner]\nkind = "
        "\"maml_trpo\"\n");
  expect_refusal(run({"train", "w.toml", "--out", "q"}, at.path()), {"baseline", "needs advantages"});
  EXPECT_FALSE(fs::exists(at / "q"));
  expect_refusal(run({"train", "w.toml", "--out", "q", "--resume"}, at.path()),
                 {"baseline", "needs advantages"});
  EXPECT_FALSE(fs::exists(at / "q"));
  spill(at / "t.toml", "agents = 1\nrounds = 2\n[task]\nkind = \"sinusoid\"\n[model]\nkind = \"tabular\"\n");
  expect_refusal(run({"train", "t.toml", "--out", "q"}, at.path()), {"no parameters"});
  // The default [eval] fits every team.
  spill(at / "i.toml",
        "rounds = 2\n[task]\nkind = \"control\"\n[learner]\nkind = \"ippo\"\n[eval]\ntasks = 3\n");
  run_well({"train", "i.toml", "--out", "i"}, at.path());
}

}  // namespace
