// Run folders as one HTML page that needs no network, and as a table for the terminal.
#pragma once

#include <string>
#include <vector>

#include "symma/core/options.h"

namespace symma {

// The page. A sweep's folder stands for its finished runs, whose seeds are then pooled. Reads summary.json,
// metrics.jsonl and, where there is one, gallery.json of each folder. Several runs are compared first. Throws
// UserError that names the file and the remedy where one is missing or damaged.
std::string report_html(const std::vector<std::string>& runs);

// The numbers of its charts, which a page that is open takes up by window.symmaUpdate.
Json report_data(const std::vector<std::string>& runs);

// Writes it, whole or not at all.
void write_report(const std::vector<std::string>& run_folders, const std::string& path);

// One row a run: learner, topology, metric after each number of steps as mean ± 95 % interval (median), bits
// sent; and who is best, where that can be told.
std::string comparison_table(const std::vector<std::string>& runs);
Json comparison_json(const std::vector<std::string>& runs);

// The page of a sweep's folder, what its table says in the terminal, and sweep.json's arms with the sweep.csv
// beside them. `failed`: runs that failed, with the reason, for people; `left_out`: likewise, those that are
// no arm's.
struct SweepResult {
  std::string page, table, csv;
  Json arms, standing, left_out;
};
SweepResult sweep_result(const std::string& folder, const std::vector<std::string>& failed);

}  // namespace symma
