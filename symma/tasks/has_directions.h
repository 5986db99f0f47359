// Which way scores go.
#pragma once

#include <map>
#include <string>

namespace symma {

// Optional: a family that says of its other scores, beside the one to show first, whether higher is better.
// What it leaves out goes neither way, as the length of an episode.
class HasDirections {
 public:
  virtual ~HasDirections() = default;
  virtual std::map<std::string, bool> directions() const = 0;  // score -> higher is better
};

}  // namespace symma
