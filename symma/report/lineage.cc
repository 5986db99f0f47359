#include "symma/report/lineage.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "symma/report/format.h"

namespace symma {
namespace lineage {  // gallery.cc draws to another size
namespace {

constexpr double kW = 1060, kH = 300, kLeft = 62, kRight = 26, kTop = 10, kBottom = 40;

// Values to heights. In the logarithm, since settings are multiplied, not added to; evenly where scores are
// not all above 0, and have none.
class Heights {
 public:
  explicit Heights(const std::vector<std::vector<double>>& values) {
    double least = INFINITY, most = -INFINITY;
    for (const auto& row : values) {
      for (const double x : row) {
        if (std::isfinite(x)) least = std::min(least, x), most = std::max(most, x);
      }
    }
    if (!(least <= most)) least = most = 1;
    log_ = least > 0;
    lo_ = scaled(least), hi_ = scaled(most);
    const double least_room = log_ ? 0.05 : hi_ > lo_ ? 0 : 1e-6 + 0.05 * std::abs(hi_);
    const double room = std::max(least_room, 0.04 * (hi_ - lo_));
    lo_ -= room, hi_ += room;
  }
  double operator()(double x) const {
    return kH - kBottom - (scaled(x) - lo_) / (hi_ - lo_) * (kH - kBottom - kTop);
  }
  // Powers of ten, with 2 and 5 times them where there are few; or some five round numbers.
  std::vector<double> ticks() const {
    std::vector<double> out;
    if (!log_) {
      const double raw = (hi_ - lo_) / 5, base = std::pow(10, std::floor(std::log10(raw)));
      const double step = base * (raw / base <= 1 ? 1 : raw / base <= 2 ? 2 : raw / base <= 5 ? 5 : 10);
      for (double t = std::ceil(lo_ / step); t * step <= hi_; ++t) out.push_back(t == 0 ? 0 : t * step);
      return out;
    }
    const bool few = hi_ - lo_ < 2.5;
    const int each = std::max(1, static_cast<int>(std::ceil((hi_ - lo_) / 8)));
    for (int d = static_cast<int>(std::floor(lo_)); d <= hi_; ++d) {
      for (const double m : {1., 2., 5.}) {
        const double x = m * std::pow(10, d), l = std::log10(x);
        if (l >= lo_ && l <= hi_ && (m == 1 || few) && (few || d % each == 0)) out.push_back(x);
      }
    }
    return out;
  }

 private:
  double scaled(double x) const { return log_ ? std::log10(std::max(x, 1e-300)) : x; }
  bool log_ = true;
  double lo_ = 0, hi_ = 1;
};

// What a life was to those who are there at the end.
enum class Rank { kExtinct, kAncestor, kOfBest };
constexpr const char* kClass[] = {"extinct", "ancestor", "best"};

struct Tree {
  const std::vector<Generation>& generations;
  std::vector<std::vector<Rank>> rank;  // [generation][agent]: of its life from this selection to the next

  Tree(const std::vector<Generation>& g, int64_t best) : generations(g) {
    const size_t n = g.front().settings.front().size();
    rank.assign(g.size(), std::vector<Rank>(n, Rank::kExtinct));
    rank.back().assign(n, Rank::kAncestor);
    rank.back()[static_cast<size_t>(best)] = Rank::kOfBest;
    for (size_t k = g.size() - 1; k > 0; --k) {
      for (size_t i = 0; i < n; ++i) {
        Rank& parent = rank[k - 1][static_cast<size_t>(g[k].from[i])];
        parent = std::max(parent, rank[k][i]);
      }
    }
  }
  size_t agents() const { return generations.front().settings.front().size(); }
  size_t parent(size_t k, size_t i) const { return static_cast<size_t>(generations[k].from[i]); }
};

double across(double round, double last) {
  return kLeft + round / std::max(1., last) * (kW - kRight - kLeft);
}

std::string frame(const Heights& y, double last) {
  std::string out;
  for (const double t : y.ticks()) {
    out += fmt::format(
        "<path class=\"grid\" d=\"M{1},{0:.1f}H{2}\"/><text class=\"tick side\" x=\"{3}\" "
        "y=\"{0:.1f}\">{4:g}</text>",
        y(t), kLeft, kW - kRight, kLeft - 6, t);
  }
  const double raw = last / 6, base = std::pow(10, std::floor(std::log10(std::max(1., raw))));
  const double step = base * (raw / base <= 1 ? 1 : raw / base <= 2 ? 2 : raw / base <= 5 ? 5 : 10);
  for (double t = 0; t <= last + 1e-9; t += step) {
    out += fmt::format(
        "<path class=\"grid\" d=\"M{0:.1f},{1}V{2}\"/><text class=\"tick\" x=\"{0:.1f}\" "
        "y=\"{3}\">{4}</text>",
        across(t, last), kTop, kH - kBottom, kH - kBottom + 16, grouped(t));
  }
  return out + fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{}\">round</text>",
                           (kLeft + kW - kRight) / 2, kH - 6);
}

std::string drawing(const std::string& what, const std::string& marks) {
  return fmt::format(
      "<svg class=\"plot lineage\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{}</svg>", kW, kH,
      escape(what), marks);
}

// One setting: a level line for each life, a curve for each copy, from where the parent stood to where the
// copy begins. Lives of the best agent's line are drawn last.
std::string setting_svg(const Tree& tree, size_t s, const std::string& name, double last) {
  const auto& g = tree.generations;
  std::vector<std::vector<double>> values;
  values.reserve(g.size());
  for (const Generation& one : g) values.push_back(one.settings[s]);
  const Heights y(values);
  std::string marks[3];
  for (size_t k = 0; k < g.size(); ++k) {
    const double at = g[k].round, until = k + 1 < g.size() ? g[k + 1].round : last;
    const double bend = 0.35 * (k + 1 < g.size() ? until - at : at - (k > 0 ? g[k - 1].round : 0));
    for (size_t i = 0; i < tree.agents(); ++i) {
      std::string& to = marks[static_cast<size_t>(tree.rank[k][i])];
      const char* rank = kClass[static_cast<size_t>(tree.rank[k][i])];
      const double height = y(values[k][i]);
      const bool copied = k > 0 && tree.parent(k, i) != i;
      const double from = copied ? std::min(at + bend, until) : at;
      if (copied) {
        const double x0 = across(at, last), x1 = across(from, last), y0 = y(values[k - 1][tree.parent(k, i)]);
        to += fmt::format(
            "<path class=\"copy {0}\" d=\"M{1:.1f},{2:.1f}C{3:.1f},{2:.1f} {3:.1f},{4:.1f} "
            "{5:.1f},{4:.1f}\"><title>{6}</title></path>",
            rank, x0, y0, (x0 + x1) / 2, height, x1,
            escape(fmt::format("round {}: agent {} goes on from agent {}, {} {} in place of {}", grouped(at),
                               i, tree.parent(k, i), name, three_digits(values[k][i]),
                               three_digits(values[k - 1][i]))));
      }
      if (from < until)
        to += fmt::format("<path class=\"life {}\" d=\"M{:.1f},{:.1f}H{:.1f}\"/>", rank, across(from, last),
                          height, across(until, last));
    }
  }
  return drawing(name + " of each agent along the run, with who copied whom",
                 frame(y, last) + marks[0] + marks[1] + marks[2]);
}

// Scores at the selections, each joined with that of the agent it went on from.
std::string score_svg(const Tree& tree, const std::string& metric, double last) {
  const auto& g = tree.generations;
  std::vector<std::vector<double>> values;
  values.reserve(g.size());
  for (const Generation& one : g) values.push_back(one.score);
  const Heights y(values);
  std::string marks[3];
  for (size_t k = 1; k < g.size(); ++k) {
    for (size_t i = 0; i < tree.agents(); ++i) {
      const auto rank = static_cast<size_t>(tree.rank[k - 1][i]);
      const double now = values[k][i], x = across(g[k].round, last);
      if (!std::isfinite(now)) continue;
      if (k == 1) {
        marks[rank] += fmt::format("<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"1.5\"/>",
                                   kClass[rank], x, y(now));
        continue;
      }
      const double before = values[k - 1][tree.parent(k - 1, i)];
      if (std::isfinite(before))
        marks[rank] += fmt::format("<path class=\"life {}\" d=\"M{:.1f},{:.1f}L{:.1f},{:.1f}\"/>",
                                   kClass[rank], across(g[k - 1].round, last), y(before), x, y(now));
    }
  }
  return drawing(metric + " of each agent at the selections",
                 frame(y, last) + marks[0] + marks[1] + marks[2]);
}

// The copies on the best agent's line, the last first.
std::string descent_table(const Tree& tree, const Population& p, int64_t best) {
  std::string rows;
  auto agent = static_cast<size_t>(best);
  size_t copies = 0;
  for (size_t k = tree.generations.size() - 1; k > 0; --k) {
    const size_t parent = tree.parent(k, agent);
    if (parent == agent) continue;
    const Generation& g = tree.generations[k];
    rows += fmt::format(
        "<tr><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>",
        grouped(g.round), agent, parent);
    for (size_t s = 0; s < p.settings.size(); ++s)
      rows += fmt::format("<td class=\"number\">{}</td>", three_digits(g.settings[s][agent]));
    rows += fmt::format("<td class=\"number\">{}</td></tr>", three_digits(g.score[parent]));
    agent = parent;
    ++copies;
  }
  if (copies == 0) return "<p class=\"note\">The best agent copied nobody.</p>";
  std::string head;
  for (const auto& name : p.settings) head += "<th class=\"number\" scope=\"col\">" + escape(name) + "</th>";
  return fmt::format(
      "<div class=\"wide tall\"><table><caption>How agent {} came to be: {} copies on its line, the last one "
      "first</caption><thead><tr><th class=\"number\" scope=\"col\">round</th><th class=\"number\" "
      "scope=\"col\">agent</th><th class=\"number\" scope=\"col\">went on from</th>{}<th class=\"number\" "
      "scope=\"col\">its score then</th></tr></thead><tbody>{}</tbody></table></div>",
      best, copies, head, rows);
}

}  // namespace
}  // namespace lineage

std::string lineage_html(const Run& run) {
  using namespace lineage;
  if (!run.population || run.population->generations.empty()) return "";
  const Population& p = *run.population;
  const Tree tree(p.generations, p.best);
  const double last = std::max(p.generations.back().round, static_cast<double>(run.rounds));
  std::string out =
      "<p class=\"key\"><span><i class=\"best\"></i>the line of the agent that ended best</span> <span><i "
      "class=\"ancestor\"></i>has descendants at the end</span> <span><i class=\"extinct\"></i>has "
      "none</span> "
      "<span>Curves: an agent goes on from another's row, with settings a little apart.</span></p>";
  for (size_t s = 0; s < p.settings.size(); ++s)
    out += "<h5>" + escape(p.settings[s]) + "</h5>" + setting_svg(tree, s, p.settings[s], last);
  if (p.generations.size() > 1) {
    const std::string metric = run.eval ? run.eval->metric : "score";
    out += "<h5>" + escape(metric) + " on validation tasks</h5>" + score_svg(tree, metric, last);
  }
  return "<div class=\"card lineage\"><h4>Who went on from whom</h4>" + out + "</div>" +
         "<div class=\"card\"><h4>The best agent's descent</h4>" + descent_table(tree, p, p.best) + "</div>";
}

}  // namespace symma
