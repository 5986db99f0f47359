// A folder, or a zip, of drawings: .../alphabet/character/*.png.
#pragma once

#include <string>
#include <vector>

#include "symma/core/tensor.h"

namespace symma {

struct Drawings {
  struct Class {
    std::string alphabet, character;
    Tensor images;  // [n, side, side] bytes, 0 paper .. 255 ink
  };
  std::vector<Class> classes;  // sorted by alphabet, then character

  // Reads every path, a folder or a zip, and shrinks each image to side x side by area. Characters found
  // twice (the same alphabet and character in two paths) are taken once. Throws UserError for a path that is
  // missing, holds no drawings, or an image that is not one.
  static Drawings load(const std::vector<std::string>& paths, int64_t side);
};

// One PNG's bytes as [side, side] bytes of ink. Throws UserError that names `place`.
Tensor read_drawing(const std::string& png, const std::string& place, int64_t side);

}  // namespace symma
