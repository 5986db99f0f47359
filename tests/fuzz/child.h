// One command of the program, in a process of its own: how it ended, and whether that is as the house has it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace fuzz {

namespace fs = std::filesystem;

struct Ending {
  int code = -1, signal = 0;  // exit status, or the signal that ended it
  bool asked = false;         // it ran long and was asked to stop, by SIGTERM
  bool hung = false;          // and did not
  double seconds = 0;         // of processor time
  double megabytes = 0;       // the most that it held
  std::string said;           // on standard error
};

// Runs `arguments` in `folder`, in a copy of this process: libtorch is loaded once. After `patience` seconds
// of processor time (or three times that on the clock) it is sent SIGTERM, after twice that it is killed.
Ending run(const std::vector<std::string>& arguments, const fs::path& folder, double patience);

// What is wrong with an ending; "" where nothing is. Right are exit 0, and exit 2 with one line of ours as
// the last on standard error; 143 where it was asked to stop. `long_is_wrong`: it must end by itself.
std::string fault(const Ending&, bool long_is_wrong);

}  // namespace fuzz
