// What a run leaves behind for people and programs: rows of numbers in metrics.jsonl, one JSON object a line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "symma/core/options.h"

namespace symma {

class Recorder {
 public:
  // Goes on with the file at `path`, without the rows whose "round" is past `last_round`: those a killed run
  // wrote after its checkpoint. last_round = -1 starts anew.
  Recorder(std::string path, int64_t last_round);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  void add(const Json& row);              // appends a line and flushes it
  int64_t last() const { return last_; }  // the largest "round" of its rows; -1 where it has none

 private:
  int64_t last_ = -1;
  std::string path_;
  int fd_ = -1;
};

// The rows of a metrics.jsonl. Throws UserError that names the line which is not JSON; a last line cut short
// by a crash is left out.
std::vector<Json> read_records(const std::string& path);

// The same of what several write, each into a file of its own until they are put together: the rows of
// FOLDER/NAME.jsonl, then of FOLDER/NAME/*.jsonl in the order of their names. None where no file is there.
std::vector<Json> read_parted_records(const std::string& folder, const std::string& name);

Json read_json(const std::string& path);

// JSON that came from outside: discarded (is_discarded) where it is none, or nested deeper than any of ours.
inline constexpr int kDeepestJson = 100;
Json parse_json(std::string_view text);

}  // namespace symma
