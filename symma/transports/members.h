// Keys that people keep in files, and the list of who may join a fleet, with whose agents each may speak for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "symma/transports/doors.h"

namespace symma {

// Makes a key, and writes it to a new file that its owner alone may read. Returns the public key. Throws
// UserError where something is there already.
Key make_key(const std::string& path);

// The secret key of such a file. Throws UserError where it is not there, others may read it, or it is none.
Key read_key(const std::string& path);

// What anybody may know of a key: 64 characters. Throws UserError, of `place`, where they are none.
Key public_key_of(const std::string& text, const std::string& place);

// Agents as people write them, such as 12-15 or 3,8-9: ascending. Throws UserError, of `place`.
std::vector<int64_t> agents_of(const std::string& text, const std::string& place);
// And back.
std::string agents_text(const std::vector<int64_t>&);

struct Member {
  std::vector<int64_t> agents;
  Key key{};  // public
  std::string name;
};

// The members of a fleet of `agents`, a line each: agents, public key, and a name that is told to people.
// What follows a # is not read. Throws UserError where an agent or a key stands there twice, where it has no
// line, or where the first process would not be left with agents 0 to some other.
std::vector<Member> read_members(const std::string& path, int64_t agents);

}  // namespace symma
