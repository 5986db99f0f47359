// The program: a command line in, an exit status out.
//
// 0: done. 2: refused, with one line on standard error that says what is wrong and what to do. 128 + n:
// stopped by signal n, after saving (141: whoever read its output had enough). 1: a fault of ours.
#pragma once

#include <string>

namespace symma {

int run_program(int argc, char** argv);

// One line of at most `most` bytes: control characters and bytes that are no UTF-8 become '?', a longer text
// loses its middle.
std::string one_line(const std::string& text, size_t most = 600);

}  // namespace symma
