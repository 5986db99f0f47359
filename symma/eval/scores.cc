#include "symma/eval/scores.h"

#include <algorithm>
#include <cmath>

#include "symma/core/csv.h"
#include "symma/core/errors.h"

namespace symma {

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
  out.reserve(found.size());
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
