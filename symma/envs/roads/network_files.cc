// Networks from files, and those that need none.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <string_view>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/series.h"
#include "symma/envs/roads/network.h"

namespace symma {
namespace {

constexpr double kMost = 1e12;
constexpr int64_t kMostNodes = 1000000000;

// What a file says, with the line that says it.
struct Row {
  std::string place;
  std::vector<double> numbers;
};

bool is_tntp(const std::string& path) {
  return path.size() > 5 && path.substr(path.size() - 5) == ".tntp";
}

std::vector<Row> read_csv(const std::string& path, const std::vector<std::string>& columns) {
  const auto s = Series::load(path);
  std::vector<Row> out(s->length());
  for (const auto& name : columns) {
    // Coordinates may be below zero; what else a network says may not.
    const double low = name == "x" || name == "y" ? -kMost : 0;
    const auto& x = s->whole(name, low, kMost, name == "trips" ? "trips" : "in the file's units");
    for (int64_t t = 0; t < s->length(); ++t) out[t].numbers.push_back(x[t]);
  }
  for (int64_t t = 0; t < s->length(); ++t) {
    const std::string place = s->place(t, columns[0]);
    out[t].place = place.substr(0, place.rfind(": column"));
  }
  return out;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> out;
  for (size_t at = 0; at < line.size();) {
    at = line.find_first_not_of(" \t\r", at);
    if (at == std::string_view::npos) break;
    const size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
    out.push_back(line.substr(at, end - at));
    at = end;
  }
  return out;
}

double number_of(std::string_view word, const std::string& place) {
  double x = 0;
  const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), x);
  if (error != std::errc() || stop != word.data() + word.size())
    throw UserError(place, fmt::format("\"{}\" is no number", word.substr(0, 40)),
                    "see the form of TransportationNetworks");
  if (!(x >= 0 && x <= kMost))
    throw UserError(place, fmt::format("has the number {:g}", x),
                    fmt::format("0 to {:g} would be right", kMost));
  return x;
}

// Hands out each line after the metadata, without its comment; what the metadata say of `key` is returned.
template <class Line>
double each_line(const std::string& path, const std::string& key, Line line) {
  const std::string text = read_file(path);
  double said = 0;
  int64_t number = 0;
  bool begun = false;
  for (size_t at = 0; at < text.size(); ++number) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view l(text.data() + at, end - at);
    at = end + 1;
    const std::string place = fmt::format("{}:{}", path, number + 1);
    l = l.substr(0, l.find('~'));
    if (words_of(l).empty()) continue;
    if (!begun && l.find('<') != std::string_view::npos) {
      begun = l.find("<END OF METADATA>") != std::string_view::npos;
      const size_t close = l.find('>');
      if (!key.empty() && l.find("<" + key + ">") != std::string_view::npos) {
        const auto words = words_of(l.substr(close + 1));
        if (!words.empty()) said = number_of(words[0], place);
      }
      continue;
    }
    if (!begun)
      throw UserError(place, "stands before <END OF METADATA>", "see the form of TransportationNetworks");
    line(l, place);
  }
  if (!begun) throw UserError(path, "has no <END OF METADATA>", "see the form of TransportationNetworks");
  return said;
}

// init node, term node, capacity, length, free flow time, b, power, ...;
std::vector<Row> read_tntp_links(const std::string& path, int64_t& first_through) {
  std::vector<Row> out;
  first_through = static_cast<int64_t>(
      each_line(path, "FIRST THRU NODE", [&](std::string_view line, const std::string& place) {
        const auto words = words_of(line.substr(0, line.find(';')));
        if (words.size() < 7)
          throw UserError(
              place, fmt::format("has {} numbers", words.size()),
              "a link has ten: nodes, capacity, length, free flow time, b, power, speed, toll, type");
        Row row{place, {}};
        for (size_t k : {0, 1, 2, 4, 5, 6}) row.numbers.push_back(number_of(words[k], place));
        out.push_back(row);
      }));
  return out;
}

// "Origin 1", then "2 : 100.0;" as often as need be.
std::vector<Row> read_tntp_trips(const std::string& path) {
  std::vector<Row> out;
  double origin = -1;
  each_line(path, "", [&](std::string_view line, const std::string& place) {
    auto words = words_of(line);
    if (words[0] == "Origin") {
      if (words.size() != 2) throw UserError(place, "names no origin", "write for example Origin 1");
      origin = number_of(words[1], place);
      return;
    }
    if (origin < 0) throw UserError(place, "stands before the first origin", "write for example Origin 1");
    while (!words_of(line).empty()) {
      const size_t end = line.find(';');
      const std::string_view part = line.substr(0, end);
      line = end == std::string_view::npos ? std::string_view() : line.substr(end + 1);
      const size_t colon = part.find(':');
      const auto to = words_of(part.substr(0, colon));
      const auto many = colon == std::string_view::npos ? to : words_of(part.substr(colon + 1));
      if (colon == std::string_view::npos || to.size() != 1 || many.size() != 1)
        throw UserError(place, fmt::format("\"{}\" is no destination with its trips", part.substr(0, 40)),
                        "write for example 2 : 100.0;");
      out.push_back({place, {origin, number_of(to[0], place), number_of(many[0], place)}});
    }
  });
  return out;
}

// "node x y ;", under a line of names that is no metadata and begins with a word.
std::vector<Row> read_tntp_nodes(const std::string& path) {
  std::vector<Row> out;
  const std::string text = read_file(path);
  int64_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line(text.data() + at, end - at);
    at = end + 1;
    const std::string place = fmt::format("{}:{}", path, ++number);
    const auto words = words_of(line.substr(0, line.find_first_of(";~")));
    if (words.empty() || std::isalpha(static_cast<unsigned char>(words[0][0])) || words[0][0] == '<')
      continue;
    if (words.size() < 3) throw UserError(place, "has no coordinates", "write a node, x and y");
    Row row{place, {number_of(words[0], place)}};
    for (size_t k : {1, 2}) {
      const bool below = words[k][0] == '-';
      row.numbers.push_back(number_of(words[k].substr(below ? 1 : 0), place) * (below ? -1 : 1));
    }
    out.push_back(row);
  }
  return out;
}

int64_t node_of(const Row& row, size_t k, const std::string& what) {
  const double x = row.numbers[k];
  if (x != std::floor(x) || x > kMostNodes)
    throw UserError(row.place, fmt::format("{} is {:g}", what, x), "nodes are whole numbers");
  return static_cast<int64_t>(x);
}

RoadNetwork built(const std::vector<Row>& links, const std::vector<Row>& trips, const std::vector<Row>& nodes,
                  int64_t first_through) {
  RoadNetwork n;
  n.first_through = first_through;
  std::set<int64_t> names;
  for (const Row& r : links) names.insert(node_of(r, 0, "from")), names.insert(node_of(r, 1, "to"));
  n.names.assign(names.begin(), names.end());
  const auto find = [&](int64_t name) {
    const auto at = std::lower_bound(n.names.begin(), n.names.end(), name);
    return at != n.names.end() && *at == name ? at - n.names.begin() : int64_t{-1};
  };
  n.out.resize(n.names.size()), n.in.resize(n.names.size());
  std::map<std::pair<int64_t, int64_t>, std::string> seen;
  for (const Row& r : links) {
    RoadLink l{.from = find(node_of(r, 0, "from")),
               .to = find(node_of(r, 1, "to")),
               .capacity = r.numbers[2],
               .free_flow_time = r.numbers[3],
               .b = r.numbers[4],
               .power = r.numbers[5]};
    const std::string who = fmt::format("link {}-{}", n.names[l.from], n.names[l.to]);
    if (l.from == l.to) throw UserError(r.place, who + " leads nowhere", "links join two nodes");
    if (!(l.capacity > 0))
      throw UserError(r.place, fmt::format("{} has capacity {:g}", who, l.capacity), "it must be above 0");
    if (l.power != 0 && !(l.power >= 1 && l.power <= 50))
      throw UserError(r.place, fmt::format("{} has power {:g}", who, l.power),
                      "0, or 1 to 50, would be right");
    if (const auto [at, fresh] = seen.emplace(std::pair(l.from, l.to), r.place); !fresh)
      throw UserError(r.place, fmt::format("{} stands in {} already", who, at->second),
                      "give each link one row");
    n.out[l.from].push_back(static_cast<int32_t>(n.links.size()));
    n.in[l.to].push_back(static_cast<int32_t>(n.links.size()));
    n.links.push_back(l);
  }
  std::vector<double> times;
  for (const RoadLink& l : n.links) times.push_back(l.free_flow_time);
  std::map<int64_t, WayTree> trees;
  std::set<std::pair<int64_t, int64_t>> asked;
  for (const Row& r : trips) {
    const int64_t from = node_of(r, 0, "origin"), to = node_of(r, 1, "destination");
    if (r.numbers[2] == 0 || from == to) continue;
    for (int64_t name : {from, to}) {
      if (find(name) < 0)
        throw UserError(
            r.place,
            fmt::format("trips {} {}, which is on no link", name == from ? "begin at" : "end at", name),
            "name a node of the network");
    }
    if (!asked.emplace(from, to).second)
      throw UserError(r.place, fmt::format("trips from {} to {} stand twice", from, to),
                      "give each pair one row");
    const auto [at, fresh] = trees.try_emplace(find(from));
    if (fresh) grow_tree(n, find(from), times, at->second);
    if (at->second.last[find(to)] < 0)
      throw UserError(
          r.place, fmt::format("no way leads from {} to {}", from, to),
          "the network is not connected: add the links that are missing, or take these trips out");
    n.trips.push_back({find(from), find(to), r.numbers[2]});
  }
  std::stable_sort(n.trips.begin(), n.trips.end(), [](const Trips& a, const Trips& b) {
    return std::pair(a.origin, a.destination) < std::pair(b.origin, b.destination);
  });
  if (nodes.empty()) return n;
  n.places.resize(n.names.size());
  std::vector<char> placed(n.names.size(), 0);
  for (const Row& r : nodes) {
    const int64_t at = find(node_of(r, 0, "node"));
    if (at >= 0) n.places[at] = {r.numbers[1], r.numbers[2]}, placed[at] = 1;
  }
  for (size_t k = 0; k < placed.size(); ++k) {
    if (!placed[k])
      throw UserError(nodes[0].place, fmt::format("the file has no place of node {}", n.names[k]),
                      "give every node a row, or name no file of nodes");
  }
  return n;
}

}  // namespace

RoadNetwork made_up_network(const std::string& name) {
  std::vector<Row> links, trips, nodes;
  if (name == "braess") {
    for (const auto& r : std::vector<std::vector<double>>{{1, 3, 1, 1e-8, 1e9, 1},
                                                          {1, 4, 1, 50, .02, 1},
                                                          {3, 2, 1, 50, .02, 1},
                                                          {3, 4, 1, 10, .1, 1},
                                                          {4, 2, 1, 1e-8, 1e9, 1}})
      links.push_back({name, r});
    trips.push_back({name, {1, 2, 6}});
    nodes = {{name, {1, 0, 1}}, {name, {3, 1, 2}}, {name, {4, 1, 0}}, {name, {2, 2, 1}}};
    return built(links, trips, nodes, 0);
  }
  // Streets of 5 and 6 minutes that hold 40 to 60, and an avenue across the middle that is faster.
  constexpr int kSide = 4;
  const auto node = [](int row, int column) { return static_cast<double>(kSide * row + column + 1); };
  for (int r = 0; r < kSide; ++r) {
    for (int c = 0; c < kSide; ++c) {
      nodes.push_back({name, {node(r, c), static_cast<double>(c), static_cast<double>(-r)}});
      for (const auto& [r2, c2] : {std::pair(r, c + 1), std::pair(r + 1, c)}) {
        if (r2 >= kSide || c2 >= kSide) continue;
        const bool avenue = r == 1 && r2 == 1;
        for (const bool back : {false, true}) {
          const double from = back ? node(r2, c2) : node(r, c), to = back ? node(r, c) : node(r2, c2);
          links.push_back({name,
                           {from, to, avenue ? 80.0 : 40.0 + 10 * ((r + c) % 3),
                            avenue ? 3.0 : 5.0 + (r + 2 * c) % 2, .15, 4}});
        }
      }
    }
  }
  // Corners and the middle send cars to each other.
  const std::vector<double> ends{node(0, 0), node(0, 3), node(3, 0), node(3, 3), node(2, 1)};
  for (double from : ends) {
    for (double to : ends)
      if (from != to) trips.push_back({name, {from, to, 24}});
  }
  return built(links, trips, nodes, 0);
}

// Numbers of the Bureau of Public Roads where a file has none of its own.
constexpr double kUsualB = .15, kUsualPower = 4;

std::vector<Row> read_csv_links(const std::string& path) {
  std::vector<std::string> columns{"from", "to", "capacity", "free_flow_time"};
  const auto file = Series::load(path);
  const bool has_b = file->has("b"), has_power = file->has("power");
  if (has_b) columns.emplace_back("b");
  if (has_power) columns.emplace_back("power");
  std::vector<Row> out = read_csv(path, columns);
  for (Row& r : out) {
    if (!has_b) r.numbers.insert(r.numbers.begin() + 4, kUsualB);
    if (!has_power) r.numbers.push_back(kUsualPower);
  }
  return out;
}

RoadNetwork read_network(const std::string& links, const std::string& trips, const std::string& nodes) {
  int64_t first_through = 0;
  const std::vector<Row> l = is_tntp(links) ? read_tntp_links(links, first_through) : read_csv_links(links);
  const std::vector<Row> t =
      is_tntp(trips) ? read_tntp_trips(trips) : read_csv(trips, {"origin", "destination", "trips"});
  std::vector<Row> n;
  if (!nodes.empty()) n = is_tntp(nodes) ? read_tntp_nodes(nodes) : read_csv(nodes, {"node", "x", "y"});
  if (l.empty()) throw UserError(links, "has no links", "give it one a line");
  RoadNetwork out = built(l, t, n, first_through);
  if (out.trips.empty()) throw UserError(trips, "has no trips from one node to another", "give it some");
  return out;
}

}  // namespace symma
