// What the engine's program has beside the one that needs no engine.
#pragma once

#include "symma/core/options.h"

namespace symma {

// Every part of every kind, as `symma list --json` has them.
Json parts_of_registry();

}  // namespace symma
