#include "symma/core/registry.h"

#include <mutex>

namespace symma {

std::map<std::string, std::map<std::string, PartInfo>>& catalog() {
  static std::map<std::string, std::map<std::string, PartInfo>> parts;
  return parts;
}

void* only_one(const std::type_info& type, void* (*make)()) {
  // Never taken down: parts that other libraries registered are looked up until the end.
  static auto& all = *new std::map<std::string, void*>;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  void*& one = all[type.name()];
  if (!one) one = make();
  return one;
}

void enter(std::string_view kind, std::string_view name, std::string_view summary, std::string_view source,
           const FieldsLook& look_at) {
  PartInfo& part = catalog()[std::string(kind)][std::string(name)];
  part.name = name, part.summary = summary, part.source = source;
  part.options = [look_at] {
    Json out;
    look_at([&](const Fields& f) { out = describe(f); });
    return out;
  };
  part.option_names = [look_at] {
    std::vector<std::string> out;
    look_at([&](const Fields& f) { out = names_of(f); });
    return out;
  };
}

std::vector<std::string> names_of(const Fields& fields) {
  std::vector<std::string> out;
  for (const auto& f : fields.list()) out.push_back(f.name);
  return out;
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
