#include "symma/core/files.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

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

// Milliseconds that a pipe may take to say something.
constexpr int kPipePatience = 5000;

struct Descriptor {
  int fd;
  ~Descriptor() { ::close(fd); }
};

}  // namespace

bool is_there(const std::string& path) {
  std::error_code ec;
  const std::filesystem::file_status what = std::filesystem::status(path, ec);
  if (what.type() == std::filesystem::file_type::none)
    throw UserError(path, ec.message(), "check the path and its permissions");
  return std::filesystem::exists(what);
}

std::string read_file(const std::string& path) {
  // Without waiting: a pipe that nobody writes to would keep us for ever.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const int error = errno;
  if (fd < 0) {
    if (error == ENOENT || error == ENOTDIR) throw UserError(path, "no such file", "check the path");
    throw UserError(path, std::string("cannot be read: ") + std::strerror(error),
                    error == ELOOP    ? "its links lead in a circle"
                    : error == EACCES ? "check its permissions"
                                      : "check the path");
  }
  const Descriptor close{fd};
  struct stat is {};
  if (::fstat(fd, &is) != 0) throw UserError(path, "cannot be read", "check its permissions");
  if (S_ISDIR(is.st_mode)) throw UserError(path, "is a folder", "name a file");
  if (!S_ISREG(is.st_mode) && !S_ISFIFO(is.st_mode))
    throw UserError(path, "is a device or a socket", "name a file");
  std::string out;
  if (S_ISREG(is.st_mode)) out.reserve(static_cast<size_t>(is.st_size));
  std::vector<char> some(1 << 16);
  for (;;) {
    const ssize_t n = ::read(fd, some.data(), some.size());
    if (n > 0) {
      out.append(some.data(), static_cast<size_t>(n));
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN)
      throw UserError(path, std::string("cannot be read: ") + std::strerror(errno), "check its permissions");
    if (n == 0 && (S_ISREG(is.st_mode) || !out.empty())) return out;
    // What a shell hands over, as in <(command), is a pipe too.
    pollfd ready{fd, POLLIN, 0};
    if (n == 0 || ::poll(&ready, 1, kPipePatience) == 0)
      throw UserError(path, "is a pipe that nothing is written to", "name a file");
  }
}

void write_file(const std::string& path, const std::string& bytes) {
  const std::string_view part = bytes;
  write_file(path, std::span(&part, 1));
}

void write_file(const std::string& path, std::span<const std::string_view> parts, Readers readers) {
  // Of this process alone: two that write the same file must not write into each other's.
  const std::string beside = path + "." + std::to_string(::getpid()) + ".part";
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

std::string in_folder(const std::string& folder, const std::string& file) {
  return (std::filesystem::path(folder) / file).string();
}

}  // namespace symma
