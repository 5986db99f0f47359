// symma completion SHELL, symma man: made of the parser, so that they know every command and option.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "symma/cli/commands.h"
#include "symma/core/errors.h"
#include "symma/core/version.h"

namespace symma {
namespace {

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  std::vector<const CLI::App*> out;
  for (const auto* c : app.get_subcommands([](const CLI::App*) { return true; })) out.push_back(c);
  return out;
}

std::vector<std::string> flags_of(const CLI::App& c) {
  std::vector<std::string> out;
  for (const auto* o : c.get_options()) {
    for (const auto& name : o->get_lnames()) out.push_back("--" + name);
  }
  return out;
}

std::string bash(const CLI::App& app) {
  std::vector<std::string> names;
  std::string cases;
  for (const auto* c : commands_of(app)) {
    names.push_back(c->get_name());
    cases += fmt::format("    {}) words=\"{}\" ;;\n", c->get_name(), fmt::join(flags_of(*c), " "));
  }
  return fmt::format(R"(# bash completion of symma; load it with: source <(symma completion bash)
_symma() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" command="" words="" word
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$word" in -*) ;; *) command="$word"; break ;; esac
  done
  case "$command" in
    "") words="{} {}" ;;
{}  esac
  case "$current" in
    -*) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current") ;;
    *) if [ -z "$command" ]; then mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current");
       else mapfile -t COMPREPLY < <(compgen -f -- "$current"); fi ;;
  esac
}}
complete -o filenames -F _symma symma
)",
                     fmt::join(names, " "), fmt::join(flags_of(app), " "), cases);
}

std::string zsh(const CLI::App& app) {
  const auto escaped = [](const std::string& s) {
    std::string out;
    for (char c : s) {
      if (c == ':' || c == '[' || c == ']' || c == '\\') out += '\\';
      out += c;
    }
    return out;
  };
  std::string list, cases;
  for (const auto* c : commands_of(app)) {
    list += fmt::format("    {}\n", quoted(c->get_name() + ":" + escaped(c->get_description())));
    cases += fmt::format("    {}) _arguments", c->get_name());
    for (const auto* o : c->get_options())
      for (const auto& name : o->get_lnames())
        cases += fmt::format(" \\\n        {}",
                             quoted(fmt::format("--{}[{}]{}", name, escaped(o->get_description()),
                                                o->get_items_expected_max() > 0 ? ": :_files" : "")));
    cases += " \\\n        '*: :_files' ;;\n";
  }
  return fmt::format(
      "#compdef symma\n# zsh completion of symma; put it as _symma into a folder of $fpath\n_symma() {{\n"
      "  local -a commands\n  commands=(\n{}  )\n  if (( CURRENT == 2 )); then _describe 'command' commands; "
      "return; fi\n"
      "  local command=\"$words[2]\"\n  shift words; (( CURRENT-- ))\n  case \"$command\" in\n{}  "
      "esac\n}}\n_symma \"$@\"\n",
      list, cases);
}

std::string fish(const CLI::App& app) {
  std::string out = "# fish completion of symma; put it as symma.fish into ~/.config/fish/completions\n";
  for (const auto* c : commands_of(app)) {
    out += fmt::format("complete -c symma -n __fish_use_subcommand -f -a {} -d {}\n", c->get_name(),
                       quoted(c->get_description()));
    for (const auto* o : c->get_options())
      for (const auto& name : o->get_lnames())
        out += fmt::format("complete -c symma -n '__fish_seen_subcommand_from {}' -l {}{} -d {}\n",
                           c->get_name(), name, o->get_items_expected_max() > 0 ? " -r" : "",
                           quoted(o->get_description()));
  }
  return out;
}

std::string roff(const std::string& s) {
  std::string out;
  for (char c : s) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

}  // namespace

std::string man_page(const CLI::App& app) {
  std::string out = fmt::format(
      ".TH SYMMA 1 \"\" \"symma {}\"\n.SH NAME\nsymma \\- {}\n.SH SYNOPSIS\n.B symma\n.I "
      "command\n[options]\n",
      SYMMA_VERSION, roff("many agents that learn how to learn, and share what they have learned"));
  out += ".SH COMMANDS\n";
  for (const auto* c : commands_of(app)) {
    out += fmt::format(".SS symma {}", c->get_name());
    for (const auto* o : c->get_options())
      if (o->get_positional()) out += fmt::format(" {}", roff(o->get_name()));
    out += fmt::format("\n{}.\n", roff(c->get_description()));
    for (const auto* o : c->get_options()) {
      const std::string name =
          o->get_positional() ? o->get_name() : fmt::format("{}", fmt::join(o->get_lnames(), ", --"));
      out += fmt::format(".TP\n.B {}{}\n{}\n", o->get_positional() ? "" : "\\-\\-", roff(name),
                         roff(o->get_description()));
    }
  }
  out +=
      ".SH EXIT STATUS\n0 where all went well, 2 where what was asked could not be done, with one line that "
      "says why.\n";
  return out + ".SH SEE ALSO\ndocs/README.md of the source.\n";
}

std::string completion(const CLI::App& app, const std::string& shell) {
  return shell == "bash" ? bash(app) : shell == "zsh" ? zsh(app) : fish(app);
}

void add_completion(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  auto* c = app.add_subcommand("completion", "completion of commands and options, for bash, zsh or fish");
  c->add_option("shell", *shell, "bash, zsh or fish")->required();
  c->callback([shell, &app] {
    if (*shell != "bash" && *shell != "zsh" && *shell != "fish")
      throw UserError("symma completion " + *shell, "no such shell is known",
                      suggestion(*shell, {"bash", "zsh", "fish"}));
    fmt::print("{}", completion(app, *shell));
  });
  auto* m = app.add_subcommand("man", "the manual page, for man -l");
  m->callback([&app] { fmt::print("{}", man_page(app)); });
}

}  // namespace symma
