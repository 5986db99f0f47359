// Which of several runs is better, and whether that can be said at all: differences with intervals, in pairs
// where runs were judged on the same tasks.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "symma/core/options.h"
#include "symma/eval/scores.h"

namespace symma {

// How a run was judged: at its end (summary.json, scores.csv), or again (eval.json, eval_scores.csv).
struct Judgement {
  std::string run, file;
  Json eval;
  std::string learner;         // "" where the run does not say
  Json settings = {};          // the run's, an object of sections; null where it does not say
  std::string scores() const;  // the path of its file of scores
};

// What a run's folder has of these, or nothing where no task's scores are there. Throws UserError where the
// folder holds no run.
std::vector<Judgement> judgements(const std::string& run);

// The first thing by which the tasks of two judgements differ, as "seed (1 and 2)"; "" where they are the
// same.
std::string tasks_differ(const Json& judged_on, const Json& other);

// Files of scores, each read once. Not for several threads.
class ScoreFiles {
 public:
  const std::map<int64_t, std::vector<double>>& scores(const std::string& path, const std::string& metric);
  const Groups& groups(const std::string& path);
  const std::vector<Judgement>& judgements(const std::string& run);

 private:
  std::map<std::pair<std::string, std::string>, std::map<int64_t, std::vector<double>>> scores_;
  std::map<std::string, Groups> groups_;
  std::map<std::string, std::vector<Judgement>> judgements_;
};

// Those of two runs that are of the same tasks.
std::optional<std::pair<Judgement, Judgement>> same_tasks(ScoreFiles&, const std::string& a,
                                                          const std::string& b);

// What may be ranked: a run, by one score after one number of steps.
struct Contender {
  std::string name, run;         // run: its folder; "" where there is none to pair by
  double mean = 0, ci95 = 0;     // over tasks, their groups, or seeds
  std::vector<double> of_seeds;  // means of single seeds, in an order that all contenders share; or empty
};

struct Gap {
  double difference = 0, ci95 = 0;  // a - b
  std::string over;  // "tasks", "groups", "seeds": what the pairs are of; "" where there are none
  bool apart() const { return std::abs(difference) > ci95; }
};

// a - b: in pairs over seeds where both have two or more; in pairs over the same tasks; else the difference
// of the means, its interval of both intervals, since nothing else is known.
Gap gap(ScoreFiles&, const Contender& a, const Contender& b, const std::string& metric, int64_t steps,
        bool higher_is_better);

struct Standing {
  std::vector<size_t> order;  // contenders, the best mean first, those that are not finite last
  std::vector<Gap> behind;    // for each of `order`: the first's mean less its; nothing of the first itself
  size_t level = 1;  // how many stand first: those that are not told apart from the best come right after it
};

// The best is crowned (level = 1) only where it is told apart from each of the others.
Standing standing(ScoreFiles&, const std::vector<Contender>&, const std::string& metric, int64_t steps,
                  bool higher_is_better);

}  // namespace symma
