// Runs as the columns that a meta-learner is shown beside: scratch, pooled, transfer, meta, oracle.
#pragma once

#include <string>
#include <vector>

#include "symma/core/options.h"
#include "symma/eval/standing.h"

namespace symma {

// `runs` are folders, or NAME=FOLDER. Without a name a run is told by its learner: `scratch` is scratch;
// `pretrain` is pooled before it adapts and transfer after; every other is meta. Several runs of one column
// are taken for seeds. An oracle has to be named. A run that was judged before adapting alone does not adapt:
// its score stands on every line.
//
// {metric, higher_is_better, columns: [NAME], runs: {NAME: [FOLDER]}, rows: [{steps, NAME: {mean, ci95}}],
//  gaps: [{steps, rival, difference, ci95, over, told_apart}]}: intervals are over test tasks, or by
//  Student's
// t over seeds where there are two or more; gaps are meta's mean less a rival's, in pairs where there are
// pairs. Throws UserError for runs of different metrics, without scores, or of a name that is no column.
Json columns_of(const std::vector<std::string>& runs);

std::string columns_table(const Json&);

// How a run was judged. Throws UserError where no task's scores are there.
const std::vector<Judgement>& judged(ScoreFiles&, const std::string& run);

}  // namespace symma
