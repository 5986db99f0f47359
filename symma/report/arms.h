// Runs of one kind pooled: those whose settings differ by the seed alone are one arm, and seeds are the
// sample.
#pragma once

#include <string>
#include <vector>

#include "symma/eval/standing.h"
#include "symma/report/run.h"

namespace symma {

struct Arm {
  std::string label;                       // what sets it apart: "topology = ring, kind = maml"
  Json values = Json::object();            // the same, {"exchange.topology": "ring", ...}
  std::vector<const Run*> runs;            // by seed, one of each; all are evaluated
  std::vector<const Run*> again;           // others of a seed that is among these: no sample of their own
  std::vector<int64_t> steps;              // those that all of its runs were judged after, [S]
  std::vector<std::vector<double>> seeds;  // [S][runs]: their means
  std::vector<double> mean, ci95;      // over seeds, by Student's t; ci95 of one run is that over its tasks
  std::vector<double> iqm, low, high;  // [S]; of five seeds and more, else empty
  int64_t place(int64_t after) const;  // of a number of steps; -1 where it is none of them
};

// Of those runs that have an evaluation by the metric of the first such. Arms come in the order of their
// first runs. Where only one setting differs, a label is its value's.
std::vector<Arm> arms_of(const std::vector<Run>& runs);

// The other runs, each by its folder's name with the reason.
std::vector<std::string> left_out(const std::vector<Run>& runs);

// Folders of sweeps are replaced by those of their finished runs. `any`: whether there was one.
std::vector<std::string> run_folders(const std::vector<std::string>& named, bool* any = nullptr);

Contender contender(const Arm&, int64_t steps, const std::vector<Arm>& all);

// "counted once: a/runs/seed=1 and b/runs/seed=1, of the same settings and seed", a line for each that is
// left out.
std::vector<std::string> counted_once(const std::vector<Arm>&);

// "arm  seeds  mse @0 ...", who is best, and which runs were left out, for the terminal.
std::string arms_text(const std::vector<Arm>&, const std::vector<std::string>& left_out);
// sweep.json's arms, and a row for each run in CSV.
Json arms_json(const std::vector<Arm>&);
std::string arms_csv(const std::vector<Arm>&);
// Who is best after the most steps, as standing_words has it, and which arm validation chooses.
std::string arms_standing(const std::vector<Arm>&, bool html);

// The page of a sweep: who is best, a plot of means with intervals, a table, curves with bands over seeds.
std::string arms_html(const std::vector<Arm>&, const std::string& title,
                      const std::vector<std::string>& failed, const std::vector<std::string>& left_out);
Json arms_data(const std::vector<Arm>&);  // what page.js draws of it

}  // namespace symma
