// A run stands by itself: wherever the shell stands, without its data, and not with others in their place.
#include "cli/program.h"

namespace {

using namespace program;

const char* const kImages =
    "agents = 2\nrounds = 3\ntasks = 2\n[task]\nkind = \"images\"\npath = [\"drawings\"]\nways = 3\nqueries "
    "= 2\n"
    "test_queries = 2\nside = 16\n[model]\nkind = \"mlp\"\nhidden = [8]\n[learner]\nkind = "
    "\"maml\"\n[eval]\ntasks = 4\n"
    "steps = [0, 1]\nvalidation_tasks = 2\n";

class Alone : public testing::Test {
 protected:
  void SetUp() override {
    write_drawings(at / "study/drawings", 4, 4, 4);
    spill(at / "study/i.toml", kImages);
    run_well({"train", "i.toml", "--out", "../runs/i"}, at.path() / "study");
    for (int i = 0; i < 4; ++i) {
      const std::string n = std::to_string(i);
      fs::copy(at / ("study/drawings/alphabet0/character" + n + "/0.png"), at / ("few" + n + ".png"));
    }
    spill(at / "few.csv", "file,label\nfew0.png,a\nfew1.png,b\nfew2.png,\nfew3.png,\n");
    fs::create_directory(at / "elsewhere");
  }
  std::string adapted() {
    run_well({"adapt", "../runs/i", "--data", "../few.csv"}, at.path() / "elsewhere");
    return slurp(at / "runs/i/adapted/predictions.csv") + slurp(at / "runs/i/adapted/adapted.safetensors");
  }
  TempDir at;
};

TEST_F(Alone, ItIsJudgedFromAnyFolder) {
  const std::string before = slurp(at / "runs/i/scores.csv"), settings = slurp(at / "runs/i/experiment.toml");
  run_well({"eval", "../runs/i"}, at.path() / "elsewhere");
  EXPECT_EQ(slurp(at / "runs/i/scores.csv"), before);
  EXPECT_EQ(json_file(at / "runs/i/summary.json")["settings"]["task"]["known"], "");
  run_well({"train", "--resume", "--out", "../runs/i", "--set", "rounds=5"}, at.path() / "elsewhere");
  EXPECT_EQ(json_file(at / "runs/i/summary.json")["rounds"], 5);
  EXPECT_TRUE(holds(slurp(at / "runs/i/experiment.toml"), "path = [\"drawings\"]"));
  EXPECT_TRUE(holds(slurp(at / "runs/i/experiment.toml"), "known = \"\""));
}

TEST_F(Alone, ItPredictsWithoutItsData) {
  const std::string before = adapted();
  fs::rename(at / "study/drawings", at / "study/gone");
  EXPECT_EQ(adapted(), before);
  run_well({"export", "../runs/i", "--to", "bin"}, at.path() / "elsewhere");
  run_well({"eval", "../runs/i", "--data", "../study/gone"}, at.path() / "elsewhere");
  expect_refusal(run({"eval", "../runs/i"}, at.path() / "elsewhere"),
                 {"drawings", "are not there", "eval --data"});
  expect_refusal(
      run({"train", "--resume", "--out", "../runs/i", "--set", "rounds=5"}, at.path() / "elsewhere"),
      {"drawings", "are not there"}, true);
}

TEST_F(Alone, DataThatChangedAreNoticed) {
  const std::string before = adapted();
  spill(at / "study/drawings/alphabet1/character1/0.png", slurp(at / "few3.png"));
  const Result r = run_well({"adapt", "../runs/i", "--data", "../few.csv"}, at.path() / "elsewhere");
  EXPECT_TRUE(holds(r.err, "drawings has changed since training")) << r.err;
  EXPECT_EQ(slurp(at / "runs/i/adapted/predictions.csv") + slurp(at / "runs/i/adapted/adapted.safetensors"),
            before);
  expect_refusal(run({"eval", "runs/i"}, at.path()), {"has changed", "put it back", "new run"});
  expect_refusal(
      run({"train", "i.toml", "--resume", "--out", "../runs/i", "--set", "rounds=5"}, at.path() / "study"),
      {"has changed"}, true);
  EXPECT_EQ(json_file(at / "runs/i/summary.json")["rounds"], 3);
  // Other data in the place from which the shell looks are not taken for those of the run.
  write_drawings(at / "elsewhere/drawings", 4, 4, 4);
  spill(at / "elsewhere/drawings/alphabet0/character0/0.png", slurp(at / "few3.png"));
  expect_refusal(run({"eval", "../runs/i"}, at.path() / "elsewhere"), {"has changed"});
  run_well({"train", "i.toml", "--force", "--out", "../runs/i"}, at.path() / "study");
  run_well({"eval", "../runs/i"}, at.path() / "elsewhere");
}

TEST_F(Alone, WhatItKeepsMayBeDamaged) {
  const std::string whole = slurp(at / "runs/i/data.json");
  for (const std::string& bad :
       {std::string("{}"), std::string("no"), whole.substr(0, whole.size() / 2),
        whole.substr(0, whole.find("\"train\"")) + "\"train\": [[99999]]}", std::string()}) {
    spill(at / "runs/i/data.json", bad);
    const Result r = run({"adapt", "runs/i", "--data", "few.csv"}, at.path());
    EXPECT_TRUE(r.code == 0 || r.code == 2) << bad.substr(0, 20) << ": " << r.err;
    EXPECT_LE(lines(r.err).size(), 1u) << r.err;
  }
}

TEST_F(Alone, ListedEpisodesRunAsTheyAre) {
  std::string list = "episode,file,stage,label\n";
  for (int e = 0; e < 6; ++e) {
    for (int c = 0; c < 3; ++c) {
      const std::string drawing =
          "study/drawings/alphabet" + std::to_string(e % 4) + "/character" + std::to_string(c) + "/";
      list += std::to_string(e) + "," + drawing + "0.png,support,l" + std::to_string(c) + "\n";
      list += std::to_string(e) + "," + drawing + "1.png,query,l" + std::to_string(c) + "\n";
    }
  }
  spill(at / "list.csv", list);
  run_well({"eval", "runs/i", "--episodes", "list.csv"}, at.path());
  const Json judged = json_file(at / "runs/i/eval.json");
  EXPECT_EQ(judged["tasks"], 6);
  run_well({"adapt", "runs/i", "--episodes", "list.csv", "--agent", "1"}, at.path());
  const Words rows = lines(slurp(at / "runs/i/adapted/episodes.csv"));
  ASSERT_EQ(rows.size(), 19u);
  EXPECT_EQ(rows[0], "episode,file,label,predicted,probability");
  // What is predicted is what is judged.
  double right = 0;
  for (size_t i = 1; i < rows.size(); ++i) {
    const size_t label = rows[i].find(",l") + 1, predicted = rows[i].find(",l", label) + 1;
    right += rows[i].substr(label, 2) == rows[i].substr(predicted, 2);
  }
  EXPECT_NEAR(right / 18, judged["per_agent"][1].back().get<double>(), 1e-6);
  expect_refusal(run({"eval", "runs/i", "--episodes", "gone.csv"}, at.path()), {"gone.csv", "no such file"});
  expect_refusal(run({"adapt", "runs/i"}, at.path()), {"no examples", "--data", "--episodes"});
}

}  // namespace
