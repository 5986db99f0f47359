#include "symma/envs/ranges.h"

#include <fmt/format.h>

#include <algorithm>

#include "symma/core/errors.h"

namespace symma {

void keep_apart(const std::vector<int64_t>& train, const std::vector<int64_t>& test, int64_t least,
                const std::string& what) {
  const int64_t first = std::max({train[0], test[0], least}), last = std::min(train[1], test[1]);
  if (first > last || (train == test && train[0] == train[1])) return;
  throw UserError("[task.world] test",
                  first < last ? fmt::format("{}s {} to {} are in train, too", what, first, last)
                               : fmt::format("{} {} is in train, too", what, first),
                  "nobody is judged on what was learned from: let train and test share none");
}

}  // namespace symma
