// Options: what a person sets in an experiment file, read into plain structs.
//
// A part describes its options once, in `fields`. From that come reading with errors that name the place, the
// file with every default filled in, `symma list` and the docs table:
//
//   struct Options {
//     double inner_lr = 0.01;
//     void fields(Fields& f) { f.add("inner_lr", inner_lr, "step size of the inner loop").above(0); }
//   };
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

namespace symma {

using Json = nlohmann::ordered_json;
using Pairs = std::vector<std::array<int64_t, 2>>;

class Fields;

// A part within a part: which one, and its own options. In a file it is a table with a `kind`, or the kind
// alone where its options stay as they are. `Choice` in registry.h is one.
class Nested {
 public:
  virtual ~Nested() = default;
  virtual std::string kind() const = 0;
  virtual std::vector<std::string> kinds() const = 0;  // all that can be chosen
  // Takes the part called `kind`, its options at their defaults. Throws UserError for an unknown one.
  virtual void choose(const std::string& kind, const std::string& place) = 0;
  virtual void fields(Fields&) = 0;
};

struct Field {
  using Target = std::variant<bool*, int64_t*, double*, std::string*, std::vector<double>*,
                              std::vector<int64_t>*, std::vector<std::string>*, Pairs*, Nested*>;
  std::string name;
  Target target;
  std::string doc;
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false, high_open = false;
  // What an option of a task says: what its tasks are, only what is seen of them, or which of them one meets.
  enum class Says { kTask, kView, kAnswer } says = Says::kTask;
  std::vector<std::string> choices;

  // Bounds hold for every number of a list.
  Field& at_least(double x) {
    low = x, low_open = false;
    return *this;
  }
  Field& at_most(double x) {
    high = x, high_open = false;
    return *this;
  }
  Field& above(double x) {
    low = x, low_open = true;
    return *this;
  }
  Field& below(double x) {
    high = x, high_open = true;
    return *this;
  }
  Field& one_of(std::vector<std::string> words) {
    choices = std::move(words);
    return *this;
  }

  // Tasks stay the same ones, however it is set.
  Field& of_what_is_seen() {
    says = Says::kView;
    return *this;
  }
  // The same, and who has it set knows its task: a bound for those who find out.
  Field& tells_the_task() {
    says = Says::kAnswer;
    return *this;
  }

  Json value() const;         // what the target holds now
  std::string range() const;  // "> 0", "one of a, b", or ""
  Json schema() const;        // what may stand there, as JSON Schema (2020-12)
};

class Fields {
 public:
  template <class T>
  Field& add(std::string_view name, T& target, std::string_view doc) {
    return add_target(name, &target, doc);
  }
  const std::vector<Field>& list() const { return list_; }

 private:
  Field& add_target(std::string_view name, Field::Target target, std::string_view doc);

  std::vector<Field> list_;
};

// A TOML file, or several settings laid over one, with the line that each key came from.
class Config {
 public:
  // Throws UserError where the file cannot be read or is not TOML.
  static Config load(const std::string& path);
  static Config parse(const std::string& text, const std::string& name);
  // Settings that are there already; `name` stands for the file in messages.
  static Config of(const Json& settings, const std::string& name);

  // Lays "learner.inner_lr=0.1" over what is there. The value is TOML; a bare word is taken as a string.
  void set(const std::string& assignment, const std::string& origin = "--set");
  // Lays settings over what is there, section by section. `origin` names where they come from, for messages.
  void lay(const Json& settings, const std::string& origin);

  // Reads the section ("" is the top of the file) into the fields. Throws UserError for an unknown key, a
  // wrong type or a value out of range. `others` are keys and sections that are read elsewhere; what is
  // `let_be` may stand there too, and is not proposed in place of a slip. A section within a section is
  // "task.world".
  void read(const std::string& section, const Fields& fields, const std::vector<std::string>& others = {},
            const std::vector<std::string>& let_be = {}) const;

  // The string at section.key, or `fallback` where it is absent.
  std::string word(const std::string& section, const std::string& key, const std::string& fallback) const;
  // The same of whole numbers.
  int64_t whole(const std::string& section, const std::string& key, int64_t fallback) const;
  bool has(const std::string& section, const std::string& key) const;
  // Throws UserError where something else stands in a section's place.
  void check_section(const std::string& section) const;
  // The keys that stand in a section; none where there is none.
  std::vector<std::string> keys(const std::string& section) const;
  // Whether it was laid over the file, by `set` or `lay`, and does not stand in it.
  bool laid(const std::string& section, const std::string& key) const;

  // "file.toml:12: [learner] inner_lr", for messages.
  std::string place(const std::string& section, const std::string& key) const;
  const std::string& file() const { return file_; }

 private:
  const Json* table(const std::string& section) const;  // null where there is none
  void lay_over(Json& at, const Json& settings, const std::string& path, const std::string& origin);
  void mark(const std::string& path, const Json& value, const std::string& origin);
  void read_nested(const std::string& section, const std::string& name, const Json& value, Nested&) const;

  std::string file_;
  Json tree_ = Json::object();
  std::map<std::string, std::string> origin_;  // "learner.inner_lr" -> "file.toml:12"
  std::set<std::string> laid_;                 // those that were laid over the file
};

// The fields' values, as they are written down, without those that do not say what tasks are.
Json of_the_task(Json values, const Fields& fields);
// Whether something is set, there or in what is nested, that tells which task one meets.
bool tells_the_task(const Fields& fields);

// What may stand in a section of these fields: the "properties" of its JSON Schema.
Json schema(const Fields& fields);

// The fields as lines of TOML, with their docs as comments.
std::string to_toml(const Fields& fields);

}  // namespace symma
