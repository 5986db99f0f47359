// What a scorecard measures, and what that costs: the runs to train, and the ways to judge them.
#pragma once

#include <string>
#include <vector>

#include "symma/fleet/experiment.h"

namespace symma {

// A figure of the scorecard. Its runs are trained with `train` laid over the file (none: the file's own runs
// serve), and judged with `judge` laid over that.
struct ScoreItem {
  std::string id, axis, role, what;
  std::vector<std::string> train = {}, judge = {};
  std::vector<std::string> common = {};  // what is laid over all runs, and its parts have: fitting()
  std::string to = "base";               // the figure that it is held against; "" for none
  Json extra = Json::object();
  int64_t priority = 1;  // 0: never left out to fit a budget; the larger, the sooner it is
  Split split = Split::kTest;
  double input_noise = 0;  // on the support that is learned from, in standard deviations of the task's inputs
  double label_noise = 0;  // the same of its targets; of classes, the share of labels that are wrong
  int64_t newcomer = -1;   // judged on this agent's slice: by the others, or where `self` by itself
  bool self = false;
  double cost = 0;            // in seeds of the file as it stands, trained and judged
  std::string left_out = {};  // why it cannot be measured; "" where it can

  // Whether it is what a run's own summary says.
  bool as_trained() const {
    return judge.empty() && split == Split::kTest && newcomer < 0 && input_noise == 0 && label_noise == 0;
  }
};

// Everything that the four axes ask for, the most needed first. `base` is the file with `settings` laid over
// it.
std::vector<ScoreItem> score_items(const Experiment& base, const Config& file,
                                   const std::vector<std::string>& settings);

// Builds and rehearses the item's settings, and draws a task of its split. What is refused it says in
// `left_out`.
void check_item(const Config& file, const Experiment& base, ScoreItem&);

// Seconds that training and judging one seed of the file takes, measured on a few rounds and tasks.
double base_seconds(const Experiment& base);

}  // namespace symma
