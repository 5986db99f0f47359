// Memory of learning in long episodes: that of a fragment, however long they are.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include <fmt/format.h>

#include "symma/core/parallel.h"
#include "symma/learners/learner.h"
#include "symma/tasks/control.h"

namespace symma {
namespace {

// The largest memory of this process so far, MiB.
double peak() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

int64_t number(const char* name) {
  const char* said = std::getenv(name);
  return said ? std::stoll(said) : 0;
}

// Runs in a process of its own (below), since a process's peak never falls: one round of IPPO, and judging.
TEST(Memory, DISABLED_OfOneRound) {
  set_threads(1);
  const auto family = make<TaskFamilyRegistry>(
      "control",
      Json{{"world", {{"kind", "matrix_game"}, {"memory", 8}, {"limit", number("SYMMA_TEST_LIMIT")}}},
           {"copies", 4}},
      int64_t{1});
  const auto model = make<ModelRegistry>("mlp", Json{{"hidden", {16}}}, family->spec().shape);
  const auto learner = make<LearnerRegistry>(
      "ippo", Json{{"rollout_length", number("SYMMA_TEST_FRAGMENT")}, {"critic_hidden", {16}}},
      LearnerSetting{*model, family->spec()});
  State s = learner->init(split_keys(Rng(1), "agent", 1), at::kFloat);
  const std::vector<int64_t> agents{0};
  const auto batch = family->sample(*model, asks_for(agents, Rng(2)), Split::kTrain);
  learner->step(s, *batch, Rng(3));
  ASSERT_EQ(s.own.at("env_steps").item<double>(), 4.0 * static_cast<double>(number("SYMMA_TEST_LIMIT")));
  const Scores judged = batch->score(s.theta.narrow(1, 0, model->layout().size()), Rng(4));
  ASSERT_EQ(judged.at("length").item<double>(), static_cast<double>(number("SYMMA_TEST_LIMIT")));
  std::printf("peak %.3f\n", peak());
}

double peak_of(int64_t limit, int64_t fragment) {
  std::array<char, 4096> self{};
  const ssize_t n = readlink("/proc/self/exe", self.data(), self.size() - 1);
  EXPECT_GT(n, 0);
  const std::string command = fmt::format(
      "SYMMA_TEST_LIMIT={} SYMMA_TEST_FRAGMENT={} '{}' --gtest_also_run_disabled_tests "
      "--gtest_filter=Memory.DISABLED_OfOneRound 2>&1",
      limit, fragment, self.data());
  FILE* out = popen(command.c_str(), "r");
  double mib = 0;
  std::string all;
  for (std::array<char, 256> line{}; std::fgets(line.data(), line.size(), out);) {
    all += line.data();
    if (std::string(line.data()).starts_with("peak ")) mib = std::atof(line.data() + 5);
  }
  const int code = pclose(out);
  EXPECT_TRUE(WIFEXITED(code) && WEXITSTATUS(code) == 0) << all;
  EXPECT_GT(mib, 10) << all;
  return mib;
}

TEST(Memory, OfAHundredThousandStepsIsThatOfAThousand) {
  const double short_whole = peak_of(1000, 0), long_fragments = peak_of(100000, 1000),
               longer_whole = peak_of(10000, 0);
  RecordProperty("mib", fmt::format("{:.1f} {:.1f} {:.1f}", short_whole, long_fragments, longer_whole));
  std::printf("1,000 steps whole %.1f MiB, 100,000 by fragments %.1f, 10,000 whole %.1f\n", short_whole,
              long_fragments, longer_whole);
  // The heap's gaps cost some 3 MiB; a hundred thousand steps that are kept cost 460.
  EXPECT_LE(long_fragments, short_whole + 8);
  // That this would be seen: ten times the steps, kept whole, take more.
  EXPECT_GT(longer_whole, short_whole + 12);
}

}  // namespace
}  // namespace symma
