// What a run keeps of the data that its tasks are made of, so that it can do without them, and notices when
// they have changed.
#pragma once

#include <string>
#include <vector>

#include "symma/core/options.h"

namespace symma {

// A file or folder as it was when a run began.
struct Source {
  std::string given, path;  // as in the experiment file, and from the root of the file system
  int64_t files = 0, bytes = 0, changed = 0;  // changed: the newest file's time, ns
  std::string hash;  // BLAKE2b of all bytes; of a folder's files with their places, in their order
};

std::string hash_of(const void* bytes, size_t n);  // the same of some memory

Source source_of(const std::string& path);  // reads it whole. Throws UserError
Json to_json(const std::vector<Source>&);
// From a run's data.json; empty where there is none. Throws UserError for a file that is none.
std::vector<Source> sources_in(const Json& known, const std::string& place);

// "" while a source is as it was, and else what is the matter, in words: "d.csv has changed". Whether it is
// there and of the same times and sizes is enough for the first; else it is read.
std::string what_changed(const std::vector<Source>&);

// Where the sources are now: as given from here, or where they were. Throws UserError where one is gone, or
// is another than it was.
std::vector<std::string> locate(const std::vector<Source>&);

// Optional: a family made of files.
class KeepsData {
 public:
  virtual ~KeepsData() = default;
  // "sources", and what it takes to read examples and predict without them. An option `known` with the path
  // of a file of this makes a family that reads the sources no sooner than tasks are drawn from them.
  virtual Json known() const = 0;
};

}  // namespace symma
