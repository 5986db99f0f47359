// What needs no tensors is done without libtorch, and is what the engine's program would have said.
#include "cli/program.h"

namespace {

using namespace program;

const std::string kEngine = (fs::path(SYMMA_PROGRAM).parent_path() / "symma-engine").string();

Result run_as(const std::string& program, const Words& words, const fs::path& folder) {
  Words command{program};
  command.insert(command.end(), words.begin(), words.end());
  return Process(command, folder).wait();
}

// Whether the dynamic linker loaded libtorch for this command, by its own account.
bool loads_torch(const Words& words, const fs::path& folder) {
  ::setenv("LD_DEBUG", "files", 1);
  const Result r = run_as(SYMMA_PROGRAM, words, folder);
  ::unsetenv("LD_DEBUG");
  EXPECT_TRUE(holds(r.err, "libfmt")) << "the linker says nothing: " << r.err.substr(0, 200);
  return holds(r.err, "libtorch");
}

class Light : public testing::Test {
 protected:
  void SetUp() override {
    spill(at / "e.toml", kSines);
    run_well({"train", "e.toml", "--out", "a"}, at.path());
    run_well({"train", "e.toml", "--out", "b", "--set", "learner.inner_lr=0.1"}, at.path());
  }
  TempDir at;
};

TEST_F(Light, CommandsLoadNoTorch) {
  const std::vector<Words> light{
      {"--help"},
      {"--version"},
      {"train", "--help"},
      {"bench", "maml", "-h"},
      {"list"},
      {"list", "Learner"},
      {"list", "--schema"},
      {"--threads", "1", "list", "maml", "--json"},
      {"compare", "a", "b"},
      {"compare", "a", "b", "--paired"},
      {"compare", "a", "b", "--json", "--threads", "2"},
      {"report", "a", "b", "--out", "both.html"},
      {"completion", "bash"},
      {"man"},
      {"watch", "nowhere"},
  };
  for (const auto& words : light)
    EXPECT_FALSE(loads_torch(words, at.path())) << words[0] << " " << words.back();
  EXPECT_TRUE(fs::exists(at / "both.html"));
  EXPECT_TRUE(loads_torch({"train", "nothing.toml"}, at.path())) << "so this test would not see it";
  EXPECT_TRUE(loads_torch({"list", "--load", "nothing.so"}, at.path())) << "only the engine knows such parts";
}

TEST_F(Light, AnswersAreTheEngines) {
  std::vector<Words> all{{"--help"},
                         {"-h"},
                         {"--version"},
                         {"completion", "bash"},
                         {"completion", "zsh"},
                         {"completion", "fish"},
                         {"completion", "ksh"},
                         {"man"},
                         {"list"},
                         {"list", "--json"},
                         {"list", "--markdown"},
                         {"list", "--schema"},
                         {"list", "Learner"},
                         {"list", "Learner", "--markdown"},
                         {"list", "maml", "--json"},
                         {"list", "mamll"},
                         {"list", "--threads", "5000"},
                         {"list", "--bad"},
                         {"--threads", "1", "list", "--schema"},
                         {"--threads"},
                         {"list", "--load", "nothing.so"},
                         {},
                         {""},
                         {"compar"},
                         {"compare"},
                         {"compare", "a", "nowhere"},
                         {"compare", "a", "b"},
                         {"compare", "a", "b", "--json"},
                         {"compare", "a", "b", "--paired"},
                         {"compare", "a", "b", "--paired", "--steps", "7"},
                         {"report"},
                         {"report", "nowhere"},
                         {"watch", "nowhere"},
                         {"train", "nothing.toml"}};
  for (const std::string command : {"train", "compare", "list", "bench", "man"})
    all.push_back({command, "--help"});
  all.push_back({"bench", "maml", "--help"});
  for (const auto& words : all) {
    std::string said;
    for (const auto& w : words) said += " " + w;
    const Result is = run_as(SYMMA_PROGRAM, words, at.path()), would = run_as(kEngine, words, at.path());
    EXPECT_EQ(is.code, would.code) << said;
    EXPECT_EQ(is.out, would.out) << said;
    EXPECT_EQ(is.err, would.err) << said;
    EXPECT_FALSE(is.out.empty() && is.err.empty()) << said;
  }
  run_as(SYMMA_PROGRAM, {"report", "a", "--out", "is.html"}, at.path());
  run_as(kEngine, {"report", "a", "--out", "would.html"}, at.path());
  EXPECT_EQ(slurp(at / "is.html"), slurp(at / "would.html"));
}

TEST_F(Light, ReportsAFullDiskOnce) {
  const Result r = Process({"sh", "-c", std::string(SYMMA_PROGRAM) + " list > /dev/full"}, at.path()).wait();
  expect_refusal(r, {"standard output", "No space left"});
  expect_refusal(Process({"sh", "-c", std::string(SYMMA_PROGRAM) + " --help > /dev/full"}, at.path()).wait(),
                 {"standard output", "No space left"});
}

// Copied without the engine's, the program still does its own part, and says what it lacks for the rest.
TEST_F(Light, SaysThatTheEngineIsMissing) {
  fs::create_directories(at / "bin");
  fs::copy_file(SYMMA_PROGRAM, at / "bin/symma");
  EXPECT_EQ(run_as(at / "bin/symma", {"compare", "a", "b"}, at.path()).code, 0);
  expect_refusal(run_as(at / "bin/symma", {"train", "e.toml", "--out", "c"}, at.path()),
                 {"symma-engine", "cannot be run", "build or install"});
}

}  // namespace
