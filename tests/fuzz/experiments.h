// Experiments that look as if somebody had written them: parts from the registry, options near their
// defaults or at their bounds.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "fuzz/dice.h"

namespace fuzz {

// `catalog` is what `symma list --json` prints. Data is read from `table` and `images`.
std::string random_experiment(const nlohmann::ordered_json& catalog, const std::string& table,
                              const std::string& images, Dice&);

}  // namespace fuzz
