// Whole numbers of a discrete Gaussian, exactly: P(x) proportional to exp(-x^2 / (2 sigma^2)) over all whole
// x.
//
// Canonne, Kamath, Steinke 2020, "The discrete Gaussian for differential privacy" (arXiv:2004.00010). Noise
// of whole numbers survives sums modulo 2^b, and leaves no traces of floating point (Mironov 2012). Of a sum
// of n of them, sigma of 4 or more each: its divergence from that of a shifted one is at most that of the
// continuous Gaussian of variance n sigma^2, at every Renyi order, but for less than n P 1e-67 (Kairouz, Liu,
// Steinke 2021, arXiv:2102.06387, section 4).
#pragma once

#include <cstdint>
#include <vector>

#include "symma/exchange/secure.h"

namespace symma {

inline constexpr int64_t kLeastDiscreteSigma = 4, kMostDiscreteSigma = int64_t{1} << 28;

// n of them, from the ChaCha20 stream of `key`. 1 <= sigma <= kMostDiscreteSigma.
std::vector<int64_t> discrete_gaussian(const secure::Key& key, int64_t n, int64_t sigma);

// What each agent of `agents` draws so that a sum carries noise of `sigma` at least, in whole numbers: of the
// two thirds of them that a sum is of, as many may help the server (secure::Setting::helpers), and know their
// own share.
int64_t share_of_noise(double sigma, int64_t agents);

}  // namespace symma
