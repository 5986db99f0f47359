// Optional: a family whose tasks are rows of a table, for whoever has numbers rather than a file.
#pragma once

#include <string>
#include <vector>

namespace symma {

class HasColumns {
 public:
  virtual ~HasColumns() = default;
  // What `FewShot::read` asks a file for: the inputs in their order, then the target.
  virtual std::vector<std::string> columns() const = 0;
};

}  // namespace symma
