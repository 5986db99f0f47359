// What may not be read or written is refused in one line that names it. Run as another user where the test
// runs as root, who may read everything.
#include <unistd.h>

#include "cli/program.h"

namespace {

using namespace program;

class Permissions : public BadInput {
 protected:
  void SetUp() override {
    fs::permissions(at.path(), fs::perms::all);
    if (as_another({"--version"}).code != 0)
      GTEST_SKIP() << "no other user here, or he may not run the program";
  }

  Result as_another(const Words& arguments) {
    Words command;
    if (::geteuid() == 0) command = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"};
    for (const auto& word : command_line(arguments)) command.push_back(word);
    return Process(command, at.path()).wait();
  }

  void lock(const std::string& file) { fs::permissions(at / file, fs::perms::none); }
};

// Groups of five rows: y = slope * x.
std::string table() {
  std::string out = "task,x,y\n";
  for (int i = 0; i < 30; ++i)
    out += "g" + std::to_string(i / 5) + "," + std::to_string(i % 5) + "," + std::to_string(i) + "\n";
  return out;
}

TEST_F(Permissions, OfATable) {
  spill(at / "e.toml", "rounds = 2\n[task]\nkind = \"table\"\npath = \"t.csv\"\nshots = 2\nqueries = 2\n");
  spill(at / "t.csv", table());
  lock("t.csv");
  expect_refusal(as_another({"train", "e.toml", "--out", "r"}), {"t.csv", "permission"});
  EXPECT_FALSE(fs::exists(at / "r"));
}

TEST_F(Permissions, OfImages) {
  spill(at / "e.toml", "rounds = 2\n[task]\nkind = \"images\"\npath = [\"d\"]\nways = 2\nshots = 1\n");
  fs::create_directories(at / "d/alpha1/one");
  fs::create_directories(at / "d/alpha2/one");
  lock("d/alpha2");
  expect_refusal(as_another({"train", "e.toml", "--out", "r"}), {"d/alpha2", "ermission"});
  fs::permissions(at / "d/alpha2", fs::perms::all);
}

TEST_F(Permissions, OfAnExperiment) {
  spill(at / "e.toml", kSines);
  lock("e.toml");
  expect_refusal(as_another({"train", "e.toml", "--out", "r"}), {"e.toml", "ermission"});
}

TEST_F(Permissions, OfARun) {
  spill(at / "e.toml", kSines);
  fs::create_directories(at / "mine/r");
  lock("mine");
  expect_refusal(as_another({"train", "e.toml", "--out", "mine/r"}), {"mine", "ermission"}, true);
  expect_refusal(as_another({"report", "mine/r"}), {"mine", "ermission"});
  expect_refusal(as_another({"eval", "mine/r"}), {"mine", "ermission"});
  fs::permissions(at / "mine", fs::perms::all);
}

// What was found is said, also where it cannot be kept in the run, and the remedy works.
TEST_F(Permissions, OfARunThatIsOnlyRead) {
  spill(at / "e.toml", kSines);
  run_well({"train", "e.toml", "--out", "r"}, at.path());
  const auto files = [&] {
    std::map<std::string, std::string> out;
    for (const auto& entry : fs::directory_iterator(at / "r"))
      out[entry.path().filename()] = slurp(entry.path());
    return out;
  };
  const auto before = files();
  const std::string scores = run_well({"eval", "r"}, at.path()).out;
  fs::permissions(at / "r", fs::perms::owner_write, fs::perm_options::remove);
  for (const Words& more : std::vector<Words>{{}, {"--set", "eval.tasks=6"}}) {
    Words command{"eval", "r"};
    command.insert(command.end(), more.begin(), more.end());
    const Result r = as_another(command);
    expect_refusal(r, {"r/", "cannot be written", "--out"});
    EXPECT_TRUE(holds(r.out, "mse on 6 test tasks")) << r.out;
    command.insert(command.end(), {"--out", "mine/judged"});
    const Result kept = as_another(command);
    EXPECT_EQ(kept.code, 0) << kept.err;
    EXPECT_TRUE(holds(kept.out, "written: mine/judged/eval.json")) << kept.out;
    EXPECT_EQ(json_file(at / "mine/judged/eval.json")["mean"],
              json_file(at / "r/summary.json")["eval"]["mean"]);
    EXPECT_TRUE(fs::exists(at / "mine/judged/eval_scores.csv"));
    if (more.empty()) {
      EXPECT_TRUE(kept.out.starts_with(scores)) << kept.out << scores;
    }
  }
  fs::permissions(at / "r", fs::perms::owner_write, fs::perm_options::add);
  EXPECT_EQ(files().size(), before.size());
}

TEST_F(Permissions, OfWhatARunHolds) {
  spill(at / "e.toml", kSines);
  run_well({"train", "e.toml", "--out", "r"}, at.path());
  for (const char* file : {"checkpoint.safetensors", "experiment.toml", "summary.json"}) {
    const auto before = fs::status(at.path() / "r" / file).permissions();
    lock(std::string("r/") + file);
    const bool records = std::string(file) == "summary.json";
    expect_refusal(as_another(records ? Words{"report", "r"} : Words{"eval", "r"}), {file, "ermission"});
    fs::permissions(at.path() / "r" / file, before);
  }
}

}  // namespace
