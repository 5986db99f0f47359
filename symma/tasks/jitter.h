// Images [side, side, channels] turned, and moved a little as by another hand.
#pragma once

#include <cstdint>

#include "symma/core/rng.h"

namespace symma {

// Bytes to 0..1, turned counter-clockwise by `turn` quarters.
void turn_image(const uint8_t* bytes, int64_t side, int64_t channels, int64_t turn, float* to);

// Shifted (share of the side), turned (radians) and scaled at random by up to `amount`, read between pixels.
// Around it is what there is at its border: paper, or in colour the nearest pixel.
void jitter_image(Draws&, double amount, int64_t side, int64_t channels, float* image);

}  // namespace symma
