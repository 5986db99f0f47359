#include "symma/report/presence.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "symma/core/errors.h"
#include "symma/core/record.h"
#include "symma/report/format.h"

namespace symma {
namespace {

using Away = Presence::Away;
namespace fs = std::filesystem;

// Spans of one kind, by agent, as they open and close.
class Spans {
 public:
  explicit Spans(bool out) : out_(out) {}
  // From `round` on these agents are away, and no others.
  void are(const std::set<int64_t>& away, double round) {
    std::erase_if(open_, [&](const auto& one) {
      if (away.contains(one.first)) return false;
      closed[one.first].push_back({one.second, round, out_});
      return true;
    });
    for (const int64_t a : away) open_.emplace(a, round);
  }
  std::map<int64_t, std::vector<Away>> closed;

 private:
  bool out_;
  std::map<int64_t, double> open_;
};

// Spans that touch or overlap as one; then without what lies in `holes`, which do not overlap.
std::vector<Away> joined(std::vector<Away> spans, const std::vector<Away>& holes) {
  std::sort(spans.begin(), spans.end(), [](const Away& a, const Away& b) { return a.from < b.from; });
  std::vector<Away> whole, out;
  for (const Away& s : spans) {
    if (!whole.empty() && s.from <= whole.back().to)
      whole.back().to = std::max(whole.back().to, s.to);
    else
      whole.push_back(s);
  }
  for (Away s : whole) {
    bool left = true;
    for (const Away& hole : holes) {
      if (hole.to <= s.from || hole.from >= s.to) continue;
      if (hole.from > s.from) out.push_back({s.from, hole.from, s.out});
      s.from = hole.to;
      left = s.from < s.to;
      if (!left) break;
    }
    if (left) out.push_back(s);
  }
  return out;
}

// "mse 2.50 after 0 steps, 0.500 after 5 steps".
std::string scores_in(const Json& judged) {
  std::string out = judged.at("metric").get<std::string>();
  const Json &steps = judged.at("steps"), &mean = judged.at("mean");
  for (size_t k = 0; k < mean.size() && k < steps.size(); ++k)
    out += fmt::format("{} {} after {} steps", k == 0 ? "" : ",",
                       mean[k].is_number() ? three_digits(mean[k].get<double>()) : "not finite",
                       steps[k].dump());
  return out;
}

Presence presence_of(const std::vector<Json>& lines, double rounds) {
  using Agents = std::vector<int64_t>;
  Presence p;
  std::vector<Agents> shares;
  std::set<int64_t> all;
  Spans outside(true);
  // What each process missed, by kind of letter: one that misses an agent's says nothing of another's.
  std::map<std::pair<int64_t, int64_t>, Spans> missed;
  std::map<int64_t, std::vector<Presence::Entrance>> entrances;
  std::vector<double> stands;
  for (const Json& line : lines) {
    const auto round = line.at("round").get<double>();
    const auto process = line.at("process").get<int64_t>();
    p.rounds = std::max(p.rounds, round);
    if (line.contains("shares")) {
      shares = line.at("shares").get<std::vector<Agents>>();
      all.clear();
      for (const Agents& s : shares) all.insert(s.begin(), s.end());
      outside.are({}, round);
    } else if (line.contains("there")) {
      std::set<int64_t> away = all;
      for (const int64_t a : line.at("there").get<Agents>()) away.erase(a);
      outside.are(away, round);
    } else if (line.contains("missing")) {
      const auto gone = line.at("missing").get<Agents>();
      auto& spans = missed.try_emplace({process, line.at("kind").get<int64_t>()}, Spans(false)).first->second;
      spans.are({gone.begin(), gone.end()}, round);
    } else if (line.contains("with")) {
      entrances[process].push_back({round, line.at("of").get<double>(), line.at("with").get<std::string>()});
      for (auto& [whose, spans] : missed)
        if (whose.first == process) spans.are({}, round);  // it is another's time that it comes into
    } else if (line.contains("newcomers")) {
      p.newcomers.push_back({round, line.at("newcomers").get<Agents>(), scores_in(line.at("judged"))});
    } else if (line.contains("stands")) {
      stands = line.at("stands").get<std::vector<double>>();
    }
  }
  p.waits = waits_of(lines);
  p.rounds = std::max(p.rounds, rounds);
  outside.are({}, p.rounds);
  std::map<int64_t, std::vector<Away>> silent;
  for (auto& [whose, spans] : missed) {
    spans.are({}, p.rounds);
    for (const auto& [agent, of] : spans.closed)
      silent[agent].insert(silent[agent].end(), of.begin(), of.end());
  }
  if (const int64_t server = all.empty() ? 0 : *all.rbegin() + 1; silent.contains(server) && !shares.empty())
    shares.front().push_back(server);
  for (size_t k = 0; k < shares.size(); ++k) {
    std::map<std::string, size_t> lane_of;  // by what happened
    for (const int64_t a : shares[k]) {
      std::vector<Away> away = joined(outside.closed[a], {});
      const std::vector<Away> unheard = joined(silent[a], away);
      away.insert(away.end(), unheard.begin(), unheard.end());
      std::string history;
      for (const Away& s : away) history += fmt::format("{} {} {},", s.from, s.to, s.out);
      const auto [at, fresh] = lane_of.emplace(history, p.lanes.size());
      if (fresh)
        p.lanes.push_back({static_cast<int64_t>(k),
                           {},
                           std::move(away),
                           entrances[static_cast<int64_t>(k)],
                           k < stands.size() ? stands[k] : p.rounds});
      p.lanes[at->second].agents.push_back(a);
    }
  }
  return p;
}

// "agents 0 to 3 and 7", "the server".
std::string whose(std::vector<int64_t> own, int64_t agents) {
  std::vector<std::string> parts;
  const bool server = !own.empty() && own.back() == agents;
  if (server) own.pop_back();
  for (size_t i = 0; i < own.size();) {
    size_t j = i;
    while (j + 1 < own.size() && own[j + 1] == own[j] + 1) ++j;
    parts.push_back(i == j ? grouped(static_cast<double>(own[i]))
                           : fmt::format("{} to {}", grouped(static_cast<double>(own[i])),
                                         grouped(static_cast<double>(own[j]))));
    i = j + 1;
  }
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i == 8 && parts.size() > 9) {
      out += fmt::format(" and {} more", own.size());
      break;
    }
    out += (i == 0 ? "" : i + 1 == parts.size() ? " and " : ", ") + parts[i];
  }
  if (!own.empty()) out = (own.size() == 1 ? "agent " : "agents ") + out;
  return server ? out + (own.empty() ? "the server" : ", the server") : out;
}

double length_of(const Presence::Lane& lane, bool out) {
  double sum = 0;
  for (const Away& s : lane.away)
    if (s.out == out) sum += s.to - s.from;
  return sum;
}

std::string lane_svg(const Presence::Lane& lane, double rounds, const std::string& who) {
  const double scale = 1000 / std::max(1., rounds);
  std::string marks;
  for (const Away& s : lane.away) {
    const double wide = std::max(3., (s.to - s.from) * scale);
    marks += fmt::format(
        "<rect class=\"{}\" x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\"><title>{}</title></rect>",
        s.out ? "out" : "unheard", std::min(s.from * scale, 1000 - wide), s.out ? 0 : 3, wide,
        s.out ? 16 : 10,
        escape(fmt::format("rounds {} to {}: {}", grouped(s.from), grouped(s.to),
                           s.out ? "out of the roster" : "letters did not come")));
  }
  for (const auto& e : lane.entrances)
    marks += fmt::format(
        "<rect class=\"in\" x=\"{:.1f}\" y=\"0\" width=\"4\" height=\"16\"><title>{}</title></rect>",
        std::min(e.round * scale, 996.),
        escape(fmt::format("came in after round {}, {}", grouped(e.round),
                           e.with == "neighbours"
                               ? "with its neighbours' mean"
                               : fmt::format("with what it had after round {}{}", grouped(e.of),
                                             e.with == "file" ? ", from its file" : ""))));
  return fmt::format(
      "<svg class=\"lane\" viewBox=\"0 0 1000 16\" preserveAspectRatio=\"none\" role=\"img\" "
      "aria-label=\"{}\"><rect class=\"there\" x=\"0\" y=\"3\" width=\"1000\" height=\"10\"/>{}</svg>",
      escape("when " + who + " was there"), marks);
}

std::string newcomers_html(const Presence& p, int64_t agents) {
  std::string out;
  for (const auto& n : p.newcomers)
    out += fmt::format("<p class=\"note\">New at round {}: {}; judged before learning anything: {}.</p>",
                       grouped(n.round), whose(n.agents, agents), escape(n.scores));
  return out;
}

}  // namespace

std::optional<Presence> read_presence(const std::string& folder, double rounds) {
  try {
    std::vector<Json> lines = read_parted_records(folder, "roster");
    if (lines.empty()) return {};
    std::stable_sort(lines.begin(), lines.end(), [](const Json& a, const Json& b) {
      return a.at("round").get<double>() < b.at("round").get<double>();
    });
    return presence_of(lines, rounds);
  } catch (const Json::exception&) {
    throw UserError((fs::path(folder) / "roster.jsonl").string(), "has a line that is not of symma",
                    "take it out of the folder");
  }
}

std::string presence_html(const std::optional<Presence>& p, int64_t agents) {
  if (!p || p->lanes.empty()) return "";
  constexpr size_t kMost = 40;
  const bool quiet = std::all_of(p->lanes.begin(), p->lanes.end(), [](const auto& lane) {
    return lane.away.empty() && lane.entrances.empty();
  });
  const std::string letters = waits_html(p->waits, p->rounds);
  if (quiet)
    return fmt::format(
               "<div class=\"card\"><p>{} process{}, all there in each of {} rounds; no letter was "
               "missed.</p>",
               p->lanes.size(), p->lanes.size() == 1 ? "" : "es", grouped(p->rounds)) +
           newcomers_html(*p, agents) + "</div>" + letters;
  // Where there are too many lanes, those that were away longest.
  std::vector<const Presence::Lane*> shown;
  for (const auto& lane : p->lanes) shown.push_back(&lane);
  if (shown.size() > kMost) {
    std::stable_sort(shown.begin(), shown.end(), [](const auto* a, const auto* b) {
      return length_of(*a, true) + length_of(*a, false) > length_of(*b, true) + length_of(*b, false);
    });
    shown.resize(kMost);
    std::sort(shown.begin(), shown.end());
  }
  std::string rows;
  for (const auto* lane : shown) {
    const std::string who = whose(lane->agents, agents);
    const double out = length_of(*lane, true), unheard = length_of(*lane, false);
    rows += fmt::format(
        "<tr><th scope=\"row\">{}<small>process {}</small></th><td class=\"along\">{}</td><td "
        "class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
        who, lane->process, lane_svg(*lane, p->rounds, who), grouped(p->rounds - out), grouped(unheard),
        grouped(lane->stands));
  }
  const std::string rest = p->lanes.size() > shown.size()
                               ? fmt::format(
                                     "<p class=\"note\">Of {} such groups, those that were away longest; "
                                     "roster.jsonl has all.</p>",
                                     p->lanes.size())
                               : "";
  const std::string lanes = fmt::format(
      "<div class=\"card presence\"><p class=\"key\"><span><i class=\"there\"></i>there</span> <span><i "
      "class=\"unheard\"></i>letters did not come to somebody</span> <span><i class=\"out\"></i>out of the "
      "roster</span> <span><i class=\"in\"></i>came in</span></p><div class=\"wide\"><table><thead><tr><th "
      "scope=\"col\">who</th><th scope=\"col\">along {} rounds</th><th class=\"number\" scope=\"col\">in the "
      "roster</th><th class=\"number\" scope=\"col\">unheard</th><th class=\"number\" scope=\"col\">stands "
      "at</th></tr></thead><tbody>{}</tbody></table></div>{}{}</div>",
      grouped(p->rounds), rows, rest, newcomers_html(*p, agents));
  return lanes + letters;
}

}  // namespace symma
