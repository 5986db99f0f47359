// A fleet that learns on a device talks, stops and goes on as one on the processor.
#include <filesystem>

#include "fleet/fleets.h"
#include "fleet/ways.h"

namespace symma {
namespace {

TEST(Device, EveryWayToExchangeTakesRowsOfADevice) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device here";
  std::vector<Json> ways = every_way();
  ways.push_back(Json::parse(R"({"population": {"settings": ["meta_lr", "inner_lr"], "low": [1e-6, 1e-4],
    "high": [0.1, 0.5], "start": "drawn", "ready": 2, "tasks": 6}})"));
  for (const Json& way : ways) {
    const Experiment e = fleet(way);
    try {
      RunState here = start_run(e), there = start_run(e);
      there.learner = there.learner.on(at::kCUDA);
      for (int r = 0; r < 4; ++r) run_round(e, here), run_round(e, there);
      EXPECT_TRUE(there.learner.theta.is_cuda()) << way;
      const Tensor a = here.learner.theta, b = there.learner.theta.cpu();
      EXPECT_TRUE(a.allclose(b, 1e-3, 1e-4, /*equal_nan=*/true))
          << way << "\n by " << (a - b).abs().max().item<double>();
      EXPECT_EQ(here.exchange.bits, there.exchange.bits) << way;
    } catch (const std::exception& problem) {
      ADD_FAILURE() << way << ": " << problem.what();
    }
  }
}

class ARunOnADevice : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::remove_all(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  RunState trained(int64_t rounds, const std::string& device, bool resume) const {
    const Experiment e = fleet({{"rounds", rounds}, {"exchange", {{"topology", "ring"}}}});
    RunOptions options;
    options.folder = folder_.string(), options.device = device, options.resume = resume;
    RunState run;
    EXPECT_TRUE(train(e, options, {}, run));
    return run;
  }
  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / fmt::format("device.{}", getpid());
};

TEST_F(ARunOnADevice, IsSavedAndGoesOnThereAndOnTheProcessor) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device here";
  const RunState on_processor = trained(20, "cpu", false);
  std::filesystem::remove_all(folder_);
  trained(10, "cuda", false);
  EXPECT_TRUE(trained(15, "cpu", true).learner.theta.is_cpu());
  const RunState back = trained(20, "cuda", true);
  EXPECT_TRUE(back.learner.theta.is_cuda());
  EXPECT_TRUE(back.learner.theta.cpu().allclose(on_processor.learner.theta, 1e-3, 1e-4));
}

}  // namespace
}  // namespace symma
