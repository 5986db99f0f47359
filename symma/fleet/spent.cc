#include "symma/fleet/spent.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "symma/core/errors.h"
#include "symma/core/files.h"

namespace symma {
namespace {

std::string line_of(const Span& s) {
  return fmt::format("rounds {:>18} to {:>18}\n", s.from, s.to);
}

}  // namespace

std::vector<Span> read_spent(const std::string& path) {
  if (!is_there(path)) return {};
  std::vector<Span> out;
  std::istringstream in(read_file(path));
  for (std::string line; std::getline(in, line);) {
    long long from = 0, to = 0;
    char end = 0;
    if (std::sscanf(line.c_str(), "rounds %lld to %lld%c", &from, &to, &end) != 2 || from < 0 || to < from)
      throw UserError(fmt::format("{}:{}", path, out.size() + 1), "is not \"rounds FROM to TO\"",
                      "what a run has spent of its privacy is not known without it; begin the run anew");
    out.push_back({from, to});
  }
  return out;
}

SpentFile::SpentFile(const std::string& path, int64_t round) : path_(path), from_(round) {
  earlier_ = read_spent(path);
  // A run from before there was this file.
  if (earlier_.empty() && round > 0) earlier_.push_back({0, round});
  std::string text;
  for (const Span& s : earlier_) text += line_of(s);
  write_file(path, text + line_of({round, round}));
  fd_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd_ < 0) throw UserError(path, std::string("cannot be written: ") + std::strerror(errno), "check it");
}

SpentFile::~SpentFile() {
  if (fd_ >= 0) ::close(fd_);
}

void SpentFile::begin(int64_t round) {
  write(round + 1);
}

void SpentFile::write(int64_t to) const {
  const std::string line = line_of({from_, to});
  const auto at = static_cast<off_t>(earlier_.size() * line.size());
  if (::pwrite(fd_, line.data(), line.size(), at) != static_cast<ssize_t>(line.size()))
    throw UserError(path_, std::string("cannot be written: ") + std::strerror(errno),
                    "what a run spends of its privacy must be kept: free some space");
}

}  // namespace symma
