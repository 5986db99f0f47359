// The schema of experiment files says what reading says: every example is valid by it, and what reading
// refuses is not.
#include "symma/fleet/settings.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/fleet/round.h"

namespace symma {
namespace {

// The part of JSON Schema that experiment_schema uses. Throws for a word it does not know, so that none is
// passed over.
bool valid(const Json& schema, const Json& value) {
  static const std::vector<std::string> passed_over{"description", "default", "$schema", "title", "then"};
  for (const auto& item : schema.items()) {
    const std::string& word = item.key();
    const Json& says = item.value();
    const auto any_of = [&] {
      return std::count_if(says.begin(), says.end(), [&](const Json& s) { return valid(s, value); });
    };
    bool good = true;
    if (word == "type") {
      good = says == "object"    ? value.is_object()
             : says == "array"   ? value.is_array()
             : says == "string"  ? value.is_string()
             : says == "boolean" ? value.is_boolean()
             : says == "integer" ? value.is_number_integer()
                                 : says == "number" && value.is_number();
    } else if (word == "const") {
      good = value == says;
    } else if (word == "enum") {
      good = std::find(says.begin(), says.end(), value) != says.end();
    } else if (word == "anyOf") {
      good = any_of() > 0;
    } else if (word == "oneOf") {
      good = any_of() == 1;
    } else if (word == "allOf") {
      good = any_of() == static_cast<int64_t>(says.size());
    } else if (word == "if") {
      good = !valid(says, value) || valid(schema.at("then"), value);
    } else if (word == "required") {
      for (const auto& key : says) good = good && value.contains(key.get<std::string>());
    } else if (word == "properties") {
      for (const auto& [key, s] : says.items())
        good = good && (!value.is_object() || !value.contains(key) || valid(s, value.at(key)));
    } else if (word == "additionalProperties") {
      for (const auto& [key, v] : value.items()) good = good && schema.at("properties").contains(key);
    } else if (word == "items") {
      for (const auto& v : value) good = good && valid(says, v);
    } else if (word == "minItems" || word == "maxItems") {
      good = word == "minItems" ? value.size() >= says.get<size_t>() : value.size() <= says.get<size_t>();
    } else if (value.is_number() && (word == "minimum" || word == "exclusiveMinimum" || word == "maximum" ||
                                     word == "exclusiveMaximum")) {
      const double x = value.get<double>(), bound = says.get<double>();
      good = word == "minimum"            ? x >= bound
             : word == "exclusiveMinimum" ? x > bound
             : word == "maximum"          ? x <= bound
                                          : x < bound;
    } else if (std::find(passed_over.begin(), passed_over.end(), word) == passed_over.end()) {
      throw std::runtime_error("the schema says \"" + word + "\"");
    }
    if (!good) return false;
  }
  return true;
}

// What a file says, every default filled in, as the schema sees it.
Json filled_in(const Settings& s) {
  Json out = s.settings.at("");
  for (const auto& [section, values] : s.settings.items())
    if (!section.empty()) out[section] = values;
  return out;
}

TEST(Schema, HoldsForEveryExample) {
  const Json schema = experiment_schema();
  int64_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(SYMMA_SOURCE_DIR "/examples")) {
    if (entry.path().filename() == "pyproject.toml") continue;  // of an app of Flower's
    if (entry.path().extension() != ".toml") continue;
    ++files;
    EXPECT_TRUE(valid(schema, filled_in(Settings::read(Config::load(entry.path()))))) << entry.path();
  }
  EXPECT_GT(files, 30);
}

// Each change of one setting is refused by reading and by the schema alike, or by neither.
TEST(Schema, RefusesWhatReadingRefuses) {
  const Json schema = experiment_schema();
  const Json base{{"task", {{"kind", "sinusoid"}}}};
  ASSERT_TRUE(valid(schema, base));
  const std::vector<std::pair<std::string, Json>> changes{{"/rounds", 10},
                                                          {"/rounds", 0},
                                                          {"/rounds", 1.5},
                                                          {"/rounds", "10"},
                                                          {"/roundz", 10},
                                                          {"/precision", "half"},
                                                          {"/same_start", 1},
                                                          {"/same_start", false},
                                                          {"/name", 3},
                                                          {"/learner/kind", "maml"},
                                                          {"/learner/kind", "mamll"},
                                                          {"/learner/inner_lr", 0.1},
                                                          {"/learner/inner_lr", 0},
                                                          {"/learner/inner_lr", "fast"},
                                                          {"/learner/order", 3},
                                                          {"/learner/clip", 1},
                                                          {"/learner/hidden", 1},
                                                          {"/learner/inner_stepz", 1},
                                                          {"/lerner/order", 1},
                                                          {"/exchange/topology", "ring"},
                                                          {"/exchange/topology", "rnig"},
                                                          {"/exchange/edges", Json::array({{0, 1}})},
                                                          {"/exchange/every", -1},
                                                          {"/aggregator/before", Json::array({"nnm"})},
                                                          {"/aggregator/kind", "median"},
                                                          {"/aggregator/kind", 3},
                                                          {"/faults/agents", Json::array({0, 1})},
                                                          {"/faults/agents", Json::array({-1})},
                                                          {"/faults/agents", 1},
                                                          {"/faults/lost", 1.5},
                                                          {"/eval/steps", Json::array({0, 20000})},
                                                          {"/task/amplitude", Json::array({0.1, 5.0})},
                                                          {"/task/world", "matrix_game"},
                                                          {"/task/kind", 3},
                                                          {"/learner", 3},
                                                          {"/population/start", "drawn"},
                                                          {"/population/start", "dawn"}};
  for (const auto& [path, value] : changes) {
    Json changed = base;
    changed[Json::json_pointer(path)] = value;
    bool read = true;
    try {
      (void)Settings::read(Config::of(changed, "e.toml"));
    } catch (const UserError&) {
      read = false;
    }
    EXPECT_EQ(valid(schema, changed), read) << path << " = " << value;
  }
  for (const auto& [world, good] : {std::pair{Json("matrix_game"), true},
                                    {Json("matrix_gam"), false},
                                    {Json{{"kind", "matrix_game"}}, true},
                                    {Json{{"kind", "foraging"}, {"playersz", 3}}, false}}) {
    const Json changed{{"task", {{"kind", "control"}, {"world", world}}}};
    EXPECT_EQ(valid(schema, changed), good) << world;
    if (good)
      EXPECT_NO_THROW((void)Settings::read(Config::of(changed, "e.toml")));
    else
      EXPECT_THROW((void)Settings::read(Config::of(changed, "e.toml")), UserError);
  }
}

Json sines(const Json& top, const std::string& slice_by) {
  Json all = top;
  all["rounds"] = 3, all["tasks"] = 2;
  all["task"] = {{"kind", "sinusoid"}, {"slice_by", slice_by}};
  return all;
}

Tensor trained(const Json& file) {
  const Experiment e = Experiment::build(Config::of(file, "e.toml"));
  RunState run = start_run(e);
  for (int round = 0; round < 3; ++round) run_round(e, run);
  return run.learner.theta;
}

// Seeds are rows as agents are, each with a start of its own; and each with the whole of the one agent's
// tasks.
TEST(Seeds, RepeatOneAgent) {
  const Tensor seeds = trained(sines({{"seeds", 3}}, "none"));
  EXPECT_TRUE(seeds.equal(trained(sines({{"agents", 3}, {"same_start", false}}, "none"))));
  EXPECT_FALSE(seeds[0].equal(seeds[1]));
  const Tensor whole = trained(sines({{"seeds", 3}}, "amplitude"));
  EXPECT_FALSE(whole[2].equal(trained(sines({{"agents", 3}, {"same_start", false}}, "amplitude"))[2]));
  EXPECT_TRUE(whole.equal(seeds));
}

// The page of files has every key of a section's own, and every word that such a key may be.
TEST(Schema, ThePageOfFilesHasItAll) {
  const std::string page = read_file(SYMMA_SOURCE_DIR "/docs/files.md");
  Settings settings;
  for (const Section& section : sections(settings)) {
    if (!section.own) continue;
    const std::string begin =
        section.name.empty() ? "\n| top of the file |" : "\n| `[" + section.name + "]` |";
    const size_t at = page.find(begin);
    ASSERT_NE(at, std::string::npos) << begin;
    const std::string row = page.substr(at + 1, page.find('\n', at + 1) - at - 1);
    Fields own;
    section.own(own);
    for (const Field& f : own.list()) {
      EXPECT_NE(row.find("`" + f.name + "`"), std::string::npos) << section.name << " " << f.name;
      for (const auto& word : f.choices)
        EXPECT_NE(row.find("\"" + word + "\""), std::string::npos)
            << section.name << " " << f.name << " " << word;
    }
  }
}

}  // namespace
}  // namespace symma
