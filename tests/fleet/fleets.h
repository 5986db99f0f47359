// Small fleets from settings, for tests.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "symma/fleet/train.h"

namespace symma {

// Five agents on sinusoids, with these sections laid over.
inline Experiment fleet(const Json& sections) {
  Json all = Json::parse(R"({"agents": 5, "rounds": 20, "tasks": 2,
    "task": {"kind": "sinusoid", "shots": 4, "queries": 4, "test_queries": 6}, "model": {"hidden": [6]},
    "learner": {"kind": "maml"}, "eval": {"tasks": 4, "steps": [0, 1], "validation_tasks": 2}})");
  for (const auto& [section, values] : sections.items()) {
    if (!values.is_object()) {
      all[section] = values;
      continue;
    }
    for (const auto& [key, value] : values.items()) all[section][key] = value;
  }
  return Experiment::build(Config::of(all, "fleet.toml"));
}

inline bool same(const Tensor& a, const Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         (a.equal(b) || a.allclose(b, 0, 0, /*equal_nan=*/true));
}

inline void expect_same(const TensorDict& a, const TensorDict& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, t] : a) {
    ASSERT_TRUE(b.contains(name)) << name;
    EXPECT_TRUE(same(t, b.at(name))) << name;
  }
}

// All that a checkpoint holds, bit for bit.
inline void expect_same(const RunState& a, const RunState& b) {
  EXPECT_EQ(a.round, b.round);
  EXPECT_EQ(a.tasks, b.tasks);
  EXPECT_TRUE(same(a.learner.id, b.learner.id) && same(a.learner.steps, b.learner.steps));
  EXPECT_EQ(a.exchange.rounds, b.exchange.rounds);
  EXPECT_EQ(a.exchange.bits, b.exchange.bits);
  EXPECT_TRUE(same(a.learner.theta, b.learner.theta));
  expect_same(a.learner.own, b.learner.own);
  expect_same(kept(a.exchange), kept(b.exchange));
}

}  // namespace symma
