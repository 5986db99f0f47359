// What a script of roads may look at.
#pragma once

#include <cstdint>
#include <vector>

#include "symma/envs/roads/assignment.h"

namespace symma {

class RoadsView {
 public:
  virtual ~RoadsView() = default;
  // As the copy's task has made it: links with their capacities of today, trips with their numbers.
  virtual const RoadNetwork& network(int64_t copy) const = 0;
  virtual const std::vector<Route>& routes(int64_t agent) const = 0;   // that it chooses from
  virtual double weight(int64_t copy, int64_t agent) const = 0;        // trips that it stands for
  virtual int64_t last_choice(int64_t copy, int64_t agent) const = 0;  // -1: there was none
  virtual const std::vector<double>& flow(int64_t copy) const = 0;     // [links], of yesterday
  virtual int64_t day(int64_t copy) const = 0;                         // from 0
  // What a planner tells all: the route of each agent, [A], such that flows are those that the aim asks for
  // as nearly as agents allow. Of the task alone.
  virtual const std::vector<int64_t>& planned(int64_t copy, Aim aim) const = 0;
  virtual bool tolls() const = 0;  // whether agents pay for the time that they cost others
};

}  // namespace symma
