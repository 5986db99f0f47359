// The frame of every page: one file that needs no network, with its style, its script and its numbers.
#pragma once

#include <string>

#include "symma/core/options.h"

namespace symma {

// `data` is what page.js draws charts of.
std::string page_of(const std::string& title, const std::string& version, const std::string& body,
                    const Json& data);

}  // namespace symma
