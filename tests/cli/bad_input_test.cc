// Bad commands and experiment files: exit code 2, one line that names the place and the remedy, nothing left
// behind.
#include "cli/program.h"

namespace {

using namespace program;

TEST_F(BadInput, ExperimentFile) {
  expect_refusal(run({"train", "gone.toml"}, at.path()), {"gone.toml", "no such file", "examples/"});
  fs::create_directory(at / "folder");
  expect_refusal(run({"train", "folder"}, at.path()), {"folder", "is a folder", "name an experiment file"});
  refused("agents = 2\nrounds = = 3\n", {"e.toml:2", "not TOML"});
  refused(std::string("\x89PNG\r\n\x1a\n\0\0", 10), {"e.toml:1", "not TOML"});
  refused("agents = 2\n", {"e.toml", "[task] kind", "is missing", "sinusoid"});
  expect_refusal(run({"train"}, at.path()), {"no experiment file", "examples/"});
  EXPECT_FALSE(fs::exists(at / "runs"));
  if (::geteuid() == 0) return;  // root may read everything
  spill(at / "secret.toml", kSines);
  fs::permissions(at / "secret.toml", fs::perms::none);
  expect_refusal(run({"train", "secret.toml"}, at.path()), {"secret.toml", "cannot be read", "permissions"});
}

TEST_F(BadInput, CommandLine) {
  expect_refusal(run({}, at.path()), {"--help"});
  expect_refusal(run({"trian"}, at.path()), {"--help"});
  expect_refusal(run({"train", "--rounds", "3"}, at.path()), {"--rounds", "--help"});
  expect_refusal(run({"adapt", "run"}, at.path()), {"no examples", "--data", "--episodes"});
  expect_refusal(run({"train", "e.toml", "--device", "tpu"}, at.path()), {"--device", "cpu", "--help"});
  // Where there is a device, too, and before a run is begun.
  expect_refusal(run({"train", std::string(SYMMA_SOURCE_DIR) + "/examples/teams/ring.toml", "--device",
                      "cuda", "--out", "run"},
                     at.path()),
                 {"--device cuda", "worlds and games", "use cpu"});
  EXPECT_FALSE(fs::exists(at / "run"));
  if (!at::hasCUDA())
    for (const char* bench : {"round", "conv"})
      expect_refusal(run({"bench", bench, "--device", "cuda"}, at.path()),
                     {"--device", "no CUDA", "CMAKE_PREFIX_PATH"});
  expect_refusal(run({"list", "Lerner"}, at.path()), {"Lerner", "Learner"});
}

TEST_F(BadInput, KeysAndSections) {
  refused(kSines + "[learner]\ninner_stepz = 3\n",
          {"e.toml:13", "[learner] inner_stepz", "unknown key", "did you mean inner_steps?"});
  refused("roundz = 3\n" + kSines, {"e.toml:1", "roundz", "unknown key", "did you mean rounds?"});
  refused(kSines + "[lerner]\ninner_steps = 3\n",
          {"e.toml:12", "lerner", "unknown section", "did you mean learner?"});
  refused(kSines + "[learner]\nkind = \"mamll\"\n",
          {"e.toml:13", "[learner] kind", "mamll", "did you mean maml?"});
  refused("[task]\nkind = \"sinusoids\"\n",
          {"e.toml:2", "[task] kind", "sinusoids", "did you mean sinusoid?"});
  // Of the chosen part before all others, and of no other where none is near.
  refused("[task]\nkind = \"sinusoid\"\nfoo = 1\n", {"e.toml:3: [task] foo: unknown key; one of ", "shots"});
  refused("[task]\nkind = \"sinusoid\"\nagents = 2\n", {"[task] agents: unknown key; one of ", "shots"});
  refused(kSines + "[learner]\nlrate = 1\n",
          {"[learner] lrate: unknown key; one of ", "inner_lr", "inner_steps"});
  refused(kSines + "[learner]\nkinf = \"maml\"\n", {"[learner] kinf", "did you mean kind?"});
  refused(kSines + "[learner]\nzzzz = 1\nkind = \"scratch\"\n", {"[learner] zzzz: unknown key; one of "});
  // What is no section before what is missing in one.
  refused("[taks]\nkind = \"sinusoid\"\n", {"e.toml:1: taks: unknown section; did you mean task?"});
  refused("[zzzzzz]\nkind = \"sinusoid\"\n",
          {"e.toml:1: zzzzzz: unknown section; one of task, model, learner"});
  refused("task = \"sinusoid\"\n", {"e.toml:1: task: is not a section; write [task]"});
  refused("zzzzzz = 1\n" + kSines, {"e.toml:1: zzzzzz: unknown key; one of name, description, seed"});
  refused(kSines + "[exchange]\ntopology = \"rnig\"\n",
          {"e.toml:13", "[exchange] topology", "rnig", "did you mean ring?"});
}

TEST_F(BadInput, Values) {
  refused(kSines + "[learner]\ninner_lr = \"fast\"\n",
          {"e.toml:13", "[learner] inner_lr", "fast", "a string", "write a number"});
  refused("description = 3\n" + kSines, {"e.toml:1", "description", "an integer", "write a string"});
  refused(kSines + "[learner]\norder = 3\n", {"e.toml:13", "[learner] order", "3 is out of range", "[1, 2]"});
  refused(kSines + "[learner]\noptimizer = \"adams\"\n",
          {"e.toml:13", "[learner] optimizer", "adams", "did you mean adam?"});
  refused(kSines + "[learner]\ninner_lr = nan\n", {"e.toml:13", "[learner] inner_lr", "nan", "> 0"});
  refused("learner = 3\n" + kSines, {"e.toml:1", "learner", "is not a section", "[learner]"});
  refused("task = \"sinusoid\"\n", {"e.toml", "[task]"});
  refused("date = 2020-01-01\n" + kSines, {"e.toml:1", "date"});
}

TEST_F(BadInput, Settings) {
  refused_set("learner.inner_lr",
              {"--set learner.inner_lr", "is not key=value", "--set learner.inner_lr=0.1"});
  refused_set("learner.inner_stepz=3", {"--set", "[learner] inner_stepz", "did you mean inner_steps?"});
  refused_set("rounds=0", {"--set", "rounds", "0 is out of range", ">= 1"});
  refused_set("rounds=1.5", {"--set", "rounds", "1.5", "write an integer"});
  refused_set("rounds=", {"--set", "rounds", "write an integer"});
  refused_set("rounds.more=3", {"--set rounds.more=3", "section.key=value"});
  refused_set("learner.kind=mamll", {"--set", "[learner] kind", "did you mean maml?"});
  refused_set("eval.steps=[5, 1]", {"--set", "[eval] steps", "ascending"});
  refused_set("eval.steps=[1, 1]", {"--set", "[eval] steps", "ascending"});
  refused_set("eval.steps=[]", {"--set", "[eval] steps", "is empty"});
  for (const char* past : {"seed=18446744073709551615", "rounds=-99999999999999999999"})
    refused_set(past, {"--set", "is out of range", "integer of at most 9223372036854775807"});
  for (const char* past : {"learner.inner_lr=1e400", "learner.inner_lr=+1_0e4_00"})
    refused_set(past, {"--set: [learner] inner_lr", "is out of range", "at most 1.8e308"});
  refused_set("name=7", {"--set: name", "write a string"});
  refused_set("task.amplitude=[5.0, 0.1]", {"[task] amplitude", "range", "low <= high"});
  refused_set("exchange={topology=\"edges\", edges=[[0, 7]]}", {"edges", "7"});
}

// An option that another part has changed nothing, and nobody was told.
TEST_F(BadInput, OptionsOfPartsThatAreNotChosen) {
  for (const auto& [setting, words] : std::vector<std::pair<std::string, Words>>{
           {"learner.epochs=10", {"[learner] epochs", "is an option of", "ippo", "not of maml"}},
           {"learner.lr=5", {"[learner] lr", "not of maml", "inner_lr"}},
           {"task.ways=7", {"[task] ways", "not of sinusoid"}},
           {"task.path=nope.csv", {"[task] path", "not of sinusoid"}},
           {"exchange.p=0.5", {"[exchange] p", "is an option of random, not of none"}},
           {"aggregator.keep=2", {"[aggregator] keep", "multi_krum", "not of mean"}},
           {"faults.tau=2", {"[faults] tau", "alie and inner_product", "not of sign_flip"}},
           {"learner={kind=\"scratch\", order=1}", {"[learner] order", "not of scratch"}}}) {
    Words all{"--set"};
    all.insert(all.end(), words.begin(), words.end());
    refused_set(setting, all);
  }
  // In the order of the words or in the other, with another kind or this one.
  refused(kSines, {"[learner] order", "not of scratch"},
          {"--set", "learner.order=1", "--set", "learner.kind=scratch"});
  refused(kSines + "[learner]\nkind = \"scratch\"\n", {"[learner] order"}, {"--set", "learner.order=1"});
  // A sweep says so before it has run anything, also of its later combinations.
  spill(at / "e.toml", kSines);
  for (const auto& over :
       std::vector<Words>{{"--over", "learner.lr=0.1,0.01"},
                          {"--over", "learner.kind=maml,scratch", "--over", "learner.order=1,2"},
                          {"--over", "seed=1,2", "--set", "learner.epochs=3"}}) {
    Words command{"sweep", "e.toml", "--out", "s"};
    command.insert(command.end(), over.begin(), over.end());
    expect_refusal(run(command, at.path()), {"is an option of", "not of"});
    EXPECT_FALSE(fs::exists(at / "s"));
  }
}

// A file may keep them, for --set to switch between parts; where its own choice does not have them, that is
// told.
TEST_F(BadInput, OptionsOfOtherPartsInTheFileAreTold) {
  spill(at / "e.toml", kSines + "[learner]\norder = 1\nepochs = 4\n");
  const Words train{"train", "e.toml", "--force", "--out", "run"};
  const auto told = [&](const Words& more) {
    Words command = train;
    command.insert(command.end(), more.begin(), more.end());
    Words out;
    for (const auto& line : lines(run_well(command, at.path()).err))
      if (line.starts_with("notice: ")) out.push_back(line);
    return out;
  };
  const Words said = told({});
  ASSERT_EQ(said.size(), 1u);
  for (const char* word :
       {"e.toml:14: [learner] epochs is an option of", "ippo", "not of maml", "not looked at"})
    EXPECT_TRUE(holds(said[0], word)) << said[0];
  EXPECT_TRUE(told({"--set", "learner.kind=scratch"}).empty());
  EXPECT_TRUE(told({"--quiet"}).empty());
  EXPECT_FALSE(holds(slurp(at / "run/experiment.toml"), "epochs"));
}

// What is laid over all runs of a sweep is for those whose parts have it.
TEST_F(BadInput, ASweepOverKindsTakesSettingsOfEach) {
  spill(at / "e.toml", kSines);
  run_well(
      {"sweep", "e.toml", "--out", "s", "--over", "learner.kind=maml,scratch", "--set", "learner.order=1"},
      at.path());
  EXPECT_TRUE(holds(slurp(at / "s/runs/kind=maml/experiment.toml"), "\norder = 1"));
  EXPECT_FALSE(holds(slurp(at / "s/runs/kind=scratch/experiment.toml"), "\norder = "));
}

TEST_F(BadInput, OutputFolder) {
  spill(at / "e.toml", kSines);
  spill(at / "file", "I was here first\n");
  expect_refusal(run({"train", "e.toml", "--out", "file/run"}, at.path()),
                 {"file/run", "cannot be made", "--out"}, true);
  expect_refusal(run({"train", "e.toml", "--out", "file"}, at.path()), {"file", "--out"}, true);
  EXPECT_EQ(slurp(at / "file"), "I was here first\n");
  expect_refusal(run({"train", "--resume", "--out", "gone"}, at.path()), {"gone", "no such file"});
  EXPECT_FALSE(fs::exists(at / "gone"));
  // With a file a run begins where there is none, as for a job that is started again and again; that is said.
  const Words job{"train", "e.toml", "--out", "new", "--resume"};
  const std::string word = "new holds no run to go on with; a new one begins there";
  EXPECT_TRUE(holds(run_well(job, at.path()).err, word));
  EXPECT_FALSE(holds(run_well(job, at.path()).err, word));
  EXPECT_FALSE(holds(run_well({"train", "e.toml", "--out", "plain"}, at.path()).err, word));
  expect_refusal(run({"train", "--resume", "new"}, at.path()),
                 {"new", "is the folder of a run", "symma train --resume --out new"});
}

// A fleet that diverges is a result, told in words.
TEST_F(BadInput, TrainingThatDivergesIsTold) {
  spill(at / "e.toml", kSines);
  const Result r = run({"train", "e.toml", "--out", "run", "--set",
                        "learner={kind=\"maml\", optimizer=\"sgd\", inner_lr=1e6, meta_lr=1e6}", "--set",
                        "exchange.topology=full"},
                       at.path());
  EXPECT_FALSE(holds(r.err, "internal error")) << r.err;
  EXPECT_TRUE(r.code == 0 || r.code == 2) << r.code;
  EXPECT_TRUE(holds(r.out + r.err, "diverged")) << r.out << r.err;
}

}  // namespace
