// The program's commands: each adds itself to the command line and runs when chosen.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <string>
#include <vector>

#include "symma/core/options.h"

namespace symma {

// Thrown by a command that a signal ended in order: the program exits with 128 + signal, as shells have it.
struct Stopped {
  int signal;
};

void add_train(CLI::App&);
void add_eval(CLI::App&);
void add_adapt(CLI::App&);
void add_export(CLI::App&);
void add_compare(CLI::App&);
void add_report(CLI::App&);
// `parts` as `symma list --json` has them; `schema` of experiment files.
void add_list(CLI::App&, std::function<Json()> parts, std::function<Json()> schema);
void add_bench(CLI::App&);
void add_sweep(CLI::App&);
void add_scorecard(CLI::App&);
void add_watch(CLI::App&);  // where cpp-httplib was there to build it
void add_init(CLI::App&);
void add_play(CLI::App&);
void add_completion(CLI::App&);
void add_replay(CLI::App&);
void add_key(CLI::App&);
void add_join(CLI::App&);

// As `symma completion SHELL` and `symma man` print them, of whatever the parser knows.
std::string completion(const CLI::App&, const std::string& shell);
std::string man_page(const CLI::App&);

// A word of a command, in quotes where a shell would read it otherwise.
std::string shell_word(const std::string&);
std::string quoted(const std::string&);  // always in quotes

// " of 7 homes", of an object that has "groups" and "group_word"; "" of one that has not.
std::string groups_words(const Json&);

// "after   mean ± 95%   median   quartiles" and a line for each agent, from a summary's "eval".
std::string eval_table(const Json& eval, const Json& shares);

}  // namespace symma
