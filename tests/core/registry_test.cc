// Parts that hold parts.
#include "symma/core/registry.h"

#include <gtest/gtest.h>

namespace symma {
namespace {

struct Clock {
  struct Options {
    int64_t hours = 12;
    void fields(Fields& f) { f.add("hours", hours, "on its face").at_least(1); }
  };
  explicit Clock(const Options& o) : hours(o.hours) {}
  int64_t hours;
};
using ClockRegistry = Registry<Clock>;
SYMMA_REGISTER(Clock, "clock", Clock, "for this test", "symma");

struct Tower {
  struct Options {
    Choice<ClockRegistry> clock{"clock"};
    void fields(Fields& f) { f.add("clock", clock, "on the tower"); }
  };
  explicit Tower(const Options& o) : clock(o.clock.build()) {}
  std::unique_ptr<Clock> clock;
};
using TowerRegistry = Registry<Tower>;
SYMMA_REGISTER(Tower, "tower", Tower, "for this test", "symma");

void set_hours(Nested& clock, int64_t hours) {
  Fields fields;
  clock.fields(fields);
  *std::get<int64_t*>(fields.list()[0].target) = hours;
}

// Options are values: work that copies them and sets something must not be seen by work beside it.
TEST(Choice, ACopyHasSettingsOfItsOwn) {
  Choice<ClockRegistry> one("clock");
  set_hours(one, 24);
  Choice<ClockRegistry> copy = one, assigned("clock");
  assigned = one;
  EXPECT_EQ(copy.build()->hours, 24);
  EXPECT_EQ(assigned.build()->hours, 24);
  set_hours(copy, 10);
  set_hours(assigned, 6);
  EXPECT_EQ(one.build()->hours, 24);
  EXPECT_EQ(copy.build()->hours, 10);
  EXPECT_EQ(assigned.build()->hours, 6);
}

TEST(Choice, ACopyWithinAnotherPartsOptionsToo) {
  Tower::Options options;
  Tower::Options copy = options;
  set_hours(copy.clock, 24);
  EXPECT_EQ(Tower(options).clock->hours, 12);
  EXPECT_EQ(Tower(copy).clock->hours, 24);
  Choice<TowerRegistry> tower("tower"), other = tower;
  Fields fields;
  other.fields(fields);
  set_hours(*std::get<Nested*>(fields.list()[0].target), 6);
  EXPECT_EQ(tower.build()->clock->hours, 12);
  EXPECT_EQ(other.build()->clock->hours, 6);
}

}  // namespace
}  // namespace symma
