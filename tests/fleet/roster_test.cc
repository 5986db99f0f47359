// What a process writes down of the letters that it waits for: counted by hand, with letters that are told
// how old and how late they are.
#include "symma/fleet/roster.h"

#include <gtest/gtest.h>

#include "cli/program.h"
#include "symma/report/presence.h"

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
  GuestBook guests({at.path().string()}, shares, "mse", 100);
  EXPECT_TRUE(guests.take(1, Json{{"from", 0}, {"lines", lines}}.dump(), 7));
  EXPECT_EQ(guests.lines(1), wrong);
  const auto kept = read_roster(at.path().string());
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0], (Json{{"round", 7}, {"waits", {good}}, {"process", 1}}));
}

// A line has the keys of its kind and no others, each of its type and in its range, and none is of a round
// that the fleet has not come to. On the old code a line of missing letters could have `shares` or `there`
// beside them, which ended the report or forged it, and stretched it to 2^53 rounds.
TEST_F(Waiting, LinesOfOthersHaveTheKeysOfTheirKindAndNoMore) {
  const Json wait{{"of", 0},        {"times", 2},     {"letters", 3}, {"missing", 0}, {"bytes", 300},
                  {"seconds", 0.5}, {"longest", 0.5}, {"age", 1.0},   {"oldest", 2}};
  const std::vector<Json> good{
      {{"round", 12}, {"exchange", 12}, {"kind", 1}, {"missing", {0, 4}}},
      {{"round", 12}, {"exchange", 12}, {"kind", 2}, {"missing", Json::array()}, {"lives", {{0, 1}}}},
      {{"round", 12}, {"waits", Json::array({wait})}},
      {{"round", 12}, {"exchange", 12}, {"with", "memory"}, {"of", 11}},
      {{"round", 12}, {"exchange", 12}, {"with", "file"}, {"of", 100}},
      {{"round", 12},
       {"newcomers", {2, 3}},
       {"judged", {{"metric", "mse"}, {"steps", {0, 1}}, {"mean", {3.5, Json()}}}}}};
  std::vector<Json> bad;
  const auto with = [&](size_t k, const char* key, const Json& value) {
    bad.push_back(good[k]), bad.back()[key] = value;
  };
  for (size_t k = 0; k < good.size(); ++k) {
    // What the first alone says, what another kind has, what nobody says.
    for (const Json& other : good)
      for (const auto& [key, value] : other.items())
        if (!good[k].contains(key) && key != "lives") with(k, key.c_str(), value);
    for (const char* key : {"shares", "there", "comes", "stands", "free", "epoch", "rows", "word"}) {
      with(k, key, {3, 4});
      with(k, key, "x");
    }
    for (const auto& [key, value] : good[k].items()) {
      for (const Json& wrong :
           {Json(), Json("x"), Json(-1), Json(0.5), Json(uint64_t{1} << 63), Json{{"x", 1}}, Json{{"x"}}})
        with(k, key.c_str(), wrong);
      if (key == "lives") continue;
      bad.push_back(good[k]);
      bad.back().erase(key);
    }
    with(k, "round", 13), with(k, "round", uint64_t{1} << 53);
  }
  with(0, "kind", 3), with(0, "missing", {6}), with(0, "missing", std::vector<int64_t>(7));
  with(4, "of", 101), with(3, "with", "luck");
  with(5, "newcomers", {1}), with(5, "newcomers", {2, 2, 2});
  Json named = wait;
  named.erase("age"), named["ages"] = 1;
  with(2, "waits", Json::array({named}));
  for (const auto& [key, value] : good[5]["judged"].items()) {
    Json judged = good[5]["judged"];
    for (const Json& wrong : {Json("\x1b[2J"), Json{1, "x"}, Json{1}, Json()})
      with(5, "judged", (judged[key] = wrong, judged));
    judged.erase(key);
    with(5, "judged", judged);
    judged["shares"] = value;
    with(5, "judged", judged);
  }
  Json lines = bad;
  for (const Json& line : good) {
    lines.push_back(line);
    lines.back()["process"] = 2;  // whose it is the key of its line says
  }
  GuestBook guests({at.path().string()}, shares, "mse", 100);
  EXPECT_TRUE(guests.take(1, Json{{"from", 0}, {"lines", lines}}.dump(), 12));
  EXPECT_EQ(guests.lines(1), static_cast<int64_t>(lines.size()));
  std::vector<Json> kept = read_roster(at.path().string());
  for (Json& line : kept) {
    EXPECT_EQ(line["process"], 1);
    line.erase("process");
  }
  EXPECT_EQ(kept, good);
  EXPECT_TRUE(read_presence(at.path().string(), 12));
}

}  // namespace
}  // namespace symma
