// Classes of images in folders or archives: .../alphabet/character/*.png, or class/*.png.
#pragma once

#include <string>
#include <vector>

#include "symma/core/tensor.h"

namespace symma {

struct Drawings {
  struct Class {
    std::string alphabet, character;
    Tensor images;  // [n, side, side, channels] bytes, see pictures.h
    // Where it is, for people: "alphabet/character", or "class".
    std::string name() const { return alphabet == character ? character : alphabet + "/" + character; }
  };
  std::vector<Class> classes;  // sorted by alphabet, then character

  // Reads every path, a folder or an archive. Where images stand in class/ right below a path, there are no
  // alphabets, and each class is an alphabet of its own, called as the class is. A class of the
  // same names in two paths has the images of both, each once. Throws UserError for a path that is missing,
  // holds no images, has a class in two places, and for an image that is none.
  static Drawings load(const std::vector<std::string>& paths, int64_t side, int64_t channels);
};

}  // namespace symma
