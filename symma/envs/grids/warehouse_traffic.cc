#include "symma/envs/grids/warehouse_traffic.h"

#include <ATen/ATen.h>

#include <array>
#include <bit>
#include <vector>

namespace symma {
namespace {

constexpr int kMost = 64;

// CPython's hash of the tuple (x, y) of small non-negative integers: xxHash over the elements
// (Objects/tupleobject.c).
uint64_t tuple_hash(Cell c) {
  constexpr uint64_t p1 = 11400714785074694791ull, p2 = 14029467366897019727ull, p5 = 2870177450012600261ull;
  uint64_t acc = p5;
  for (const int32_t lane : {c.x, c.y}) {
    acc += static_cast<uint64_t>(lane) * p2;
    acc = std::rotl(acc, 31) * p1;
  }
  return acc + (2 ^ (p5 ^ 3527539ull));
}

// The order in which a CPython set lists its members, after they were added one by one
// (Objects/setobject.c, 3.7 on).
class SetOrder {
 public:
  // False where `c` was in the set already.
  bool add(Cell c) {
    const uint64_t h = tuple_hash(c);
    uint64_t perturb = h, i = h & mask_;
    for (;;) {
      const uint64_t last = i + kLinear <= mask_ ? i + kLinear : i;
      for (uint64_t j = i; j <= last; ++j) {
        if (!table_[j].used) {
          table_[j] = {c, h, true};
          if (++fill_ * 5 >= mask_ * 3) grow();
          return true;
        }
        if (table_[j].hash == h && table_[j].cell == c) return false;
      }
      perturb >>= 5;
      i = (i * 5 + 1 + perturb) & mask_;
    }
  }
  std::vector<Cell> list() const {
    std::vector<Cell> out;
    for (const Entry& e : table_) {
      if (e.used) out.push_back(e.cell);
    }
    return out;
  }
  uint64_t size() const { return fill_; }

 private:
  static constexpr uint64_t kLinear = 9;
  struct Entry {
    Cell cell{};
    uint64_t hash = 0;
    bool used = false;
  };

  void grow() {
    const std::vector<Entry> old = std::move(table_);
    uint64_t size = 8;
    while (size <= fill_ * 4) size *= 2;
    table_.assign(size, {});
    mask_ = size - 1;
    for (const Entry& e : old) {
      if (!e.used) continue;
      uint64_t perturb = e.hash, i = e.hash & mask_;
      for (bool placed = false; !placed;) {
        const uint64_t last = i + kLinear <= mask_ ? i + kLinear : i;
        for (uint64_t j = i; j <= last && !placed; ++j) {
          if (!table_[j].used) table_[j] = e, placed = true;
        }
        perturb >>= 5;
        i = (i * 5 + 1 + perturb) & mask_;
      }
    }
  }

  std::vector<Entry> table_ = std::vector<Entry>(8);
  uint64_t mask_ = 7, fill_ = 0;
};

// The graph as networkx holds it: nodes in the order they were named, and for each its edges out and in, in
// order.
struct Graph {
  Graph(std::span<const Cell> from, std::span<const Cell> to) {
    for (size_t i = 0; i < from.size(); ++i) {
      const int u = node(from[i]), v = node(to[i]);
      out[u].push_back(v);
      in[v].push_back(u);
    }
  }
  int node(Cell c) {
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i] == c) return static_cast<int>(i);
    }
    nodes.push_back(c);
    out.emplace_back();
    in.emplace_back();
    return static_cast<int>(nodes.size()) - 1;
  }
  std::vector<Cell> nodes;
  std::vector<std::vector<int>> out, in;
};

// Cells of the part that `target` is in, in the order in which the copy of that part lists them: rank[node].
std::vector<int> ranks(std::span<const Cell> from, std::span<const Cell> to, Cell target) {
  Graph g(from, to);
  const size_t n = g.nodes.size();
  std::vector<bool> seen(n);
  size_t seen_count = 0;
  const int wanted = g.node(target);
  for (size_t source = 0; source < n; ++source) {
    if (seen[source]) continue;
    // Breadth first, as networkx does: the order of discovery is the order of insertion.
    SetOrder part;
    part.add(g.nodes[source]);
    std::vector<bool> here(n);
    here[source] = true;
    std::vector<int> level = {static_cast<int>(source)};
    for (bool whole = false; !level.empty() && !whole;) {
      std::vector<int> next;
      for (const int v : level) {
        for (const auto* edges : {&g.out[v], &g.in[v]}) {
          for (const int w : *edges) {
            if (here[w]) continue;
            here[w] = true;
            part.add(g.nodes[w]);
            next.push_back(w);
          }
        }
        if (part.size() == n - seen_count) {
          whole = true;
          break;
        }
      }
      level = std::move(next);
    }
    for (size_t i = 0; i < n; ++i) {
      seen[i] = seen[i] || here[i];
      seen_count += here[i];
    }
    if (!here[wanted]) continue;
    // The subgraph keeps its nodes in a second set, filled from the first. A part of less than half the graph
    // is listed in that set's order, another in the graph's.
    std::vector<int> rank(n, -1);
    int next = 0;
    if (2 * part.size() < n) {
      SetOrder again;
      for (const Cell c : part.list()) again.add(c);
      for (const Cell c : again.list()) rank[g.node(c)] = next++;
    } else {
      for (size_t i = 0; i < n; ++i) {
        if (here[i]) rank[i] = next++;
      }
    }
    // As robots know cells by their own number, not the graph's.
    std::vector<int> by_robot(from.size());
    for (size_t i = 0; i < from.size(); ++i) by_robot[i] = rank[g.node(from[i])];
    return by_robot;
  }
  TORCH_INTERNAL_ASSERT(false, "the target is in no part of the graph");
}

}  // namespace

void resolve_traffic(std::span<const Cell> from, std::span<const Cell> to, std::span<bool> granted) {
  const int n = static_cast<int>(from.size());
  TORCH_CHECK(n <= kMost, "traffic: ", n, " robots, ", kMost, " at most");
  // next[i]: the robot on the cell that i wants; i itself where it stays; -1 where the cell is free.
  std::array<int, kMost> next;
  bool simple = true;  // all stay, or want cells that are free and wanted by no other
  for (int i = 0; i < n; ++i) {
    granted[i] = true;
    next[i] = from[i] == to[i] ? i : -1;
    if (next[i] == i) continue;
    for (int j = 0; j < n; ++j) {
      if (j == i) continue;
      if (from[j] == to[i])
        next[i] = j, simple = false;
      else if (to[j] == to[i])
        simple = false;
    }
  }
  if (simple) return;

  // How each robot's way ends: on a ring (whose smallest member is named) or on a free cell.
  for (int i = 0; i < n; ++i) granted[i] = false;
  std::array<int, kMost> depth{};   // longest queue behind a robot, itself counted
  std::array<int, kMost> length{};  // of the ring it is on; 0: none
  for (int i = 0; i < n; ++i) {
    int at = i;
    for (int hop = 1; hop <= n && at >= 0; ++hop) {
      at = next[at];
      if (at == i) {
        length[i] = hop;
        break;
      }
    }
    granted[i] = length[i] == 1 || length[i] >= 3;
  }
  for (int i = 0; i < n; ++i) {
    int hop = 1;
    for (int at = i; at >= 0 && !length[at]; at = next[at], ++hop) depth[at] = std::max(depth[at], hop);
  }
  for (int i = 0; i < n; ++i) {
    if (next[i] >= 0) continue;
    bool first = true;  // the first robot that wants this free cell speaks for all that do
    for (int j = 0; j < i; ++j) first &= !(next[j] < 0 && to[j] == to[i]);
    if (!first) continue;
    // From the free cell backwards, along the longest queue.
    std::vector<int> rank;
    int head = -1;  // the robot whose followers are looked at; -1: the free cell's
    for (;;) {
      int best = -1;
      for (int j = 0; j < n; ++j) {
        const bool follows = head < 0 ? next[j] < 0 && to[j] == to[i] : next[j] == head && j != head;
        if (!follows) continue;
        if (best < 0 || depth[j] > depth[best]) {
          best = j;
        } else if (depth[j] == depth[best]) {
          if (rank.empty()) rank = ranks(from, to, to[i]);
          if (rank[j] < rank[best]) best = j;
        }
      }
      if (best < 0) break;
      granted[best] = true;
      head = best;
    }
  }
}

}  // namespace symma
