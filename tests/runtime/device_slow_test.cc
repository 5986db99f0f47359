// examples/device as a person uses it: built by a compiler alone, for this machine and for another under
// qemu, it prints what `symma adapt` predicts.
#include <cmath>

#include "cli/program.h"

namespace {

using namespace program;

bool has(const std::string& command) {
  return std::system((command + " --version > /dev/null 2>&1").c_str()) == 0;
}

class Device : public testing::Test {
 protected:
  void SetUp() override {
    spill(at / "s.toml",
          "agents = 2\nrounds = 200\n[task]\nkind = \"sinusoid\"\n[eval]\ntasks = 2\nvalidation_tasks = 2\n");
    spill(at / "few.csv", "x,y\n-3.5,0.7\n-1.25,-1.9\n0.5,0.96\n2,1.8\n3.1,0.1\n1,\n-2,\n0.125,\n");
    run_well({"train", "s.toml", "--out", "r"}, at.path());
    run_well({"adapt", "r", "--data", "few.csv", "--agent", "1"}, at.path());
    run_well({"export", "r", "--to", "bin", "--agent", "1"}, at.path());
  }
  // What the example says, built by `compiler` and run by `runner`.
  Words said(const std::string& compiler, const std::string& runner) {
    const std::string out = at / "device", command = "CXX=" + compiler + " " + SYMMA_SOURCE_DIR +
                                                     "/examples/device/build " + out + " > /dev/null && cd " +
                                                     at.path().string() + " && " + runner + " " + out +
                                                     "/few r/model.symma few.csv > said.txt";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    return lines(slurp(at / "said.txt"));
  }
  void expect_predictions(const Words& found, double tolerance) {
    const Words rows = lines(slurp(at / "r/adapted/predictions.csv"));
    ASSERT_EQ(found.size() + 1, rows.size());
    for (size_t i = 0; i < found.size(); ++i) {
      const double truth = std::stod(rows[i + 1].substr(rows[i + 1].find(',') + 1));
      EXPECT_NEAR(std::stod(found[i]), truth, tolerance) << rows[i + 1];
    }
  }
  TempDir at;
};

TEST_F(Device, OnThisMachine) {
  expect_predictions(said("g++", ""), 0);  // the same seven digits
}

TEST_F(Device, OnAarch64UnderQemu) {
  if (!has("aarch64-linux-gnu-g++") || !has("qemu-aarch64"))
    GTEST_SKIP() << "no g++-aarch64-linux-gnu, or no qemu-user";
  expect_predictions(said("aarch64-linux-gnu-g++", "qemu-aarch64 -L /usr/aarch64-linux-gnu"), 1e-5);
}

TEST_F(Device, OnArmv7UnderQemu) {
  if (!has("arm-linux-gnueabihf-g++") || !has("qemu-arm"))
    GTEST_SKIP() << "no g++-arm-linux-gnueabihf, or no qemu-user";
  expect_predictions(said("arm-linux-gnueabihf-g++", "qemu-arm -L /usr/arm-linux-gnueabihf"), 1e-5);
}

}  // namespace
