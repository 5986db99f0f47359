// symma list [KIND]: every part with its options, defaults and source, from the registry; and the schema of
// experiment files.
#include <fmt/format.h>

#include <algorithm>

#include "symma/cli/commands.h"
#include "symma/core/errors.h"
#include "symma/core/registry.h"
#include "symma/fleet/settings.h"

namespace symma {
namespace {

std::string value(const Json& v) {
  return v.dump();
}

std::string as_text(const std::string& kind, const PartInfo& part) {
  std::string out = fmt::format("{} {}\n  {}\n  source: {}\n", kind, part.name, part.summary, part.source);
  for (const auto& o : part.options()) {
    const auto range = o["range"].get<std::string>();
    out += fmt::format("    {:<20} {:<16} {}{}\n", o["name"].get<std::string>(), value(o["default"]),
                       o["doc"].get<std::string>(), range.empty() ? "" : " (" + range + ")");
  }
  return out + "\n";
}

std::string as_markdown(const PartInfo& part) {
  std::string out = fmt::format("### `{}`\n\n{}. Source: {}.\n\n", part.name, part.summary, part.source);
  const Json options = part.options();
  if (options.empty()) return out;
  out += "| option | default | meaning |\n|---|---|---|\n";
  for (const auto& o : options) {
    const auto range = o["range"].get<std::string>();
    out += fmt::format("| `{}` | `{}` | {}{} |\n", o["name"].get<std::string>(), value(o["default"]),
                       o["doc"].get<std::string>(), range.empty() ? "" : " (" + range + ")");
  }
  return out + "\n";
}

void run_list(const std::string& only, bool json, bool markdown) {
  std::vector<std::string> kinds;
  for (const auto& [kind, parts] : catalog()) kinds.push_back(kind);
  // A part by its name, of whatever kind it is.
  std::vector<std::string> parts_named;
  for (const auto& [kind, parts] : catalog()) {
    for (const auto& [name, part] : parts) {
      kinds.push_back(name);
      if (name == only) parts_named.push_back(kind);
    }
  }
  if (!only.empty() && !catalog().contains(only) && parts_named.empty())
    throw UserError("symma list " + only, "no such part or kind of part", suggestion(only, kinds));
  Json all = Json::object();
  if (markdown) fmt::print("# Parts\n\nMade by `symma list --markdown`.\n\n");
  for (const auto& [kind, parts] : catalog()) {
    const bool named = std::find(parts_named.begin(), parts_named.end(), kind) != parts_named.end();
    if (!only.empty() && kind != only && !named) continue;
    if (markdown) fmt::print("## {}\n\n", kind);
    for (const auto& [name, part] : parts) {
      if (named && name != only) continue;
      if (json)
        all[kind].push_back({{"name", name},
                             {"summary", part.summary},
                             {"source", part.source},
                             {"options", part.options()}});
      else
        fmt::print("{}", markdown ? as_markdown(part) : as_text(kind, part));
    }
  }
  if (json) fmt::print("{}\n", all.dump(1));
}

}  // namespace

void add_list(CLI::App& app) {
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
  c->callback([a] {
    if (a->schema)
      fmt::print("{}\n", experiment_schema().dump(1));
    else
      run_list(a->kind, a->json, a->markdown);
  });
}

}  // namespace symma
