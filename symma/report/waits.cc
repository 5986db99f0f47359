#include "symma/report/waits.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "symma/report/format.h"

namespace symma {
namespace {

constexpr size_t kMostPairs = 30, kMostBars = 200;

// "1.2 ms": waits are short.
std::string short_time(double seconds) {
  if (seconds <= 0) return "0";
  if (seconds < 1e-3) return fmt::format("{:.0f} \u00b5s", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.{}f} ms", seconds * 1e3, seconds < 0.01 ? 1 : 0);
  return duration(seconds);
}

// Neighbouring stretches as one, until there are few enough to be seen apart.
std::vector<WaitsBetween::Stretch> thinned(std::vector<WaitsBetween::Stretch> all) {
  while (all.size() > kMostBars) {
    std::vector<WaitsBetween::Stretch> half;
    for (size_t i = 0; i + 1 < all.size(); i += 2) {
      const auto &a = all[i], &b = all[i + 1];
      const double la = a.to - a.from, lb = b.to - b.from;
      half.push_back({a.from, b.to, (a.seconds * la + b.seconds * lb) / std::max(1e-300, la + lb)});
    }
    if (all.size() % 2 == 1) half.push_back(all.back());
    all = std::move(half);
  }
  return all;
}

std::string bars_svg(const WaitsBetween& w, double rounds, double top) {
  const double scale = 1000 / std::max(1., rounds);
  std::string bars;
  for (const auto& s : thinned(w.along)) {
    if (s.seconds <= 0 || top <= 0) continue;
    const double high = std::max(1., 24 * s.seconds / top), wide = std::max(3., (s.to - s.from) * scale);
    bars += fmt::format(
        "<rect class=\"wait\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
        "height=\"{:.1f}\"><title>{}</title></rect>",
        std::min(s.from * scale, 1000 - wide), 24 - high, wide, high,
        escape(fmt::format("rounds {} to {}: {} on average", grouped(s.from), grouped(s.to),
                           short_time(s.seconds))));
  }
  return fmt::format(
      "<svg class=\"bars\" viewBox=\"0 0 1000 24\" preserveAspectRatio=\"none\" role=\"img\" "
      "aria-label=\"how long process {} waited for process {} along the run\"><rect class=\"ground\" x=\"0\" "
      "y=\"23\" width=\"1000\" height=\"1\"/>{}</svg>",
      w.to, w.from, bars);
}

}  // namespace

std::vector<WaitsBetween> waits_of(const std::vector<Json>& lines) {
  std::map<std::pair<int64_t, int64_t>, WaitsBetween> by;
  std::map<int64_t, double> last;  // round of the last line, by process
  for (const Json& line : lines) {
    const auto to = line.at("process").get<int64_t>();
    const auto round = line.at("round").get<double>();
    if (line.contains("with")) last[to] = round;
    if (!line.contains("waits")) continue;
    for (const Json& one : line.at("waits")) {
      const auto from = one.at("of").get<int64_t>();
      const auto number = [&](const char* key) { return one.at(key).get<double>(); };
      WaitsBetween& w = by[{to, from}];
      w.from = from, w.to = to;
      const double letters = number("letters"), times = number("times"), seconds = number("seconds");
      w.age += number("age") * letters;  // the sum, for now
      w.oldest = std::max(w.oldest, number("oldest"));
      w.times += times, w.letters += letters, w.missing += number("missing"), w.bytes += number("bytes");
      w.seconds += seconds, w.longest = std::max(w.longest, number("longest"));
      w.along.push_back({last[to], round, seconds / std::max(1., times)});
    }
    last[to] = round;
  }
  std::vector<WaitsBetween> out;
  for (auto& [pair, w] : by) {
    w.age /= std::max(1., w.letters);
    out.push_back(std::move(w));
  }
  return out;
}

std::string waits_html(const std::vector<WaitsBetween>& all, double rounds) {
  if (all.empty()) return "";
  std::vector<const WaitsBetween*> shown;
  bool old = false, lost = false;
  for (const WaitsBetween& w : all) {
    shown.push_back(&w);
    old = old || w.oldest > 0, lost = lost || w.missing > 0;
  }
  if (shown.size() > kMostPairs) {
    std::stable_sort(shown.begin(), shown.end(),
                     [](const auto* a, const auto* b) { return a->seconds > b->seconds; });
    shown.resize(kMostPairs);
    std::sort(shown.begin(), shown.end());
  }
  double top = 0;
  for (const auto* w : shown)
    for (const auto& s : thinned(w->along)) top = std::max(top, s.seconds);
  const auto head = [](const char* words) {
    return fmt::format("<th class=\"number\" scope=\"col\">{}</th>", words);
  };
  const auto cell = [](const std::string& text) { return fmt::format("<td class=\"number\">{}</td>", text); };
  std::string rows;
  for (const auto* w : shown) {
    rows += fmt::format(
        "<tr><th scope=\"row\">process {}<small>for process {}</small></th><td class=\"along\">{}</td>",
        w->to, w->from, bars_svg(*w, rounds, top));
    rows += cell(short_time(w->seconds / std::max(1., w->times))) + cell(short_time(w->longest)) +
            cell(short_time(w->seconds)) + cell(grouped(w->letters)) + cell(bytes_of_bits(8 * w->bytes));
    if (lost) rows += cell(grouped(w->missing));
    if (old) rows += cell(fmt::format("{:.1f}, at most {}", w->age, grouped(w->oldest)));
    rows += "</tr>";
  }
  const std::string rest =
      all.size() > shown.size()
          ? fmt::format("<p class=\"note\">Of {} pairs, those that waited longest; roster.jsonl has all.</p>",
                        all.size())
          : "";
  return fmt::format(
      "<div class=\"card presence\"><h4>Waiting for letters</h4><div class=\"wide\"><table><thead><tr><th "
      "scope=\"col\">who waited</th><th scope=\"col\">along {} rounds, up to "
      "{}</th>{}{}{}{}{}{}{}</tr></thead>"
      "<tbody>{}</tbody></table></div><p class=\"note\">At each exchange a process waits until the last "
      "letter of "
      "the other has come, or is given up.{}</p>{}</div>",
      grouped(rounds), short_time(top), head("mean wait"), head("longest"), head("in all"), head("letters"),
      head("received"), lost ? head("did not come") : "", old ? head("exchanges old") : "", rows,
      old ? " Running free, it takes what has come, however old, up to <code>staleness</code>." : "", rest);
}

}  // namespace symma
