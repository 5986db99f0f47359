// What the numbers say, in words, for the page and for the terminal.
#pragma once

#include <string>
#include <vector>

#include "symma/eval/standing.h"
#include "symma/report/run.h"

namespace symma {

// "7 homes", "1 home", "6 classes": a count and what it counts, in the plural where it is not one.
std::string counted_words(int64_t count, const std::string& word);

// "10 steps of adapting lower mse by 2.76 ± 0.21, task by task, on 97 % of the tasks", of summary.json's
// evaluation; "change nothing that can be told" where the interval holds zero.
std::string change_words(const Json& eval);

// "mse 0.360 ± 0.020 after 10 steps on 600 unseen test tasks of 7 homes".
std::string score_words(const Evaluation&);

// "Validation mse was best after round 400, 0.399, and is 4.84 at the end: later rounds did unseen tasks no
// good; try --set rounds=400", where an error has grown by a quarter since its best; else "". Of errors and
// accuracies; a return goes up and down.
std::string past_best_words(const Training&, const std::string& metric, bool higher_is_better);

// Who is best of several runs after the greatest number of steps that all were judged after, one line for
// each metric: "Lowest mse after 10 steps: A 0.33 ± 0.03; then B 1.44 ± 0.08 (behind by 1.11 ± 0.07)", or
// "Not told apart in mse after 10 steps: A ..., B ...". With `html`, names are escaped and strong.
std::vector<std::string> standing_words(const std::vector<Run>& runs, bool html);

// The same of contenders that are at hand; `like` says the metric, and which way it goes.
std::string standing_line(const std::vector<Contender>&, const Evaluation& like, int64_t steps, bool html);

// For each run whether it stands first after `steps`, or level with the best: false where it was not judged.
std::vector<bool> level_with_best(const std::vector<const Run*>& runs, int64_t steps);

}  // namespace symma
