#include "symma/tasks/tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <locale.h>

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "symma/core/errors.h"
#include "symma/core/files.h"

namespace symma {
namespace {

namespace fs = std::filesystem;
using Wanted = std::function<bool(const fs::path&)>;
using Use = std::function<void(const fs::path&, const std::string&)>;

constexpr size_t kMostOfAFile = size_t{64} << 20;

UserError unreadable(const fs::path& path, const std::error_code& why) {
  return {path.string(), "cannot be read (" + why.message() + ")", "check its permissions"};
}

// Names in archives are UTF-8; libarchive converts them to the locale's characters, which programs start
// without.
class Utf8Names {
 public:
  Utf8Names()
      : names_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)),
        before_(names_ ? ::uselocale(names_) : nullptr) {}
  ~Utf8Names() {
    if (!names_) return;
    ::uselocale(before_);
    ::freelocale(names_);
  }
  Utf8Names(const Utf8Names&) = delete;
  Utf8Names& operator=(const Utf8Names&) = delete;

 private:
  locale_t names_, before_;
};

void walk_folder(const fs::path& top, const fs::path& inner, std::vector<fs::path> above,
                 const Wanted& wanted, const Use& use) {
  const fs::path folder = top / inner;
  std::error_code ec;
  const fs::path real = fs::canonical(folder, ec);
  if (!ec && std::find(above.begin(), above.end(), real) != above.end()) return;
  above.push_back(real);
  std::set<fs::path> names;
  fs::directory_iterator at(folder, ec);
  if (ec) throw unreadable(folder, ec);
  for (; at != fs::directory_iterator(); at.increment(ec)) {
    if (ec) throw unreadable(folder, ec);
    names.insert(at->path().filename());
  }
  for (const auto& name : names) {
    const fs::path path = folder / name;
    const fs::file_status what = fs::status(path, ec);
    if (what.type() == fs::file_type::directory) {
      walk_folder(top, inner / name, above, wanted, use);
    } else if (!wanted(inner / name)) {
      continue;
    } else if (what.type() == fs::file_type::regular) {
      if (fs::file_size(path, ec) > kMostOfAFile)
        throw UserError(path.string(), "is larger than 64 megabytes", "leave it out, or shrink it");
      use(inner / name, read_file(path.string()));
    } else if (what.type() == fs::file_type::not_found) {
      throw UserError(path.string(), "is a link that leads nowhere", "mend or remove it");
    } else if (what.type() == fs::file_type::none || what.type() == fs::file_type::unknown) {
      throw unreadable(path, ec);
    }  // pipes and devices are no files, whatever they are called
  }
}

void read_archive(const std::string& path, const Wanted& wanted, const Use& use) {
  const Utf8Names utf8;
  std::unique_ptr<archive, int (*)(archive*)> in(archive_read_new(), archive_read_free);
  archive_read_support_format_zip(in.get());
  archive_read_support_format_tar(in.get());
  archive_read_support_filter_all(in.get());
  const auto bad = [&] {
    // libarchive gives no word for a file that just ends.
    const char* why = archive_error_string(in.get());
    return UserError(path, fmt::format("is not a readable archive ({})", why ? why : "it is cut short"),
                     "name a folder or a whole zip file");
  };
  if (archive_read_open_filename(in.get(), path.c_str(), 1 << 16) != ARCHIVE_OK) throw bad();
  std::error_code ec;
  const auto most =
      std::max<uint64_t>(uint64_t{256} << 20, 100 * static_cast<uint64_t>(fs::file_size(path, ec)));
  uint64_t unpacked = 0;
  const auto check = [&] {
    // What a filter such as gzip made, or what entries of a zip did.
    if (std::max(unpacked, static_cast<uint64_t>(archive_filter_bytes(in.get(), 0))) > most)
      throw UserError(path, "unpacks to more than a hundred times its size",
                      "unpack it, and name the folder");
  };
  archive_entry* entry;
  int status;
  while ((status = archive_read_next_header(in.get(), &entry)) == ARCHIVE_OK || status == ARCHIVE_WARN) {
    check();
    const char* named = archive_entry_pathname(entry);
    if (archive_entry_filetype(entry) != AE_IFREG || !named || !wanted(named)) continue;
    const std::string name = named;
    std::string bytes;
    char buffer[1 << 14];
    la_ssize_t n;
    while ((n = archive_read_data(in.get(), buffer, sizeof buffer)) > 0 && bytes.size() <= kMostOfAFile)
      bytes.append(buffer, static_cast<size_t>(n));
    if (n < 0) throw bad();
    if (bytes.size() > kMostOfAFile)
      throw UserError(path + "/" + name, "is larger than 64 megabytes", "leave it out, or shrink it");
    unpacked += bytes.size();
    check();
    use(name, bytes);
  }
  if (status != ARCHIVE_EOF) throw bad();
}

}  // namespace

void read_tree(const std::string& top, const Wanted& wanted, const Use& use) {
  std::error_code ec;
  const fs::file_status what = fs::status(top, ec);
  switch (what.type()) {
    case fs::file_type::directory:
      walk_folder(top, "", {}, wanted, use);
      return;
    case fs::file_type::regular:
      read_archive(top, wanted, use);
      return;
    case fs::file_type::not_found:
      throw UserError(top, "no such file or folder", "name a folder, or a zip of one");
    case fs::file_type::none:
    case fs::file_type::unknown:
      throw unreadable(top, ec);
    default:
      throw UserError(top, "is neither a folder nor a file", "name a folder, or a zip of one");
  }
}

}  // namespace symma
