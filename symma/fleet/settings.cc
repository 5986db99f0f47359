#include "symma/fleet/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "symma/core/errors.h"

namespace symma {
namespace {

template <class Options>
auto fields_of(Options& options) {
  return [&options](Fields& f) { options.fields(f); };
}

// The names of the options of all parts of a kind.
void add_options_of_all(const std::string& kind, std::vector<std::string>& names) {
  if (kind.empty()) return;
  for (const auto& [name, part] : catalog()[kind]) {
    const auto more = part.option_names();
    names.insert(names.end(), more.begin(), more.end());
  }
}

Fields all_fields(const Section& section) {
  Fields fields;
  if (section.own) section.own(fields);
  if (section.part) section.part->fields(fields);
  if (section.listed)
    for (Nested* part : section.listed()) part->fields(fields);
  return fields;
}

void choose_parts(const Section& section, const Config& config) {
  if (section.present) *section.present = config.has(section.name, section.key);
  if (section.part)
    section.part->choose(config.word(section.name, section.key, section.part->kind()),
                         config.place(section.name, section.key));
  if (!section.choose_listed) return;
  Fields own;
  section.own(own);
  config.read(section.name, own, {}, config.keys(section.name));
  section.choose_listed(config);
}

// What stands in a section and is an option of parts of its kind, but of none that is chosen.
struct Stray {
  std::string key;
  std::vector<std::string> of;  // those parts
};

std::vector<Stray> strays(const Section& section, const Config& config) {
  std::vector<std::string> known = names_of(all_fields(section));
  known.push_back(section.key);
  std::vector<Stray> out;
  for (const auto& key : config.keys(section.name)) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    Stray one{key, {}};
    for (const auto& kind : {section.part_kind, section.list_kind}) {
      if (kind.empty()) continue;
      for (const auto& [name, part] : catalog()[kind]) {
        const auto theirs = part.option_names();
        if (std::find(theirs.begin(), theirs.end(), key) != theirs.end()) one.of.push_back(name);
      }
    }
    if (!one.of.empty()) out.push_back(one);
  }
  return out;
}

// "is an option of ippo, mappo and 3 others, not of maml"
std::string stray_words(const Stray& stray, const Section& section) {
  constexpr size_t kNamed = 3;
  std::string of;
  for (size_t i = 0; i < stray.of.size() && i < kNamed; ++i)
    of += (i == 0 ? "" : i + 1 == stray.of.size() ? " and " : ", ") + stray.of[i];
  if (stray.of.size() > kNamed) {
    const size_t more = stray.of.size() - kNamed;
    of += fmt::format(" and {} other{}", more, more == 1 ? "" : "s");
  }
  return fmt::format("is an option of {}, not of {}", of, section.part->kind());
}

// One file serves to compare parts with --set: what another part would read may stand in its section. What is
// laid over the file is asked for here and now, so it must be an option of what is chosen.
void read_section(const Section& section, const Config& config, std::vector<std::string> others,
                  std::vector<std::string>& let_lie) {
  choose_parts(section, config);
  std::vector<std::string> let_be;
  const Fields fields = all_fields(section);
  if (section.part) {
    others.push_back(section.key);
    for (const Stray& stray : strays(section, config)) {
      const std::string place = config.place(section.name, stray.key), words = stray_words(stray, section);
      if (config.laid(section.name, stray.key)) {
        const auto names = names_of(fields);
        throw UserError(place, words, names.empty() ? "leave it out" : suggestion(stray.key, names));
      }
      // The file's own choice is to be told of; where another was laid over it, the file is for several.
      if (!config.laid(section.name, section.key))
        let_lie.push_back(fmt::format("{} {}; it is not looked at", place, words));
      let_be.push_back(stray.key);
    }
  }
  config.read(section.name, fields, others, let_be);
}

// The schema of a section: what it may hold at all, and for each part that can be chosen what its options may
// be.
Json section_schema(const Section& section) {
  Json properties = Json::object();
  if (section.own) {
    Fields own;
    section.own(own);
    properties = schema(own);
  }
  Json out{{"type", "object"}};
  if (!section.doc.empty()) out["description"] = section.doc;
  std::vector<std::string> names;
  add_options_of_all(section.part_kind, names);
  add_options_of_all(section.list_kind, names);
  for (const auto& name : names)
    if (!properties.contains(name)) properties[name] = Json::object();
  if (section.part) {
    Json choices = Json::array(), cases = Json::array();
    for (const auto& [name, part] : catalog()[section.part_kind]) {
      choices.push_back({{"const", name}, {"description", part.summary}});
      Json theirs = Json::object();
      for (const auto& option : part.options()) theirs[option["name"].get<std::string>()] = option["schema"];
      Json chosen{{"properties", {{section.key, {{"const", name}}}}}};
      if (name != section.part->kind()) chosen["required"] = {section.key};
      if (!theirs.empty()) cases.push_back({{"if", chosen}, {"then", {{"properties", theirs}}}});
    }
    properties[section.key] = {{"oneOf", choices}, {"default", section.part->kind()}};
    if (!cases.empty()) out["allOf"] = cases;
  }
  out["properties"] = properties;
  out["additionalProperties"] = false;
  return out;
}

}  // namespace

std::vector<Section> sections(Settings& s) {
  ChosenParts& c = s.chosen;
  ExchangeSettings& x = s.sharing;
  return {
      {"", "the fleet", fields_of(s.fleet), "", "", nullptr},
      {"task", "what agents learn", nullptr, "kind", "TaskFamily", &c.task},
      {"model", "the network that a row holds", nullptr, "kind", "Model", &c.model},
      {"learner", "how agents learn", nullptr, "kind", "Learner", &c.learner},
      {"population", "population-based training", fields_of(s.population), "", "", nullptr},
      {"exchange", "who talks to whom, and when", fields_of(x.options), "topology", "Topology", &c.topology},
      {"aggregator", "how rows that come together are combined", fields_of(x.aggregation), "kind",
       "Aggregator", &c.aggregator, nullptr, "PreAggregator",
       [&c, &x](const Config& config) {
         c.before.clear();
         for (const auto& name : x.aggregation.before) {
           Choice<PreAggregatorRegistry> one("clipping");
           one.choose(name, config.place("aggregator", "before"));
           c.before.push_back(one);
         }
       },
       [&c] {
         std::vector<Nested*> parts;
         for (auto& one : c.before) parts.push_back(&one);
         return parts;
       }},
      {"compression", "how messages are made smaller", fields_of(x.compression), "kind", "Compressor",
       &c.compressor},
      {"server", "of the topology with a server", fields_of(x.server), "", "", nullptr},
      {"faults", "hostile agents, and messages that get lost", fields_of(x.faults), "kind", "Attack",
       &c.attack},
      {"privacy", "what noise protects", fields_of(x.privacy), "", "", nullptr},
      {"rival", "a script that is judged on the same worlds, or plays some of the players",
       fields_of(s.rival), "kind", "Script", &c.rival, &c.has_rival},
      {"eval", "what agents are judged on", fields_of(s.eval), "", "", nullptr},
  };
}

Settings Settings::read(const Config& config) {
  Settings s;
  const std::vector<Section> all = sections(s);
  std::vector<std::string> names;
  for (const auto& section : all)
    if (!section.name.empty()) names.push_back(section.name);
  for (const char* of_others :
       {"sweep", "transport"})  // read by those who run one (fleet/sweep.h, placement.h)
    names.emplace_back(of_others);
  // What is no section of an experiment is told before what is missing in one.
  read_section(all.front(), config, names, s.let_lie);
  for (const auto& name : names) config.check_section(name);
  if (config.word("task", "kind", "").empty())
    throw UserError(config.place("task", "kind"), "is missing",
                    suggestion("", TaskFamilyRegistry::instance().names()));
  for (const auto& section : all)
    if (!section.name.empty()) read_section(section, config, {}, s.let_lie);
  // A file's name may be any bytes; what goes by it is UTF-8.
  if (s.fleet.name.empty())
    s.fleet.name = Json::parse(Json(std::filesystem::path(config.file()).stem().string())
                                   .dump(-1, ' ', false, Json::error_handler_t::replace));
  s.write_down();
  return s;
}

std::vector<std::string> of_other_parts(const Config& config) {
  Settings s;
  std::vector<std::string> out;
  for (const auto& section : sections(s)) {
    if (!section.part) continue;
    choose_parts(section, config);
    for (const Stray& stray : strays(section, config))
      if (config.laid(section.name, stray.key)) out.push_back(section.name + "." + stray.key);
  }
  return out;
}

void Settings::write_down() {
  toml.clear();
  settings = Json::object();
  for (const Section& section : sections(*this)) {
    if (section.present && !*section.present) continue;
    const Fields fields = all_fields(section);
    Json table = Json::object();
    if (!section.name.empty()) toml += fmt::format("\n[{}]\n", section.name);
    if (section.key == "kind") {
      table["kind"] = section.part->kind();
      toml += fmt::format("kind = {}\n", table["kind"].dump());
    }
    toml += to_toml(fields);
    for (const auto& f : fields.list()) table[f.name] = f.value();
    settings[section.name] = table;
  }
}

Json experiment_schema() {
  Settings s;
  Json out, properties;
  for (const auto& section : sections(s)) {
    if (section.name.empty())
      out = section_schema(section), properties = out["properties"];
    else
      properties[section.name] = section_schema(section);
  }
  out["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  out["title"] = "an experiment of symma";
  out["properties"] = properties;
  out["required"] = {"task"};
  return out;
}

}  // namespace symma
