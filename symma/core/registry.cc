#include "symma/core/registry.h"

namespace symma {

std::map<std::string, std::map<std::string, PartInfo>>& catalog() {
  static std::map<std::string, std::map<std::string, PartInfo>> parts;
  return parts;
}

Json describe(const Fields& fields) {
  Json out = Json::array();
  for (const auto& f : fields.list()) {
    auto* const* nested = std::get_if<Nested*>(&f.target);  // its options are listed as its own kind's
    const Json value = nested ? Json((*nested)->kind()) : f.value();
    out.push_back(
        {{"name", f.name}, {"default", value}, {"doc", f.doc}, {"range", f.range()}, {"schema", f.schema()}});
  }
  return out;
}

}  // namespace symma
