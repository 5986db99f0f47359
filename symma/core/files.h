// Files that are whole or absent: written beside, synced, then renamed.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace symma {

// Throws UserError where the file is missing or unreadable, a folder, a device, or a pipe that nothing comes
// through.
std::string read_file(const std::string& path);

// Whether something is there. Throws UserError where that may not be known: no permission, links in a circle.
bool is_there(const std::string& path);

// Who may read a file: whom the umask lets, or its owner alone.
enum class Readers { kAll, kOwner };

// Replaces `path` by `bytes`, or leaves what was there and throws UserError (a full disk, no permission).
void write_file(const std::string& path, const std::string& bytes);
// The parts one after another.
void write_file(const std::string& path, std::span<const std::string_view> parts, Readers = Readers::kAll);

// Makes the folder and its parents. Throws UserError where that cannot be.
void make_folder(const std::string& path);

// The path of a file in a folder.
std::string in_folder(const std::string& folder, const std::string& file);

}  // namespace symma
