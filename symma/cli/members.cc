#include "symma/cli/members.h"

#include <fmt/format.h>

#include "symma/cli/commands.h"
#include "symma/cli/processes.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/record.h"
#include "symma/core/safetensors.h"
#include "symma/core/version.h"
#include "symma/fleet/roster.h"
#include "symma/transports/members.h"

namespace symma {

Json about(const Experiment& e, const std::string& run) {
  return {{"symma", SYMMA_VERSION}, {"settings", e.settings}, {"run", run}};
}

std::optional<std::pair<std::string, std::string>> differ(const Json& fleet, const Json& other) {
  if (!other.is_object() || !other.contains("settings") || !other["settings"].is_object() ||
      other.value("symma", Json()) != fleet.at("symma"))
    return std::pair("it is of symma " + fleet.at("symma").get<std::string>() + ", and this is of another",
                     "install the same version");
  Json ours = fleet.at("settings"), theirs = other["settings"];
  for (Json* one : {&ours, &theirs})
    for (const char* key : {"name", "description"})
      if (one->contains("") && (*one)[""].is_object()) (*one)[""].erase(key);
  if (ours != theirs) {
    std::string what = first_difference(ours, theirs);
    if (what.empty() && theirs.contains("") && theirs[""].is_object())
      what = fmt::format("rounds: {}, and {} is asked for", ours[""]["rounds"].dump(),
                         theirs[""].value("rounds", Json()).dump());
    return std::pair("its experiment is another (" + what + ")", "take the fleet's own file");
  }
  const Json run = other.value("run", Json());
  const bool none = run.is_string() && run.get_ref<const std::string&>().empty();
  if (!none && run != fleet.at("run"))
    return std::pair("the agents in this folder are of another run", "choose another --out, or --force");
  return {};
}

int64_t most_bytes(const Experiment& e) {
  return 8 * static_cast<int64_t>(to_safetensors(file_of(e, start_run(e))).size()) + (int64_t{16} << 20);
}

Staying::Staying(const Experiment& e, const TransportOptions& o, const RunOptions& run) : options_(o) {
  if (o.members.empty())
    throw UserError("transport.members", "is not set", "name the file that says who may join --stay");
  if (o.key.empty())
    throw UserError("transport.key", "is not set",
                    "make a key with symma key, and name its file, for those who join --stay");
  if (o.first.empty())
    throw UserError("transport.first", "is not set",
                    "write where this process listens to those who join --stay, as host:port");
  members_ = read_members(o.members, e.fleet.agents);
  shares_.emplace_back();
  for (int64_t a = 0; a < members_[0].agents.front(); ++a) shares_[0].push_back(a);
  const Key own = read_key(o.key), open = public_key(own);
  if (!o.fleet_key.empty() && public_key_of(o.fleet_key, "transport.fleet_key") != open)
    throw UserError("transport.fleet_key", "is not the public key of " + o.key, "write " + text_of(open));
  Keyring ring{own, {open}};
  for (const Member& m : members_) {
    if (m.key == open) throw UserError(o.members, "has the fleet's own key", "give each member its own");
    shares_.push_back(m.agents);
    ring.known.push_back(m.key);
  }
  const std::string before = in(run, kRunName);
  if (run.resume && is_there(before)) run_ = read_file(before).substr(0, 16);
  if (run_.size() < 16) run_ = new_secret().substr(0, 16);
  about_ = about(e, run_);
  std::tie(meeting_.host, meeting_.port) = host_and_port(o.first, "transport.first");
  meeting_.parts = shares_;
  meeting_.patience = o.patience;
  meeting_.start = o.start;
  meeting_.keys = std::move(ring);
  meeting_.stay = true;
  meeting_.slow = o.slow;
  meeting_.most_bytes = most_bytes(e);
  meeting_.refuses = [fleet = about_](const std::string& other) { return differ(fleet, parse_json(other)); };
}

std::unique_ptr<Lines> Staying::open() const {
  return meet(meeting_);
}

std::string Staying::invitation(const std::string& file) const {
  std::string who;
  for (const Member& m : members_)
    who += fmt::format("{}{}{}", who.empty() ? "" : ", ", agents_text(m.agents),
                       m.name.empty() ? "" : " (" + m.name + ")");
  const std::string key =
      options_.fleet_key.empty() ? " --fleet-key " + text_of(meeting_.keys->known[0]) : std::string();
  return fmt::format(
      "agents 0-{} are here; open for agents {}: symma join {} --agents {} --fleet tcp://{}:{}{} --key "
      "FILE\n",
      shares_[0].back(), who, shell_word(file), agents_text(members_[0].agents), meeting_.host, meeting_.port,
      key);
}

std::string newcomers_words(const Json& summary) {
  std::string out;
  for (const Json& one : summary.value("newcomers", Json::array())) {
    out += fmt::format("agents {} came after round {}: {} before having learned anything",
                       agents_text(one.at("agents").get<std::vector<int64_t>>()), one.at("after").dump(),
                       judged_words({{"judged", one.at("before_learning")}}));
    if (const Json& end = one.at("at_end"); !end.empty() && end.back().is_number())
      out += fmt::format(", {:.4g} in the end", end.back().get<double>());
    out += "\n";
  }
  return out;
}

}  // namespace symma
