// What several commands need.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>

#include "symma/cli/commands.h"
#include "symma/report/format.h"
#include "symma/report/words.h"

namespace symma {

std::string quoted(const std::string& s) {
  std::string out = "'";
  for (char c : s) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string shell_word(const std::string& s) {
  const auto plain = [](unsigned char c) { return std::isalnum(c) || std::strchr("_-./+,:@%=", c); };
  if (!s.empty() && std::all_of(s.begin(), s.end(), plain)) return s;
  return quoted(s);
}

std::string groups_words(const Json& eval) {
  if (!eval.contains("groups")) return "";
  return " of " + counted_words(eval["groups"].get<int64_t>(), eval.value("group_word", "group"));
}

std::string eval_table(const Json& eval, const Json& shares) {
  const bool percent = eval["metric"] == "accuracy";
  const auto shown = [&](double x) {
    return percent ? fmt::format("{:.1f}%", 100 * x) : fmt::format("{:.4g}", x);
  };
  const auto show = [&](const Json& x) {
    return x.is_null() ? std::string("diverged") : shown(x.get<double>());
  };
  const auto within = [&](const Json& x) { return x.is_null() ? std::string("-") : "± " + show(x); };
  std::string out = fmt::format(
      "{} on {} {} tasks{}{}\n", eval["metric"].get<std::string>(), eval["tasks"].get<int64_t>(),
      eval["split"].get<std::string>(), groups_words(eval),
      eval["protocol"].get_ref<const std::string&>().empty() ? ""
                                                             : ", " + eval["protocol"].get<std::string>());
  out += fmt::format("  {:>5}  {:>9} {:<9} {:>9}  {:>9} .. {:<9}\n", "steps", "mean", "± 95%", "median",
                     "quartile", "quartile");
  for (size_t s = 0; s < eval["steps"].size(); ++s) {
    out += fmt::format("  {:>5}  {:>9} {:<9} {:>9}  {:>9} .. {:<9}", eval["steps"][s].get<int64_t>(),
                       show(eval["mean"][s]), within(eval["ci95"][s]), show(eval["median"][s]),
                       show(eval["q1"][s]), show(eval["q3"][s]));
    const auto diverged = eval["diverged"][s].get<int64_t>();
    out += diverged ? fmt::format("  {} diverged\n", diverged) : "\n";
  }
  if (eval.contains("in_units")) {
    const Json& own = eval["in_units"];
    out += fmt::format("  in units of {}: root of the mean square", own["target"].get<std::string>());
    for (const auto& x : own["rmse"])
      out += x.is_null() ? " diverged" : fmt::format(" {:.4g}", x.get<double>());
    out += "\n";
  }
  if (eval.contains("seen")) {
    const auto part = [&](const char* key) {
      const Json& of = eval["seen"][key];
      return fmt::format("{} groups, {} tasks{}", of["groups"].get<int64_t>(), of["tasks"].get<int64_t>(),
                         of["mean"].empty() ? "" : ", " + show(of["mean"].back()));
    };
    out += fmt::format("  trained on before: {}; not: {}\n", part("trained_on"), part("new"));
  }
  if (eval.contains("groups"))
    out += fmt::format("  means and intervals are over the {}{}\n",
                       counted_words(eval["groups"].get<int64_t>(), eval.value("group_word", "group")),
                       eval["groups"] == 1 ? ": of one nothing is known about others" : "");
  if (eval.contains("change")) out += "  " + change_words(eval) + "\n";
  const Json rules = eval.value("rules", Json::object());
  for (const auto& [name, rule] : rules.items())
    out += fmt::format("  {:>9} {:<9}  {}\n", show(rule.value("mean", Json())),
                       within(rule.value("ci95", Json())), name);
  if (eval.contains("chance")) out += fmt::format("  {:>9}            guessing\n", show(eval["chance"]));
  const Json agents = eval.value("per_agent", Json::array());
  if (agents.size() < 2) return out;
  out += "  each agent's mean\n";
  for (size_t a = 0; a < agents.size() && a < 20; ++a) {
    out += fmt::format("  {:>5} ", a);
    for (const auto& x : agents[a]) out += fmt::format(" {:>9}", show(x));
    if (a < shares.size()) out += "   " + shares[a].get<std::string>();
    out += "\n";
  }
  if (agents.size() > 20) out += fmt::format("  ... and {} more in summary.json\n", agents.size() - 20);
  return out;
}

}  // namespace symma
