// The scores of every task as a table; reading it is in scores.cc.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "symma/core/csv.h"
#include "symma/eval/evaluate.h"
#include "symma/eval/scores.h"

namespace symma {
namespace {

constexpr size_t kMostRows = 1000000;

std::string cell(double x) {
  return std::isfinite(x) ? fmt::format(",{:.9g}", x) : ",";
}

}  // namespace

std::string scores_csv(const std::vector<EvalResult>& results) {
  const bool named =
      std::any_of(results.begin(), results.end(), [](const EvalResult& r) { return !r.names.empty(); });
  std::string out = named ? "split,agent,task,group,steps" : "split,agent,task,steps";
  for (const auto& [name, table] : results.at(0).all) out += "," + name;
  out += "\n";
  for (const auto& r : results) {
    const size_t agents = r.scores().size(), tasks = r.scores()[0][0].size();
    std::vector<int64_t> counted = r.counted;
    if (counted.empty()) {
      counted.resize(agents);
      std::iota(counted.begin(), counted.end(), int64_t{0});
    }
    const auto rows = [&](const std::string& agent, const auto& name, const auto& score) {
      for (size_t t = 0; t < tasks; ++t) {
        const std::string group = named ? csv_cell(r.names.empty() ? "" : name(t)) + "," : "";
        for (size_t s = 0; s < r.steps.size(); ++s) {
          out += fmt::format("{},{},{},{}{}", split_name(r.split), agent, t, group, r.steps[s]);
          for (const auto& [name, table] : r.all) out += cell(score(table, s, t));
          out += "\n";
        }
      }
    };
    if (counted.size() * tasks * r.steps.size() <= kMostRows) {
      for (int64_t a : counted) {
        rows(
            std::to_string(r.agents[a]), [&](size_t t) { return r.names[a][t]; },
            [&](const ScoreTable& table, size_t s, size_t t) { return table[a][s][t]; });
      }
    } else {
      // Of agents who are judged on tasks of their own, the t-th ones have no name in common.
      const auto name = [&](size_t t) {
        for (const int64_t a : counted)
          if (r.names[a][t] != r.names[counted[0]][t]) return std::string();
        return r.names[counted[0]][t];
      };
      rows("", name, [&](const ScoreTable& table, size_t s, size_t t) {
        double sum = 0;
        for (int64_t a : counted) sum += table[a][s][t];
        return sum / static_cast<double>(counted.size());
      });
    }
  }
  return out;
}

}  // namespace symma
