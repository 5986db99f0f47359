// symma list [KIND]: every part with its options, defaults and source; and the schema of experiment files.
#include <fmt/format.h>

#include <algorithm>

#include "symma/cli/commands.h"
#include "symma/core/errors.h"

namespace symma {
namespace {

std::string word(const Json& part, const char* key) {
  return part[key].get<std::string>();
}

std::string meaning(const Json& option) {
  const std::string range = word(option, "range");
  return word(option, "doc") + (range.empty() ? "" : " (" + range + ")");
}

std::string as_text(const std::string& kind, const Json& part) {
  std::string out = fmt::format("{} {}\n  {}\n  source: {}\n", kind, word(part, "name"),
                                word(part, "summary"), word(part, "source"));
  for (const auto& o : part["options"])
    out += fmt::format("    {:<20} {:<16} {}\n", word(o, "name"), o["default"].dump(), meaning(o));
  return out + "\n";
}

std::string as_markdown(const Json& part) {
  std::string out = fmt::format("### `{}`\n\n{}. Source: {}.\n\n", word(part, "name"), word(part, "summary"),
                                word(part, "source"));
  if (part["options"].empty()) return out;
  out += "| option | default | meaning |\n|---|---|---|\n";
  for (const auto& o : part["options"])
    out += fmt::format("| `{}` | `{}` | {} |\n", word(o, "name"), o["default"].dump(), meaning(o));
  return out + "\n";
}

void run_list(const Json& all, const std::string& only, bool json, bool markdown) {
  std::vector<std::string> known;
  for (const auto& [kind, parts] : all.items()) known.push_back(kind);
  // A part by its name, of whatever kind it is.
  std::vector<std::string> of_kinds;
  for (const auto& [kind, parts] : all.items()) {
    for (const auto& part : parts) {
      known.push_back(word(part, "name"));
      if (word(part, "name") == only) of_kinds.push_back(kind);
    }
  }
  if (!only.empty() && !all.contains(only) && of_kinds.empty())
    throw UserError("symma list " + only, "no such part or kind of part", suggestion(only, known));
  Json shown = Json::object();
  if (markdown) fmt::print("# Parts\n\nMade by `symma list --markdown`.\n\n");
  for (const auto& [kind, parts] : all.items()) {
    const bool named = std::find(of_kinds.begin(), of_kinds.end(), kind) != of_kinds.end();
    if (!only.empty() && kind != only && !named) continue;
    if (markdown) fmt::print("## {}\n\n", kind);
    for (const auto& part : parts) {
      if (named && word(part, "name") != only) continue;
      if (json)
        shown[kind].push_back(part);
      else
        fmt::print("{}", markdown ? as_markdown(part) : as_text(kind, part));
    }
  }
  if (json) fmt::print("{}\n", shown.dump(1));
}

}  // namespace

void add_list(CLI::App& app, std::function<Json()> parts, std::function<Json()> schema) {
  struct Arguments {
    std::string kind;
    bool json = false, markdown = false, schema = false;
  };
  auto a = std::make_shared<Arguments>();
  auto* c = app.add_subcommand("list", "every part, with its options, defaults and source");
  c->add_option("kind", a->kind, "only this kind, such as Learner, or this part, such as maml");
  c->add_flag("--json", a->json, "as JSON");
  c->add_flag("--markdown", a->markdown, "as Markdown");
  c->add_flag("--schema", a->schema, "the JSON Schema of experiment files, for editors");
  c->callback([a, parts, schema] {
    if (a->schema)
      fmt::print("{}\n", schema().dump(1));
    else
      run_list(parts(), a->kind, a->json, a->markdown);
  });
}

}  // namespace symma
