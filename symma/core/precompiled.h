// Headers that are slow to parse and that nearly every file needs. Precompiled; never included by hand.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "symma/core/tensor.h"
