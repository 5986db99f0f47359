// symma: many agents that learn how to learn, and share what they have learned.
//
// The program itself holds what needs no tensors, and no libtorch, which takes half a second of processor
// time to load: pages and tables of runs, the list of parts, help. For all else it becomes the engine's
// program, with the same words, in the same process.
#include <CLI/CLI.hpp>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "symma/cli/answers.h"
#include "symma/cli/commands.h"
#include "symma/cli/program.h"
#include "symma/core/errors.h"
#include "symma/core/record.h"

namespace symma {
namespace {

using Words = std::vector<std::string>;

// What was made of these words while the program was built.
std::optional<std::string_view> answer(std::string_view words) {
  for (const Answer& a : kAnswers) {
    if (a.words == words) return a.text;
  }
  return std::nullopt;
}

std::string joined(const Words& words) {
  std::string out;
  for (const auto& w : words) out += (out.empty() ? "" : " ") + (w == "-h" ? "--help" : w);
  return out;
}

void add_light_commands(CLI::App& app) {
  add_compare(app);
  add_report(app);
  add_list(
      app, [] { return parse_json(*answer("list --json")); },
      [] { return parse_json(*answer("list --schema")); });
#ifdef SYMMA_WATCH
  add_watch(app);
#endif
}

// Whether one of the commands above is called. What --load brings is listed too, and only the engine can load
// it.
bool is_light(const Words& words) {
  CLI::App app;
  add_light_commands(app);
  const auto has = [&](const std::string& name) {
    return !app.get_subcommands([&](const CLI::App* c) { return c->get_name() == name; }).empty();
  };
  for (const auto& w : words) {
    if (w == "--load" || w.starts_with("--load=")) return false;
  }
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--threads")
      ++i;  // and its value
    else if (!words[i].starts_with('-'))
      return has(words[i]);
  }
  return false;
}

// Beside this program where it was built, and in a folder of its own where it is installed.
int become_engine(char** argv) {
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  std::string engine = here / "symma-engine";
  if (::access(engine.c_str(), F_OK) != 0) engine = (here / SYMMA_ENGINE).lexically_normal();
  ::execv(engine.c_str(), argv);
  throw UserError(engine, std::string("cannot be run: ") + std::strerror(errno),
                  "symma needs it for this command; build or install both programs");
}

int run(int argc, char** argv) {
  const Words words(argv + std::min(argc, 1), argv + argc);
  if (const auto text = answer(joined(words))) {
    if (std::fwrite(text->data(), 1, text->size(), stdout) < text->size())
      throw std::system_error(errno, std::generic_category());
    return 0;
  }
  return is_light(words) ? run_command(argc, argv, {add_light_commands}) : become_engine(argv);
}

}  // namespace
}  // namespace symma

int main(int argc, char** argv) {
  return symma::run_guarded([&] { return symma::run(argc, argv); });
}
