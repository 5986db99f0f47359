// Who comes and goes, for transports whose other ends may: an ability beside letters.
//
// The first process keeps the roster. It changes between exchanges alone, at a row of the log, where all
// stand at the same round; between two rows, who is gone is a letter that did not come.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace symma {

class Comings {
 public:
  virtual ~Comings() = default;

  // ---- At the first process.
  // Processes that ask to come in, ascending, and were not answered yet.
  virtual std::vector<int64_t> knocking() = 0;
  // Answers one of them: what it needs to take part, in the words of whoever uses the transport. Whom no
  // answer can reach goes on asking, and its letters are missing until it is let in.
  virtual void let_in(int64_t place, const std::string& entry) = 0;

  // ---- At all.
  // Where each process listens, so that others reach one that came in, and how often it was let in, so that
  // nothing that it said before is heard any more.
  virtual std::string directory() const = 0;
  // From now on these are there, and no others; `directory` as the first has it, or empty.
  virtual void there(const std::vector<bool>& places, const std::string& directory) = 0;

  // ---- At one that was away.
  // What the first said to one that came while the fleet was under way; empty to those who began with it.
  virtual std::string entry() const = 0;
  // Asks to be let in again, and waits for the entry. Throws UserError where nobody answers.
  virtual std::string knock() = 0;
};

}  // namespace symma
