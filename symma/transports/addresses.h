// Addresses of letters, and the parts of a fleet in which they are: an agent's is its number, the server's is
// the next after the last agent's, and part p itself is -1 - p.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "symma/exchange/transport.h"

namespace symma {

inline int64_t address_of(int64_t part) {
  return -1 - part;
}

class Addresses {
 public:
  // Agents of each part; where agent 0 is, the server is.
  explicit Addresses(const std::vector<std::vector<int64_t>>& parts) {
    for (size_t p = 0; p < parts.size(); ++p) {
      for (const int64_t id : parts[p]) {
        if (part_of_.size() <= static_cast<size_t>(id)) part_of_.resize(id + 1);
        part_of_[id] = p;
      }
    }
    part_of_.push_back(part_of_.empty() ? 0 : part_of_[0]);
  }

  size_t part(int64_t address) const {
    return address < 0 ? static_cast<size_t>(-1 - address) : part_of_.at(address);
  }

  // The letter as a part gets it.
  Letter for_part(const Letter& letter, size_t p) const {
    if (letter.each.empty()) return letter;
    Letter out{letter.from, {}, letter.round, letter.kind, letter.bytes};
    out.life = letter.life;
    for (size_t k = 0; k < letter.to.size(); ++k) {
      if (part(letter.to[k]) != p) continue;
      out.to.push_back(letter.to[k]);
      out.bytes.insert(out.bytes.end(), letter.each[k].begin(), letter.each[k].end());
    }
    return out;
  }

  // All agents and the server lie below.
  int64_t end() const { return static_cast<int64_t>(part_of_.size()); }

 private:
  std::vector<size_t> part_of_;
};

}  // namespace symma
