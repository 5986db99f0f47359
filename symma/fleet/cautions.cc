#include "symma/fleet/cautions.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "symma/exchange/messages.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

// How many rows a node gathers, and how many of them are hostile.
struct Gathers {
  int64_t rows, hostile;
  auto operator<=>(const Gathers&) const = default;
};

// An honest node for each of what there is; the server counts as number `agents`.
std::map<Gathers, int64_t> gatherings(const Exchange& x) {
  const int64_t n = x.graph.agents;
  if (x.graph.server) return {{{n, n - static_cast<int64_t>(x.honest().size())}, n}};
  std::vector<Gathers> of(n, {1, 0});
  for (const auto& [a, b] : x.graph.edges) {
    ++of[a].rows, of[a].hostile += x.hostile(b);
    ++of[b].rows, of[b].hostile += x.hostile(a);
  }
  std::map<Gathers, int64_t> out;
  for (const int64_t a : x.honest()) out.insert({of[a], a});
  return out;
}

// Whether the rule goes along with so many rows that lie far away, as a mean would. Asked of the rule itself:
// of each that counts on `bad` it shows, whatever its name.
bool is_carried(const Exchange& x, const Gathers& g) {
  const double far = 1e6 * static_cast<double>(g.rows);
  Tensor all = normal(Rng(1), {g.rows, 3}, at::kDouble);
  all.narrow(0, 0, g.hostile).add_(far);
  const Tensor got = combine(x, all.unbind(), at::zeros({3}, at::kDouble), Rng(1));
  const double mean = far * static_cast<double>(g.hostile) / static_cast<double>(g.rows);
  return !(got.abs().max().item<double>() < mean / 10);
}

std::string rule_that_is_carried(const Experiment& e) {
  const Exchange& x = e.exchange;
  if (!x.attack || x.graph.edges.empty() || (!x.aggregator && x.before.empty())) return "";
  const std::string kind = e.chosen.aggregator.kind();
  const std::string rule = kind != "mean" ? kind : x.aggregation.before[0];
  for (const auto& [gathers, node] : gatherings(x))
    if (gathers.hostile > x.aggregation.bad && is_carried(x, gathers))
      return fmt::format(
          "[aggregator] bad: is {}, and {} gathers {} rows of which {} {} hostile, which \"{}\" then lets "
          "through; raise it, or choose another rule",
          x.aggregation.bad, node == x.graph.agents ? "the server" : fmt::format("agent {}", node),
          gathers.rows, gathers.hostile, gathers.hostile == 1 ? "is" : "are", rule);
  return "";
}

}  // namespace

std::vector<std::string> cautions(const Experiment& e) {
  std::vector<std::string> out;
  if (const auto* family = dynamic_cast<const Warns*>(e.family.get())) out = family->warnings();
  if (std::string words = rule_that_is_carried(e); !words.empty()) out.push_back(std::move(words));
  return out;
}

}  // namespace symma
