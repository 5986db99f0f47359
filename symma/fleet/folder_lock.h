// One process trains in a folder at a time.
#pragma once

#include <string>

namespace symma {

// Held by a process until it ends, however it ends; it leaves nothing in the folder. Where a file system
// knows no locks, nothing is locked.
class FolderLock {
 public:
  // Throws UserError where another process holds it, or `folder` is no folder that may be read.
  explicit FolderLock(std::string folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  // Throws UserError where the folder is gone, or another one stands in its place.
  void check() const;

 private:
  std::string folder_;
  int fd_;
};

}  // namespace symma
