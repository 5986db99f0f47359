// The folder of a run: begun, gone on with, or refused.
#pragma once

#include <string>

#include "symma/fleet/checkpoint.h"
#include "symma/fleet/experiment.h"

namespace symma {

struct RunOptions {
  std::string folder;
  bool resume = false, force = false;
  std::string device = "cpu";
};

std::string in(const RunOptions&, const char* file);  // its path

// Makes the folder and starts, or resumes what is there. Throws UserError where it holds another run.
RunState open_run(const Experiment&, const RunOptions&);

// The first setting in which two experiments differ, with both values: "learner.meta_lr: 0.001, and 0.01 is
// asked for". How many rounds a run has is none. "" where there is none.
std::string first_difference(const Json& old_settings, const Json& new_settings);

// What a run keeps of its data (tasks/known.h), data.json, laid over the settings of its own file or of one
// that goes on with it: data are then found wherever the shell stands, read no sooner than tasks are drawn of
// them, and refused where they are others. Nothing for a folder without one, or where other data are named.
void recall_data(Config&, const std::string& folder);
// The settings without it, as they stand in the run's file.
void forget_recalled(Experiment&);
// What of a run's data is no longer what it was, in words; "" where all is, or is gone.
std::string changed_data(const std::string& folder);

}  // namespace symma
