// How long the processes of a fleet waited for each other's letters, how many there were and how old:
// drawn from the lines "waits" of roster.jsonl.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "symma/core/record.h"

namespace symma {

// Of the letters from one process to another.
struct WaitsBetween {
  struct Stretch {
    double from = 0, to = 0;  // rounds
    double seconds = 0;       // mean wait
  };
  int64_t from = 0, to = 0;
  double times = 0;                 // that letters were asked for, all of the process at once
  double letters = 0, missing = 0;  // missing: asked for, and did not come
  double bytes = 0;
  double seconds = 0, longest = 0;  // waited in all, and at most at a time
  double age = 0, oldest = 0;       // exchanges that letters were behind: mean, most
  std::vector<Stretch> along;       // ascending
};

// `lines` of a roster, ascending by round. By waiting process, then by sender. Throws Json::exception for
// what is no such line.
std::vector<WaitsBetween> waits_of(const std::vector<Json>& lines);

// A card; "" where nothing was waited for. `rounds`: of the run.
std::string waits_html(const std::vector<WaitsBetween>&, double rounds);

}  // namespace symma
