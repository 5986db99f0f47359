#include "symma/report/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "symma/eval/standing.h"
#include "symma/report/format.h"

namespace symma {
namespace {

std::string after_words(int64_t steps) {
  return steps == 0 ? "before adapting" : fmt::format("after {} step{}", steps, steps == 1 ? "" : "s");
}

int64_t place_of(const Evaluation& e, int64_t steps) {
  const auto it = std::find(e.steps.begin(), e.steps.end(), steps);
  return it == e.steps.end() ? -1 : it - e.steps.begin();
}

Contender contender(const Run& r, int64_t steps) {
  const auto s = static_cast<size_t>(place_of(*r.eval, steps));
  return {r.name, r.folder, r.eval->mean[s], r.eval->ci95[s], {}};
}

// The greatest number of steps that all were judged after; -1 where there is none.
int64_t common_steps(const std::vector<const Run*>& runs) {
  int64_t most = -1;
  for (const int64_t s : runs.front()->eval->steps) {
    const bool all =
        std::all_of(runs.begin(), runs.end(), [&](const Run* r) { return place_of(*r->eval, s) >= 0; });
    if (all) most = std::max(most, s);
  }
  return most;
}

std::string over_words(const Standing& s) {
  bool pairs = true;
  std::string over;
  for (size_t k = 1; k < s.behind.size(); ++k) pairs = pairs && !s.behind[k].over.empty();
  for (size_t k = 1; k < s.behind.size(); ++k) over = s.behind[k].over;
  return pairs ? fmt::format("differences are in pairs over the same {}", over)
               : "not judged on the same tasks, so differences are of means";
}

}  // namespace

std::string counted_words(int64_t count, const std::string& word) {
  if (count == 1) return "1 " + word;
  const bool hiss =
      word.ends_with("s") || word.ends_with("x") || word.ends_with("ch") || word.ends_with("sh");
  const bool y = word.size() > 1 && word.ends_with("y") &&
                 std::string("aeiou").find(word[word.size() - 2]) == std::string::npos;
  return fmt::format("{} {}", grouped(static_cast<double>(count)),
                     y ? word.substr(0, word.size() - 1) + "ies" : word + (hiss ? "es" : "s"));
}

std::string change_words(const Json& eval) {
  const Json& c = eval.at("change");
  const bool percent = eval.at("metric") == "accuracy";
  const auto metric = eval.at("metric").get<std::string>();
  const auto to = c.at("to").get<int64_t>(), from = c.at("from").get<int64_t>();
  const std::string who = fmt::format("{} step{} of adapting{}", to - from, to - from == 1 ? "" : "s",
                                      from == 0 ? "" : fmt::format(" after {}", from));
  const std::string verb = to - from == 1 ? "s" : "";
  if (c.at("difference").is_null()) return fmt::format("{}: some tasks diverged", who);
  const double d = c.at("difference").get<double>(),
               ci = c.at("ci95").is_null() ? std::nan("") : c.at("ci95").get<double>();
  if (!c.at("told_apart").get<bool>())
    return fmt::format("{} change{} {} by {}: not told apart from nothing", who, verb, metric,
                       with_interval(d, ci, percent));
  return fmt::format("{} {}{} {} by {}, in pairs; better on {:.0f} % of the tasks", who,
                     d < 0 ? "lower" : "raise", verb, metric, with_interval(std::abs(d), ci, percent),
                     100 * c.at("better").get<double>());
}

std::string past_best_words(const Training& t, const std::string& metric, bool higher_is_better) {
  if (higher_is_better && metric != "accuracy") return "";
  const auto error = [&](const Validation& v) {
    const double x = v.mean.empty() ? std::nan("") : v.mean.back();
    return !std::isfinite(x) ? INFINITY : higher_is_better ? 1 - x : x;
  };
  const auto best = std::min_element(t.validation.begin(), t.validation.end(),
                                     [&](const auto& a, const auto& b) { return error(a) < error(b); });
  if (best == t.validation.end()) return "";
  const Validation& last = t.validation.back();
  if (!(error(*best) > 0) || !(error(last) > 1.25 * error(*best))) return "";
  const auto number = [&](const Validation& v) {
    return v.mean.empty() ? std::string("nothing") : score(v.mean.back(), higher_is_better);
  };
  return fmt::format(
      "Validation {} was best after round {:.0f}, {}, and is {} at the end: later rounds did unseen tasks no "
      "good; try --set rounds={:.0f}",
      metric, best->round, number(*best), number(last), best->round);
}

std::string score_words(const Evaluation& e) {
  const bool none = e.steps.size() == 1 && e.steps[0] == 0;
  return fmt::format("{} {}{} on {} unseen {} tasks{}", escape(e.metric),
                     with_interval(e.mean.back(), e.ci95.back(), e.percent()),
                     none ? "" : " " + after_words(e.steps.back()), grouped(static_cast<double>(e.tasks)),
                     escape(e.split),
                     e.groups > 0 ? " of " + escape(counted_words(e.groups, e.group_word)) : "");
}

std::string standing_line(const std::vector<Contender>& all, const Evaluation& like, int64_t steps,
                          bool html) {
  ScoreFiles files;
  const Standing s = standing(files, all, like.metric, steps, like.higher_is_better);
  const bool p = like.percent();
  const std::string m = html ? escape(like.metric) : like.metric, after = after_words(steps);
  if (!std::isfinite(all[s.order[0]].mean)) return fmt::format("No run's mean {} is finite {}.", m, after);
  const auto name = [&](size_t k) {
    const std::string& n = all[s.order[k]].name;
    return (html ? "<strong>" + escape(n) + "</strong>" : n) + " " +
           with_interval(all[s.order[k]].mean, all[s.order[k]].ci95, p);
  };
  constexpr size_t kMost = 6;
  std::string out;
  if (s.level == 1) {
    out = fmt::format("{} {} {}: {}", like.higher_is_better ? "Highest" : "Lowest", m, after, name(0));
  } else {
    out = fmt::format("Not told apart in {} {}: {}", m, after, name(0));
    for (size_t k = 1; k < std::min(s.level, kMost); ++k)
      out += fmt::format(", {} (behind by {})", name(k),
                         with_interval(std::abs(s.behind[k].difference), s.behind[k].ci95, p));
    if (s.level > kMost) out += fmt::format(" and {} more", s.level - kMost);
  }
  for (size_t k = s.level; k < std::min(all.size(), s.level + kMost - 1); ++k)
    out += fmt::format("; {}{} (behind by {})", k == s.level ? "then " : "", name(k),
                       with_interval(std::abs(s.behind[k].difference), s.behind[k].ci95, p));
  return out + "; " + over_words(s) + ".";
}

std::vector<std::string> standing_words(const std::vector<Run>& runs, bool html) {
  std::vector<std::string> out, metrics;
  for (const Run& r : runs) {
    if (!r.eval || std::find(metrics.begin(), metrics.end(), r.eval->metric) != metrics.end()) continue;
    metrics.push_back(r.eval->metric);
    std::vector<const Run*> same;
    for (const Run& other : runs)
      if (other.eval && other.eval->metric == metrics.back()) same.push_back(&other);
    if (same.size() < 2) continue;
    const int64_t steps = common_steps(same);
    if (steps < 0) continue;
    std::vector<Contender> all;
    all.reserve(same.size());
    for (const Run* one : same) all.push_back(contender(*one, steps));
    out.push_back(standing_line(all, *same.front()->eval, steps, html));
  }
  return out;
}

std::vector<bool> level_with_best(const std::vector<const Run*>& runs, int64_t steps) {
  std::vector<Contender> all;
  std::vector<size_t> which;
  for (size_t i = 0; i < runs.size(); ++i) {
    if (place_of(*runs[i]->eval, steps) < 0) continue;
    all.push_back(contender(*runs[i], steps));
    which.push_back(i);
  }
  std::vector<bool> out(runs.size(), false);
  if (all.size() < 2) return out;
  ScoreFiles files;
  const Evaluation& first = *runs.front()->eval;
  const Standing s = standing(files, all, first.metric, steps, first.higher_is_better);
  if (!std::isfinite(all[s.order[0]].mean)) return out;
  for (size_t k = 0; k < s.level; ++k) out[which[s.order[k]]] = true;
  return out;
}

}  // namespace symma
