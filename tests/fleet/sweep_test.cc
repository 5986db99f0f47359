// What a sweep goes over: lines read, combinations named, nonsense refused.
#include "symma/fleet/sweep.h"

#include <gtest/gtest.h>

#include <set>

#include "symma/core/errors.h"

namespace symma {
namespace {

TEST(Sweep, ReadsAxes) {
  EXPECT_EQ(read_axis("seed=1..5").values, (std::vector<std::string>{"1", "2", "3", "4", "5"}));
  EXPECT_EQ(read_axis("seed=3,7..8").values, (std::vector<std::string>{"3", "7", "8"}));
  EXPECT_EQ(read_axis(" learner.kind = maml , pretrain").values,
            (std::vector<std::string>{"maml", "pretrain"}));
  EXPECT_EQ(read_axis("learner.kind=a").key, "learner.kind");
  EXPECT_EQ(read_axis("model.hidden=[40,40],[64]").values, (std::vector<std::string>{"[40,40]", "[64]"}));
  EXPECT_EQ(read_axis("x=\"a,b\",c").values, (std::vector<std::string>{"\"a,b\"", "c"}));
  for (const char* wrong : {"seed", "=1", "seed=", "seed=1,,2", "seed=5..1", "seed=1,1", "seed=1..99999"})
    EXPECT_THROW(read_axis(wrong), UserError) << wrong;
}

TEST(Sweep, CombinesAll) {
  const auto all = combinations({read_axis("seed=1..3"), read_axis("exchange.topology=none,ring"),
                                 read_axis("learner.kind=maml,pretrain")});
  ASSERT_EQ(all.size(), 12u);
  EXPECT_EQ(all[0].name, "topology=none,kind=maml,seed=1");
  EXPECT_EQ(all[1].name, "topology=none,kind=maml,seed=2");
  EXPECT_EQ(all[11].settings,
            (std::vector<std::string>{"exchange.topology=ring", "learner.kind=pretrain", "seed=3"}));
  EXPECT_EQ(all[11].values["seed"], 3);
  std::set<std::string> names;
  for (const auto& c : all) names.insert(c.name);
  EXPECT_EQ(names.size(), 12u);
  EXPECT_THROW(combinations({read_axis("seed=1,2"), read_axis("seed=3")}), UserError);
}

// Keys of one ending keep their sections; values that no folder can be called are made harmless, and stay
// apart.
TEST(Sweep, NamesFoldersSafely) {
  const auto all = combinations({read_axis("learner.kind=maml"), read_axis("task.kind=sinusoid"),
                                 read_axis("name=../x,\"a/b\",\"a-b\"")});
  std::set<std::string> names;
  for (const auto& c : all) {
    EXPECT_EQ(c.name.find('/'), std::string::npos);
    EXPECT_EQ(c.name.rfind("learner.kind=maml,task.kind=sinusoid,name=", 0), 0u) << c.name;
    names.insert(c.name);
  }
  EXPECT_EQ(names.size(), 3u);
}

// A folder's name goes by the combination alone: another call of the same sweep, with more values or in
// another order, finds under it the run that it means and no other.
TEST(Sweep, ANameIsOfOneRun) {
  const std::string folder = "task.path=/data/of/many/years/and/of/many/places/";
  const auto name = [](const std::string& axis) {
    const auto all = combinations({read_axis(axis)});
    EXPECT_EQ(all.size(), 1u) << axis;
    return all.front().name;
  };
  const std::vector<std::pair<std::string, std::string>> alike{
      {folder + "north.csv", folder + "south.csv"},
      {"model.hidden=[4,0]", "model.hidden=[4-0]"},
      {"model.hidden=[4,0]", "model.hidden=4-0"},
      {"name=a/b", "name=a-b"},
      {"name=a b", "name=ab"},
      {"name=.x", "name=_.x"},
      {"name=" + std::string(40, 'x'), "name=" + std::string(41, 'x')}};
  for (const auto& [one, other] : alike) {
    EXPECT_NE(name(one), name(other));
    const std::string key = one.substr(0, one.find('=') + 1), a = one.substr(key.size()),
                      b = other.substr(key.size());
    const auto both = combinations({read_axis(key + a + "," + b)}),
               back = combinations({read_axis(key + b + "," + a)});
    ASSERT_EQ(both.size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(both[i].name, name(i == 0 ? one : other));
      EXPECT_EQ(both[i].name, back[1 - i].name);
    }
  }
  // The setting is hashed too, where its section is not in the name.
  EXPECT_NE(name("task.path=a/b"), name("other.path=a/b"));
  EXPECT_EQ(name("learner.kind=maml"), "kind=maml");
  EXPECT_EQ(name("name=" + std::string(40, 'x')), "name=" + std::string(40, 'x'));
  EXPECT_LE(name(folder + "north.csv").size(), 45u);
}

}  // namespace
}  // namespace symma
