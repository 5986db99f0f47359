// What a person can mend is a UserError: a file, a flag, a key. It reads as one line and ends the program
// with exit code 2. A broken invariant is TORCH_CHECK or TORCH_INTERNAL_ASSERT.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace symma {

class UserError : public std::runtime_error {
 public:
  // "place: what is wrong; what would be right". `place` is a file with its line, a key, or a flag.
  UserError(std::string_view place, std::string_view wrong, std::string_view remedy);
  UserError(const UserError&);
  ~UserError() override;

  // Apart, for whoever shows them in another way.
  const std::string& place() const { return place_; }
  const std::string& wrong() const { return wrong_; }
  const std::string& remedy() const { return remedy_; }

 private:
  std::string place_, wrong_, remedy_;
};

// The candidate with the least edit distance to `word`, or "" when none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

// "did you mean X?" when a candidate is near, else "one of A, B, C".
std::string suggestion(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace symma
