#include "symma/fleet/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "symma/core/errors.h"

namespace symma {

FolderLock::FolderLock(std::string folder)
    : folder_(std::move(folder)), fd_(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (fd_ < 0)
    throw UserError(
        folder_,
        errno == ENOTDIR ? "is not a folder" : std::string("cannot be opened: ") + std::strerror(errno),
        "choose a folder that you may read and write, with --out");
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(fd_);
    throw UserError(folder_, "another symma is training in it",
                    "wait until it has ended, stop it, or choose another --out");
  }
}

FolderLock::~FolderLock() {
  ::close(fd_);
}

void FolderLock::check() const {
  struct stat ours {
  }, there{};
  if (::fstat(fd_, &ours) != 0) return;
  if (::stat(folder_.c_str(), &there) == 0 && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
    return;
  throw UserError(folder_, "was removed, moved or replaced while the run went on",
                  "leave the folder of a run where it is; train again");
}

}  // namespace symma
