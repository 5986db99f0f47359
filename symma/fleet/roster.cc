#include "symma/fleet/roster.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "symma/core/errors.h"

namespace symma {
namespace fs = std::filesystem;
namespace {

constexpr const char *kParts = "roster", *kWholeRoster = "roster.jsonl";

std::string part_file(const RunOptions& options, int64_t place) {
  make_folder(in(options, kParts));
  return in(options, fmt::format("{}/process-{}.jsonl", kParts, place).c_str());
}

bool is_count(const Json& line, const char* key, uint64_t most) {
  return line.contains(key) && line[key].is_number_unsigned() && line[key].get<uint64_t>() <= most;
}

// Whether it is an object of all of these keys, and of no others but those that it may have.
bool has_keys(const Json& j, std::initializer_list<const char*> keys,
              std::initializer_list<const char*> may = {}) {
  const auto in_j = [&](const char* key) { return j.contains(key); };
  return j.is_object() && std::all_of(keys.begin(), keys.end(), in_j) &&
         j.size() == keys.size() + static_cast<size_t>(std::count_if(may.begin(), may.end(), in_j));
}

// What a line of another may hold at most.
struct Bounds {
  const std::vector<int64_t>& own;  // its agents
  uint64_t agents, places, round, last;
  const std::string& metric;
};

constexpr uint64_t kMost = uint64_t{1} << 53;

// One past the last agent is the server.
bool are_agents(const Json& list, const Bounds& most) {
  return list.is_array() && list.size() <= most.agents + 1 &&
         std::all_of(list.begin(), list.end(), [&](const Json& a) {
           return a.is_number_unsigned() && a.get<uint64_t>() <= most.agents;
         });
}

bool are_own(const Json& list, const Bounds& most) {
  return are_agents(list, most) && list.size() <= most.own.size() &&
         std::all_of(list.begin(), list.end(), [&](const Json& a) {
           return std::binary_search(most.own.begin(), most.own.end(), a.get<int64_t>());
         });
}

// Pairs of a process and its life.
bool are_lives(const Json& list, const Bounds& most) {
  return list.is_array() && list.size() <= most.places &&
         std::all_of(list.begin(), list.end(), [&](const Json& pair) {
           return pair.is_array() && pair.size() == 2 && pair[0].is_number_unsigned() &&
                  pair[1].is_number_unsigned() && pair[0].get<uint64_t>() < most.places &&
                  pair[1].get<uint64_t>() < kMost;
         });
}

// How long letters were waited for, as Noted writes it.
bool are_waits(const Json& list, const Bounds& most) {
  return list.is_array() && list.size() <= most.places &&
         std::all_of(list.begin(), list.end(), [&](const Json& w) {
           return has_keys(w, {"of", "times", "letters", "missing", "bytes", "seconds", "longest", "age",
                               "oldest"}) &&
                  is_count(w, "of", most.places - 1) && std::all_of(w.begin(), w.end(), [](const Json& x) {
                    return x.is_number() && x >= 0 && x < 1e18;
                  });
         });
}

// A mean score after each number of steps; null where it is not finite.
bool is_judgement(const Json& j, const Bounds& most) {
  if (!has_keys(j, {"metric", "steps", "mean"}) || j["metric"] != most.metric) return false;
  const Json &steps = j["steps"], &mean = j["mean"];
  return steps.is_array() && mean.is_array() && steps.size() == mean.size() &&
         std::all_of(steps.begin(), steps.end(), [](const Json& x) { return x.is_number_unsigned(); }) &&
         std::all_of(mean.begin(), mean.end(), [](const Json& x) { return x.is_number() || x.is_null(); });
}

// Of what others may say: whose letters they missed and waited for, what they came with, how they were judged
// then. Each kind of line has keys of its own and no others: who reads the roster goes by them, and those of
// the first (who is there, whose agents are whose) are not for others to write.
bool is_of_guest(const Json& line, const Bounds& most) {
  const auto is = [&](std::initializer_list<const char*> keys, std::initializer_list<const char*> may = {}) {
    return has_keys(line, keys, may);
  };
  if (!line.is_object() || !is_count(line, "round", most.round)) return false;
  if (is({"round", "exchange", "kind", "missing"}, {"lives"}))
    return is_count(line, "exchange", kMost) && is_count(line, "kind", 2) &&
           are_agents(line["missing"], most) && are_lives(line.value("lives", Json::array()), most);
  if (is({"round", "waits"})) return are_waits(line["waits"], most);
  if (is({"round", "newcomers", "judged"}))
    return are_own(line["newcomers"], most) && is_judgement(line["judged"], most);
  if (!is({"round", "exchange", "with", "of"})) return false;
  const Json& with = line["with"];
  return (with == "file" || with == "memory" || with == "neighbours") && is_count(line, "exchange", kMost) &&
         is_count(line, "of", most.last);
}

}  // namespace

Entry Entry::read(const std::string& text, int64_t places) {
  const Json j = parse_json(text);
  try {
    Entry out{j.at("round").get<int64_t>(),
              j.at("exchange").get<int64_t>(),
              j.at("meeting").get<int64_t>(),
              j.at("there").get<std::vector<bool>>(),
              j.at("rows"),
              j.at("run").get<std::string>(),
              j.at("lines").get<int64_t>(),
              j.at("last").get<int64_t>()};
    if (static_cast<int64_t>(out.there.size()) == places) return out;
  } catch (const Json::exception&) {
  }
  throw UserError("processes", "what the first one says of the fleet makes no sense",
                  "is it of the same version?");
}

std::string Entry::text() const {
  return Json{{"round", round}, {"exchange", exchange}, {"meeting", meeting}, {"there", there},
              {"rows", rows},   {"run", run},           {"lines", lines},     {"last", last}}
      .dump();
}

void enter(RunState& run, const Entry& entry) {
  run.round = entry.round;
  ExchangeState& s = run.exchange;
  s.rounds = entry.exchange;
  if (s.sender.known.defined()) s.sender.known = at::zeros_like(s.sender.known);
  if (s.receiver.known.defined()) s.receiver.stale.insert(s.reach->halo.begin(), s.reach->halo.end());
  // What was under way to it went by.
  for (Arrival& late : s.receiver.late) late = {};
}

void begin_with(const Experiment& e, RunState& run, const Json& rows) {
  const Tensor& old = run.learner.theta;
  std::vector<double> all;
  bool fits = rows.is_array() && static_cast<int64_t>(rows.size()) == old.size(0);
  for (size_t i = 0; fits && i < rows.size(); ++i) {
    fits = rows[i].is_array() && static_cast<int64_t>(rows[i].size()) == old.size(1);
    // What is not finite is null in JSON.
    for (const Json& x : rows[i]) all.push_back(x.is_number() ? x.get<double>() : std::nan(""));
  }
  if (!fits)
    throw UserError("processes", "the rows to begin with are of another experiment",
                    "start all with the same file");
  run.learner.theta = at::tensor(all, at::kDouble).view(old.sizes()).to(old.scalar_type());
  run.exchange = exchange_start(e.exchange, run.learner.theta, run.exchange.reach->ids);
  if (run.learner.own.contains("anchor")) run.learner.own["anchor"] = run.learner.theta;
}

void welcome(RunState& run) {
  Tensor& known = run.exchange.server.known;
  if (known.defined()) known = at::zeros_like(known);
}

RosterFile::RosterFile(const RunOptions& options, int64_t place, bool sends)
    : place_(place), sends_(sends), out_(part_file(options, place), INT64_MAX) {}

void RosterFile::add(Json line) {
  line["process"] = place_;
  out_.add(line);
  // What a newcomer began with the first knows, who told it.
  line.erase("rows");
  if (sends_) waiting_.push_back(std::move(line));
}

std::string RosterFile::letter() const {
  return Json{{"from", first_}, {"lines", waiting_}}.dump();
}

void RosterFile::has(int64_t lines) {
  if (waiting_.empty() || lines < first_) {
    first_ = lines;
    return;
  }
  const auto n = std::min<int64_t>(lines - first_, static_cast<int64_t>(waiting_.size()));
  waiting_.erase(waiting_.begin(), waiting_.begin() + n);
  first_ += n;
}

GuestBook::GuestBook(const RunOptions& options, std::vector<std::vector<int64_t>> shares, std::string metric,
                     int64_t last)
    : options_(options),
      shares_(std::move(shares)),
      metric_(std::move(metric)),
      last_(last),
      guests_(shares_.size()) {}

bool GuestBook::take(int64_t place, const std::string& letter, int64_t round) {
  Json j = parse_json(letter);
  if (!j.is_object() || !j.contains("from") || !j["from"].is_number_unsigned() || !j.contains("lines") ||
      !j["lines"].is_array())
    return false;
  Guest& guest = guests_[place];
  const auto from = j["from"].get<uint64_t>(), have = static_cast<uint64_t>(guest.taken);
  if (from > have) return false;
  const Bounds most{shares_[place],
                    static_cast<uint64_t>(shares_.back().back() + 1),
                    shares_.size(),
                    static_cast<uint64_t>(std::min(round, last_)),
                    static_cast<uint64_t>(last_),
                    metric_};
  for (size_t k = have - from; k < j["lines"].size(); ++k) {
    ++guest.taken;
    Json& line = j["lines"][k];
    if (line.is_object()) line.erase("process");  // the key of its line says whose it is
    if (!is_of_guest(line, most)) continue;
    if (line.value("with", Json()) == "neighbours") {
      if (guest.rows.is_null()) continue;
      line["rows"] = guest.rows;
    }
    if (!guest.file) guest.file = std::make_unique<RosterFile>(options_, place);
    guest.file->add(std::move(line));
  }
  return true;
}

std::vector<int64_t> gone_after(const std::vector<int64_t>& gone, std::span<const int64_t> asked,
                                const std::vector<int64_t>& missing) {
  std::vector<int64_t> out = missing;
  for (const int64_t g : gone)
    if (std::find(asked.begin(), asked.end(), g) == asked.end()) out.push_back(g);
  std::sort(out.begin(), out.end());
  return out;
}

Noted::Noted(Transport& letters, RosterFile& file, const RunState& run,
             const std::vector<std::vector<int64_t>>& shares)
    : letters_(letters),
      file_(file),
      run_(run),
      addresses_(shares),
      start_(std::chrono::steady_clock::now()),
      noted_(start_) {}

void Noted::count(int64_t round, const Post& post, double seconds) {
  std::map<size_t, double> waited;
  for (const Letter& letter : post.came) {
    const size_t p = addresses_.part(letter.from);
    Waits& w = waits_[p];
    const int64_t age = round - letter.round;
    ++w.letters, w.bytes += static_cast<int64_t>(letter.bytes.size());
    w.age += age, w.oldest = std::max(w.oldest, age);
    waited[p] = std::max(waited[p], letter.waited);
  }
  for (const int64_t gone : post.missing) {
    const size_t p = addresses_.part(gone);
    ++waits_[p].missing, waited[p] = seconds;
  }
  for (const auto& [p, time] : waited) {
    Waits& w = waits_[p];
    ++w.times, w.seconds += time, w.longest = std::max(w.longest, time);
  }
}

void Noted::note_waits(bool last) {
  using Seconds = std::chrono::duration<double>;
  const auto now = std::chrono::steady_clock::now();
  const double gap = Seconds(now - noted_).count(), whole = Seconds(now - start_).count();
  if (waits_.empty() || (!last && gap < std::max(1., whole / 100))) return;
  Json list = Json::array();
  for (const auto& [p, w] : waits_)
    list.push_back(
        {{"of", p},
         {"times", w.times},
         {"letters", w.letters},
         {"missing", w.missing},
         {"bytes", w.bytes},
         {"seconds", w.seconds},
         {"longest", w.longest},
         {"age", w.letters == 0 ? 0. : static_cast<double>(w.age) / static_cast<double>(w.letters)},
         {"oldest", w.oldest}});
  file_.add({{"round", run_.round}, {"waits", list}});
  waits_.clear();
  noted_ = now;
}

Post Noted::collect(Letter::Kind kind, int64_t round, std::span<const int64_t> from) {
  const auto start = std::chrono::steady_clock::now();
  Post post = letters_.collect(kind, round, from);
  count(round, post, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  Hearing& before = heard_[kind];
  Hearing now{gone_after(before.gone, from, post.missing), before.lives};
  for (const Letter& letter : post.came) {
    const size_t p = addresses_.part(letter.from);
    if (letter.life > 0)
      now.lives[p] = letter.life;
    else
      now.lives.erase(p);
  }
  if (now == before) return post;
  before = std::move(now);
  // Before anything is made of it: whoever is killed then has written it down.
  Json line{
      {"round", run_.round}, {"exchange", round}, {"kind", static_cast<int>(kind)}, {"missing", before.gone}};
  for (const auto& [p, life] : before.lives) line["lives"].push_back({p, life});
  file_.add(line);
  return post;
}

std::string judged_words(const Json& line) {
  std::string out;
  const Json& judged = line.at("judged");
  for (size_t k = 0; k < judged.at("mean").size() && k < judged.at("steps").size(); ++k) {
    const Json &steps = judged["steps"][k], &mean = judged["mean"][k];
    out += fmt::format("{} {} after {} steps", out.empty() ? judged.at("metric").get<std::string>() : ",",
                       mean.is_number() ? fmt::format("{:.4g}", mean.get<double>()) : "not finite",
                       steps.dump());
  }
  return out;
}

void forget_roster(const RunOptions& options) {
  fs::remove_all(in(options, kParts));
  fs::remove(in(options, kWholeRoster));
}

std::vector<Json> read_roster(const std::string& folder) {
  return read_parted_records(folder, kParts);
}

void merge_roster(const RunOptions& options) {
  std::string text;
  for (const Json& line : read_roster(options.folder)) text += line.dump() + "\n";
  write_file(in(options, kWholeRoster), text);
  fs::remove_all(in(options, kParts));
}

}  // namespace symma
