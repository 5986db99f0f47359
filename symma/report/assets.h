// What the page carries with it, embedded at build time by cmake/SymmaGenerated.cmake.
#pragma once

#include <string_view>

namespace symma::assets {

extern const std::string_view chart_js;  // Chart.js 3, minified, MIT licence
extern const std::string_view page_js;   // page.js of this folder
extern const std::string_view page_css;  // page.css of this folder

}  // namespace symma::assets
