// The files of a folder or of an archive (zip, tar, compressed or not), whatever their names are written in.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace symma {

// Calls use(path below the top, bytes) for every file that `wanted` takes; others are not read. Links are
// followed, and a file stands where its link does; a link to a folder that it is in leads nowhere new.
// Throws UserError, one that names the place, for a path that is missing or may not be read, a link that
// leads nowhere, an archive that is none, a file past 64 megabytes, and an archive that unpacks to more than
// 256 megabytes and a hundred times its size.
void read_tree(const std::string& top, const std::function<bool(const std::filesystem::path&)>& wanted,
               const std::function<void(const std::filesystem::path&, const std::string&)>& use);

}  // namespace symma
