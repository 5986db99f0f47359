#include "symma/tasks/jitter.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace symma {

void turn_image(const uint8_t* bytes, int64_t n, int64_t channels, int64_t turn, float* to) {
  for (int64_t y = 0; y < n; ++y) {
    for (int64_t x = 0; x < n; ++x) {
      const int64_t from = turn == 0   ? y * n + x
                           : turn == 1 ? x * n + (n - 1 - y)
                           : turn == 2 ? (n - 1 - y) * n + (n - 1 - x)
                                       : (n - 1 - x) * n + y;
      for (int64_t c = 0; c < channels; ++c) *to++ = static_cast<float>(bytes[from * channels + c]) / 255.0f;
    }
  }
}

void jitter_image(Draws& d, double j, int64_t n, int64_t channels, float* image) {
  const double side = static_cast<double>(n), middle = (side - 1) / 2;
  const double angle = d.uniform(-j, j), scale = 1 + d.uniform(-j, j), dx = side * d.uniform(-j, j),
               dy = side * d.uniform(-j, j);
  const double c = std::cos(angle) / scale, s = std::sin(angle) / scale;
  const std::vector<float> old(image, image + n * n * channels);
  const auto at = [&](int64_t y, int64_t x, int64_t channel) {
    const bool inside = x >= 0 && x < n && y >= 0 && y < n;
    if (!inside && channels == 1) return 0.0;
    y = std::clamp<int64_t>(y, 0, n - 1), x = std::clamp<int64_t>(x, 0, n - 1);
    return static_cast<double>(old[(y * n + x) * channels + channel]);
  };
  for (int64_t y = 0; y < n; ++y) {
    for (int64_t x = 0; x < n; ++x) {
      const double u = static_cast<double>(x) - middle - dx, v = static_cast<double>(y) - middle - dy;
      const double fx = middle + c * u - s * v, fy = middle + s * u + c * v;
      const double bx = std::floor(fx), by = std::floor(fy), rx = fx - bx, ry = fy - by;
      const auto x0 = static_cast<int64_t>(bx), y0 = static_cast<int64_t>(by);
      for (int64_t k = 0; k < channels; ++k)
        *image++ = static_cast<float>((1 - ry) * ((1 - rx) * at(y0, x0, k) + rx * at(y0, x0 + 1, k)) +
                                      ry * ((1 - rx) * at(y0 + 1, x0, k) + rx * at(y0 + 1, x0 + 1, k)));
    }
  }
}

}  // namespace symma
