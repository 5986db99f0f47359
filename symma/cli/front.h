// What the program does by itself, and how it becomes the engine's.
#pragma once

#include <span>
#include <string>

#include "symma/cli/answers.h"

namespace symma {

// Pages and tables of runs, the list of parts, and whatever `answers` has are done here. For all else this
// process becomes the engine's program, with the same words: beside this one where it was built, at `engine`
// from here where it is installed. Refuses where that cannot be run.
int run_front(int argc, char** argv, std::span<const Answer> answers, const std::string& engine);

}  // namespace symma
