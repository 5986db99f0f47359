// The texts of answers.h, as the engine's parser and registry have them.
#pragma once

#include <string>

namespace symma {

// As a C++ source that defines kAnswers. A file that says the same keeps its time.
void write_answers(const std::string& path);

}  // namespace symma
