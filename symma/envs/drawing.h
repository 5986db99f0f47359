// A few shapes of SVG, for worlds to draw themselves with.
#pragma once

#include <string>

namespace symma {

// A picture of `width` by `height` units, y downwards. Colours are CSS words.
class Drawing {
 public:
  Drawing(double width, double height);
  void rect(double x, double y, double width, double height, const std::string& fill);
  void circle(double x, double y, double radius, const std::string& fill, double opacity = 1);
  void line(double x1, double y1, double x2, double y2, const std::string& stroke, double width);
  void text(double x, double y, double size, const std::string& words,
            const std::string& fill = "black");  // centred
  std::string svg() const { return body_ + "</svg>"; }

 private:
  std::string body_;
};

// The nth of ten colours that can be told apart.
const char* colour(int64_t n);

}  // namespace symma
