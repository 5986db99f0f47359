#include "symma/core/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "symma/core/errors.h"

namespace symma {
namespace {

[[noreturn]] void fail(const std::string& path, int error) {
  std::string remedy = "check that the folder exists and can be written";
  if (error == ENOSPC || error == EDQUOT) remedy = "free some space, or choose another folder with --out";
  if (error == EACCES || error == EPERM || error == EROFS)
    remedy = "choose a folder that you may write, with --out";
  throw UserError(path, std::string("cannot be written: ") + std::strerror(error), remedy);
}

}  // namespace

std::string read_file(const std::string& path) {
  std::error_code ec;
  if (!std::filesystem::exists(path, ec)) throw UserError(path, "no such file", "check the path");
  if (std::filesystem::is_directory(path, ec)) throw UserError(path, "is a folder", "name a file");
  std::ifstream in(path, std::ios::binary);
  if (!in) throw UserError(path, "cannot be read", "check its permissions");
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

void write_file(const std::string& path, const std::string& bytes) {
  const std::string_view part = bytes;
  write_file(path, std::span(&part, 1));
}

void write_file(const std::string& path, std::span<const std::string_view> parts, Readers readers) {
  const std::string beside = path + ".part";
  const mode_t mode = readers == Readers::kOwner ? 0600 : 0644;
  const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) fail(path, errno);
  const auto give_up = [&](int error) {
    ::close(fd);
    ::unlink(beside.c_str());
    fail(path, error);
  };
  // What a program that was killed left there keeps its own.
  if (readers == Readers::kOwner && ::fchmod(fd, mode) != 0) give_up(errno);
  for (const std::string_view bytes : parts) {
    for (size_t at = 0; at < bytes.size();) {
      const ssize_t n = ::write(fd, bytes.data() + at, bytes.size() - at);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) give_up(errno);
      at += static_cast<size_t>(n);
    }
  }
  if (::fsync(fd) != 0 && errno != EINVAL && errno != EROFS) give_up(errno);
  if (::close(fd) != 0) {
    const int error = errno;
    ::unlink(beside.c_str());
    fail(path, error);
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(beside.c_str());
    fail(path, error);
  }
}

void make_folder(const std::string& path) {
  std::error_code ec;
  std::filesystem::create_directories(path, ec);
  if (ec)
    throw UserError(path, "cannot be made: " + ec.message(),
                    "choose a folder that you may write, with --out");
}

}  // namespace symma
