#include "symma/report/attacks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "symma/report/format.h"

namespace symma {
namespace {

constexpr double kBorne = 1.5;  // times the score without attack

void add_once(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

}  // namespace

std::string attacks_html(const std::vector<Run>& runs) {
  std::vector<std::string> attacks, rules;
  std::map<std::pair<std::string, std::string>, const Run*> cells;
  const Run* peace = nullptr;  // the plain mean without attack, or else the first run without
  bool any = false;
  for (const Run& r : runs) {
    if (!r.eval || r.agents < 2) continue;
    if (r.attack.empty() && (!peace || (r.rule == "mean" && peace->rule != "mean"))) peace = &r;
    any = any || !r.attack.empty();
    add_once(attacks, r.attack);
    add_once(rules, r.rule);
    cells[{r.attack, r.rule}] = &r;
  }
  if (!any) return "";
  // None first, the others as they were named.
  std::stable_partition(attacks.begin(), attacks.end(), [](const std::string& a) { return a.empty(); });
  std::string out = "<div class=\"wide\"><table><thead><tr><th scope=\"col\">attack</th>";
  for (const auto& rule : rules)
    out += fmt::format("<th scope=\"col\" class=\"number\">{}</th>", escape(rule));
  out += "</tr></thead><tbody>";
  const auto worse = [&](const Evaluation& e) {
    if (!std::isfinite(e.mean.back())) return true;
    if (!peace || peace->eval->metric != e.metric) return false;
    const double x = e.mean.back(), base = peace->eval->mean.back();
    // A score below 0 is worse the further it is from there where more is better: costs, not gains.
    const double least = e.higher_is_better == (base > 0) ? base / kBorne : base * kBorne;
    return e.higher_is_better ? x < least : x > least;
  };
  for (const auto& attack : attacks) {
    out += fmt::format("<tr><th scope=\"row\">{}</th>", attack.empty() ? "none" : escape(attack));
    for (const auto& rule : rules) {
      const auto at = cells.find({attack, rule});
      if (at == cells.end()) {
        out += "<td class=\"number\">—</td>";
        continue;
      }
      const Evaluation& e = *at->second->eval;
      out += fmt::format("<td class=\"number{}\">{}</td>", worse(e) ? " fails" : " bears",
                         score(e.mean.back(), e.percent()));
    }
    out += "</tr>";
  }
  out += "</tbody></table></div>";
  out += fmt::format("<p class=\"note\">Mean {} after {} steps of adaptation, over the honest agents. {}</p>",
                     escape(runs.front().eval ? runs.front().eval->metric : "score"),
                     runs.front().eval ? runs.front().eval->steps.back() : 0,
                     peace ? fmt::format("Red: worse than {} times what \"{}\" reaches without attack.",
                                         kBorne, escape(peace->name))
                           : "Red: not finite.");
  return out;
}

}  // namespace symma
