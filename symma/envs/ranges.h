// First and last numbers of what is trained with and tested on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace symma {

// Throws a UserError where [first, last] of training and of testing share a number from `least` on: nobody is
// judged on what was learned from. The one and only, named for both, is all there is. `what` is their word.
void keep_apart(const std::vector<int64_t>& train, const std::vector<int64_t>& test, int64_t least,
                const std::string& what);

}  // namespace symma
