// The scorecard: how a fleet does on four axes, in figures with intervals and in sentences made of them.
#pragma once

#include <string>
#include <vector>

#include "symma/core/options.h"

namespace symma {

// scorecard.json's object, as docs/files.md has it: "figures" is a list of
//   {"id", "axis", "what", "mean", "ci95", "over", "n", "command", "gap": {"to", "difference", "ci95"} or
//   null, ...}
// and `higher_is_better` says which way differences (a figure's mean less that of `to`) are good.

// What the figures say, a sentence each. A difference whose interval holds zero is "not told apart".
std::vector<std::string> scorecard_sentences(const Json& card);

// One page.
std::string scorecard_html(const Json& card);

}  // namespace symma
