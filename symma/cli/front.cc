#include "symma/cli/front.h"

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "symma/cli/commands.h"
#include "symma/cli/program.h"
#include "symma/core/errors.h"
#include "symma/core/record.h"

namespace symma {
namespace {

using Words = std::vector<std::string>;
using Answers = std::span<const Answer>;

// What was made of these words while the program was built.
std::optional<std::string_view> answer(Answers answers, std::string_view words) {
  for (const Answer& a : answers) {
    if (a.words == words) return a.text;
  }
  return std::nullopt;
}

std::string joined(const Words& words) {
  std::string out;
  for (const auto& w : words) out += (out.empty() ? "" : " ") + (w == "-h" ? "--help" : w);
  return out;
}

void add_light_commands(CLI::App& app, Answers answers) {
  add_compare(app);
  add_report(app);
  add_list(
      app, [=] { return parse_json(*answer(answers, "list --json")); },
      [=] { return parse_json(*answer(answers, "list --schema")); });
#ifdef SYMMA_WATCH
  add_watch(app);
#endif
}

// Whether one of the commands above is called. What --load brings is listed too, and only the engine can load
// it.
bool is_light(const Words& words, Answers answers) {
  CLI::App app;
  add_light_commands(app, answers);
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
int become_engine(char** argv, const std::string& installed) {
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  std::string engine = here / "symma-engine";
  if (::access(engine.c_str(), F_OK) != 0) engine = (here / installed).lexically_normal();
  // OpenBLAS: its workers begin as it is loaded and wait in a loop, for nothing: operations are serial
  // (core/parallel.cc).
  ::setenv("OPENBLAS_NUM_THREADS", "1", 1);
  ::execv(engine.c_str(), argv);
  throw UserError(engine, std::string("cannot be run: ") + std::strerror(errno),
                  "symma needs it for this command; build or install both programs");
}

}  // namespace

int run_front(int argc, char** argv, Answers answers, const std::string& engine) {
  const Words words(argv + std::min(argc, 1), argv + argc);
  if (const auto text = answer(answers, joined(words))) {
    if (std::fwrite(text->data(), 1, text->size(), stdout) < text->size())
      throw std::system_error(errno, std::generic_category());
    return 0;
  }
  if (!is_light(words, answers)) return become_engine(argv, engine);
  return run_command(argc, argv, {[=](CLI::App& app) { add_light_commands(app, answers); }});
}

}  // namespace symma
