#include "symma/core/tensorboard.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <cstring>
#include <filesystem>
#include <limits>

#include "symma/core/errors.h"
#include "symma/core/files.h"

namespace symma {
namespace {

// RFC 3720, appendix B.4, and the check value of the CRC catalogues.
TEST(Crc32c, AgreesWithRfc3720) {
  std::string up, down;
  for (int i = 0; i < 32; ++i) {
    up += static_cast<char>(i);
    down += static_cast<char>(31 - i);
  }
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c(up), 0x46dd794eu);
  EXPECT_EQ(crc32c(down), 0x113fdb5cu);
  std::string read(48, '\0');  // an iSCSI Read (10) command
  for (const auto& [at, byte] : std::vector<std::pair<int, int>>{
           {0, 0x01}, {1, 0xc0}, {16, 0x14}, {22, 0x04}, {27, 0x14}, {31, 0x18}, {32, 0x28}, {40, 0x02}}) {
    read[at] = static_cast<char>(byte);
  }
  EXPECT_EQ(crc32c(read), 0xd9963a56u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(""), 0u);
}

// A decoder written apart from the encoder: it reads any protobuf, field by field.
struct Wire {
  int field;
  uint64_t number = 0;  // varint, or the raw bits of a fixed one
  std::string bytes;
};

uint64_t fixed(const std::string& s, size_t at, int bytes) {
  uint64_t v = 0;
  for (int i = bytes - 1; i >= 0; --i) v = v << 8 | static_cast<uint8_t>(s.at(at + i));
  return v;
}

std::vector<Wire> decode(const std::string& s) {
  std::vector<Wire> out;
  size_t at = 0;
  const auto varint = [&] {
    uint64_t v = 0;
    for (int shift = 0;; shift += 7) {
      const auto b = static_cast<uint8_t>(s.at(at++));
      v |= static_cast<uint64_t>(b & 0x7f) << shift;
      if (b < 0x80) return v;
    }
  };
  while (at < s.size()) {
    const uint64_t key = varint();
    Wire w{static_cast<int>(key >> 3), 0, ""};
    const int type = static_cast<int>(key & 7);
    if (type == 0) {
      w.number = varint();
    } else if (type == 1 || type == 5) {
      const int n = type == 1 ? 8 : 4;
      w.number = fixed(s, at, n);
      at += n;
    } else {
      const size_t n = varint();
      w.bytes = s.substr(at, n);
      EXPECT_EQ(w.bytes.size(), n);
      at += n;
    }
    out.push_back(w);
  }
  return out;
}

std::vector<std::string> records(const std::string& path) {
  const std::string file = read_file(path);
  const auto unmask = [](uint64_t m) {
    const uint32_t rotated = static_cast<uint32_t>(m) - 0xa282ead8u;
    return (rotated << 15) | (rotated >> 17);
  };
  std::vector<std::string> out;
  for (size_t at = 0; at < file.size();) {
    const uint64_t n = fixed(file, at, 8);
    EXPECT_EQ(unmask(fixed(file, at + 8, 4)), crc32c(file.substr(at, 8)));
    out.push_back(file.substr(at + 12, n));
    EXPECT_EQ(out.back().size(), n);
    EXPECT_EQ(unmask(fixed(file, at + 12 + n, 4)), crc32c(out.back()));
    at += 16 + n;
  }
  return out;
}

class Events : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        (std::filesystem::temp_directory_path() / ("symma_events_" + std::to_string(::getpid()))).string();
    make_folder(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(Events, BytesDecodeToWhatWasAdded) {
  std::string path;
  {
    EventFile file(folder_);
    path = file.path();
    file.add("loss", 0, 4.25, 1700000000.5);
    file.add("validation/mse after 10 steps", 20000, 0.36, 1700000001.25);
    file.add("loss", int64_t{1} << 40, std::numeric_limits<double>::quiet_NaN(), 1700000002);
  }
  EXPECT_NE(path.find("/events.out.tfevents."), std::string::npos);
  const auto all = records(path);
  ASSERT_EQ(all.size(), 4u);
  const auto version = decode(all[0]);
  ASSERT_EQ(version.size(), 2u);
  EXPECT_EQ(version[0].field, 1);
  EXPECT_EQ(version[1].field, 3);
  EXPECT_EQ(version[1].bytes, "brain.Event:2");

  const auto check = [&](const std::string& record, const std::string& tag, int64_t step, double wall) {
    double time = 0;
    int64_t at_step = 0;
    float value = 0;
    for (const auto& w : decode(record)) {
      if (w.field == 1) time = std::bit_cast<double>(w.number);
      if (w.field == 2) at_step = static_cast<int64_t>(w.number);
      if (w.field != 5) continue;
      const auto values = decode(w.bytes);
      EXPECT_EQ(values.size(), 1u);
      for (const auto& v : decode(values.at(0).bytes)) {
        if (v.field == 1) {
          EXPECT_EQ(v.bytes, tag);
        }
        if (v.field == 2) value = std::bit_cast<float>(static_cast<uint32_t>(v.number));
      }
    }
    EXPECT_EQ(time, wall);
    EXPECT_EQ(at_step, step);
    return value;
  };
  EXPECT_EQ(check(all[1], "loss", 0, 1700000000.5), 4.25f);
  EXPECT_EQ(check(all[2], "validation/mse after 10 steps", 20000, 1700000001.25), 0.36f);
  EXPECT_TRUE(std::isnan(check(all[3], "loss", int64_t{1} << 40, 1700000002)));
}

TEST_F(Events, AResumedRunSaysFromWhichStep) {
  EventFile first(folder_), second(folder_, 101);
  EXPECT_NE(first.path(), second.path());
  const auto all = records(second.path());
  ASSERT_EQ(all.size(), 2u);
  const auto start = decode(all[1]);
  ASSERT_EQ(start.size(), 3u);
  EXPECT_EQ(start[1].number, 101u);
  EXPECT_EQ(start[2].field, 7);                        // session_log
  EXPECT_EQ(decode(start[2].bytes).at(0).number, 1u);  // START
}

TEST_F(Events, AFolderThatIsNotThereIsAUserError) {
  EXPECT_THROW(EventFile(folder_ + "/absent"), UserError);
}

}  // namespace
}  // namespace symma
