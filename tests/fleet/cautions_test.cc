// What a run is warned of before it starts.
#include "symma/fleet/cautions.h"

#include <gtest/gtest.h>

#include "fleet/fleets.h"

namespace symma {
namespace {

bool warned(const Json& sections) {
  const std::vector<std::string> all = cautions(fleet(sections));
  for (const std::string& line : all) {
    EXPECT_EQ(line.find("[aggregator] bad: is "), 0u) << line;
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
  }
  return !all.empty();
}

Json on(const char* topology, Json aggregator, Json hostile, const char* attack = "sign_flip") {
  return {{"agents", 10},
          {"exchange", {{"topology", topology}}},
          {"aggregator", std::move(aggregator)},
          {"faults", {{"kind", attack}, {"agents", std::move(hostile)}}}};
}

// Rules that drop `bad` rows drop none where that is 0: they are the mean, whatever they are called.
TEST(Cautions, OfRulesThatAreTheMeanWhereNoRowMayBeBad) {
  for (const char* rule : {"trimmed_mean", "multi_krum", "mda", "cge", "meamed"})
    for (const char* topology : {"star", "full"}) {
      EXPECT_TRUE(warned(on(topology, {{"kind", rule}}, {2}))) << rule << topology;
      EXPECT_FALSE(warned(on(topology, {{"kind", rule}, {"bad", 1}}, {2}))) << rule << topology;
      EXPECT_FALSE(warned(on(topology, {{"kind", rule}}, Json::array()))) << rule << topology;
    }
  EXPECT_TRUE(warned(on("star", {{"before", {"nnm"}}}, {2})));
  EXPECT_TRUE(warned(on("star", {{"kind", "median"}, {"before", {"nnm"}}}, {2})));
  EXPECT_FALSE(warned(on("star", {{"kind", "median"}, {"before", {"nnm"}}, {"bad", 1}}, {2})));
  // Where few keep, or the middle counts, no number is needed. The mean promises nothing.
  for (const char* rule : {"median", "geometric_median", "centred_clipping", "krum", "mean"})
    EXPECT_FALSE(warned(on("star", {{"kind", rule}}, {2, 7}))) << rule;
  EXPECT_FALSE(warned(on("star", {{"kind", "multi_krum"}, {"keep", 4}}, {2, 7})));
  EXPECT_FALSE(warned(on("star", {{"kind", "median"}, {"before", {"bucketing"}}}, {2})));
}

TEST(Cautions, OfRulesThatAllowForFewerThanANodeGathers) {
  EXPECT_TRUE(warned(on("star", {{"kind", "trimmed_mean"}, {"bad", 1}}, {2, 7})));
  EXPECT_FALSE(warned(on("star", {{"kind", "trimmed_mean"}, {"bad", 2}}, {2, 7})));
  // Around a ring agents 2 and 7 have no neighbour in common, and agents 2 and 4 have agent 3.
  EXPECT_FALSE(warned(on("ring", {{"kind", "trimmed_mean"}, {"bad", 1}}, {2, 7})));
  EXPECT_TRUE(warned(on("ring", {{"kind", "trimmed_mean"}, {"bad", 1}}, {2, 4})));
  EXPECT_NE(cautions(fleet(on("ring", {{"kind", "trimmed_mean"}, {"bad", 1}}, {2, 4})))[0].find(
                "agent 3 gathers 3 rows of which 2 are hostile"),
            std::string::npos);
}

// The rules of examples/exchange/robust.toml, each told how many are bad.
TEST(Cautions, AreNotOfRulesThatBearWhatIsThere) {
  for (const auto& rule : AggregatorRegistry::instance().names())
    EXPECT_FALSE(warned(on("star", {{"kind", rule}, {"bad", 2}}, {2, 7}))) << rule;
  for (const auto& first : PreAggregatorRegistry::instance().names())
    EXPECT_FALSE(warned(on("star", {{"kind", "trimmed_mean"}, {"before", {first}}, {"bad", 2}}, {2, 7})))
        << first;
}

}  // namespace
}  // namespace symma
