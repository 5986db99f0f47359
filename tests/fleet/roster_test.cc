// What a process writes down of the letters that it waits for: counted by hand, with letters that are told
// how old and how late they are.
#include "symma/fleet/roster.h"

#include <gtest/gtest.h>

#include "cli/program.h"

namespace symma {
namespace {

// Gives out what it is told to.
struct Told final : Transport {
  Roster roster() override { return {}; }
  void send(Letter) override {}
  Post collect(Letter::Kind, int64_t, std::span<const int64_t>) override { return post; }
  Post post;
};

Letter letter(int64_t from, int64_t round, size_t bytes, double waited) {
  return {from, {0}, round, Letter::Kind::kSaid, Bytes(bytes), {}, waited};
}

class Waiting : public ::testing::Test {
 protected:
  // The server is number 5, where agent 0 is.
  const std::vector<std::vector<int64_t>> shares{{0, 1}, {2, 3}, {4}};
  std::map<int, Json> noted() {
    std::map<int, Json> out;
    for (const Json& line : read_roster(at.path().string()))
      if (line.contains("waits"))
        for (const Json& w : line["waits"]) out[w["of"].get<int>()] = w;
    return out;
  }
  program::TempDir at;
  Told told;
  RunState run;
};

TEST_F(Waiting, IsCountedByProcess) {
  RosterFile file({at.path().string()}, 0);
  Noted letters(told, file, run, shares);
  const auto heard = [&](int64_t round, std::vector<Letter> came, std::vector<int64_t> missing = {}) {
    told.post = {std::move(came), std::move(missing)};
    letters.collect(Letter::Kind::kSaid, round, {});
  };
  // Agents 2 and 3 of one process come together, the later of them after half a second.
  heard(8, {letter(2, 8, 100, 0.25), letter(3, 6, 100, 0.5), letter(4, 8, 10, 0)});
  heard(9, {letter(2, 8, 100, 0), letter(4, 9, 10, 2)});
  letters.note_waits(false);
  EXPECT_TRUE(noted().empty()) << "within a second of the beginning";
  letters.note_waits(true);
  auto w = noted();
  ASSERT_EQ(w.size(), 2u);
  EXPECT_EQ(w[1], (Json{{"of", 1},
                        {"times", 2},
                        {"letters", 3},
                        {"missing", 0},
                        {"bytes", 300},
                        {"seconds", 0.5},
                        {"longest", 0.5},
                        {"age", 1.0},
                        {"oldest", 2}}));
  EXPECT_EQ(w[2], (Json{{"of", 2},
                        {"times", 2},
                        {"letters", 2},
                        {"missing", 0},
                        {"bytes", 20},
                        {"seconds", 2.0},
                        {"longest", 2.0},
                        {"age", 0.0},
                        {"oldest", 0}}));
  // What was noted is not noted again; a letter that did not come counts, and those of the server are its
  // process's.
  heard(10, {letter(5, 10, 7, 0.125)}, {4});
  letters.note_waits(true);
  w = noted();
  EXPECT_EQ(w[0]["letters"], 1);
  EXPECT_EQ(w[0]["seconds"], 0.125);
  EXPECT_EQ(w[2]["missing"], 1);
  EXPECT_EQ(w[2]["letters"], 0);
  EXPECT_EQ(w[2]["age"], 0);
  letters.note_waits(true);  // nothing since
  EXPECT_EQ(program::lines(program::slurp(at / "roster/process-0.jsonl")).size(), 3u);
}

// Lines come from other people's processes: what is no line of waits is left out.
TEST_F(Waiting, OfOthersIsTakenOnlyAsItMustBe) {
  const Json good{{"of", 0},        {"times", 2},     {"letters", 3}, {"missing", 0}, {"bytes", 300},
                  {"seconds", 0.5}, {"longest", 0.5}, {"age", 1.0},   {"oldest", 2}};
  Json words = good, missing = good, negative = good, far = good, many = Json::array();
  words["seconds"] = "a lot", missing.erase("age"), negative["bytes"] = -1, far["of"] = 1000000;
  for (int k = 0; k < 1000; ++k) many.push_back(good);
  int64_t wrong = 0;
  Json lines = Json::array();
  for (const Json& waits : {Json::array({words}), Json::array({missing}), Json::array({negative}),
                            Json::array({far}), many, Json(3), Json::object(), Json::array({good})}) {
    lines.push_back({{"round", 7}, {"waits", waits}});
    ++wrong;
  }
  GuestBook guests({at.path().string()}, shares);
  EXPECT_TRUE(guests.take(1, Json{{"from", 0}, {"lines", lines}}.dump()));
  EXPECT_EQ(guests.lines(1), wrong);
  const auto kept = read_roster(at.path().string());
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0], (Json{{"round", 7}, {"waits", {good}}, {"process", 1}}));
}

}  // namespace
}  // namespace symma
