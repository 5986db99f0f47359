#include "symma/fleet/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <map>
#include <set>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/rng.h"
#include "symma/fleet/folder.h"
#include "symma/fleet/settings.h"

namespace symma {
namespace {

constexpr const char* kRemedy = "write for example seed=1..5 or exchange.topology=none,ring,full";
constexpr size_t kMostRuns = 10000;

std::string trimmed(const std::string& s) {
  const size_t from = s.find_first_not_of(" \t"), to = s.find_last_not_of(" \t");
  return from == std::string::npos ? "" : s.substr(from, to - from + 1);
}

// At the commas that stand in no brackets and no quotes.
std::vector<std::string> parts_of(const std::string& text) {
  std::vector<std::string> out(1);
  int depth = 0;
  char quote = 0;
  for (const char c : text) {
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',' && depth == 0) {
      out.emplace_back();
      continue;
    }
    out.back() += c;
  }
  for (auto& part : out) part = trimmed(part);
  return out;
}

bool whole(const std::string& s, int64_t* to) {
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), *to);
  return error == std::errc() && end == s.data() + s.size() && !s.empty();
}

// A text as it stands in a folder's name.
std::string word_of(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) || std::strchr("._-+", c))
      out += c;
    else if (c == ',' || c == '/')
      out += '-';
  }
  if (out.empty() || out.starts_with('.')) out = "_" + out;
  return out;
}

// A value as it stands in a folder's name. Where that is not the whole of it, two values may read the same,
// so a hash of the setting follows: a name says which run it is, whatever else the sweep goes over.
std::string word_of_value(const std::string& key, const std::string& value) {
  constexpr size_t kLongest = 40;
  const std::string word = word_of(value);
  if (word == value && word.size() <= kLongest) return word;
  const std::string hash = fmt::format("-{:010x}", Rng(0).split(key + "=" + value).key() >> 24);
  return word.substr(0, kLongest - hash.size()) + hash;
}

Config of_run(const Config& file, const std::vector<std::string>& common,
              const std::vector<std::string>& own) {
  return laid_over(laid_over(file, common), own, "--over");
}

std::string key_of(const std::string& setting) {
  return setting.substr(0, setting.find('='));
}

}  // namespace

Axis read_axis(const std::string& text) {
  const std::string place = "--over " + text;
  const size_t at = text.find('=');
  if (at == std::string::npos || trimmed(text.substr(0, at)).empty())
    throw UserError(place, "is not key=value,value,...", kRemedy);
  Axis axis{trimmed(text.substr(0, at)), {}};
  for (const auto& part : parts_of(text.substr(at + 1))) {
    if (part.empty()) throw UserError(place, "has an empty value", kRemedy);
    const size_t dots = part.find("..");
    int64_t from = 0, to = 0;
    if (dots != std::string::npos && whole(part.substr(0, dots), &from) &&
        whole(part.substr(dots + 2), &to)) {
      if (to < from) throw UserError(place, fmt::format("{} comes after {}", from, to), kRemedy);
      if (to - from >= static_cast<int64_t>(kMostRuns))
        throw UserError(place, fmt::format("has {} values", to - from + 1), "ask for fewer");
      for (int64_t x = from; x <= to; ++x) axis.values.push_back(std::to_string(x));
    } else {
      axis.values.push_back(part);
    }
  }
  std::set<std::string> distinct(axis.values.begin(), axis.values.end());
  if (distinct.size() < axis.values.size()) throw UserError(place, "has a value twice", "name each once");
  return axis;
}

std::vector<Combination> combinations(std::vector<Axis> axes) {
  std::stable_partition(axes.begin(), axes.end(), [](const Axis& a) { return a.key != "seed"; });
  std::map<std::string, int> keys, endings;
  size_t count = 1;
  const auto ending = [](const std::string& key) { return key.substr(key.rfind('.') + 1); };
  for (const auto& a : axes) {
    if (++keys[a.key] > 1) throw UserError("--over " + a.key, "comes twice", "name each setting once");
    ++endings[ending(a.key)];
    count *= a.values.size();
    if (count > kMostRuns)
      throw UserError("symma sweep", fmt::format("more than {} runs", kMostRuns), "ask for fewer values");
  }
  std::vector<Combination> out;
  for (size_t i = 0; i < count; ++i) {
    Combination c;
    size_t rest = i, below = count;
    for (const auto& a : axes) {
      below /= a.values.size();
      const std::string& value = a.values[rest / below];
      rest %= below;
      c.settings.push_back(a.key + "=" + value);
      const Json parsed = Json::parse(value, nullptr, false);
      c.values[a.key] = parsed.is_discarded() ? Json(value) : parsed;
      const std::string key = endings[ending(a.key)] > 1 ? word_of(a.key) : word_of(ending(a.key));
      c.name += (c.name.empty() ? "" : ",") + key + "=" + word_of_value(a.key, value);
    }
    if (c.name.empty()) c.name = "run";
    out.push_back(c);
  }
  return out;
}

Config laid_over(Config file, const std::vector<std::string>& settings, const std::string& origin) {
  for (const auto& s : settings) file.set(s, origin);
  return file;
}

std::vector<std::string> fitting(const Config& file, const std::vector<std::string>& common,
                                 const std::vector<std::string>& own) {
  std::vector<std::string> amiss, out;
  try {
    amiss = of_other_parts(of_run(file, common, own));
  } catch (const UserError&) {
    return common;  // whatever is wrong with it, its run says
  }
  for (const auto& s : common)
    if (std::find(amiss.begin(), amiss.end(), key_of(s)) == amiss.end()) out.push_back(s);
  return out;
}

std::vector<std::vector<std::string>> fitting_each(const Config& file, const std::vector<std::string>& common,
                                                   const std::vector<Combination>& all) {
  std::vector<std::vector<std::string>> out;
  std::set<std::string> used;
  for (const auto& c : all) {
    const auto& fit = out.emplace_back(fitting(file, common, c.settings));
    used.insert(fit.begin(), fit.end());
    const Config one = of_run(file, fit, c.settings);
    try {
      if (of_other_parts(one).empty()) continue;
    } catch (const UserError&) {
      continue;
    }
    (void)Settings::read(one);
  }
  const auto idle = [&](const std::string& s) { return !used.contains(s); };
  if (std::any_of(common.begin(), common.end(), idle))
    (void)Settings::read(of_run(file, common, all.front().settings));
  return out;
}

std::string other_settings(const std::string& folder, const Config& asked) {
  const Json has = Settings::read(Config::load(in_folder(folder, "experiment.toml"))).settings;
  Json wants = Settings::read(asked).settings;
  // A run's own file says what `auto` stood for.
  if (wants["privacy"]["adjacency"] == "auto") wants["privacy"]["adjacency"] = has["privacy"]["adjacency"];
  if (has == wants) return "";
  if (const Json& old = has[""]["rounds"], &now = wants[""]["rounds"]; old != now)
    return fmt::format("rounds: {}, and {} is asked for", old.dump(), now.dump());
  const std::string differs = first_difference(has, wants);
  return differs.empty() ? "a section that is not asked for" : differs;
}

}  // namespace symma
