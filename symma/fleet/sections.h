// Sections of an experiment file: read, kept with every default filled in, and turned into parts.
#pragma once

#include <fmt/format.h>

#include "symma/fleet/experiment.h"

namespace symma {

// Keeps a section whose fields were read, as TOML and as JSON. `heads` come before the fields.
void keep_section(Experiment&, const std::string& section, const Json& heads, const Fields& fields);

// The names of the options of all parts of a kind. One file serves to compare parts with --set: what another
// part would read may stand in its section, and is not looked at.
template <class Registry>
std::vector<std::string> options_of_all() {
  std::vector<std::string> out;
  for (const auto& name : Registry::instance().names()) {
    const auto draft = Registry::instance().draft(name, "");
    Fields fields;
    draft->fields(fields);
    for (const auto& f : fields.list()) out.push_back(f.name);
  }
  return out;
}

// Reads [exchange], [aggregator], [compression], [server], [faults] and [privacy], and refuses what cannot be
// combined, with the reason. What depends on the learner and the tasks is checked by check_privacy and
// check_faults, once these are built.
Exchange build_exchange(Experiment&, const Config&);
void check_privacy(const Experiment&, const Config&);
void check_faults(const Experiment&, const Config&);

}  // namespace symma
