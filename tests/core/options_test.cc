#include "symma/core/options.h"

#include <gtest/gtest.h>

#include "symma/core/errors.h"
#include "symma/core/registry.h"

namespace symma {
namespace {

struct Options {
  double inner_lr = 0.01;
  int64_t steps = 1;
  bool learn = false;
  std::string kind = "sgd";
  std::vector<double> range{0, 1};
  Pairs edges;
  void fields(Fields& f) {
    f.add("inner_lr", inner_lr, "step size").above(0).at_most(10);
    f.add("steps", steps, "how many").at_least(1);
    f.add("learn", learn, "whether");
    f.add("kind", kind, "which").one_of({"sgd", "adam"});
    f.add("range", range, "from, to").at_least(-5);
    f.add("edges", edges, "pairs");
  }
};

Options read(const std::string& text, const std::vector<std::string>& sets = {}) {
  Config config = Config::parse(text, "e.toml");
  for (const auto& s : sets) config.set(s);
  Options o;
  Fields f;
  o.fields(f);
  config.read("part", f);
  return o;
}

std::string error(const std::string& text, const std::vector<std::string>& sets = {}) {
  try {
    read(text, sets);
  } catch (const UserError& e) {
    return e.what();
  }
  return "no error";
}

TEST(Options, AreReadWithTheirTypes) {
  const Options o = read(
      "[part]\ninner_lr = 1\nsteps = 3\nlearn = true\nkind = \"adam\"\nrange = [1, 2.5]\nedges = [[0, 1], "
      "[1, 2]]\n");
  EXPECT_EQ(o.inner_lr, 1.0);
  EXPECT_EQ(o.steps, 3);
  EXPECT_TRUE(o.learn);
  EXPECT_EQ(o.kind, "adam");
  EXPECT_EQ(o.range, (std::vector<double>{1, 2.5}));
  EXPECT_EQ(o.edges, (Pairs{{0, 1}, {1, 2}}));
}

TEST(Options, SettingsLieOverTheFile) {
  const Options o = read("[part]\nsteps = 3\n", {"part.steps=7", "part.kind=adam", "part.range=[2, 3]"});
  EXPECT_EQ(o.steps, 7);
  EXPECT_EQ(o.kind, "adam");
  EXPECT_EQ(o.range, (std::vector<double>{2, 3}));
}

TEST(Options, ErrorsNamePlaceAndRemedy) {
  EXPECT_EQ(error("[part]\n\ninnner_lr = 1\n"),
            "e.toml:3: [part] innner_lr: unknown key; did you mean inner_lr?");
  EXPECT_EQ(error("[part]\ninner_lr = 0.0\n"),
            "e.toml:2: [part] inner_lr: 0 is out of range; must be in (0, 10]");
  EXPECT_EQ(error("[part]\nsteps = 1.5\n"), "e.toml:2: [part] steps: 1.5 is a number; write an integer");
  EXPECT_EQ(error("[part]\nsteps = 0\n"), "e.toml:2: [part] steps: 0 is out of range; must be >= 1");
  EXPECT_EQ(error("[part]\nkind = \"adan\"\n"),
            "e.toml:2: [part] kind: \"adan\" is not known; did you mean adam?");
  EXPECT_EQ(error("[part]\nrange = [1, -9]\n"), "e.toml:2: [part] range: -9 is out of range; must be >= -5");
  EXPECT_EQ(error("[part]\nedges = [[1, 2, 3]]\n"),
            "e.toml:2: [part] edges: [[1,2,3]] is a list; write a list of pairs such as [[0, 1], [1, 2]]");
  EXPECT_EQ(error("[part]\ninner_lr = nan\n"),
            "e.toml:2: [part] inner_lr: nan is out of range; must be in (0, 10]");
  EXPECT_EQ(error("", {"part.steps=x"}), "--set: [part] steps: \"x\" is a string; write an integer");
  EXPECT_NE(error("", {"nonsense"}).find("is not key=value"), std::string::npos);
  EXPECT_NE(error("[part\n").find("e.toml:1"), std::string::npos);
}

// Where a table's name should be, none is: toml++ took it for granted, and an assertion ended a build that
// has them.
TEST(Options, NamesOfTablesThatAreNone) {
  for (const char* text : {"[../..]\n", "[[[[b = 1\n", "[=]\n", "[[=]]\n", "[#\n", "[\n", "[[\n", "[ ]\n",
                           "[a.\n", "[a.]\n", "[\x01]\n", "[(]\n"})
    EXPECT_TRUE(error(text).starts_with("e.toml:1: not TOML: ")) << text << error(text);
}

TEST(Options, WhatIsWrittenReadsBackTheSame) {
  Options o;
  o.inner_lr = 0.1 + 0.2;
  o.edges = {{3, 4}};
  o.kind = "adam";
  Fields f;
  o.fields(f);
  const Options back = read("[part]\n" + to_toml(f));
  EXPECT_EQ(back.inner_lr, o.inner_lr);
  EXPECT_EQ(back.edges, o.edges);
  EXPECT_EQ(back.kind, o.kind);
}

// A part within a part, of whose options one is of the view and one tells the task.
struct World : Nested {
  bool told = false;
  int64_t size = 3, sight = 1;
  std::string kind() const override { return "field"; }
  std::vector<std::string> kinds() const override { return {"field"}; }
  void choose(const std::string&, const std::string&) override {}
  void fields(Fields& f) override {
    f.add("size", size, "of the field");
    f.add("sight", sight, "how far one sees").of_what_is_seen();
    f.add("told", told, "whether one sees all").tells_the_task();
  }
};

TEST(Options, WhatTasksAreIsToldFromWhatIsSeenOfThem) {
  World world;
  bool oracle = false;
  Fields f;
  f.add("world", static_cast<Nested&>(world), "the world");
  f.add("oracle", oracle, "whether one trains on the tests").tells_the_task();
  const auto written = [&] {
    Json out{{"kind", "control"}};
    for (const Field& field : f.list()) out[field.name] = field.value();
    return out;
  };
  const Json task{{"kind", "control"}, {"world", {{"kind", "field"}, {"size", 3}}}};
  EXPECT_EQ(of_the_task(written(), f), task);
  EXPECT_FALSE(tells_the_task(f));
  world.sight = 7;
  EXPECT_EQ(of_the_task(written(), f), task);
  EXPECT_FALSE(tells_the_task(f));
  for (bool* one : {&world.told, &oracle}) {
    *one = true;
    EXPECT_EQ(of_the_task(written(), f), task);
    EXPECT_TRUE(tells_the_task(f));
    *one = false;
  }
  world.size = 4;
  EXPECT_NE(of_the_task(written(), f), task);
}

TEST(Errors, NearestFindsSlipsAndNothingElse) {
  EXPECT_EQ(nearest("topolgy", {"topology", "strategy"}), "topology");
  EXPECT_EQ(nearest("lr_inner", {"rounds", "agents"}), "");
  EXPECT_EQ(nearest("steps", {"eps", "inner_steps"}), "inner_steps");
  EXPECT_EQ(nearest("step", {"inner_step", "steps", "step"}), "step");
  EXPECT_EQ(suggestion("zzz", {"a", "b"}), "one of a, b");
}

TEST(Registry, EveryPartSaysWhatItIs) {
  for (const auto& [kind, parts] : catalog()) {
    for (const auto& [name, part] : parts) {
      EXPECT_FALSE(part.summary.empty()) << kind << " " << name;
      EXPECT_FALSE(part.source.empty()) << kind << " " << name;
      for (const auto& option : part.options())
        EXPECT_FALSE(option["doc"].get<std::string>().empty())
            << kind << " " << name << " " << option["name"];
    }
  }
#ifdef SYMMA_PROGRAM  // not where core is built alone (SYMMA_ROOMS): it has no parts of its own
  EXPECT_GE(catalog().size(), 4u);
#endif
}

}  // namespace
}  // namespace symma
