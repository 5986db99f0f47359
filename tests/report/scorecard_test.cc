// The scorecard's sentences are made of its numbers: turn the numbers round, and the sentences turn.
#include "symma/report/scorecard.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace symma {
namespace {

Json figure(const char* role, const char* what, double mean, double difference, double ci95) {
  return {{"id", what},
          {"axis", "robustness"},
          {"role", role},
          {"what", what},
          {"mean", mean},
          {"ci95", ci95},
          {"command", "symma train e.toml"},
          {"over", "seeds"},
          {"n", 3},
          {"gap", {{"to", "base"}, {"difference", difference}, {"ci95", ci95}}}};
}

Json card(bool higher, const Json& figures) {
  return {{"experiment", "e"},
          {"learner", "maml"},
          {"metric", higher ? "return" : "mse"},
          {"higher_is_better", higher},
          {"steps", {0, 10}},
          {"seeds", 3},
          {"rounds", 100},
          {"rounds_asked", 100},
          {"before_adapting", higher ? 1.0 : 3.0},
          {"figures", figures}};
}

Json attacked(const char* rule, double mean, double difference, double ci95) {
  Json f = figure("attack", "Two hostile agents (sign_flip)", mean, difference, ci95);
  f["rule"] = rule;
  return f;
}

std::string only(const Json& c) {
  const auto all = scorecard_sentences(c);
  return all.size() == 1 ? all[0] : "not one sentence";
}

TEST(Scorecard, SentencesTurnWithTheNumbers) {
  const auto ring = [](double d, double ci) { return Json::array({figure("graph", "the ring", 1, d, ci)}); };
  for (const bool higher : {false, true}) {
    const double good = higher ? 0.94 : -0.94;
    EXPECT_EQ(only(card(higher, ring(good, 0.06))), "Sharing along the ring is worth 0.940 ± 0.060");
    EXPECT_EQ(only(card(higher, ring(-good, 0.06))), "Sharing along the ring costs 0.940 ± 0.060");
    EXPECT_EQ(only(card(higher, ring(good, 1.2))),
              "Sharing along the ring is not told apart from no sharing (0.9 ± 1.2)");
    EXPECT_EQ(only(card(higher, ring(-good, 1.2))),
              "Sharing along the ring is not told apart from no sharing (0.9 ± 1.2)");
    const auto rival = [](double d, double ci) {
      return Json::array({figure("rival", "Transfer", 1, d, ci)});
    };
    EXPECT_EQ(only(card(higher, rival(-good, 0.2))),
              "Transfer comes within 0.94 ± 0.20 of maml after 10 steps");
    EXPECT_EQ(only(card(higher, rival(good, 0.2))),
              "Transfer is better than maml by 0.94 ± 0.20 after 10 steps");
    EXPECT_EQ(only(card(higher, rival(good, 2))),
              "Transfer is not told apart from maml after 10 steps (0.9 ± 2.0)");
  }
}

TEST(Scorecard, AttacksAreOneSentenceForAllRules) {
  // The score before adapting is 3, lower is better: what is worse than that, beyond its interval, is ruined.
  EXPECT_EQ(only(card(false, {attacked("mean", 9, 8.5, 0.5), attacked("median", 0.53, 0.03, 0.01)})),
            "Two hostile agents (sign_flip) ruin the mean and cost the median 0.030 ± 0.010");
  EXPECT_EQ(only(card(false, {attacked("mean", 0.53, 0.03, 0.01), attacked("median", 9, 8.5, 0.5)})),
            "Two hostile agents (sign_flip) cost the mean 0.030 ± 0.010 and ruin the median");
  EXPECT_EQ(only(card(false, {attacked("mean", 0.5, 0.01, 0.05), attacked("median", 0.4, -0.1, 0.05)})),
            "Two hostile agents (sign_flip) leave the mean as it was, as far as can be told (0.010 ± 0.050) "
            "and help the "
            "median 0.100 ± 0.050");
  Json lost = attacked("mean", 0, 0, 0);
  lost["mean"] = nullptr, lost["gap"] = nullptr;
  EXPECT_EQ(only(card(false, Json::array({lost}))), "Two hostile agents (sign_flip) ruin the mean");
}

TEST(Scorecard, ThePageHasEachFigureWithItsCommand) {
  const Json c = card(
      false, {figure("graph", "the ring", 1, -0.94, 0.06), figure("noise", "noise & <more>", 1, 0.5, 0.9)});
  const std::string page = scorecard_html(c);
  EXPECT_NE(page.find("symma train e.toml"), std::string::npos);
  EXPECT_NE(page.find("noise &amp; &lt;more&gt;"), std::string::npos);
  EXPECT_NE(page.find("not told apart"), std::string::npos);
}

}  // namespace
}  // namespace symma
