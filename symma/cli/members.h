// A fleet that others join: what its first process needs to open its door, and what they need to come in.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "symma/fleet/experiment.h"
#include "symma/fleet/folder.h"
#include "symma/fleet/placement.h"
#include "symma/transports/members.h"
#include "symma/transports/zmq.h"

namespace symma {

// The first process, with agents 0 to some other.
class Staying {
 public:
  // Throws UserError where [transport] does not say who may come, where to and by which key they know it.
  Staying(const Experiment&, const TransportOptions&, const RunOptions&);

  const std::vector<std::vector<int64_t>>& shares() const { return shares_; }
  // A name for the run, by which those who come again know it.
  const std::string& run() const { return run_; }
  std::unique_ptr<Lines> open() const;
  // How the members join the experiment of `file`, in words.
  std::string invitation(const std::string& file) const;

 private:
  TransportOptions options_;
  std::vector<Member> members_;
  std::vector<std::vector<int64_t>> shares_;
  std::string run_;
  Json about_;
  Meeting meeting_;
};

// What one that asks to come in says of what it would take part in; `run`: whose agents it has, "" for none.
Json about(const Experiment&, const std::string& run);
// Of two such, why they do not belong together: what was found, and the remedy.
std::optional<std::pair<std::string, std::string>> differ(const Json& fleet, const Json& other);

// More than the agents of any member are, with what they keep.
int64_t most_bytes(const Experiment&);

// Who came while a fleet was under way, a line each, from a summary; "" where nobody did.
std::string newcomers_words(const Json& summary);

}  // namespace symma
