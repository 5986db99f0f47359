// What the terminal offers: completion, man, list, play.
#include "cli/program.h"

namespace {

using namespace program;

TEST(Terminal, CompletionAndManAreOfTheParser) {
  TempDir at;
  const std::string bash = run_well({"completion", "bash"}, at.path()).out;
  spill(at / "c", bash +
                      "\nCOMP_WORDS=(symma sweep --ha); COMP_CWORD=2; _symma; echo \"${COMPREPLY[*]}\"\n"
                      "COMP_WORDS=(symma scor); COMP_CWORD=1; _symma; echo \"${COMPREPLY[*]}\"\n");
  const Result done = Process({"bash", "c"}, at.path()).wait();
  EXPECT_EQ(done.out, "--halve\nscorecard\n") << done.err;
  for (const char* shell : {"zsh", "fish"}) {
    const std::string text = run_well({"completion", shell}, at.path()).out;
    EXPECT_TRUE(holds(text, "halve") && holds(text, "scorecard")) << shell;
  }
  expect_refusal(run({"completion", "csh"}, at.path()), {"csh", "zsh"});
  const std::string man = run_well({"man"}, at.path()).out;
  EXPECT_TRUE(man.starts_with(".TH SYMMA 1")) << man.substr(0, 80);
  EXPECT_TRUE(holds(man, "\\-\\-halve") && holds(man, ".SS symma scorecard"));
}

TEST(Terminal, ListKnowsPartsByName) {
  TempDir at;
  const std::string one = run_well({"list", "maml"}, at.path()).out;
  EXPECT_TRUE(holds(one, "Learner maml") && !holds(one, "Learner reptile")) << one.substr(0, 80);
  expect_refusal(run({"list", "mamml"}, at.path()), {"mamml", "maml"});
}

TEST(Terminal, ATeamPlays) {
  TempDir at;
  spill(at / "w.toml",
        "agents = 1\nrounds = 2\ntasks = 1\n[task]\nkind = \"control\"\ncopies = 2\n[task.world]\nkind = "
        "\"simple_spread\"\n[model]\nhidden = [8]\n"
        "[learner]\nkind = \"ippo\"\n[eval]\ntasks = 2\nsteps = [0]\nvalidation_tasks = 1\n");
  run_well({"train", "w.toml", "--out", "w", "--quiet"}, at.path());
  const Json said = Json::parse(run_well({"play", "w", "--episodes", "2", "--json"}, at.path()).out);
  ASSERT_EQ(said["episodes"].size(), 2u);
  const auto rows = lines(slurp(at / "w/played/episodes.csv"));
  EXPECT_EQ(rows[0], "episode,step,earned");
  EXPECT_EQ(files_named(at / "w/played", ".svg").size(), rows.size() - 1);
  spill(at / "e.toml", kSines);
  run_well({"train", "e.toml", "--out", "e", "--quiet"}, at.path());
  expect_refusal(run({"play", "e"}, at.path()), {"is no world"});
  expect_refusal(run({"play", "w", "--agent", "5"}, at.path()), {"--agent", "no agent 5"});
}

}  // namespace
