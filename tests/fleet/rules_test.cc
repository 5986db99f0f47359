// Every rule on what does not go together is broken by a file of its own, and says where, what and how to
// mend it.
#include "symma/fleet/rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "symma/core/errors.h"

namespace symma {
namespace {

const std::string kRing = "[exchange]\ntopology = \"ring\"\n";
const std::string kUpdates = "[exchange]\ntopology = \"ring\"\npayload = \"updates\"\n";
const std::string kStar = "[exchange]\ntopology = \"star\"\n";
const std::string kStarUpdates = "[exchange]\ntopology = \"star\"\npayload = \"updates\"\n";
const std::string kTracking = "[exchange]\nstrategy = \"gradient-tracking\"\n";
const std::string kPushing = "[exchange]\nstrategy = \"push-sum\"\ntopology = \"ring\"\n";
const std::string kPopulation = "[population]\nsettings = [\"inner_lr\"]\nlow = [0.001]\nhigh = [1.0]\n";

// A table of twelve groups of six rows.
std::string groups_file() {
  const std::string path = testing::TempDir() + "rules_groups.csv";
  std::ofstream out(path);
  out << "g,x,y\n";
  for (int g = 0; g < 12; ++g)
    for (int r = 0; r < 6; ++r) out << "group " << g << "," << r << "," << g * r << "\n";
  return path;
}

// What breaks each rule, laid over four agents on sine waves: the file, and settings.
const std::map<std::string, std::string>& broken() {
  static const std::map<std::string, std::string> all{
      {"hostile agents are there", "[faults]\nagents = [4]\n"},
      {"somebody is honest", "[faults]\nagents = [0, 1, 2, 3]\n"},
      {"seeds repeat one agent", "seeds = 3\n"},
      {"seeds never meet", "agents = 1\nseeds = 3\n" + kStar},
      {"seeds are honest", "agents = 1\nseeds = 3\n[faults]\nagents = [0]\n"},
      {"a population is not repeated", "agents = 1\nseeds = 3\n" + kPopulation},
      {"steps are counted upwards", "[eval]\nsteps = [3, 1]\n"},
      {"server.share needs a server", kRing + "[server]\nshare = 0.5\n"},
      {"server.secure needs a server", kRing + "[server]\nsecure = true\n"},
      {"server.optimizer needs a server", kRing + "[server]\noptimizer = \"adam\"\n"},
      {"strategies of neighbours are of graphs", kTracking + "topology = \"star\"\n"},
      {"strategies of neighbours mix rows", kTracking + "topology = \"ring\"\npayload = \"updates\"\n"},
      {"corrected strategies exchange each round", kTracking + "topology = \"ring\"\nevery = 2\n"},
      {"corrected strategies take means",
       kTracking + "topology = \"ring\"\n[aggregator]\nkind = \"median\"\n"},
      {"corrected strategies protect no agents",
       kTracking + "topology = \"ring\"\n[privacy]\nunit = \"agent\"\n"},
      {"corrected strategies miss no message: lost",
       kTracking + "topology = \"ring\"\n[faults]\nlost = 0.01\n"},
      {"corrected strategies miss no message: late",
       "[exchange]\nstrategy = \"exact-diffusion\"\ntopology = \"full\"\n[faults]\nlate = 0.01\n"},
      {"corrected strategies miss no message: cut",
       kTracking + "topology = \"ring\"\n[faults]\ncut = 0.01\n"},
      {"corrected strategies hear of everybody",
       kTracking + "topology = \"ring\"\n[faults]\nkind = \"silent\"\nagents = [1]\n"},
      {"what is pushed is added up", kPushing + "[aggregator]\nkind = \"median\"\n"},
      {"what is pushed is said whole", kPushing + "[compression]\nkind = \"top_k\"\n"},
      {"what is pushed protects no agents", kPushing + "[privacy]\nunit = \"agent\"\n"},
      {"what is pushed is pushed by honest agents", kPushing + "[faults]\nagents = [1]\n"},
      {"a server's optimizer needs updates", kStar + "[server]\noptimizer = \"adam\"\n"},
      {"secure sums show no rows to a rule",
       kStar + "[aggregator]\nkind = \"median\"\n[server]\nsecure = true\n"},
      {"secure sums show no rows to what comes before",
       kStar + "[aggregator]\nbefore = [\"nnm\"]\nbad = 1\n[server]\nsecure = true\n"},
      {"secure sums are of whole rows", kStar + "[compression]\nkind = \"top_k\"\n[server]\nsecure = true\n"},
      {"secure sums are of one round", kStar + "[faults]\nlate = 0.1\n[server]\nsecure = true\n"},
      {"secure sums hide norms",
       kStarUpdates +
           "[server]\nsecure = true\n[privacy]\nunit = \"agent\"\nwhere = \"server\"\nadaptive = true\n"},
      {"gamma is of graphs", kStar + "[compression]\nkind = \"top_k\"\ngamma = 0.5\n"},
      {"differences of parameters miss no message: lost",
       kStar + "[compression]\nkind = \"top_k\"\n[faults]\nlost = 0.1\n"},
      {"differences of parameters miss no message: late",
       kStar + "[compression]\nkind = \"top_k\"\n[faults]\nlate = 0.1\n"},
      {"differences of parameters miss no message: cut",
       kStar + "[compression]\nkind = \"top_k\"\n[faults]\ncut = 0.1\n"},
      {"differences of answers miss none",
       kStarUpdates + "[compression]\nkind = \"top_k\"\n[faults]\nlost = 0.1\n"},
      {"agents are protected in their updates", kRing + "[privacy]\nunit = \"agent\"\n"},
      {"a server's noise needs a server", kUpdates + "[privacy]\nunit = \"agent\"\nwhere = \"server\"\n"},
      {"a server's noise is added to a sum",
       kStarUpdates + "[aggregator]\nkind = \"median\"\n[privacy]\nunit = \"agent\"\nwhere = \"server\"\n"},
      {"shares of noise are of secure sums",
       kStarUpdates + "[privacy]\nunit = \"agent\"\nwhere = \"distributed\"\n"},
      {"shares of noise fit the numbers of a secure sum",
       kStarUpdates + "[server]\nsecure = true\nprecision = 40\n[privacy]\nunit = \"agent\"\nwhere = "
                      "\"distributed\"\n"},
      {"only a server sees norms", kUpdates + "[privacy]\nunit = \"agent\"\nadaptive = true\n"},
      {"bounds follow norms of agents alone", kRing + "[privacy]\nadaptive = true\n"},
      {"a tree is at a server", kUpdates + "[privacy]\nunit = \"agent\"\nmechanism = \"tree\"\n"},
      {"a tree is of agents", kStarUpdates + "[privacy]\nunit = \"task\"\nmechanism = \"tree\"\n"},
      {"a tree has one bound",
       kStarUpdates +
           "[privacy]\nunit = \"agent\"\nwhere = \"server\"\nmechanism = \"tree\"\nadaptive = true\n"},
      {"secure sums of hostile agents are not clipped",
       kStarUpdates + "[server]\nsecure = true\n[faults]\nagents = [0]\n[privacy]\nunit = \"agent\"\nwhere = "
                      "\"server\"\n"},
      {"what is normalised by is counted", "[task]\nkind = \"sinusoid\"\n[model]\nkind = \"normalised\"\n"},
      {"a sum is of a crowd", "agents = 2\n" + kStar + "[server]\nsecure = true\n"},
      {"the adjacency can be stated", kUpdates + "[privacy]\nunit = \"agent\"\nadjacency = \"add-remove\"\n"},
      {"a population is of several", "agents = 1\n" + kPopulation},
      {"copies are not protected", kPopulation + "[privacy]\nunit = \"task\"\n"},
      {"a population is honest", kPopulation + kRing + "[faults]\nagents = [0]\n"},
      {"a copied row has another's past", kPopulation + kUpdates},
      {"the learner clips examples", "[privacy]\nunit = \"example\"\n"},
      {"the learner clips tasks", "[learner]\nkind = \"scratch\"\n[privacy]\nunit = \"task\"\n"},
      {"units can be counted", "[task]\nkind = \"control\"\n[privacy]\nunit = \"task\"\n"},
      {"a unit counts once a round", "[task]\nkind = \"table\"\nshots = 2\npath = \"" + groups_file() +
                                         "\"\ntarget = \"y\"\ngroup = \"g\"\n[privacy]\nunit = \"task\"\n"},
      {"labels that are turned around are there",
       "[task]\nkind = \"quadratics\"\n" + kRing + "[faults]\nkind = \"label_flip\"\nagents = [0]\n"},
  };
  return all;
}

Config config_of(const std::string& text) {
  const bool has_task = text.find("[task]") != std::string::npos, has_agents = text.starts_with("agents");
  return Config::parse(
      (has_agents ? "" : "agents = 4\n") + text + (has_task ? "" : "[task]\nkind = \"sinusoid\"\n"),
      "e.toml");
}

std::vector<Rule> every_rule() {
  std::vector<Rule> all = rules_of_settings();
  all.insert(all.end(), rules_of_parts().begin(), rules_of_parts().end());
  return all;
}

const std::string kBatchNorm = "examples do not meet in batch norm";

class Rules : public testing::TestWithParam<Rule> {};
INSTANTIATE_TEST_SUITE_P(Every, Rules, testing::ValuesIn(every_rule()), [](const auto& info) {
  std::string name = info.param.name;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
});

TEST_P(Rules, AreBrokenByAFileAndSaidInOneLine) {
  const Rule& rule = GetParam();
  if (rule.name == kBatchNorm) return;  // below: its model needs images
  ASSERT_TRUE(broken().contains(rule.name)) << "no file breaks the rule \"" << rule.name << "\"";
  const std::string& text = broken().at(rule.name);
  try {
    (void)Experiment::build(config_of(text));
    FAIL() << "not refused";
  } catch (const UserError& error) {
    const std::string line = error.what();
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    const std::string at = rule.section.empty() ? rule.key : "[" + rule.section + "] " + rule.key;
    EXPECT_NE(error.place().find(at), std::string::npos) << line;
    EXPECT_EQ(error.remedy(), rule.remedy) << line;
    EXPECT_FALSE(rule.name.empty() || error.wrong().empty() || error.remedy().empty());
  }
}

TEST(Rules, ExamplesDoNotMeetInBatchNorm) {
  Experiment e = Experiment::build(config_of(""));
  e.model = make<ModelRegistry>("conv", Json{{"norm", "transductive"}}, ModelShape{{28, 28, 1}, 5});
  const auto all = every_rule();
  const auto rule = std::find_if(all.begin(), all.end(), [](const Rule& r) { return r.name == kBatchNorm; });
  ASSERT_NE(rule, all.end());
  for (const auto& [unit, refused] : {std::pair{"example", true}, {"task", false}, {"none", false}}) {
    e.exchange.privacy.unit = unit;
    EXPECT_EQ(rule->broken(e), refused) << unit;
  }
}

// The same files without what breaks them are read.
TEST(Rules, LetPassWhatGoesTogether) {
  for (const std::string& text : {kRing, kUpdates, kStar, kStarUpdates, kTracking + "topology = \"ring\"\n",
                                  kTracking + "topology = \"ring\"\n[faults]\ndoubled = 0.5\n",
                                  kTracking + "[faults]\nlost = 0.1\n", kPopulation})
    EXPECT_NO_THROW((void)Experiment::build(config_of(text))) << text;
}

// A part says what it lacks of "[learner] kind"; the user is told the line as well.
TEST(Reading, PartsAreLocatedInTheFile) {
  try {
    (void)Experiment::build(
        Config::parse("[task]\nkind = \"sinusoid\"\n[learner]\nkind = \"ippo\"\n", "e.toml"));
    FAIL() << "not refused";
  } catch (const UserError& error) {
    EXPECT_EQ(error.place(), "e.toml:4: [learner] kind");
  }
}

}  // namespace
}  // namespace symma
