// The drawing of a population: who is whose descendant, one mark for each copy, and files that are damaged.
#include "symma/report/lineage.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "fleet/fleets.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/report/report.h"

namespace symma {
namespace {

int count(const std::string& text, const std::string& part) {
  int n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

// Three agents. Round 10: agent 2 goes on from 0. Round 20: agent 1 goes on from 2. Agent 1 ends best, so its
// line is 0, then 2, then 1; agents 0 and 2 are there too, and only what 1 and 2 were before they copied has
// no descendants.
Run three_agents() {
  Run run;
  run.agents = 3, run.rounds = 30;
  Population p;
  p.settings = {"meta_lr"};
  p.generations = {{0, {{1e-4, 1e-3, 1e-2}}, {}, {}},
                   {10, {{1e-4, 1e-3, 1.2e-4}}, {1, 2, 3}, {0, 1, 0}},
                   {20, {{1e-4, 1.44e-4, 1.2e-4}}, {1, 2, 0.5}, {0, 2, 2}}};
  p.best = 1;
  run.population = p;
  return run;
}

TEST(Lineage, MarksCopiesAndDescent) {
  const std::string html = lineage_html(three_agents());
  EXPECT_EQ(count(html, "<path class=\"copy best\""), 2);  // both copies are on the best agent's line
  EXPECT_EQ(count(html, "<path class=\"copy"), 2);
  EXPECT_NE(html.find("round 10: agent 2 goes on from agent 0, meta_lr 1.20e-04 in place of 0.0100"),
            std::string::npos);
  EXPECT_NE(html.find("How agent 1 came to be: 2 copies"), std::string::npos);
  // Of the settings' level lines: the best's are agent 0 to round 10, 2 to 20 and 1 to 30; agents 1 and 2 of
  // the beginning and 1 until 20 have no descendants; 0 from 10 on, and 2 from 20 on, are there at the end.
  const std::string levels = html.substr(0, html.find("on validation tasks"));
  EXPECT_EQ(count(levels, "\"life best\""), 3);
  EXPECT_EQ(count(levels, "\"life extinct\""), 3);
  EXPECT_EQ(count(levels, "\"life ancestor\""), 3);
}

// Returns may be below 0, or 0: each is drawn as a score above 0 is.
TEST(Lineage, DrawsScoresOfEitherSign) {
  const auto drawn = [](double shift, double scale) {
    symma::Run run = three_agents();
    for (auto& g : run.population->generations)
      for (double& x : g.score) x = scale * x + shift;
    const std::string html = lineage_html(run);
    return html.substr(html.find("on validation tasks"));
  };
  const std::string above = drawn(0, 1);
  for (const std::string& other : {drawn(-50, 1), drawn(-2, 1), drawn(-1e6, 1e5), drawn(-3, 0)}) {
    EXPECT_EQ(count(other, "<circle"), count(above, "<circle"));
    EXPECT_EQ(count(other, "class=\"life"), count(above, "class=\"life"));
    EXPECT_GE(count(other, "tick side"), 2);
    EXPECT_LE(count(other, "tick side"), 12);
    for (const char* lost : {"nan", "inf"}) EXPECT_EQ(count(other, lost), 0) << other;
    // Between the top and the bottom of the frame.
    for (size_t at = other.find("cy=\""); at != std::string::npos; at = other.find("cy=\"", at + 1)) {
      const double y = std::stod(other.substr(at + 4));
      EXPECT_TRUE(y >= 10 && y <= 260) << y;
    }
  }
  // More is higher.
  const std::string below = drawn(-50, 1);
  std::vector<double> heights;
  for (size_t at = below.find("cy=\""); at != std::string::npos; at = below.find("cy=\"", at + 1))
    heights.push_back(std::stod(below.substr(at + 4)));
  ASSERT_EQ(heights.size(), 3u);
  EXPECT_LT(*std::min_element(heights.begin(), heights.end()) + 20,
            *std::max_element(heights.begin(), heights.end()));
}

TEST(Lineage, IsEmptyWithoutAPopulation) {
  EXPECT_EQ(lineage_html(symma::Run{}), "");
}

TEST(Lineage, StandsInTheReportAndDamageIsNamed) {
  const Experiment e = fleet(Json::parse(
      R"({"rounds": 6, "population": {"settings": ["meta_lr"], "low": [1e-4], "high": [0.1], "ready": 2, "tasks": 3}})"));
  const std::string folder =
      (std::filesystem::path(testing::TempDir()) / fmt::format("lineage_{}", ::getpid())).string();
  RunState run;
  train(e, {.folder = folder, .force = true}, {}, run);
  conclude(e, {.folder = folder}, run);
  const std::string html = report_html({folder});
  EXPECT_NE(html.find("Who went on from whom"), std::string::npos);
  EXPECT_EQ(count(html, "<path class=\"copy"), 3);  // one of five agents at each of three selections
  for (
      const auto& [line, wrong] : std::vector<std::pair<std::string, std::string>>{
          {R"({"round": 8, "settings": {"meta_lr": [1, 1, 1, 1, 1]}, "score": [1, 1, 1, 1, 1], "from": [0, 1, 2, 3, 9]})",
           "agent 9"},
          {R"({"round": 8, "settings": {"meta_lr": [1, 1]}})", "2 numbers where 5 are due"},
          {R"({"round": 8, "settings": {"other": [1, 1, 1, 1, 1]}})", "settings change"},
          {R"({"round": 8, "settings": 3})", "not an object"}}) {
    const std::string file = folder + "/lineage.jsonl", whole = read_file(file);
    std::ofstream(file, std::ios::app) << line << "\n";
    try {
      report_html({folder});
      ADD_FAILURE() << line;
    } catch (const UserError& error) {
      EXPECT_NE(std::string(error.what()).find(wrong), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("lineage.jsonl"), std::string::npos) << error.what();
    }
    write_file(file, whole);
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace symma
