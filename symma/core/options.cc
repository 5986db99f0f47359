#include "symma/core/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <cstring>
#include <filesystem>
#include <system_error>

#include "symma/core/errors.h"
#include "symma/core/files.h"

namespace symma {
namespace {

std::string join(const std::string& section, const std::string& key) {
  return section.empty() ? key : section + "." + key;
}

Json to_json(const toml::node& node, const std::string& path, const std::string& file,
             std::map<std::string, std::string>& origin) {
  if (!path.empty()) origin[path] = fmt::format("{}:{}", file, node.source().begin.line);
  if (auto* table = node.as_table()) {
    Json out = Json::object();
    for (auto&& [key, value] : *table) {
      const std::string name(key.str());
      out[name] = to_json(value, join(path, name), file, origin);
    }
    return out;
  }
  if (auto* array = node.as_array()) {
    Json out = Json::array();
    for (auto&& item : *array) out.push_back(to_json(item, "", file, origin));
    return out;
  }
  if (auto v = node.as_integer()) return v->get();
  if (auto v = node.as_floating_point()) return v->get();
  if (auto v = node.as_boolean()) return v->get();
  if (auto v = node.as_string()) return v->get();
  throw UserError(fmt::format("{}:{}", file, node.source().begin.line),
                  "a date or time is not a setting here", "");
}

const char* type_name(const Json& v) {
  if (v.is_number_integer()) return "an integer";
  if (v.is_number()) return "a number";
  if (v.is_string()) return "a string";
  if (v.is_boolean()) return "a boolean";
  if (v.is_array()) return "a list";
  return "a section";
}

std::string format_number(double x) {
  if (std::isinf(x)) return x > 0 ? "inf" : "-inf";
  return fmt::format("{}", x);
}

// Reading one value; each throws the wanted type's name on a mismatch.
struct Mismatch {
  const char* wanted;
};
void take(const Json& v, bool& out) {
  if (!v.is_boolean()) throw Mismatch{"true or false"};
  out = v.get<bool>();
}
void take(const Json& v, int64_t& out) {
  if (!v.is_number_integer()) throw Mismatch{"an integer"};
  out = v.get<int64_t>();
}
void take(const Json& v, double& out) {
  if (!v.is_number()) throw Mismatch{"a number"};
  out = v.get<double>();
}
void take(const Json& v, std::string& out) {
  if (!v.is_string()) throw Mismatch{"a string in quotes"};
  // Names of files end there.
  if (v.get_ref<const std::string&>().find('\0') != std::string::npos)
    throw Mismatch{"a string without a zero character"};
  out = v.get<std::string>();
}
template <class T>
void take_list(const Json& v, std::vector<T>& out, const char* wanted) {
  if (!v.is_array()) throw Mismatch{wanted};
  std::vector<T> items;
  for (const auto& item : v) {
    T one{};
    try {
      take(item, one);
    } catch (const Mismatch&) {
      throw Mismatch{wanted};
    }
    items.push_back(one);
  }
  out = std::move(items);
}
void take(const Json& v, std::vector<double>& out) {
  take_list(v, out, "a list of numbers");
}
void take(const Json& v, std::vector<int64_t>& out) {
  take_list(v, out, "a list of integers");
}
void take(const Json& v, std::vector<std::string>& out) {
  take_list(v, out, "a list of strings");
}
void take(const Json& v, Pairs& out) {
  const char* wanted = "a list of pairs such as [[0, 1], [1, 2]]";
  if (!v.is_array()) throw Mismatch{wanted};
  Pairs pairs;
  for (const auto& item : v) {
    if (!item.is_array() || item.size() != 2 || !item[0].is_number_integer() || !item[1].is_number_integer())
      throw Mismatch{wanted};
    pairs.push_back({item[0].get<int64_t>(), item[1].get<int64_t>()});
  }
  out = std::move(pairs);
}

void take(const Json&, Nested&) {}  // read as a section of its own

std::vector<double> numbers(const Json& v) {
  std::vector<double> out;
  if (v.is_number()) out.push_back(v.get<double>());
  if (v.is_array()) {
    for (const auto& item : v) {
      for (double x : numbers(item)) out.push_back(x);
    }
  }
  return out;
}

// JSON's escapes are TOML's, which also wants U+007F escaped.
std::string toml_string(const Json& v) {
  std::string out;
  for (const char c : v.dump(-1, ' ', false, Json::error_handler_t::replace)) {
    if (c == '\x7f')
      out += "\\u007F";
    else
      out += c;
  }
  return out;
}

std::string toml_value(const Json& v) {
  if (v.is_array()) {
    std::vector<std::string> items;
    for (const auto& item : v) items.push_back(toml_value(item));
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
  if (v.is_object()) {
    std::vector<std::string> items;
    for (const auto& [key, value] : v.items()) items.push_back(key + " = " + toml_value(value));
    return fmt::format("{{ {} }}", fmt::join(items, ", "));
  }
  if (v.is_number_float()) {
    const double x = v.get<double>();
    if (!std::isfinite(x)) return std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf";
    std::string s = fmt::format("{}", x);
    return s.find_first_of(".e") == std::string::npos ? s + ".0" : s;
  }
  return v.is_string() ? toml_string(v) : v.dump();
}

}  // namespace

Json Field::value() const {
  if (auto* const* nested = std::get_if<Nested*>(&target)) {
    Json out{{"kind", (*nested)->kind()}};
    Fields theirs;
    (*nested)->fields(theirs);
    for (const auto& f : theirs.list()) out[f.name] = f.value();
    return out;
  }
  return std::visit(
      [](auto* t) {
        if constexpr (std::is_same_v<decltype(t), Nested*>)
          return Json();
        else
          return Json(*t);
      },
      target);
}

std::string Field::range() const {
  if (!choices.empty()) return fmt::format("one of {}", fmt::join(choices, ", "));
  const bool has_low = std::isfinite(low), has_high = std::isfinite(high);
  if (has_low && has_high) {
    return fmt::format("in {}{}, {}{}", low_open ? '(' : '[', format_number(low), format_number(high),
                       high_open ? ')' : ']');
  }
  if (has_low) return fmt::format("{} {}", low_open ? ">" : ">=", format_number(low));
  if (has_high) return fmt::format("{} {}", high_open ? "<" : "<=", format_number(high));
  return "";
}

namespace {

Json type_schema(const Field& f) {
  struct Of {
    Json operator()(bool*) const { return {{"type", "boolean"}}; }
    Json operator()(int64_t*) const { return {{"type", "integer"}}; }
    Json operator()(double*) const { return {{"type", "number"}}; }
    Json operator()(std::string*) const { return {{"type", "string"}}; }
    Json operator()(std::vector<double>*) const { return list({{"type", "number"}}); }
    Json operator()(std::vector<int64_t>*) const { return list({{"type", "integer"}}); }
    Json operator()(std::vector<std::string>*) const { return list({{"type", "string"}}); }
    Json operator()(Pairs*) const {
      return list({{"type", "array"}, {"items", {{"type", "integer"}}}, {"minItems", 2}, {"maxItems", 2}});
    }
    Json operator()(Nested* nested) const {
      const std::string now = nested->kind();
      Json branches = Json::array({{{"enum", nested->kinds()}}});
      // A part may hold one of its own kind, so what is nested deeper is not looked into.
      static thread_local int depth = 0;
      if (depth > 0) {
        branches.push_back({{"type", "object"}});
        return {{"anyOf", branches}};
      }
      ++depth;
      for (const auto& kind : nested->kinds()) {
        nested->choose(kind, kind);
        Fields theirs;
        nested->fields(theirs);
        Json properties{{"kind", {{"const", kind}}}};
        properties.update(symma::schema(theirs));
        Json branch{{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
        if (kind != now) branch["required"] = {"kind"};
        branches.push_back(branch);
      }
      --depth;
      nested->choose(now, now);
      return {{"anyOf", branches}};
    }
    static Json list(const Json& items) { return {{"type", "array"}, {"items", items}}; }
  };
  return std::visit(Of(), f.target);
}

// The parser makes a table within a table of each part of a dotted key, and what is nested is walked by
// recursion. The line of the first key of more parts than any of ours; 0 where there is none.
int line_of_deep_key(const std::string& text) {
  constexpr int kMostParts = 16;
  int line = 1, dots = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '#') {
      while (i + 1 < text.size() && text[i + 1] != '\n') ++i;
    } else if (c == '"' || c == '\'') {
      const std::string three(3, c);
      const bool longer = text.compare(i, 3, three) == 0;
      size_t end = longer ? i + 3 : i + 1;
      while (end < text.size() &&
             (longer ? text.compare(end, 3, three) != 0 : text[end] != c && text[end] != '\n'))
        end += c == '"' && text[end] == '\\' ? 2 : 1;
      end = std::min(end + (longer ? 2 : 0), text.size());
      for (; i < end; ++i) line += text[i] == '\n';
      if (!longer && i < text.size() && text[i] == '\n') --i;  // a string that does not end on its line
    } else if (c == '.') {
      if (++dots >= kMostParts) return line;
    } else if (c == '\n') {
      ++line, dots = 0;
    } else if (std::strchr("=,[]{}", c)) {
      dots = 0;
    }
  }
  return 0;
}

void refuse_deep_keys(const std::string& text, const std::string& name) {
  if (const int line = line_of_deep_key(text))
    throw UserError(fmt::format("{}:{}", name, line), "a key of very many parts", "write section.key");
}

}  // namespace

Json Field::schema() const {
  Json out = type_schema(*this);
  // Bounds hold for every number of a list.
  Json* numbers = &out;
  while (numbers->value("type", "") == "array") numbers = &(*numbers)["items"];
  if (std::isfinite(low)) (*numbers)[low_open ? "exclusiveMinimum" : "minimum"] = low;
  if (std::isfinite(high)) (*numbers)[high_open ? "exclusiveMaximum" : "maximum"] = high;
  if (!choices.empty()) (*numbers)["enum"] = choices;
  out["description"] = doc;
  out["default"] = value();
  return out;
}

Json schema(const Fields& fields) {
  Json out = Json::object();
  for (const auto& f : fields.list()) out[f.name] = f.schema();
  return out;
}

Config Config::parse(const std::string& text, const std::string& name) {
  constexpr size_t kMostBytes = 16 << 20;
  if (text.size() > kMostBytes)
    throw UserError(name, "is larger than 16 MB", "name an experiment file, *.toml");
  refuse_deep_keys(text, name);
  auto result = toml::parse(text, name);
  if (!result) {
    const auto& e = result.error();
    throw UserError(fmt::format("{}:{}", name, e.source().begin.line),
                    fmt::format("not TOML: {}", e.description()), "see https://toml.io");
  }
  Config config;
  config.file_ = name;
  config.tree_ = to_json(result.table(), "", name, config.origin_);
  return config;
}

Config Config::of(const Json& settings, const std::string& name) {
  Config config;
  config.file_ = name;
  if (!settings.is_null()) config.tree_ = settings;
  return config;
}

Config Config::load(const std::string& path) {
  std::error_code ec;
  if (std::filesystem::is_directory(path, ec))
    throw UserError(path, "is a folder", "name an experiment file, *.toml");
  if (!std::filesystem::exists(path, ec) && (!ec || ec == std::errc::no_such_file_or_directory))
    throw UserError(path, "no such file", "see examples/ for experiment files");
  return parse(read_file(path), path);
}

void Config::set(const std::string& assignment) {
  const auto eq = assignment.find('=');
  const std::string where = "--set " + assignment;
  if (eq == std::string::npos || eq == 0)
    throw UserError(where, "is not key=value", "for example --set learner.inner_lr=0.1");
  const std::string path = assignment.substr(0, eq), text = assignment.substr(eq + 1);
  try {
    (void)Json(assignment).dump();
  } catch (const Json::exception&) {
    throw UserError("--set", "is no UTF-8", "write the setting in UTF-8");
  }
  refuse_deep_keys(path, where);
  refuse_deep_keys("value = " + text, where);
  auto result = toml::parse("value = " + text);
  Json value;
  std::map<std::string, std::string> ignored;
  if (result) {
    value = to_json(*result.table().get("value"), "", where, ignored);
  } else {
    value = text;
  }
  Json* at = &tree_;
  std::string rest = path;
  for (size_t dot; (dot = rest.find('.')) != std::string::npos; rest = rest.substr(dot + 1)) {
    at = &(*at)[rest.substr(0, dot)];
    if (!at->is_object() && !at->is_null())
      throw UserError(where, "names a key inside a value", "write section.key=value");
  }
  (*at)[rest] = value;
  origin_[path] = "--set";
}

void Config::lay(const Json& settings, const std::string& origin) {
  lay_over(tree_, settings, "", origin);
}

void Config::lay_over(Json& at, const Json& settings, const std::string& path, const std::string& origin) {
  for (const auto& [key, value] : settings.items()) {
    const std::string here = join(path, key);
    origin_[here] = origin;
    // A section is laid key by key; where a value was, or a kind's name alone, it takes its place.
    if (value.is_object() && at.contains(key) && at[key].is_object())
      lay_over(at[key], value, here, origin);
    else
      at[key] = value;
  }
}

const Json* Config::table(const std::string& section) const {
  const Json* at = &tree_;
  for (std::string rest = section; !rest.empty();) {
    const auto dot = rest.find('.');
    const std::string name = rest.substr(0, dot);
    if (!at->is_object() || !at->contains(name)) return nullptr;
    at = &at->at(name);
    rest = dot == std::string::npos ? "" : rest.substr(dot + 1);
  }
  return at;
}

void Config::read_nested(const std::string& section, const std::string& name, const Json& v,
                         Nested& part) const {
  const std::string where = place(section, name);
  const Json kind = v.is_object() ? (v.contains("kind") ? v.at("kind") : Json(part.kind())) : v;
  if (!kind.is_string()) {
    throw UserError(where, fmt::format("{} is {}", kind.dump(), type_name(kind)),
                    fmt::format("write {} = {{ kind = \"{}\" }}", name, part.kind()));
  }
  part.choose(kind.get<std::string>(), v.is_object() ? place(join(section, name), "kind") : where);
  if (!v.is_object()) return;
  Fields theirs;
  part.fields(theirs);
  read(join(section, name), theirs, {"kind"});
}

void Config::read(const std::string& section, const Fields& fields,
                  const std::vector<std::string>& others) const {
  const Json* found = this->table(section);
  if (!found) return;
  const Json& table = *found;
  if (!table.is_object()) throw UserError(place("", section), "is not a section", "write [" + section + "]");
  std::vector<std::string> known;
  for (const auto& f : fields.list()) known.push_back(f.name);
  known.insert(known.end(), others.begin(), others.end());
  for (const auto& [key, value] : table.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw UserError(place(section, key), value.is_object() ? "unknown section" : "unknown key",
                      suggestion(key, known));
    }
  }
  for (const auto& f : fields.list()) {
    if (!table.contains(f.name)) continue;
    const Json& v = table.at(f.name);
    const std::string where = place(section, f.name);
    if (auto* const* nested = std::get_if<Nested*>(&f.target)) {
      read_nested(section, f.name, v, **nested);
      continue;
    }
    try {
      std::visit([&](auto* target) { take(v, *target); }, f.target);
    } catch (const Mismatch& m) {
      throw UserError(where, fmt::format("{} is {}", v.dump(), type_name(v)),
                      fmt::format("write {}", m.wanted));
    }
    // Sizes are added and multiplied: without a bound of its own, a whole number is at most what 32 bits
    // hold.
    const bool whole =
        std::holds_alternative<int64_t*>(f.target) || std::holds_alternative<std::vector<int64_t>*>(f.target);
    constexpr double kMostWhole = 2147483647;
    const bool bounded = whole && std::isinf(f.high) && f.name != "seed";
    for (double x : numbers(v)) {
      if (bounded && std::abs(x) > kMostWhole)
        throw UserError(where, fmt::format("{} is out of range", v.is_number() ? v.dump() : format_number(x)),
                        fmt::format("must be at most {:.0f}", kMostWhole));
      const bool good = (f.low_open ? x > f.low : x >= f.low) && (f.high_open ? x < f.high : x <= f.high);
      if (!good)
        throw UserError(where, fmt::format("{} is out of range", format_number(x)),
                        "must be " + (f.range().empty() ? "a finite number" : f.range()));
    }
    if (!f.choices.empty()) {
      const auto word = v.get<std::string>();
      if (std::find(f.choices.begin(), f.choices.end(), word) == f.choices.end()) {
        throw UserError(where, fmt::format("\"{}\" is not known", word), suggestion(word, f.choices));
      }
    }
  }
}

std::string Config::word(const std::string& section, const std::string& key,
                         const std::string& fallback) const {
  if (!has(section, key)) return fallback;
  const Json& v = table(section)->at(key);
  if (!v.is_string())
    throw UserError(place(section, key), fmt::format("{} is {}", v.dump(), type_name(v)),
                    "write a string in quotes");
  return v.get<std::string>();
}

bool Config::has(const std::string& section, const std::string& key) const {
  const Json* t = table(section);
  return t && t->is_object() && t->contains(key);
}

std::string Config::place(const std::string& section, const std::string& key) const {
  const auto it = origin_.find(join(section, key));
  const std::string origin = it == origin_.end() ? file_ : it->second;
  return section.empty() ? fmt::format("{}: {}", origin, key)
                         : fmt::format("{}: [{}] {}", origin, section, key);
}

std::string to_toml(const Fields& fields) {
  std::string out;
  for (const auto& f : fields.list()) {
    const std::string range = f.range();
    out += fmt::format("{} = {}  # {}{}\n", f.name, toml_value(f.value()), f.doc,
                       range.empty() ? "" : " (" + range + ")");
  }
  return out;
}

}  // namespace symma
