// Run folders as one HTML page that needs no network, and as a table for the terminal.
#pragma once

#include <string>
#include <vector>

namespace symma {

// The page. Reads summary.json, metrics.jsonl and, where there is one, gallery.json of each folder. Several
// runs are compared first. Throws UserError that names the file and the remedy where one is missing or
// damaged.
std::string report_html(const std::vector<std::string>& runs);

// Writes it, whole or not at all.
void write_report(const std::vector<std::string>& run_folders, const std::string& path);

// One row a run: learner, topology, metric after each number of steps as mean ± 95 % interval (median), bits
// sent.
std::string comparison_table(const std::vector<std::string>& runs);

}  // namespace symma
