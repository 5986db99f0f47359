#include "symma/envs/drawing.h"

#include <fmt/format.h>

namespace symma {
namespace {

std::string escaped(const std::string& words) {
  std::string out;
  for (char c : words) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

}  // namespace

Drawing::Drawing(double width, double height)
    : body_(fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:g} {:g}\">", width,
                        height)) {
  rect(0, 0, width, height, "white");
}

void Drawing::rect(double x, double y, double width, double height, const std::string& fill) {
  body_ += fmt::format("<rect x=\"{:g}\" y=\"{:g}\" width=\"{:g}\" height=\"{:g}\" fill=\"{}\"/>", x, y,
                       width, height, escaped(fill));
}

void Drawing::circle(double x, double y, double radius, const std::string& fill, double opacity) {
  body_ += fmt::format("<circle cx=\"{:.4g}\" cy=\"{:.4g}\" r=\"{:g}\" fill=\"{}\" fill-opacity=\"{:g}\"/>",
                       x, y, radius, escaped(fill), opacity);
}

void Drawing::line(double x1, double y1, double x2, double y2, const std::string& stroke, double width) {
  body_ += fmt::format(
      "<line x1=\"{:g}\" y1=\"{:g}\" x2=\"{:g}\" y2=\"{:g}\" stroke=\"{}\" stroke-width=\"{:g}\"/>", x1, y1,
      x2, y2, escaped(stroke), width);
}

void Drawing::text(double x, double y, double size, const std::string& words, const std::string& fill) {
  body_ += fmt::format(
      "<text x=\"{:g}\" y=\"{:g}\" font-size=\"{:g}\" font-family=\"sans-serif\" text-anchor=\"middle\" "
      "dominant-baseline=\"central\" "
      "fill=\"{}\">{}</text>",
      x, y, size, escaped(fill), escaped(words));
}

const char* colour(int64_t n) {
  static const char* const kColours[10] = {"#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd",
                                           "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"};
  return kColours[(n % 10 + 10) % 10];
}

}  // namespace symma
