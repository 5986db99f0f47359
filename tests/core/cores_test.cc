// Quotas of control groups, read from trees laid out as the kernel's documents have them.
#include "symma/core/cores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

namespace symma {
namespace {

namespace fs = std::filesystem;

class Cores : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "symma_cores_XXXXXX").string();
    ASSERT_TRUE(::mkdtemp(name.data()));
    root = name;
  }
  void TearDown() override { fs::remove_all(root); }
  void put(const std::string& file, const std::string& text) {
    fs::create_directories((root / file).parent_path());
    std::ofstream(root / file) << text;
  }
  double quota(const std::string& groups) { return quota_of(groups, root.string()); }
  fs::path root;
};

TEST_F(Cores, VersionTwo) {
  EXPECT_TRUE(std::isinf(quota("0::/\n")));
  put("a/cpu.max", "max 100000\n");
  put("a/b/cpu.max", "150000 100000\n");
  put("a/b/c/cpu.max", "max 100000\n");
  EXPECT_TRUE(std::isinf(quota("0::/a\n")));
  EXPECT_EQ(quota("0::/a/b\n"), 1.5);
  EXPECT_EQ(quota("0::/a/b/c\n"), 1.5) << "a group has what those above it have";
  put("cpu.max", "50000 100000\n");  // in a container the group is the root
  EXPECT_EQ(quota("0::/\n"), 0.5);
  EXPECT_EQ(quota("0::/a/b/c\n"), 0.5);
}

TEST_F(Cores, VersionOne) {
  put("cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
  put("cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  const std::string groups = "5:memory:/job\n4:cpu,cpuacct:/job\n1:name=systemd:/x\n";
  EXPECT_TRUE(std::isinf(quota(groups)));
  put("cpu,cpuacct/job/cpu.cfs_quota_us", "300000\n");
  EXPECT_EQ(quota(groups), 3);
}

TEST_F(Cores, WhatIsNoGroup) {
  put("a/cpu.max", "\n");
  for (const char* text : {"", "\n", "0:\n", "rubbish", "0::/a\n", "0::/gone\n", ":::::\n"})
    EXPECT_TRUE(std::isinf(quota(text))) << text;
  EXPECT_GE(usable_cores(), 1);
}

}  // namespace
}  // namespace symma
