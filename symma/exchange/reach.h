// What a process sees of a graph: its own agents, whom they talk to, and the halo, those elsewhere who are
// heard here.
#pragma once

#include <utility>
#include <vector>

#include "symma/exchange/neighbours.h"

namespace symma {

struct Near {
  int64_t id;  // a neighbour, or the server
  int64_t in;  // the directed edge from it, as in ExchangeState::bits; in ^ 1 leads to it
};

struct Reach {
  int64_t agents = 0;          // of the whole fleet; the number of its server
  std::vector<int64_t> ids;    // [n] ascending: the agents of here
  std::vector<int64_t> halo;   // [h] ascending: those elsewhere who are heard here
  bool server = false;         // the server is here: where agent 0 is
  std::vector<int64_t> begin;  // [n + 1]
  std::vector<Near> near;      // of ids[i]: begin[i] .. begin[i + 1], ascending by id; empty with a server
  // Those of `ids`, by place, that have neighbours elsewhere, and these; empty with a server, and of all
  // agents.
  std::vector<std::pair<int64_t, std::vector<int64_t>>> outward;
  std::vector<int64_t> own;    // [n]: places of `ids` in the table
  std::vector<int64_t> heard;  // [h]: places of `halo` in the table
  Neighbours weights;          // [n] rows of W, by columns of the table; empty with a server

  // The table [n + h, Q] is the rows of here and of the halo, in order of id.
  int64_t rows() const { return static_cast<int64_t>(ids.size() + halo.size()); }
  bool whole() const { return static_cast<int64_t>(ids.size()) == agents; }
  // Where an agent stands in `ids` or in `halo`; -1 where it does not.
  int64_t place(int64_t id) const;
  int64_t halo_place(int64_t id) const;
};

// `ids` ascending. Of a process that has all agents the lists of neighbours are made only where they are
// `needed`: plain mixing reads W alone.
Reach reach_of(const Graph&, const Neighbours&, std::vector<int64_t> ids, bool needed);

}  // namespace symma
