// What in an experiment does not go together: a list of rules, each with a name, when it holds, and what is
// said to the user.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "symma/fleet/experiment.h"

namespace symma {

using Words = std::function<std::string(const Experiment&)>;

struct Rule {
  std::string name;
  std::string section, key;  // what the message is about
  std::function<bool(const Experiment&)> broken;
  Words found;
  std::string remedy;
};

// Of settings alone: held before any data is read. The experiment has its settings and its graph.
const std::vector<Rule>& rules_of_settings();
// Of parts: held once the task family, the model, the learner and the exchange are built.
const std::vector<Rule>& rules_of_parts();

// Throws UserError for the first rule that is broken.
void hold(const std::vector<Rule>&, const Experiment&, const Config&);

}  // namespace symma
