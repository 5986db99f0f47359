#include "symma/tasks/drawings.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "symma/core/errors.h"
#include "symma/tasks/pictures.h"
#include "symma/tasks/tree.h"

namespace symma {
namespace {

namespace fs = std::filesystem;
using Name = std::pair<std::string, std::string>;  // alphabet, character

struct Found {
  fs::path folder;
  std::map<std::string, Tensor> images;  // by the file's name
};

std::map<Name, Found> classes_in(const std::string& path, int64_t side, int64_t channels) {
  std::map<Name, Found> out;
  std::optional<fs::path> shallow, deep;  // an image in class/, and one in alphabet/character/
  read_tree(path, is_picture, [&](const fs::path& inner, const std::string& bytes) {
    const std::string place = (fs::path(path) / inner).string();
    const fs::path folder = inner.parent_path();
    const std::string character = folder.filename(), above = folder.parent_path().filename();
    if (character.empty())
      throw UserError(place, "is in no folder of its class",
                      "arrange images as alphabet/character/*.png, or class/*.png");
    auto& seen = above.empty() ? shallow : deep;
    if (!seen) seen = inner;
    if (shallow && deep)
      throw UserError(
          (fs::path(path) / *shallow).string(),
          fmt::format("is in class/, and {} in alphabet/character/", (fs::path(path) / *deep).string()),
          "arrange all images alike, or name the folder of one of the two in path");
    Found& mine =
        out.try_emplace({above.empty() ? character : above, character}, Found{folder, {}}).first->second;
    if (mine.folder != folder)
      throw UserError(place,
                      fmt::format("{}/{} is there already, in {}", above, character,
                                  (fs::path(path) / mine.folder).string()),
                      "rename one of the two, or name one branch alone in path");
    mine.images[inner.filename()] = read_picture(bytes, place, side, channels);
  });
  if (out.empty())
    throw UserError(path, "holds no images", "arrange them as alphabet/character/*.png, or class/*.png");
  return out;
}

std::string pixels_of(const Tensor& image) {
  return {static_cast<const char*>(image.data_ptr()), image.nbytes()};
}

}  // namespace

Drawings Drawings::load(const std::vector<std::string>& paths, int64_t side, int64_t channels) {
  std::map<Name, std::vector<Tensor>> all;
  for (const auto& path : paths) {
    for (auto& [name, found] : classes_in(path, side, channels)) {
      auto& list = all[name];
      // A class that an earlier path had, too, has the images of both; what is there in both is there once.
      std::set<std::string> before;
      for (const Tensor& image : list) before.insert(pixels_of(image));
      for (auto& [file, image] : found.images)
        if (!before.contains(pixels_of(image))) list.push_back(image);
    }
  }
  Drawings out;
  for (auto& [name, images] : all) out.classes.push_back({name.first, name.second, at::stack(images)});
  return out;
}

}  // namespace symma
