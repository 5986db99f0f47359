// The scores of every task in a file, and two runs judged on the same tasks, task by task.
#pragma once

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "symma/eval/statistics.h"

namespace symma {

struct EvalResult;

// A table that spreadsheets, R and pandas open (RFC 4180): split, agent, task, steps, and a column for each
// score; an empty cell is a score that is not finite. Where tasks are made of things that have names, a
// column `group` after `task` has them. Only agents that count. Of more than a million rows only means over
// agents are written, with an empty agent.
std::string scores_csv(const std::vector<EvalResult>&);

// steps -> a score of each task of `split`, averaged over agents, from such a file. What is not finite is not
// a number. Throws UserError where the file is missing or damaged, or has no such score.
std::map<int64_t, std::vector<double>> read_scores(const std::string& path, const std::string& split,
                                                   const std::string& score);

// The group of each task of `split`, from the column `group`; empty where the file has none.
std::vector<std::string> read_groups(const std::string& path, const std::string& split);

// A and B on the same tasks. Tasks are the sample, or the groups that they share, so what they differ by has
// a narrower interval than either mean where scores of a task go together.
struct Paired {
  double a = 0, b = 0, difference = 0,
         ci95 = 0;    // means, a - b, and half its 95 % interval, as summarise has it
  double better = 0;  // the share of tasks on which A is better; ties count half, what diverged as worst
  bool apart() const { return std::abs(difference) > ci95; }  // false where either is not finite
};
Paired compare_paired(const std::vector<double>& a, const std::vector<double>& b, bool higher_is_better,
                      const Groups& = {});

}  // namespace symma
