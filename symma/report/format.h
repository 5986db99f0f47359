// Numbers and names as people read them, in HTML and in the terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "symma/core/options.h"

namespace symma {

std::string escape(std::string_view text);  // for HTML text and attributes: & < > " '

// JSON that may stand inside <script>: no "<", no ">", no "&", no line separators outside escapes.
std::string script_json(const Json& value);

std::string three_digits(double x);         // "0.123", "1.2e-07"; "not finite" for NaN and infinity
std::string score(double x, bool percent);  // "0.360", or "88.4 %" of 0.884
std::string with_interval(double mean, double half_width, bool percent);  // "0.360 ± 0.020", "88.4 ± 0.9 %"
std::string bits(double count);                                           // "12.3 Mbit"
std::string bytes_of_bits(double count);                                  // "1.54 MB"
std::string duration(double seconds);  // "9.1 s", "3 min 20 s", "2 h 5 min"
std::string grouped(double count);     // "20,000"
int64_t width(std::string_view text);  // columns in a terminal: UTF-8 code points

}  // namespace symma
