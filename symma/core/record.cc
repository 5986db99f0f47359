#include "symma/core/record.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "symma/core/errors.h"
#include "symma/core/files.h"

namespace symma {

Recorder::Recorder(std::string path, int64_t last_round) : path_(std::move(path)) {
  std::string kept;
  if (last_round >= 0 && std::filesystem::exists(path_)) {
    for (const auto& row : read_records(path_)) {
      if (row.value("round", int64_t{0}) <= last_round) kept += row.dump() + "\n";
    }
  }
  write_file(path_, kept);
  fd_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd_ < 0)
    throw UserError(path_, std::string("cannot be written: ") + std::strerror(errno),
                    "check the folder's permissions");
}

Recorder::~Recorder() {
  ::close(fd_);
}

void Recorder::add(const Json& row) {
  const std::string line = row.dump() + "\n";
  const off_t end = ::lseek(fd_, 0, SEEK_END);
  const ssize_t n = ::write(fd_, line.data(), line.size());
  if (n != static_cast<ssize_t>(line.size())) {
    const int why = n < 0 ? errno : ENOSPC;
    // Half a row is taken back, so that the file stays whole.
    if (n > 0 && ::ftruncate(fd_, end) != 0)
      throw UserError(path_, "ends in half a row, and cannot be cut", "remove its last line");
    throw UserError(path_, std::string("cannot be written: ") + std::strerror(why),
                    "free some space, then go on with --resume");
  }
}

std::vector<Json> read_records(const std::string& path) {
  const std::string text = read_file(path);
  std::istringstream in(text);
  std::vector<Json> rows;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.empty()) continue;
    Json row = Json::parse(line, nullptr, false);
    // A last row cut short is what a kill leaves behind; it is left out.
    if (row.is_discarded() && (in.eof() || in.peek() == EOF)) break;
    const std::string place = path + ":" + std::to_string(number);
    const char* remedy = "the file may be damaged; train again";
    if (!row.is_object()) throw UserError(place, "is not a JSON object", remedy);
    if (row.contains("round") && !row["round"].is_number_integer())
      throw UserError(place, "has a \"round\" that is not an integer: " + row["round"].dump(), remedy);
    rows.push_back(std::move(row));
  }
  return rows;
}

Json read_json(const std::string& path) {
  Json out = Json::parse(read_file(path), nullptr, false);
  if (out.is_discarded()) throw UserError(path, "is not JSON", "the file may be damaged; train again");
  return out;
}

}  // namespace symma
