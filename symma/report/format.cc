#include "symma/report/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace symma {
namespace {

std::string scaled(double x, double base, const char* const* units, int count) {
  int u = 0;
  while (u + 1 < count && x >= base * 0.9995) {
    x /= base;
    ++u;
  }
  if (u == 0 && x == std::floor(x)) return fmt::format("{:.0f} {}", x, units[0]);
  return fmt::format("{} {}", three_digits(x), units[u]);
}

constexpr int kMostDigits = 6;

// Digits after the point, for two of the interval's; further ones of the mean would say nothing.
int digits_of(double half_width) {
  if (half_width <= 0) return 0;
  return std::clamp(1 - static_cast<int>(std::floor(std::log10(half_width))), 0, kMostDigits);
}

// Half an interval with so many digits; one that would read as none, by its power of ten.
std::string width_words(double half_width, int digits) {
  if (half_width > 0 && half_width < std::pow(10, 1 - kMostDigits)) return fmt::format("{:.1e}", half_width);
  return fmt::format("{:.{}f}", half_width, digits);
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string script_json(const Json& value) {
  // Not UTF-8 in a name is no reason to fail: the replacement character stands in.
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '<' || c == '>' || c == '&') {
      out += fmt::format("\\u{:04x}", static_cast<int>(c));
    } else if (text.compare(i, 3, "\u2028") == 0 || text.compare(i, 3, "\u2029") == 0) {
      out += text[i + 2] == '\xa8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      out += c;
    }
  }
  return out;
}

std::string three_digits(double x) {
  if (!std::isfinite(x)) return "not finite";
  const double a = std::abs(x);
  if (a == 0) return "0";
  if (a < 1e-3 || a >= 1e6) return fmt::format("{:.2e}", x);
  // Three significant digits, trailing zeros kept, so that columns of numbers compare at a glance.
  const int whole = static_cast<int>(std::floor(std::log10(a) + 1e-12));
  return fmt::format("{:.{}f}", x, std::clamp(2 - whole, 0, 6));
}

std::string score(double x, bool percent) {
  if (!percent || !std::isfinite(x)) return three_digits(x);
  return fmt::format("{:.1f} %", 100 * x);
}

std::string with_interval(double mean, double half_width, bool percent) {
  if (!std::isfinite(mean)) return "not finite";
  if (!std::isfinite(half_width)) return score(mean, percent);
  if (percent) {
    // A tenth is fine enough, unless the interval is below it.
    const int d = 100 * half_width >= 0.1 ? 1 : std::max(1, digits_of(100 * half_width));
    return fmt::format("{:.{}f} ± {} %", 100 * mean, d, width_words(100 * half_width, d));
  }
  // Where both are small; a small mean in a wide interval is as good as nothing.
  const bool small = mean != 0 && std::abs(mean) < 1e-3 && half_width < 1e-3;
  if (std::abs(mean) >= 1e6 || half_width >= 1e6 || small) {
    return fmt::format("{} ± {}", three_digits(mean), three_digits(half_width));
  }
  const int d = half_width > 0 ? digits_of(half_width) : 3;
  return fmt::format("{:.{}f} ± {}", mean, d, width_words(half_width, d));
}

std::string bits(double count) {
  static constexpr const char* kUnits[] = {"bit", "kbit", "Mbit", "Gbit", "Tbit", "Pbit"};
  return scaled(count, 1000, kUnits, 6);
}

std::string bytes_of_bits(double count) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  return scaled(count / 8, 1000, kUnits, 6);
}

std::string duration(double seconds) {
  if (!std::isfinite(seconds)) return "—";
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto s = static_cast<int64_t>(std::llround(seconds));
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
}

std::string grouped(double count) {
  std::string text = fmt::format("{:.0f}", count);
  const size_t first = text.starts_with('-') ? 1 : 0;
  for (size_t at = text.size(); at > first + 3;) {
    at -= 3;
    text.insert(text.begin() + static_cast<std::ptrdiff_t>(at), ',');
  }
  return text;
}

int64_t width(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; });
}

}  // namespace symma
