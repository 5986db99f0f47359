// Names of what tasks are made of: a group of a table, an alphabet, a home.
#pragma once

#include <string>
#include <vector>

namespace symma {

// Optional: a batch whose tasks have names. Tasks of one name share their data, so an interval that is to
// hold for others is over names and not over tasks.
class Named {
 public:
  virtual ~Named() = default;
  // [B]; empty where every task is drawn anew. A task of several, as an episode is of its classes, has all of
  // their names, " | " between them.
  virtual std::vector<std::string> names() const = 0;
};

// Optional: a family that knows what its training tasks are made of.
class Remembers {
 public:
  virtual ~Remembers() = default;
  virtual bool trained_on(const std::string& name) const = 0;  // one that a batch of it gives
};

// Optional: a family that can be judged on other data than it was made of, its training left as it is.
class OtherTests {
 public:
  virtual ~OtherTests() = default;
  virtual void test_on(const std::string& path) = 0;  // all of it; throws UserError for a file that won't do
};

}  // namespace symma
