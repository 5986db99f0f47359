#include "symma/cli/write_answers.h"

#include <CLI/CLI.hpp>

#include <string>

#include "symma/cli/commands.h"
#include "symma/cli/engine.h"
#include "symma/cli/program.h"
#include "symma/core/files.h"
#include "symma/core/version.h"
#include "symma/fleet/settings.h"

namespace symma {
namespace {

std::string entry(const std::string& words, const std::string& text) {
  // A literal in pieces: compilers need not take one of more than 65,536 bytes.
  std::string out = "    {\"" + words + "\",\n";
  for (size_t at = 0; at == 0 || at < text.size(); at += 8192)
    out += "R\"symma~(" + text.substr(at, 8192) + ")symma~\"\n";
  return out + "\"\"sv},\n";
}

void add_help(const CLI::App& app, const std::string& above, std::string& out) {
  const std::string name = above.empty() ? "" : above + " ";
  for (const auto* c : app.get_subcommands([](const CLI::App*) { return true; })) {
    out += entry(name + c->get_name() + " --help", c->help("symma" + (above.empty() ? "" : " " + above)));
    add_help(*c, name + c->get_name(), out);
  }
}

}  // namespace

void write_answers(const std::string& path) {
  CLI::App app;
  make_parser(app, every_command());
  std::string all = entry("--help", app.help()) + entry("--version", SYMMA_VERSION "\n");
  add_help(app, "", all);
  for (const char* shell : {"bash", "zsh", "fish"})
    all += entry(std::string("completion ") + shell, completion(app, shell));
  all += entry("man", man_page(app));
  all += entry("list --json", parts_of_registry().dump(1) + "\n");
  all += entry("list --schema", experiment_schema().dump(1) + "\n");
  const std::string source =
      "// Written by write_answers.cc.\n#include \"symma/cli/answers.h\"\n\nusing namespace "
      "std::literals;\n\nnamespace "
      "symma {\nnamespace {\n\nconst Answer kAll[] = {\n" +
      all +
      "};\n\n}  // namespace\n\nconst std::span<const Answer> kAnswers = kAll;\n\n}  // namespace symma\n";
  // What is as it was keeps its time, so that nothing is compiled again for it.
  if (!is_there(path) || read_file(path) != source) write_file(path, source);
}

}  // namespace symma
