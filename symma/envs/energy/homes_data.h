// What homes draw and make, hour by hour, with the weather, prices and carbon of the same hours.
//
// Files are those of the CityLearn challenge of 2022: Building_N.csv, weather.csv, pricing.csv and
// carbon_intensity.csv in one folder. Where no folder is named, homes are made up: any number of them, from
// formulas and their own random streams.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace symma {

struct HomeSeries {
  std::vector<double> load;   // [N] kWh
  std::vector<double> solar;  // [N] kWh of its panels
};

struct Neighbourhood {
  static constexpr int64_t kSeen = 28;
  int64_t hours = 0;                         // N
  std::vector<int> hour;                     // [N] 1..24
  std::array<std::vector<double>, 4> price;  // [N] $/kWh: now, and foreseen for 6, 12 and 24 hours ahead
  std::vector<double> carbon;                // [N] kg/kWh
  // [N, 28] what the challenge shows, in its order; zeros where it goes by home or task: load, solar, charge,
  // net, prices.
  std::vector<float> seen;
  std::map<int64_t, HomeSeries> homes;

  // Where the numbers that go by home or task stand among the 28.
  static constexpr int kLoad = 20, kSolar = 21, kCharge = 22, kNet = 23, kPrice = 24;

  // `numbers` are of homes; 0 is `file`, a home's file that a person brings, with panels of `file_kw`. What
  // was read is shared while somebody holds it. Throws UserError: an hour is missing, files are of different
  // hours, numbers cannot be in the unit that they should be in.
  static std::shared_ptr<const Neighbourhood> get(const std::string& folder,
                                                  const std::vector<int64_t>& numbers,
                                                  const std::string& file, double file_kw);
};

// Panels of the challenge's homes 1 to 17; 4 kW of others.
double panels_of(int64_t home);

}  // namespace symma
