#include "symma/transports/entrance.h"

#include <algorithm>
#include <set>

#include "symma/core/record.h"
#include "symma/transports/sockets.h"

namespace symma {
namespace {

constexpr size_t kMostHello = size_t{1} << 20;

Bytes bytes_of(const Json& json) {
  const std::string text = json.dump();
  return {text.begin(), text.end()};
}

Json json_of(const Bytes& bytes) {
  return parse_json(std::string(bytes.begin(), bytes.end()));
}

std::string text_at(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_string() ? it->get<std::string>() : "";
}

// Throws what JSON does, or out_of_range, where it makes no sense.
FleetTable table_of(const Json& told) {
  FleetTable out{told.at("place").get<int64_t>(),
                 told.at("parts").get<std::vector<std::vector<int64_t>>>(),
                 told.at("where").get<std::vector<std::string>>(),
                 {},
                 told.at("lives").get<std::vector<int64_t>>(),
                 told.at("entry").get<std::string>()};
  for (const auto& text : told.at("keys").get<std::vector<std::string>>()) {
    const auto key = key_of(text);
    if (!key) throw std::out_of_range("keys");
    out.keys.push_back(*key);
  }
  std::set<int64_t> ids;
  for (const auto& part : out.parts) ids.insert(part.begin(), part.end());
  if (out.keys.size() != out.parts.size() || out.lives.size() != out.parts.size() ||
      out.where.size() != out.parts.size() || ids.empty() || *ids.begin() != 0 ||
      *ids.rbegin() >= static_cast<int64_t>(ids.size()))
    throw std::out_of_range("parts");
  return out;
}

}  // namespace

Bytes bytes_of(const Hello& h) {
  return bytes_of(Json{{"address", h.address}, {"agents", h.agents}, {"time", h.time}, {"about", h.about}});
}

Bytes bytes_of(const FleetTable& t) {
  std::vector<std::string> keys;
  for (const Key& k : t.keys) keys.push_back(text_of(k));
  return bytes_of(Json{{"place", t.place},
                       {"parts", t.parts},
                       {"where", t.where},
                       {"keys", keys},
                       {"lives", t.lives},
                       {"entry", t.entry}});
}

Bytes bytes_of(const Refusal& r) {
  return bytes_of(Json{{"no", r.why}, {"remedy", r.remedy}, {"later", r.later}});
}

std::optional<Hello> hello_of(const Bytes& bytes) {
  if (bytes.size() > kMostHello) return std::nullopt;
  const Json said = json_of(bytes);
  if (!said.is_object()) return std::nullopt;
  Hello out{text_at(said, "address"), 0, {}, text_at(said, "about")};
  const auto time = said.find("time"), agents = said.find("agents");
  if (!is_address(out.address) || time == said.end() || !time->is_number_integer()) return std::nullopt;
  out.time = time->get<int64_t>();
  const auto whole = [](const Json& id) { return id.is_number_integer(); };
  if (agents != said.end() && agents->is_array() && std::all_of(agents->begin(), agents->end(), whole))
    out.agents = agents->get<std::vector<int64_t>>();
  return out;
}

std::optional<std::variant<FleetTable, Refusal>> answer_of(const Bytes& bytes) {
  const Json told = json_of(bytes);
  if (!told.is_object()) return std::nullopt;
  const auto later = told.find("later");
  if (told.contains("no") && told["no"].is_string())
    return Refusal{told["no"].get<std::string>(), text_at(told, "remedy"),
                   later != told.end() && later->is_boolean() && later->get<bool>()};
  try {
    return table_of(told);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace symma
