// Meters that trade: what neighbours buy of one another in an hour, and at what price.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace symma {

// Homes with net > 0 kWh buy, those with net < 0 sell. The utility sells at `price` and pays `feed_in` for
// what nobody bought.
//
//   "none"        everyone trades with the utility alone
//   "mid_market"  the smaller of supply and demand changes hands at (price + feed_in) / 2; the other side is
//                 served in proportion
//   "auction"     a uniform-price call auction: `limit` is what a buyer pays at most or a seller asks at
//   least.
//                 It clears as much as bids and asks allow, at the middle of the marginal bid and ask; orders
//                 at the margin are served in proportion
struct Trades {
  std::vector<double> bought;  // [A] kWh from neighbours; negative where sold to them. Sums to 0
  std::vector<double> paid;    // [A] $ to neighbours; negative where received. Sums to 0
  std::vector<double> bill;    // [A] $ in all, the utility's part too
  double volume = 0, price = 0;
};
void trade(const std::string& market, const double* net, const double* limit, int64_t homes, double price,
           double feed_in, Trades& out);

}  // namespace symma
