// Images as numbers: PNG (8 and 16 bits, grey, colour, with a palette, transparent) and JPEG, shrunk by area.
#pragma once

#include <filesystem>
#include <string>

#include "symma/core/tensor.h"

namespace symma {

// Whether a file's name says that it is an image that is read here: .png, .jpg or .jpeg, in any case. Not for
// what macOS leaves beside files ("._name").
bool is_picture(const std::filesystem::path&);

// [side, side, channels] bytes of an image file. With one channel, ink: 0 white paper .. 255 black, of the
// luma of ITU-R BT.601 (as Pillow's convert("L")). With three, red, green and blue as they are. What is
// transparent lies on white. Throws UserError that names `place` for bytes that are no image, or more than
// 33 million pixels.
Tensor read_picture(const std::string& bytes, const std::string& place, int64_t side, int64_t channels);

}  // namespace symma
