#include "symma/eval/scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "symma/core/errors.h"
#include "symma/eval/statistics.h"
#include "symma/tasks/csv.h"

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

std::map<int64_t, std::vector<double>> read_scores(const std::string& path, const std::string& split,
                                                   const std::string& score) {
  const CsvFile csv = CsvFile::load(path);
  const size_t of_split = csv.column("split"), of_task = csv.column("task"), of_steps = csv.column("steps"),
               of_score = csv.column(score);
  struct Mean {
    double sum = 0, n = 0;
  };
  std::map<int64_t, std::map<int64_t, Mean>> found;  // steps -> task -> over agents
  for (size_t r = 0; r < csv.rows.size(); ++r) {
    if (csv.rows[r][of_split] != split) continue;
    Mean& m = found[std::llround(csv.number(r, of_steps))][std::llround(csv.number(r, of_task))];
    m.sum += csv.rows[r][of_score].empty() ? std::nan("") : csv.number(r, of_score), ++m.n;
  }
  std::map<int64_t, std::vector<double>> out;
  for (const auto& [steps, tasks] : found) {
    for (const auto& [task, m] : tasks) out[steps].push_back(m.sum / m.n);
  }
  return out;
}

std::vector<std::string> read_groups(const std::string& path, const std::string& split) {
  const CsvFile csv = CsvFile::load(path);
  if (std::find(csv.header.begin(), csv.header.end(), "group") == csv.header.end()) return {};
  const size_t of_split = csv.column("split"), of_task = csv.column("task"), of_group = csv.column("group");
  std::map<int64_t, std::string> found, last;  // agents who are judged on tasks of their own name several
  for (size_t r = 0; r < csv.rows.size(); ++r) {
    if (csv.rows[r][of_split] != split) continue;
    const int64_t task = std::llround(csv.number(r, of_task));
    const std::string& name = csv.rows[r][of_group];
    std::string& cell = found[task];
    if (cell.empty())
      cell = name;
    else if (name != last[task] && (" | " + cell + " | ").find(" | " + name + " | ") == std::string::npos)
      cell += " | " + name;
    last[task] = name;
  }
  std::vector<std::string> out;
  for (const auto& [task, group] : found) out.push_back(group);
  return out;
}

Paired compare_paired(const std::vector<double>& a, const std::vector<double>& b, bool higher_is_better,
                      const Groups& groups) {
  Paired p{summarise(a, higher_is_better, groups).mean, summarise(b, higher_is_better, groups).mean};
  std::vector<double> differences;
  const auto badness = [&](double x) { return !std::isfinite(x) ? INFINITY : higher_is_better ? -x : x; };
  for (size_t t = 0; t < a.size(); ++t) {
    differences.push_back(a[t] - b[t]);
    const double of_a = badness(a[t]), of_b = badness(b[t]);
    p.better += (of_a < of_b ? 1 : of_a == of_b ? 0.5 : 0) / static_cast<double>(a.size());
  }
  const Summary s = summarise(differences, higher_is_better, groups);
  p.difference = s.mean, p.ci95 = s.ci95;
  return p;
}

}  // namespace symma
