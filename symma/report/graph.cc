#include "symma/report/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <optional>

#include "symma/report/format.h"

namespace symma {
namespace {

constexpr double kWidth = 560, kHeight = 440;
constexpr size_t kMostEdges = 4000, kMostLabels = 24;

struct Point {
  double x = 0, y = 0;
};

// Both directions of a pair, drawn as one line.
struct Pair {
  int64_t a = 0, b = 0;
  double there = 0, back = 0;
  bool two_way = false, one_way_back = false;
};

std::vector<Pair> pairs_of(const std::vector<Link>& links) {
  std::map<std::pair<int64_t, int64_t>, Pair> found;
  std::map<std::pair<int64_t, int64_t>, int> directions;
  for (const Link& l : links) {
    if (l.from == l.to) continue;
    const auto key = std::minmax(l.from, l.to);
    Pair& p = found[{key.first, key.second}];
    p.a = key.first;
    p.b = key.second;
    (l.from < l.to ? p.there : p.back) += l.bits;
    directions[{key.first, key.second}] |= l.from < l.to ? 1 : 2;
  }
  std::vector<Pair> out;
  for (auto& [key, p] : found) {
    p.two_way = directions[key] == 3;
    p.one_way_back = directions[key] == 2;
    out.push_back(p);
  }
  return out;
}

// Rows and columns of the grid on which every pair is a neighbour, wrapped around; nothing where there is no
// such grid.
std::optional<std::pair<int64_t, int64_t>> torus_of(const Run& run, const std::vector<Pair>& pairs) {
  if (run.exchange.topology != "torus" || run.exchange.server) return std::nullopt;
  const auto near = [](int64_t i, int64_t j, int64_t n) {
    return std::abs(i - j) == 1 || std::abs(i - j) == n - 1;
  };
  for (auto rows = static_cast<int64_t>(std::sqrt(static_cast<double>(run.agents))); rows >= 2; --rows) {
    if (run.agents % rows != 0) continue;
    for (const auto& [r, c] : {std::pair{rows, run.agents / rows}, std::pair{run.agents / rows, rows}}) {
      const int64_t columns = c, height = r;
      const bool fits = std::all_of(pairs.begin(), pairs.end(), [&](const Pair& p) {
        const int64_t ar = p.a / columns, ac = p.a % columns, br = p.b / columns, bc = p.b % columns;
        return (ar == br && near(ac, bc, columns)) || (ac == bc && near(ar, br, height));
      });
      if (fits) return std::pair{height, columns};
    }
  }
  return std::nullopt;
}

struct Drawing {
  std::vector<Point> at;
  double radius = 20;
  std::optional<std::pair<int64_t, int64_t>> grid;
};

Drawing layout(const Run& run, const std::vector<Pair>& pairs) {
  Drawing d;
  d.grid = torus_of(run, pairs);
  const Point middle{kWidth / 2, kHeight / 2};
  if (d.grid) {
    const auto [rows, columns] = *d.grid;
    const double step =
        std::min({kWidth / static_cast<double>(columns + 1), kHeight / static_cast<double>(rows + 1), 110.});
    for (int64_t i = 0; i < run.agents; ++i) {
      const int64_t column = i % columns, row = i / columns;
      d.at.push_back({middle.x + step * (static_cast<double>(column) - static_cast<double>(columns - 1) / 2),
                      middle.y + step * (static_cast<double>(row) - static_cast<double>(rows - 1) / 2)});
    }
    d.radius = std::min(20., step / 4);
    return d;
  }
  const double n = static_cast<double>(run.agents), ring = run.agents == 1 && !run.exchange.server ? 0 : 165;
  for (int64_t i = 0; i < run.agents; ++i) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(i) / n - std::numbers::pi / 2;
    d.at.push_back({middle.x + 1.3 * ring * std::cos(angle), middle.y + ring * std::sin(angle)});
  }
  d.radius = std::clamp(2.2 * 165 / n * std::numbers::pi / 2, 2.5, 20.);
  if (run.exchange.server) d.at.push_back(middle);
  return d;
}

bool wraps(const Drawing& d, const Pair& p) {
  if (!d.grid) return false;
  const auto [rows, columns] = *d.grid;
  return std::abs(p.a / columns - p.b / columns) > 1 || std::abs(p.a % columns - p.b % columns) > 1;
}

std::string words(const Pair& p) {
  if (!p.two_way) return bits(p.there + p.back);
  if (p.there == p.back) return bits(p.there) + " each way";
  return bits(p.there) + " / " + bits(p.back);
}

std::string node(const Run& run, const Drawing& d, int64_t i) {
  const Point p = d.at[static_cast<size_t>(i)];
  const bool server = run.exchange.server && i == run.agents;
  std::string title = server ? "server" : fmt::format("agent {}", i);
  if (!server && !run.agent_share.empty()) title += ": " + run.agent_share[static_cast<size_t>(i)];
  std::string out =
      fmt::format("<g class=\"node{}\"><title>{}</title>", server ? " server" : "", escape(title));
  if (server) {
    out += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"68\" height=\"34\" rx=\"8\"/>", p.x - 34,
                       p.y - 17);
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">server</text>", p.x, p.y);
  } else {
    out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\"/>", p.x, p.y, d.radius);
    if (d.radius >= 8) {
      out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{:.0f}\">{}</text>", p.x, p.y,
                         std::clamp(d.radius * 0.85, 8., 16.), i);
    }
  }
  return out + "</g>";
}

// A straight line, or an arc around the grid's other nodes where it wraps. Ends at the nodes' rims.
std::string edge(const Drawing& d, const Pair& p, double stroke, Point* label) {
  const Point a = d.at[static_cast<size_t>(p.a)], b = d.at[static_cast<size_t>(p.b)];
  const double dx = b.x - a.x, dy = b.y - a.y, length = std::max(std::hypot(dx, dy), 1e-9);
  const double bend = wraps(d, p) ? 0.22 * length : 0;
  const Point c{(a.x + b.x) / 2 - bend * dy / length, (a.y + b.y) / 2 + bend * dx / length};
  *label = {(a.x + 2 * c.x + b.x) / 4, (a.y + 2 * c.y + b.y) / 4};
  std::string arrow;
  if (!p.two_way) {  // a head in the middle of the line, so that no node hides it
    const double way = p.one_way_back ? -1 : 1, ux = way * dx / length, uy = way * dy / length, h = 7;
    const Point at{a.x + dx * 0.3 * (p.one_way_back ? 1 : 2) + 0, a.y + dy * 0.3 * (p.one_way_back ? 1 : 2)};
    if (bend == 0) {
      arrow = fmt::format("<path class=\"head\" d=\"M{:.1f},{:.1f}L{:.1f},{:.1f}L{:.1f},{:.1f}Z\"/>",
                          at.x + h * ux, at.y + h * uy, at.x - h * ux - h * 0.7 * uy,
                          at.y - h * uy + h * 0.7 * ux, at.x - h * ux + h * 0.7 * uy,
                          at.y - h * uy - h * 0.7 * ux);
    }
  }
  return fmt::format(
             "<path class=\"edge\" d=\"M{:.1f},{:.1f}Q{:.1f},{:.1f} {:.1f},{:.1f}\" "
             "stroke-width=\"{:.2f}\"/>",
             a.x, a.y, c.x, c.y, b.x, b.y, stroke) +
         arrow;
}

}  // namespace

std::string graph_svg(const Run& run) {
  const auto pairs = pairs_of(run.exchange.links);
  // A summary of a large fleet says how many edges there are and does not list them.
  const auto edges = std::max<int64_t>(static_cast<int64_t>(pairs.size()), run.exchange.directed_edges / 2);
  if (edges > static_cast<int64_t>(kMostEdges) || (edges > 0 && pairs.empty())) {
    return fmt::format("<p class=\"note\">{} edges among {} agents: too many to draw.</p>",
                       grouped(static_cast<double>(edges)), run.agents);
  }
  constexpr int64_t kMostNodes = 200;
  if (run.agents > kMostNodes)
    return fmt::format("<p class=\"note\">{} agents, who do not share anything.</p>", run.agents);
  const Drawing d = layout(run, pairs);
  double most = 0;
  bool even = true;  // then "each way" is said once, below
  for (const auto& p : pairs) {
    most = std::max({most, p.there, p.back});
    even = even && words(p) == words(pairs.front());
  }
  std::string lines, labels, nodes;
  for (const auto& p : pairs) {
    const double share = most > 0 ? std::max(p.there, p.back) / most : 1;
    Point at;
    lines += fmt::format("<g><title>{}</title>", escape(fmt::format("{} – {}: {}", p.a, p.b, words(p))));
    lines += edge(d, p, (pairs.size() > 60 ? 1.2 : 4) * std::max(share, 0.12), &at) + "</g>";
    // Where all carry the same, the line below says it once.
    if (even || pairs.size() > kMostLabels || most == 0) continue;
    const std::string text = words(p);
    const double half = 3.6 * static_cast<double>(width(text)) + 5;
    labels += fmt::format(
        "<rect class=\"plate\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"18\" rx=\"4\"/><text "
        "class=\"traffic\" "
        "x=\"{:.1f}\" y=\"{:.1f}\">{}</text>",
        at.x - half, at.y - 9, 2 * half, at.x, at.y, escape(text));
  }
  for (size_t i = 0; i < d.at.size(); ++i) nodes += node(run, d, static_cast<int64_t>(i));
  std::string caption;
  if (pairs.empty()) {
    caption =
        run.agents == 1 ? "One agent, nobody to talk to." : "No edges: the agents do not share anything.";
  } else if (even && most > 0) {
    caption = fmt::format("{} on each of {} edges over the whole run.", words(pairs.front()), pairs.size());
    if (pairs.size() == 1) caption = words(pairs.front()) + " over the whole run.";
  } else if (most > 0) {
    caption = fmt::format("Over the whole run; the widest line carries {} one way.", bits(most));
  }
  return fmt::format(
      "<figure><svg class=\"graph\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"communication graph, "
      "{}\">"
      "{}{}{}</svg><figcaption>{}</figcaption></figure>",
      kWidth, kHeight, escape(run.topology()), lines, nodes, labels, escape(caption));
}

std::string weights_table(const Run& run) {
  const auto& w = run.exchange.weights;
  if (w.empty()) return "";
  double most = 1e-12;
  for (const auto& row : w) {
    for (const double x : row) most = std::max(most, std::abs(x));
  }
  const auto label = [&](size_t i) {
    return run.exchange.server && static_cast<int64_t>(i) == run.agents ? std::string("server")
                                                                        : std::to_string(i);
  };
  std::string out =
      "<div class=\"wide\"><table class=\"weights\"><caption>Mixing weights: row takes from "
      "column</caption><thead><tr><td></td>";
  for (size_t j = 0; j < w.size(); ++j) out += "<th scope=\"col\">" + label(j) + "</th>";
  out += "</tr></thead><tbody>";
  for (size_t i = 0; i < w.size(); ++i) {
    out += "<tr><th scope=\"row\">" + label(i) + "</th>";
    for (const double x : w[i]) {
      out += fmt::format("<td style=\"--share:{:.3f}\">{}</td>", std::isfinite(x) ? std::abs(x) / most : 0,
                         x == 0 ? "·" : fmt::format("{:.2f}", x));
    }
    out += "</tr>";
  }
  return out + "</tbody></table></div>";
}

}  // namespace symma
