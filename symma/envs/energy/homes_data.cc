#include "symma/envs/energy/homes_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>

#include "symma/core/errors.h"
#include "symma/core/kept.h"
#include "symma/core/rng.h"
#include "symma/core/series.h"

namespace symma {
namespace {

// One row of what the challenge shows, without what goes by home or task.
constexpr std::array<const char*, 16> kWeather{"outdoor_dry_bulb_temperature",
                                               "outdoor_dry_bulb_temperature_predicted_1",
                                               "outdoor_dry_bulb_temperature_predicted_2",
                                               "outdoor_dry_bulb_temperature_predicted_3",
                                               "outdoor_relative_humidity",
                                               "outdoor_relative_humidity_predicted_1",
                                               "outdoor_relative_humidity_predicted_2",
                                               "outdoor_relative_humidity_predicted_3",
                                               "diffuse_solar_irradiance",
                                               "diffuse_solar_irradiance_predicted_1",
                                               "diffuse_solar_irradiance_predicted_2",
                                               "diffuse_solar_irradiance_predicted_3",
                                               "direct_solar_irradiance",
                                               "direct_solar_irradiance_predicted_1",
                                               "direct_solar_irradiance_predicted_2",
                                               "direct_solar_irradiance_predicted_3"};

void show(Neighbourhood& n, int64_t t, double month, double day, const std::array<double, 16>& weather) {
  float* to = &n.seen[t * Neighbourhood::kSeen];
  *to++ = static_cast<float>(month), *to++ = static_cast<float>(day);
  *to++ = static_cast<float>(n.hour[t]);
  for (double x : weather) *to++ = static_cast<float>(x);
  *to = static_cast<float>(n.carbon[t]);
}

// The hours follow one another.
void check_hours(const Series& s) {
  const auto& hour = s.whole("hour", 1, 24, "o'clock");
  for (int64_t t = 1; t < s.length(); ++t) {
    const double due = std::fmod(hour[t - 1], 24) + 1;
    if (hour[t] == due) continue;
    throw UserError(
        s.place(t, "hour"), fmt::format("hour {:g} follows hour {:g}", hour[t], hour[t - 1]),
        fmt::format("hour {:g} is missing or out of place: give every hour one row, in order", due));
  }
}

HomeSeries read_home(const Series& s, double kw) {
  check_hours(s);
  HomeSeries out{s.whole("non_shiftable_load", 0, 100, "kWh in an hour"), {}};
  const auto& column = s.whole("solar_generation", 0, 1500, "W for each kW of panels");
  const double most = *std::max_element(column.begin(), column.end());
  if (most > 0 && most <= 20) {
    throw UserError(s.path() + ": column solar_generation", fmt::format("is {:g} at most", most),
                    "numbers are W for each kW of panels: multiply kW by 1000");
  }
  for (double x : column) out.solar.push_back(kw * x / 1000);
  return out;
}

std::shared_ptr<Neighbourhood> read(const std::string& folder, const std::vector<int64_t>& numbers,
                                    const std::string& file, double file_kw) {
  auto out = std::make_shared<Neighbourhood>();
  Neighbourhood& n = *out;
  std::error_code ec;
  if (!std::filesystem::is_directory(folder, ec))
    throw UserError("[task.world] data", "\"" + folder + "\" is no folder",
                    "name the folder of Building_1.csv, weather.csv, pricing.csv and carbon_intensity.csv");
  const auto of = [&](const std::string& name) {
    return Series::load((std::filesystem::path(folder) / name).string());
  };
  const auto weather = of("weather.csv"), pricing = of("pricing.csv"), carbon = of("carbon_intensity.csv");
  std::shared_ptr<const Series> first;
  n.hours = weather->length();
  for (const auto& s : {pricing, carbon}) {
    if (s->length() != n.hours)
      throw UserError(s->path(),
                      fmt::format("has {} hours, and {} has {}", s->length(), weather->path(), n.hours),
                      "give both the same hours");
  }
  for (int64_t number : numbers) {
    const auto s = number == 0 ? Series::load(file) : of(fmt::format("Building_{}.csv", number));
    if (s->length() != n.hours)
      throw UserError(s->path(),
                      fmt::format("has {} hours, and {} has {}", s->length(), weather->path(), n.hours),
                      "give both the same hours: one may be missing");
    n.homes[number] = read_home(*s, number == 0 ? file_kw : panels_of(number));
    if (!first) first = s;
    if (s->column("hour")[0] != first->column("hour")[0])
      throw UserError(s->path(),
                      fmt::format("begins at hour {:g}, and {} at hour {:g}", s->column("hour")[0],
                                  first->path(), first->column("hour")[0]),
                      "give both the same hours");
  }
  for (int k = 0; k < 4; ++k)
    n.price[k] = pricing->whole(
        k == 0 ? "electricity_pricing" : fmt::format("electricity_pricing_predicted_{}", k), 0, 5, "$ a kWh");
  n.carbon = carbon->whole("carbon_intensity", 0, 3, "kg a kWh");
  for (double h : first->column("hour")) n.hour.push_back(static_cast<int>(h));
  const auto &month = first->whole("month", 1, 12, "months"),
             &day = first->whole("day_type", 1, 8, "kinds of day");
  std::array<const std::vector<double>*, 16> columns;
  for (size_t c = 0; c < 16; ++c)
    columns[c] = &weather->whole(kWeather[c], -100, 2000, "degrees, percent or W/m2");
  n.seen.resize(n.hours * Neighbourhood::kSeen);
  for (int64_t t = 0; t < n.hours; ++t) {
    std::array<double, 16> row;
    for (size_t c = 0; c < 16; ++c) row[c] = (*columns[c])[t];
    show(n, t, month[t], day[t], row);
  }
  return out;
}

// A year that nobody lived: sun by season and cloud, dear evenings, and people with habits of their own.
std::shared_ptr<Neighbourhood> made_up(const std::vector<int64_t>& numbers) {
  auto out = std::make_shared<Neighbourhood>();
  Neighbourhood& n = *out;
  n.hours = 8760;
  const auto bump = [](double x, double at, double width) {
    const double z = (x - at) / width;
    return std::exp(-0.5 * z * z);
  };
  std::array<std::vector<double>, 4> weather;  // temperature, humidity, diffuse, direct
  Draws cloud(Rng(2022).split("clouds"));
  double cover = 0.3;
  for (int64_t t = 0; t < n.hours; ++t) {
    const int64_t date = t / 24;
    const double h = static_cast<double>(t % 24), day = static_cast<double>(date);
    if (t % 24 == 0) cover = std::clamp(0.5 * cover + 0.3 * cloud.uniform(), 0.0, 1.0);
    const double season = std::cos(2 * std::numbers::pi * (day - 172) / 365);
    const double sun = std::max(0.0, std::sin(std::numbers::pi * (h - 6 + season) / (12 + 2 * season)));
    const double high = h > 5 - season && h < 19 + season ? sun * (0.75 + 0.2 * season) : 0;
    n.hour.push_back(static_cast<int>(t % 24) + 1);
    weather[0].push_back(14 + 8 * season + 6 * std::sin(2 * std::numbers::pi * (h - 9) / 24));
    weather[1].push_back(60 - 15 * season + 30 * cover);
    weather[2].push_back(300 * high * (0.3 + cover));
    weather[3].push_back(900 * high * (1 - cover));
    const bool dear = h >= 16 && h < 21, week = static_cast<int64_t>(day) % 7 < 5;
    n.price[0].push_back(dear ? (season > 0 && week ? 0.54 : 0.4) : 0.22);
    n.carbon.push_back(0.16 + 0.05 * bump(h, 20, 3) - 0.05 * high);
  }
  const std::array<int64_t, 4> ahead{0, 6, 12, 24};
  for (int k = 1; k < 4; ++k) {
    for (int64_t t = 0; t < n.hours; ++t) n.price[k].push_back(n.price[0][(t + ahead[k]) % n.hours]);
  }
  n.seen.resize(n.hours * Neighbourhood::kSeen);
  for (int64_t t = 0; t < n.hours; ++t) {
    std::array<double, 16> row;
    for (size_t c = 0; c < 16; ++c) row[c] = weather[c / 4][(t + ahead[c % 4]) % n.hours];
    const int64_t day = t / 24, month = 1 + day * 12 / 365, weekday = 1 + day % 7;
    show(n, t, static_cast<double>(month), static_cast<double>(weekday), row);
  }
  for (int64_t number : numbers) {
    Draws d(Rng(2022).split("home", static_cast<uint64_t>(number)));
    HomeSeries& home = n.homes[number];
    const double base = d.uniform(0.3, 0.7), morning = d.uniform(0, 1.5), evening = d.uniform(1, 4),
                 wakes = d.uniform(6, 9), dines = d.uniform(17, 22), noon = d.uniform(0, 0.8);
    for (int64_t t = 0; t < n.hours; ++t) {
      const double h = static_cast<double>(t % 24);
      const double habits =
          base + morning * bump(h, wakes, 1) + evening * bump(h, dines, 1.5) + noon * bump(h, 13, 2);
      home.load.push_back(std::max(0.1, habits * (1 + 0.25 * d.normal())));
      home.solar.push_back(panels_of(number) * 0.8 * (weather[2][t] + weather[3][t]) / 1000);
    }
  }
  return out;
}

}  // namespace

double panels_of(int64_t home) {
  constexpr std::array<double, 17> kw{4, 4, 4, 5, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5};
  return home >= 1 && home <= 17 ? kw[home - 1] : 4;
}

std::shared_ptr<const Neighbourhood> Neighbourhood::get(const std::string& folder,
                                                        const std::vector<int64_t>& numbers,
                                                        const std::string& file, double file_kw) {
  return kept<Neighbourhood>(fmt::format("{}|{}|{}|{}", folder, fmt::join(numbers, ","), file, file_kw), {},
                             [&]() -> std::shared_ptr<const Neighbourhood> {
                               if (folder.empty()) return made_up(numbers);
                               return read(folder, numbers, file, file_kw);
                             });
}

}  // namespace symma
