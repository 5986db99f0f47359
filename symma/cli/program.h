// The program: a command line in, an exit status out.
//
// 0: done. 2: refused, with one line on standard error that says what is wrong and what to do. 128 + n:
// stopped by signal n, after saving (141: whoever read its output had enough). 1: a fault of ours.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace symma {

// What a program does, with whatever it throws told in one line, and its output delivered.
int run_guarded(const std::function<int()>& act);

struct Commands {
  std::function<void(CLI::App&)> add;  // adds each to the parser
  // What goes before whichever is chosen: how many threads (0: all), and the libraries of --load.
  std::function<void(int threads, const std::vector<std::string>& libraries)> begin = {};
};

// All of them, as the engine has them.
Commands every_command();

// Runs the one that the words name; the second as a whole program does.
int run_command(int argc, char** argv, const Commands&);
int run_program(int argc, char** argv, const Commands&);

// Makes a new parser one of these commands, and of what they share.
void make_parser(CLI::App&, const Commands&);

// One line of at most `most` bytes: control characters and bytes that are no UTF-8 become '?', a longer text
// loses its middle.
std::string one_line(const std::string& text, size_t most = 600);

}  // namespace symma
