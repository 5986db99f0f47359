// spent.txt, in the folder of a run with privacy: the rounds that drew noise, a line for each start of the
// program.
//
//   rounds                  0 to               1200
//
// A program that is killed has said more than its last checkpoint knows of; who resumes says some of it
// again, with other noise. The last line is written over before each round, so a kill at any time leaves a
// line that has at least what was said. (A machine that loses power may lose the last of it.)
#pragma once

#include <string>
#include <vector>

#include "symma/fleet/account.h"

namespace symma {

// What the file says; nothing where there is none. Throws UserError for one that is not of this form.
std::vector<Span> read_spent(const std::string& path);

class SpentFile {
 public:
  // Goes on from `round`. Where there is a file, this is another start of the same run.
  SpentFile(const std::string& path, int64_t round);
  ~SpentFile();
  SpentFile(const SpentFile&) = delete;
  SpentFile& operator=(const SpentFile&) = delete;

  const std::vector<Span>& earlier() const { return earlier_; }
  void begin(int64_t round);  // is about to be played

 private:
  void write(int64_t to) const;
  std::string path_;
  std::vector<Span> earlier_;
  int64_t from_;
  int fd_ = -1;
};

}  // namespace symma
