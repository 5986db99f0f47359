#include "symma/envs/energy/trading.h"

#include <algorithm>
#include <cmath>

namespace symma {
namespace {

// Serves `volume` to the orders of one side in their order, those of equal limit in proportion.
void serve(const std::vector<int64_t>& order, const double* net, const double* limit, double volume,
           double sign, std::vector<double>& bought) {
  for (size_t i = 0; i < order.size() && volume > 0;) {
    size_t j = i;
    double tied = 0;
    while (j < order.size() && limit[order[j]] == limit[order[i]]) tied += std::abs(net[order[j++]]);
    const double share = tied > 0 ? std::min(1.0, volume / tied) : 0;
    for (size_t k = i; k < j; ++k) bought[order[k]] = sign * share * std::abs(net[order[k]]);
    volume -= share * tied;
    i = j;
  }
}

}  // namespace

void trade(const std::string& market, const double* net, const double* limit, int64_t homes, double price,
           double feed_in, Trades& out) {
  out.bought.assign(homes, 0), out.paid.assign(homes, 0), out.bill.assign(homes, 0);
  out.volume = 0, out.price = (price + feed_in) / 2;
  if (market != "none") {
    std::vector<int64_t> buyers, sellers;
    for (int64_t i = 0; i < homes; ++i) {
      if (net[i] > 0) buyers.push_back(i);
      if (net[i] < 0) sellers.push_back(i);
    }
    std::vector<double> at(limit, limit + homes);
    if (market == "mid_market") std::fill(at.begin(), at.end(), out.price);
    std::stable_sort(buyers.begin(), buyers.end(), [&](int64_t a, int64_t b) { return at[a] > at[b]; });
    std::stable_sort(sellers.begin(), sellers.end(), [&](int64_t a, int64_t b) { return at[a] < at[b]; });
    // Both curves are walked until the next bid is below the next ask.
    size_t b = 0, s = 0;
    double want = buyers.empty() ? 0 : net[buyers[0]], have = sellers.empty() ? 0 : -net[sellers[0]];
    while (b < buyers.size() && s < sellers.size() && at[buyers[b]] >= at[sellers[s]]) {
      const double q = std::min(want, have);
      out.volume += q;
      out.price = (at[buyers[b]] + at[sellers[s]]) / 2;
      want -= q, have -= q;
      if (want <= 0 && ++b < buyers.size()) want = net[buyers[b]];
      if (have <= 0 && ++s < sellers.size()) have = -net[sellers[s]];
    }
    serve(buyers, net, at.data(), out.volume, 1, out.bought);
    serve(sellers, net, at.data(), out.volume, -1, out.bought);
  }
  for (int64_t i = 0; i < homes; ++i) {
    out.paid[i] = out.bought[i] * out.price;
    const double left = net[i] - out.bought[i];
    out.bill[i] = out.paid[i] + (left > 0 ? price * left : feed_in * left);
  }
}

}  // namespace symma
