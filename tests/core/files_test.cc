#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/parallel.h"
#include "symma/core/record.h"
#include "symma/core/rng.h"
#include "symma/core/safetensors.h"

namespace symma {
namespace {

std::string in_temp(const std::string& name) {
  return testing::TempDir() + "files_test_" + name;
}

TEST(Safetensors, RoundTripOfTypesAndEmptyTensors) {
  Safetensors out;
  out.tensors = {{"a", normal(Rng(1), {3, 4})},
                 {"b", normal(Rng(2), {2}, at::kDouble)},
                 {"c", at::tensor({int64_t{-5}, int64_t{1} << 40})},
                 {"e", at::empty({0, 3})}};
  out.metadata = {{"format", "test \"quoted\""}};
  const std::string path = in_temp("round.safetensors");
  write_safetensors(path, out);
  const Safetensors back = read_safetensors(path);
  ASSERT_EQ(back.tensors.size(), 4u);
  for (const auto& [name, t] : out.tensors) {
    EXPECT_EQ(back.tensors.at(name).scalar_type(), t.scalar_type());
    EXPECT_EQ(back.tensors.at(name).sizes(), t.sizes());
    EXPECT_TRUE(back.tensors.at(name).equal(t));
  }
  EXPECT_EQ(back.metadata, out.metadata);
  EXPECT_FALSE(std::filesystem::exists(path + ".part"));
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string path = in_temp("whole.safetensors"), cut = in_temp("cut.safetensors");
  write_safetensors(path, {{{"a", normal(Rng(1), {5})}}, {}});
  const std::string bytes = read_file(path);
  for (size_t n = 0; n < bytes.size(); ++n) {
    std::ofstream(cut, std::ios::binary) << bytes.substr(0, n);
    EXPECT_THROW(read_safetensors(cut), UserError) << n;
  }
}

TEST(Safetensors, DamagedHeadersAreRefused) {
  const auto refused = [](const std::string& header) {
    const std::string path = in_temp("bad.safetensors");
    const uint64_t n = header.size();
    std::ofstream(path, std::ios::binary)
        << std::string(reinterpret_cast<const char*>(&n), 8) << header << "01234567";
    EXPECT_THROW(read_safetensors(path), UserError) << header;
  };
  refused("[]");
  refused("{\"a\": 1}");
  refused(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 16]}})");
  refused(R"({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}})");
  refused(R"({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}})");
  refused(R"({"a": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 8]}})");
  refused(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}})");
  refused(R"({"a": {"dtype": "Q9", "shape": [2], "data_offsets": [0, 8]}})");
}

TEST(Files, AFailedWriteLeavesWhatWasThere) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const std::string path = in_temp("kept");
  write_file(path, "before");
  // The file beside is made a link to a device that is always full.
  const std::string beside = path + "." + std::to_string(::getpid()) + ".part";
  std::filesystem::remove(beside);
  std::filesystem::create_symlink("/dev/full", beside);
  EXPECT_THROW(write_file(path, "after"), UserError);
  EXPECT_EQ(read_file(path), "before");
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::symlink_status(beside)));
}

TEST(Recorder, GoesOnFromACheckpointAndForgetsWhatCameAfter) {
  const std::string path = in_temp("metrics.jsonl");
  {
    Recorder r(path, -1);
    for (int i = 1; i <= 4; ++i) r.add({{"round", i}});
  }
  std::ofstream(path, std::ios::app) << "{\"round\": 5, \"lo";  // a line that a crash cut short
  {
    Recorder r(path, 2);
    r.add({{"round", 3}, {"again", true}});
  }
  const auto rows = read_records(path);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[2]["again"], true);
}

TEST(ParallelFor, CoversTheRangeOnceAndRethrows) {
  for (int threads : {1, 2, 5}) {
    set_threads(threads);
    std::vector<std::atomic<int>> hits(101);
    parallel_for(101, 7, [&](int64_t a, int64_t b) {
      for (; a < b; ++a) ++hits[a];
    });
    for (auto& h : hits) EXPECT_EQ(h, 1);
    EXPECT_THROW(parallel_for(10, 1,
                              [](int64_t a, int64_t) {
                                if (a == 6) throw std::runtime_error("six");
                              }),
                 std::runtime_error);
    std::atomic<int> nested = 0;  // one block runs in place, so the inner loop has the threads
    parallel_for(1, 1, [&](int64_t, int64_t) { parallel_for(3, 1, [&](int64_t, int64_t) { ++nested; }); });
    EXPECT_EQ(nested, 3);
  }
  set_threads(0);
}

}  // namespace
}  // namespace symma
