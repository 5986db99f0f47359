#include "symma/cli/file_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "symma/core/csv.h"
#include "symma/core/errors.h"
#include "symma/core/registry.h"

namespace symma {
namespace {

constexpr size_t kWidth = 100;

// A range is not broken into lines.
constexpr char kBlank = '\x01';

std::string words_of(const Json& option) {
  auto range = option["range"].get<std::string>();
  std::replace(range.begin(), range.end(), ' ', kBlank);
  return option["doc"].get<std::string>() + (range.empty() ? "" : " (" + range + ")");
}

// A setting with its reason behind it, or above it where both are too long for a line.
std::string explained(const std::string& line, const std::string& why) {
  if (why.empty()) return line + "\n";
  const bool fits = line.find('\n') == std::string::npos && line.size() + why.size() + 4 <= kWidth;
  return fits ? fmt::format("{}  # {}\n", line, why) : comment(why) + line + "\n";
}

std::string section_text(const SectionText& s) {
  std::string out;
  if (!s.name.empty()) out += fmt::format("\n[{}]\n", s.name);
  if (!s.note.empty()) out += comment(s.note);
  if (!s.part.empty()) out += fmt::format("kind = {}\n", toml_string(s.part));
  const Json options = s.part.empty() ? Json::array() : catalog()[s.part_kind][s.part].options();
  const auto doc = [&](const std::string& name) -> std::string {
    for (const auto& o : options)
      if (o["name"] == name) return words_of(o);
    return "";
  };
  for (const auto& one : s.set)
    out += explained(fmt::format("{} = {}", one.name, one.value), one.why.empty() ? doc(one.name) : one.why);
  bool first = true;
  for (const auto& o : options) {
    const auto name = o["name"].get<std::string>();
    const auto is_set = [&](const Setting& one) { return one.name == name; };
    if (std::any_of(s.set.begin(), s.set.end(), is_set) ||
        std::find(s.apart.begin(), s.apart.end(), name) != s.apart.end())
      continue;
    if (first) out += "# At their defaults:\n";
    first = false;
    out += explained(fmt::format("#{} = {}", name, o["default"].dump()), words_of(o));
  }
  std::replace(out.begin(), out.end(), kBlank, ' ');
  return out;
}

}  // namespace

std::string comment(const std::string& words) {
  std::string out, line = "#";
  std::istringstream in(words);
  for (std::string word; in >> word;) {
    if (line.size() + 1 + word.size() > kWidth && line != "#") {
      out += line + "\n";
      line = "#";
    }
    line += " " + word;
  }
  return out + line + "\n";
}

std::string toml_string(const std::string& text) {
  std::string out;
  try {
    out = Json(text).dump();
  } catch (const Json::type_error&) {
    throw UserError(shown(text), "is a name that is no UTF-8, which an experiment file cannot hold",
                    "rename it");
  }
  // What JSON leaves as it is, and TOML does not.
  for (size_t at = 0; (at = out.find('\x7f', at)) != std::string::npos;) out.replace(at, 1, "\\u007f");
  return out;
}

std::string toml_list(const std::vector<std::string>& texts) {
  std::string out = "[", line;
  bool broken = false;
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string one = toml_string(texts[i]) + (i + 1 < texts.size() ? ", " : "");
    if (line.size() + one.size() > kWidth - 20) {
      while (line.ends_with(' ')) line.pop_back();
      out += "\n  " + line;
      line.clear();
      broken = true;
    }
    line += one;
  }
  return broken ? out + "\n  " + line + "\n]" : out + line + "]";
}

std::string file_text(const std::string& title, const std::vector<SectionText>& sections) {
  std::string out = title;
  for (const auto& s : sections) out += section_text(s);
  return out;
}

}  // namespace symma
