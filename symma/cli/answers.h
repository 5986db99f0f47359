// What the program answers without the engine. Loading libtorch takes half a second of processor time, so
// what the engine's parser and registry would print is kept, as texts that write_answers.cc writes while the
// program is built.
#pragma once

#include <span>
#include <string_view>

namespace symma {

struct Answer {
  std::string_view words, text;  // "train --help", and what it prints
};

// Help of every command, version, completions, the manual page; "list --json" and "list --schema".
extern const std::span<const Answer> kAnswers;

}  // namespace symma
