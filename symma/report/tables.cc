#include "symma/report/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "symma/report/format.h"
#include "symma/report/words.h"

namespace symma {
namespace {

std::string after(int64_t steps) {
  return steps == 1 ? "after 1 step" : fmt::format("after {} steps", steps);
}

std::string cell(const std::string& text, const char* kind = "number") {
  return fmt::format("<td class=\"{}\">{}</td>", kind, text);
}

std::string value_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<int64_t> all_steps(const std::vector<const Run*>& runs) {
  std::set<int64_t> steps;
  for (const Run* r : runs) steps.insert(r->eval->steps.begin(), r->eval->steps.end());
  return {steps.begin(), steps.end()};
}

// Runs with an evaluation, by metric, in the order they were named.
std::vector<std::pair<std::string, std::vector<const Run*>>> by_metric(const std::vector<Run>& runs) {
  std::vector<std::pair<std::string, std::vector<const Run*>>> out;
  for (const Run& r : runs) {
    if (!r.eval) continue;
    auto at = std::find_if(out.begin(), out.end(), [&](const auto& g) { return g.first == r.eval->metric; });
    if (at == out.end()) at = out.insert(at, {r.eval->metric, {}});
    at->second.push_back(&r);
  }
  return out;
}

int64_t column_of(const Evaluation& e, int64_t step) {
  const auto at = std::find(e.steps.begin(), e.steps.end(), step);
  return at == e.steps.end() ? -1 : at - e.steps.begin();
}

// What makes the runs' scores no like with like: other splits, protocols or numbers of tasks.
std::string unlike(const std::vector<const Run*>& runs) {
  std::set<std::string> splits, protocols;
  std::set<int64_t> tasks;
  for (const Run* r : runs) {
    splits.insert(r->eval->split);
    protocols.insert(r->eval->protocol);
    tasks.insert(r->eval->tasks);
  }
  std::vector<std::string> differ;
  if (splits.size() > 1) differ.push_back("the split");
  if (protocols.size() > 1) differ.push_back("the protocol");
  if (tasks.size() > 1) differ.push_back("the number of tasks");
  if (differ.empty()) return "";
  return fmt::format("Not like with like: {} differ between these runs.", fmt::join(differ, ", "));
}

}  // namespace

std::string caution(const Evaluation& e) {
  for (size_t s = e.steps.size(); s-- > 0;) {
    if (!std::isfinite(e.mean[s])) {
      return fmt::format(
          "{}{} the mean is not finite: some tasks diverged. Read the median and the quartiles.", "A",
          after(e.steps[s]).substr(1));
    }
    const double spread = e.q3[s] - e.q1[s];
    if (std::isfinite(spread) && (e.mean[s] > e.q3[s] + spread || e.mean[s] < e.q1[s] - spread)) {
      return fmt::format(
          "{}{} the mean lies far outside the quartiles: a few tasks dominate it. Read the median beside it.",
          "A", after(e.steps[s]).substr(1));
    }
  }
  return "";
}

std::string evaluation_table(const Evaluation& e) {
  std::string out = fmt::format(
      "<div class=\"wide\"><table><thead><tr><th scope=\"col\">steps</th><th scope=\"col\" "
      "class=\"number\">{} (mean, 95 %)</th>"
      "<th scope=\"col\" class=\"number\">median</th><th scope=\"col\" "
      "class=\"number\">quartiles</th></tr></thead><tbody>",
      escape(e.metric));
  for (size_t s = 0; s < e.steps.size(); ++s) {
    out += fmt::format("<tr><th scope=\"row\">{}</th>{}{}{}</tr>", e.steps[s],
                       cell(with_interval(e.mean[s], e.ci95[s], e.percent())),
                       cell(score(e.median[s], e.percent())),
                       cell(score(e.q1[s], e.percent()) + " – " + score(e.q3[s], e.percent())));
  }
  const auto line = [&](const std::string& name, double mean, double ci95) {
    out += fmt::format("<tr class=\"rule\"><th scope=\"row\">{}</th>{}{}{}</tr>", escape(name),
                       cell(with_interval(mean, ci95, e.percent())), cell(""), cell(""));
  };
  for (const auto& rule : e.rules) line(rule.name, rule.mean, rule.ci95);
  if (std::isfinite(e.chance)) line("guessing", e.chance, std::nan(""));
  out += "</tbody></table></div>";
  if (e.groups > 0)
    out += fmt::format("<p class=\"note\">Means and intervals are over the {}.</p>",
                       escape(counted_words(e.groups, e.group_word)));
  if (!e.change.is_null())
    out +=
        "<p class=\"note\">" + escape(change_words({{"metric", e.metric}, {"change", e.change}})) + ".</p>";
  return out;
}

std::string agents_table(const Run& run) {
  const bool scored = run.eval && !run.eval->per_agent.empty(), shared = !run.agent_share.empty();
  if (!scored && !shared) return "";
  std::string out = "<div class=\"wide tall\"><table><thead><tr><th scope=\"col\">" + run.one() + "</th>";
  if (shared) out += "<th scope=\"col\">holds</th>";
  if (scored) {
    for (const int64_t s : run.eval->steps) {
      out += fmt::format("<th scope=\"col\" class=\"number\">{} {}</th>", escape(run.eval->metric), after(s));
    }
  }
  out += "</tr></thead><tbody>";
  for (size_t a = 0; a < static_cast<size_t>(run.agents); ++a) {
    out += fmt::format("<tr><th scope=\"row\">{}</th>", a);
    if (shared) out += cell(escape(run.agent_share[a]), "words");
    if (scored) {
      for (const double x : run.eval->per_agent[a]) out += cell(score(x, run.eval->percent()));
    }
    out += "</tr>";
  }
  return out + "</tbody></table></div>";
}

// A long name may break behind an underscore, and nowhere else.
std::string breakable(const std::string& text) {
  std::string out;
  for (const char c : escape(text)) {
    out += c;
    if (c == '_') out += "<wbr>";
  }
  return out;
}

std::string settings_tables(const Run& run) {
  // First what somebody chose, then what was left at its default.
  std::string first, rest;
  const auto table = [](const std::string& title, const Json& values) {
    if (values.empty()) return std::string();
    std::string out = fmt::format("<table><caption>{}</caption><tbody>", escape(title));
    for (const auto& [key, value] : values.items()) {
      out += fmt::format("<tr><th scope=\"row\">{}</th>{}</tr>", breakable(key),
                         cell(breakable(value_text(value)), "words"));
    }
    return out + "</tbody></table>";
  };
  for (const auto& [name, values] : run.settings.items()) {
    const std::string title = name.empty() ? "experiment" : name;
    if (!run.changed.is_object()) {
      first += table(title, values);
      continue;
    }
    Json chosen = Json::object(), left = Json::object();
    const Json mine = run.changed.value(name, Json::array());
    for (const auto& [key, value] : values.items())
      (std::find(mine.begin(), mine.end(), Json(key)) != mine.end() ? chosen : left)[key] = value;
    first += table(title, chosen);
    rest += table(title, left);
  }
  Json machine = Json::object();
  if (!run.version.empty()) machine["symma"] = run.version;
  if (!run.device.empty()) machine["device"] = run.device;
  if (run.threads > 0) machine["threads"] = run.threads;
  if (run.parameters > 0) machine["parameters"] = grouped(static_cast<double>(run.parameters));
  machine["rounds done"] =
      grouped(static_cast<double>(run.rounds)) +
      (run.rounds_asked > 0 ? " of " + grouped(static_cast<double>(run.rounds_asked)) : "");
  machine["time"] = duration(run.wall_s);
  if (std::isfinite(run.tasks_per_s)) machine["tasks a second"] = grouped(run.tasks_per_s);
  first += table("this run", machine);
  std::string out = "<div class=\"settings\">" + first + "</div>";
  if (!rest.empty())
    out += "<details><summary>Settings at their defaults</summary><div class=\"settings\">" + rest +
           "</div></details>";
  return out;
}

std::string comparison_html(const std::vector<Run>& runs) {
  std::string out;
  for (const auto& [metric, members] : by_metric(runs)) {
    const auto steps = all_steps(members);
    const Evaluation& first = *members.front()->eval;
    out += fmt::format(
        "<div class=\"wide\"><table><caption>{} {}, mean ± 95 % interval, median below; bold: the best, and "
        "what is "
        "not told apart from it</caption>"
        "<thead><tr><th scope=\"col\">run</th><th scope=\"col\">learner</th><th scope=\"col\">graph</th>",
        escape(metric), first.higher_is_better ? "(higher is better)" : "(lower is better)");
    for (const int64_t s : steps) out += fmt::format("<th scope=\"col\" class=\"number\">{}</th>", after(s));
    out +=
        "<th scope=\"col\" class=\"number\">sent</th><th scope=\"col\" "
        "class=\"number\">time</th></tr></thead><tbody>";
    std::vector<std::vector<bool>> first_of;  // [step][run]: stands first, or level with the best
    first_of.reserve(steps.size());
    for (const int64_t step : steps) first_of.push_back(level_with_best(members, step));
    for (size_t m = 0; m < members.size(); ++m) {
      const Run* r = members[m];
      out += fmt::format("<tr><th scope=\"row\">{}</th>{}{}", escape(r->name),
                         cell(escape(r->learner), "words"), cell(escape(r->topology()), "words"));
      for (size_t k = 0; k < steps.size(); ++k) {
        const int64_t c = column_of(*r->eval, steps[k]);
        if (c < 0) {
          out += cell("—");
          continue;
        }
        const auto s = static_cast<size_t>(c);
        out += cell(fmt::format("{}<br><span class=\"median\">{}</span>",
                                with_interval(r->eval->mean[s], r->eval->ci95[s], r->eval->percent()),
                                score(r->eval->median[s], r->eval->percent())),
                    first_of[k][m] ? "number best" : "number");
      }
      out += cell(bits(r->exchange.bits)) + cell(duration(r->wall_s)) + "</tr>";
    }
    out += "</tbody></table></div>";
    if (const auto note = unlike(members); !note.empty()) out += "<p class=\"caution\">" + note + "</p>";
  }
  for (const Run& r : runs) {
    if (!r.eval) out += fmt::format("<p class=\"note\">{} has not been evaluated.</p>", escape(r.name));
  }
  return out;
}

std::string privacy_html(const std::vector<Run>& runs) {
  const auto guarded = [](const Run& r) { return !r.privacy.empty(); };
  if (std::none_of(runs.begin(), runs.end(), guarded)) return "";
  std::string out =
      "<div class=\"wide\"><table><thead><tr><th scope=\"col\">run</th><th scope=\"col\" "
      "class=\"number\">score</th><th scope=\"col\">what is promised</th></tr></thead><tbody>";
  for (const Run& r : runs) {
    const std::string reached =
        r.eval ? with_interval(r.eval->mean.back(), r.eval->ci95.back(), r.eval->percent()) : "—";
    out += fmt::format("<tr><th scope=\"row\">{}</th>{}{}</tr>", escape(r.name), cell(reached),
                       cell(escape(guarded(r) ? r.privacy : "nothing"), "words"));
  }
  return out +
         "</tbody></table></div><p class=\"note\">Scores are means after the most steps of adaptation.</p>";
}

std::string comparison_text(const std::vector<Run>& runs) {
  std::string out;
  for (const auto& [metric, members] : by_metric(runs)) {
    const auto steps = all_steps(members);
    std::vector<std::vector<std::string>> rows(1, {"run", "learner", "topology"});
    for (const int64_t s : steps) rows[0].push_back(fmt::format("{} @{}", metric, s));
    rows[0].push_back("bits");
    for (const Run* r : members) {
      const Evaluation& e = *r->eval;
      rows.push_back({r->name, r->learner, r->topology()});
      for (const int64_t s : steps) {
        const int64_t c = column_of(e, s);
        const auto k = static_cast<size_t>(std::max<int64_t>(c, 0));
        rows.back().push_back(c < 0 ? "-"
                                    : fmt::format("{} ({})", with_interval(e.mean[k], e.ci95[k], e.percent()),
                                                  score(e.median[k], e.percent())));
      }
      rows.back().push_back(bits(r->exchange.bits));
    }
    std::vector<int64_t> widths(rows[0].size(), 0);
    for (const auto& row : rows) {
      for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], width(row[c]));
    }
    if (!out.empty()) out += "\n";
    for (const auto& row : rows) {
      std::string line;
      for (size_t c = 0; c < row.size(); ++c) {
        const int64_t pad = widths[c] - width(row[c]) + (c == 0 ? 0 : 2);
        const int64_t gap = c == 0 ? 0 : 2;  // words stand to the left, numbers to the right
        line += c < 3 ? fmt::format("{0:{1}}{2}{0:{3}}", "", gap, row[c], pad - gap)
                      : fmt::format("{:{}}{}", "", pad, row[c]);
      }
      out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
    out += fmt::format("{}: mean ± 95 % interval (median) after @ steps of adaptation, {} is better\n",
                       metric, members.front()->eval->higher_is_better ? "higher" : "lower");
    if (const auto note = unlike(members); !note.empty()) out += note + "\n";
  }
  for (const Run& r : runs) {
    if (!r.eval) out += r.name + ": not evaluated yet\n";
  }
  return out;
}

}  // namespace symma
