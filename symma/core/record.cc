#include "symma/core/record.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <system_error>

#include "symma/core/errors.h"
#include "symma/core/files.h"

namespace symma {

Recorder::Recorder(std::string path, int64_t last_round) : path_(std::move(path)) {
  std::string kept;
  if (last_round >= 0 && std::filesystem::exists(path_)) {
    for (const auto& row : read_records(path_)) {
      const auto round = row.value("round", int64_t{0});
      if (round > last_round) continue;
      last_ = std::max(last_, round);
      kept += row.dump() + "\n";
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
  last_ = std::max(last_, row.value("round", int64_t{0}));
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

Json parse_json(std::string_view text) {
  // nlohmann's parser keeps a stack of its own, but what it makes is walked by recursion.
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kDeepestJson) return Json(Json::value_t::discarded);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return Json::parse(text, nullptr, false);
}

std::vector<Json> read_records(const std::string& path) {
  const std::string text = read_file(path);
  std::istringstream in(text);
  std::vector<Json> rows;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.empty()) continue;
    Json row = parse_json(line);
    // A last row cut short is what a kill leaves behind; it is left out.
    if (row.is_discarded() && (in.eof() || in.peek() == EOF)) break;
    const std::string place = path + ":" + std::to_string(number);
    const char* remedy = "the file may be damaged; train again";
    if (!row.is_object()) throw UserError(place, "is not a JSON object", remedy);
    if (row.contains("round") && !row["round"].is_number_integer())
      throw UserError(place, "has a \"round\" that is not an integer", remedy);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<Json> read_parted_records(const std::string& folder, const std::string& name) {
  namespace fs = std::filesystem;
  const fs::path whole = fs::path(folder) / (name + ".jsonl");
  std::vector<fs::path> files;
  std::error_code gone;  // they may be put together at this moment
  for (const auto& entry : fs::directory_iterator(fs::path(folder) / name, gone))
    if (entry.path().extension() == ".jsonl") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  if (fs::exists(whole)) files.insert(files.begin(), whole);
  std::vector<Json> out;
  for (const fs::path& file : files)
    for (Json& row : read_records(file.string())) out.push_back(std::move(row));
  return out;
}

Json read_json(const std::string& path) {
  Json out = parse_json(read_file(path));
  if (out.is_discarded()) throw UserError(path, "is not JSON", "the file may be damaged; train again");
  return out;
}

}  // namespace symma
