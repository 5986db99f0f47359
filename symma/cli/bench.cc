// symma bench [NAME]: how fast this machine is at symma's work, each beside a yardstick of the machine's own.
#include <fmt/format.h>

#include "symma/bench/bench.h"
#include "symma/cli/commands.h"
#include "symma/core/errors.h"
#include "symma/core/record.h"

namespace symma {
namespace {

// "40,40" is a list where the option is one; what is no JSON is a word.
Json value_of(const Field& field, const std::string& text) {
  const bool list = field.value().is_array();
  const std::string whole = list && !text.starts_with('[') ? "[" + text + "]" : text;
  const Json parsed = parse_json(whole);
  return parsed.is_discarded() || std::holds_alternative<std::string*>(field.target) ? Json(text) : parsed;
}

std::string flag_of(const Field& field) {
  std::string flag = "--" + field.name;
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

struct Chosen {
  std::map<std::string, std::string> settings;  // option -> what was given for it
};

std::unique_ptr<Benchmark> build(const std::string& name, const Chosen& chosen) {
  const std::string place = "symma bench " + name;
  const auto draft = BenchmarkRegistry::instance().draft(name, place);
  Fields fields;
  draft->fields(fields);
  Json settings = Json::object();
  for (const auto& f : fields.list()) {
    if (const auto it = chosen.settings.find(f.name); it != chosen.settings.end())
      settings[f.name] = value_of(f, it->second);
  }
  Config::of(settings, place).read("", fields);
  return draft->build();
}

std::string show(const Json& x) {
  if (!x.is_number_float()) return x.is_string() ? x.get<std::string>() : x.dump();
  const double v = x.get<double>();
  return v >= 1000 ? fmt::format("{:.0f}", v) : fmt::format("{:.3g}", v);
}

void print_table(const std::string& name, const std::string& work, const Json& result) {
  fmt::print("{}: {}\n", name, work);
  for (const auto& [key, value] : result.items()) fmt::print("  {:<22} {:>12}\n", key, show(value));
}

}  // namespace

void add_bench(CLI::App& app) {
  auto* c = app.add_subcommand("bench", "how fast symma's work runs here, beside the machine's own rates");
  auto json = std::make_shared<bool>(false);
  c->add_flag("--json", *json, "as JSON");
  auto times = std::make_shared<int64_t>(0);
  c->add_option("--times", *times, "the work so often, and no yardstick: for counting instructions")
      ->check(CLI::PositiveNumber);
  c->require_subcommand(0, 1);
  const auto names = BenchmarkRegistry::instance().names();
  for (const auto& name : names) {
    auto chosen = std::make_shared<Chosen>();
    auto* one = c->add_subcommand(name, catalog()["Benchmark"][name].summary);
    const auto draft = BenchmarkRegistry::instance().draft(name, "symma bench");
    Fields fields;
    draft->fields(fields);
    for (const auto& f : fields.list()) {
      const std::string key = f.name;
      one->add_option_function<std::string>(
             flag_of(f), [chosen, key](const std::string& text) { chosen->settings[key] = text; }, f.doc)
          ->default_str(f.value().dump());
    }
    one->callback([chosen, name, json, times] {
      count_work(*times);
      const auto bench = build(name, *chosen);
      const Json result = bench->measure();
      if (*json)
        fmt::print("{}\n", result.dump());
      else
        print_table(name, bench->work(), result);
    });
  }
  c->callback([c, names, json] {
    if (!c->get_subcommands().empty()) return;
    Json all = Json::object();
    for (const auto& name : names) {
      const auto bench = build(name, {});
      all[name] = bench->measure();
      if (!*json) print_table(name, bench->work(), all[name]);
    }
    if (*json) fmt::print("{}\n", all.dump());
  });
}

}  // namespace symma
