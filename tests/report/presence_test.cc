// Who was there when, made of lines of roster.jsonl: spans by hand, of agents alike as one, and files that
// are damaged.
#include "symma/report/presence.h"

#include <gtest/gtest.h>

#include "report/runs.h"

namespace symma {
namespace {

namespace fs = std::filesystem;

class Roster : public ::testing::Test {
 protected:
  void SetUp() override { fs::remove_all(folder), fs::create_directories(folder); }
  void TearDown() override { fs::remove_all(folder); }
  Presence of(const std::string& lines, double rounds = 100) {
    write_file((folder / "roster.jsonl").string(), lines);
    return *read_presence(folder.string(), rounds);
  }
  const fs::path folder = fs::temp_directory_path() / ("presence." + std::to_string(::getpid()));
};

std::string spans(const Presence::Lane& lane) {
  std::string out;
  for (const auto& s : lane.away) out += fmt::format("{}{}-{} ", s.out ? "out " : "", s.from, s.to);
  return out;
}

const std::string kBegin = R"({"round":0,"shares":[[0,1],[2,3],[4,5]],"process":0})"
                           "\n";

TEST_F(Roster, SaysWhoWasAwayWhen) {
  // Agents 2 and 3 fall silent at 40, are out of the roster from 50 to 70, and come back from their file.
  const Presence p = of(kBegin +
                        R"({"round":40,"exchange":41,"kind":1,"missing":[2],"process":0}
{"round":50,"epoch":1,"there":[0,1,4,5],"process":0}
{"round":70,"epoch":2,"there":[0,1,2,3,4,5],"process":0}
{"round":72,"exchange":73,"kind":1,"missing":[],"process":0}
{"round":100,"stands":[100,99,100],"process":0}
{"round":70,"exchange":71,"with":"file","of":38,"process":1}
{"round":40,"exchange":41,"kind":1,"missing":[2,3],"process":2}
{"round":71,"exchange":72,"kind":1,"missing":[],"process":2}
)");
  ASSERT_EQ(p.lanes.size(), 4u);
  EXPECT_EQ(p.rounds, 100);
  EXPECT_EQ(p.lanes[0].agents, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(spans(p.lanes[0]), "");
  // Two that are alike are one lane; agent 2 was missed for a round more.
  EXPECT_EQ(spans(p.lanes[1]), "out 50-70 40-50 70-72 ");
  EXPECT_EQ(spans(p.lanes[2]), "out 50-70 40-50 70-71 ");
  EXPECT_EQ(p.lanes[1].stands, 99);
  ASSERT_EQ(p.lanes[1].entrances.size(), 1u);
  EXPECT_EQ(p.lanes[1].entrances[0].of, 38);
  const std::string html = presence_html(p, 6);
  for (const char* words : {"agents 0 to 1", "agent 2", "rounds 50 to 70: out of the roster",
                            "rounds 40 to 50: letters did not come",
                            "came in after round 70, with what it had after round 38, from its file"})
    EXPECT_NE(html.find(words), std::string::npos) << words;
}

TEST_F(Roster, WhatAProcessMissedBeforeItWasAwayIsOver) {
  const Presence p = of(kBegin +
                        R"({"round":10,"exchange":11,"kind":1,"missing":[0],"process":2}
{"round":30,"exchange":31,"with":"memory","of":10,"process":2}
)");
  EXPECT_EQ(spans(p.lanes[0]), "10-30 ");
  EXPECT_EQ(p.lanes[0].agents, std::vector<int64_t>{0});
  EXPECT_EQ(spans(p.lanes[1]), "");
}

TEST_F(Roster, WhoIsNotBackIsAwayToTheEnd) {
  const Presence p = of(kBegin + R"({"round":60,"epoch":1,"there":[0,1,2,3],"process":0})"
                                 "\n",
                        200);
  EXPECT_EQ(spans(p.lanes[2]), "out 60-200 ");
  EXPECT_EQ(p.lanes[2].stands, 200);
}

TEST_F(Roster, NamesTheServerAndNewcomers) {
  const Presence p = of(kBegin +
                        R"({"round":5,"exchange":6,"kind":2,"missing":[6],"process":1}
{"round":20,"newcomers":[4,5],"judged":{"metric":"mse","steps":[0,5],"mean":[2.5,0.5]},"process":2}
)");
  const std::string html = presence_html(p, 6);
  EXPECT_NE(html.find("the server"), std::string::npos);
  EXPECT_NE(html.find("New at round 20: agents 4 to 5; judged before learning anything: mse 2.50 after 0 "
                      "steps, 0.500 after 5 steps"),
            std::string::npos)
      << html;
}

TEST_F(Roster, AQuietRunIsOneSentence) {
  EXPECT_EQ(presence_html(read_presence(folder.string(), 10), 6), "");  // one process
  const std::string html = presence_html(of(kBegin), 6);
  EXPECT_NE(html.find("3 processes, all there in each of 100 rounds"), std::string::npos) << html;
  EXPECT_EQ(html.find("<table"), std::string::npos);
}

// 100,000 agents in four processes: as many lanes as there are histories.
TEST_F(Roster, ManyAgentsAlikeAreOneLane) {
  std::string shares = "[";
  for (int k = 0; k < 4; ++k) {
    shares += k ? ",[" : "[";
    for (int i = 0; i < 25000; ++i) shares += (i ? "," : "") + std::to_string(k * 25000 + i);
    shares += "]";
  }
  const Presence p = of(R"({"round":0,"process":0,"shares":)" + shares + "]}\n" +
                        R"({"round":9,"exchange":10,"kind":1,"missing":[7,25000],"process":3})"
                        "\n");
  ASSERT_EQ(p.lanes.size(), 6u);
  EXPECT_NE(presence_html(p, 100000).find("agents 0 to 6 and 8 to 24,999"), std::string::npos);
}

TEST_F(Roster, WaitsAreAddedUpByPairAndDrawnAlongTheRun) {
  const auto waits = [](int round, int process, int of, double times, double letters, double seconds,
                        double longest, double age, double oldest, double missing) {
    return Json{{"round", round},
                {"process", process},
                {"waits",
                 {{{"of", of},
                   {"times", times},
                   {"letters", letters},
                   {"missing", missing},
                   {"bytes", 1000 * letters},
                   {"seconds", seconds},
                   {"longest", longest},
                   {"age", age},
                   {"oldest", oldest}}}}}
               .dump() +
           "\n";
  };
  const Presence p = of(kBegin + waits(20, 0, 2, 20, 40, 0.2, 0.05, 0, 0, 0) +
                        waits(50, 0, 2, 30, 60, 3, 0.5, 2, 7, 0) + waits(60, 0, 1, 60, 120, 0, 0, 0, 0, 3));
  ASSERT_EQ(p.waits.size(), 2u);
  const WaitsBetween& w = p.waits[1];
  EXPECT_EQ(w.to, 0);
  EXPECT_EQ(w.from, 2);
  EXPECT_EQ(w.times, 50);
  EXPECT_EQ(w.letters, 100);
  EXPECT_DOUBLE_EQ(w.seconds, 3.2);
  EXPECT_EQ(w.longest, 0.5);
  EXPECT_DOUBLE_EQ(w.age, 1.2);  // of 100 letters 60 were 2 old
  EXPECT_EQ(w.oldest, 7);
  ASSERT_EQ(w.along.size(), 2u);
  EXPECT_EQ(w.along[1].from, 20);
  EXPECT_EQ(w.along[1].to, 50);
  EXPECT_DOUBLE_EQ(w.along[1].seconds, 0.1);
  const std::string html = presence_html(p, 6);
  for (const char* words : {"Waiting for letters", "rounds 20 to 50: 100 ms on average", "64 ms", "500 ms",
                            "1.2, at most 7", "100 kB", "did not come"})
    EXPECT_NE(html.find(words), std::string::npos) << words << html;
}

// A long run has more lines than a page has room for.
TEST_F(Roster, WaitsOfALongRunAreFewBars) {
  std::string lines = kBegin;
  for (int k = 1; k <= 3000; ++k)
    for (int of : {1, 2})
      lines += fmt::format(
          R"({{"round":{},"process":0,"waits":[{{"of":{},"times":1,"letters":1,"missing":0,"bytes":8,"seconds":{},"longest":1,"age":0,"oldest":0}}]}})"
          "\n",
          k, of, of);
  const Presence p = of(lines, 3000);
  const std::string html = waits_html(p.waits, 3000);
  EXPECT_LT(html.size(), 120000u);
  EXPECT_NE(html.find("1.0 s on average"), std::string::npos) << html.substr(0, 2000);
}

TEST_F(Roster, RefusesLinesThatAreNotOfSymma) {
  for (const char* line :
       {"{}", "[]", "3", R"({"round":1})", R"({"round":"x","process":0})",
        R"({"round":1,"process":0,"missing":3,"kind":1})", R"({"round":1,"process":0,"missing":[1]})",
        R"({"round":1,"process":0,"shares":[0]})", R"({"round":1,"process":0,"waits":3})",
        R"({"round":1,"process":0,"waits":[{"of":"x"}]})", R"({"round":1,"process":0,"waits":[{"of":1}]})",
        R"({"round":1,"process":0,"with":3,"of":1})",
        R"({"round":1,"process":0,"newcomers":[1],"judged":{}})"}) {
    try {
      of(kBegin + line + "\n");
      ADD_FAILURE() << line;
    } catch (const UserError& e) {
      EXPECT_NE(std::string(e.what()).find("roster.jsonl"), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace symma
