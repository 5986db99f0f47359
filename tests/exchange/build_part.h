// Parts by name with some options set, for tests.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <variant>

#include "symma/core/options.h"

namespace symma {

using Settings = std::map<std::string, std::variant<bool, double, int64_t, std::string>>;

template <class Reg>
auto built(const std::string& name, const Settings& settings = {}) {
  auto draft = Reg::instance().draft(name, "test");
  Fields fields;
  draft->fields(fields);
  for (const auto& [key, value] : settings) {
    bool found = false;
    for (const Field& f : fields.list()) {
      if (f.name != key) continue;
      found = true;
      std::visit([&](const auto& v) { *std::get<std::decay_t<decltype(v)>*>(f.target) = v; }, value);
    }
    if (!found) throw std::runtime_error("no option " + key);
  }
  return draft->build();
}

}  // namespace symma
