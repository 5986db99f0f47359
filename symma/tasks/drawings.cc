#include "symma/tasks/drawings.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <png.h>

#include <locale.h>
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>

#include "symma/core/errors.h"
#include "symma/core/files.h"

namespace symma {
namespace {

namespace fs = std::filesystem;

bool is_drawing(const fs::path& path) {
  std::string ending = path.extension();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return ending == ".png" && !path.filename().string().starts_with("._");
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

// Calls use(path below `top`, file) for every file, through links; a link to a folder that it is in leads
// nowhere new.
template <class Use>
void walk_folder(const fs::path& top, const fs::path& inner, std::vector<fs::path> above, const Use& use) {
  const fs::path folder = top / inner;
  std::error_code ec;
  const fs::path real = fs::canonical(folder, ec);
  if (!ec && std::find(above.begin(), above.end(), real) != above.end()) return;
  above.push_back(real);
  std::set<fs::path> names;
  fs::directory_iterator at(folder, ec);
  if (ec) throw UserError(folder.string(), "cannot be read (" + ec.message() + ")", "check its permissions");
  for (; at != fs::directory_iterator(); at.increment(ec)) {
    if (ec)
      throw UserError(folder.string(), "cannot be read (" + ec.message() + ")", "check its permissions");
    names.insert(at->path().filename());
  }
  for (const auto& name : names) {
    const fs::path path = folder / name;
    if (fs::is_directory(path, ec)) walk_folder(top, inner / name, above, use);
    if (fs::is_regular_file(path, ec)) use(inner / name, path);
  }
}

// Calls use(inner path, bytes) for every drawing in the archive. Other entries are not read.
template <class Use>
void read_archive(const std::string& path, Use use) {
  constexpr size_t kMost = size_t{64} << 20;  // bytes of a drawing
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
  archive_entry* entry;
  int status;
  while ((status = archive_read_next_header(in.get(), &entry)) == ARCHIVE_OK || status == ARCHIVE_WARN) {
    const char* named = archive_entry_pathname(entry);
    if (archive_entry_filetype(entry) != AE_IFREG || !named || !is_drawing(named)) continue;
    const std::string name = named;
    std::string bytes;
    char buffer[1 << 14];
    la_ssize_t n;
    while ((n = archive_read_data(in.get(), buffer, sizeof buffer)) > 0 && bytes.size() <= kMost)
      bytes.append(buffer, static_cast<size_t>(n));
    if (n < 0) throw bad();
    if (bytes.size() > kMost)
      throw UserError(path + "/" + name, "is larger than 64 megabytes", "leave it out, or shrink it");
    use(name, bytes);
  }
  if (status != ARCHIVE_EOF) throw bad();
}

// Shrinks by area: each target pixel is the mean of the ink under it.
Tensor shrink(const Tensor& ink /*[h, w] double*/, int64_t side) {
  const auto weights = [&](int64_t n) {
    Tensor w = at::zeros({side, n}, at::kDouble);
    const double scale = static_cast<double>(n) / static_cast<double>(side);
    for (int64_t i = 0; i < side; ++i) {
      const double low = scale * static_cast<double>(i), high = scale * static_cast<double>(i + 1);
      for (auto j = static_cast<int64_t>(low); j < n && static_cast<double>(j) < high; ++j) {
        w[i][j] = (std::min(high, j + 1.0) - std::max(low, static_cast<double>(j))) / scale;
      }
    }
    return w;
  };
  return weights(ink.size(0)).mm(ink).mm(weights(ink.size(1)).t());
}

}  // namespace

Tensor read_drawing(const std::string& png, const std::string& place, int64_t side) {
  const auto bad = [&](const std::string& why) {
    return UserError(place, "is not a readable PNG image (" + why + ")", "replace or remove the file");
  };
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_memory(&image, png.data(), png.size())) throw bad(image.message);
  image.format = PNG_FORMAT_GRAY;
  const int64_t h = image.height, w = image.width;
  if (h > 4096 || w > 4096) {
    png_image_free(&image);
    throw bad(fmt::format("{} x {} pixels, 4096 at most", w, h));
  }
  Tensor gray = at::empty({h, w}, at::kByte);
  const png_color white{255, 255, 255};
  if (!png_image_finish_read(&image, &white, gray.data_ptr(), 0, nullptr)) throw bad(image.message);
  const Tensor ink = 255 - gray.to(at::kDouble);
  return shrink(ink, side).round().clamp(0, 255).to(at::kByte);
}

Drawings Drawings::load(const std::vector<std::string>& paths, int64_t side) {
  std::map<std::pair<std::string, std::string>, std::vector<Tensor>> found;
  for (const auto& path : paths) {
    std::map<std::pair<std::string, std::string>, std::map<std::string, Tensor>> here;
    std::map<std::pair<std::string, std::string>, fs::path> folder_of;
    const auto use = [&](const fs::path& inner, const std::string& bytes) {
      const std::string character = inner.parent_path().filename(),
                        alphabet = inner.parent_path().parent_path().filename();
      const std::string place = (fs::path(path) / inner).string();
      if (alphabet.empty())
        throw UserError(place, "is not in alphabet/character/",
                        "arrange drawings as alphabet/character/*.png");
      const auto [at, first] = folder_of.emplace(std::pair{alphabet, character}, inner.parent_path());
      if (!first && at->second != inner.parent_path())
        throw UserError(place,
                        fmt::format("{}/{} is there already, in {}", alphabet, character,
                                    (fs::path(path) / at->second).string()),
                        "rename one of the two, or name one branch alone in path");
      here[{alphabet, character}][inner.filename()] = read_drawing(bytes, place, side);
    };
    std::error_code ec;
    if (!fs::exists(path, ec))
      throw UserError(path, "no such file or folder",
                      "name a folder alphabet/character/*.png, or a zip of one");
    if (fs::is_directory(path)) {
      walk_folder(path, "", {}, [&](const fs::path& inner, const fs::path& file) {
        if (is_drawing(inner)) use(inner, read_file(file));
      });
    } else {
      read_archive(path, [&](const std::string& name, const std::string& bytes) { use(name, bytes); });
    }
    if (here.empty()) throw UserError(path, "holds no drawings", "arrange them as alphabet/character/*.png");
    for (auto& [key, images] : here) {
      auto& list = found[key];
      if (!list.empty()) continue;  // an earlier path had this character
      for (auto& [name, image] : images) list.push_back(image);
    }
  }
  Drawings out;
  for (auto& [key, images] : found) out.classes.push_back({key.first, key.second, at::stack(images)});
  return out;
}

}  // namespace symma
