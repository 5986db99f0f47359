#include "symma/fleet/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <tuple>

#include "symma/core/errors.h"
#include "symma/fleet/roster.h"
#include "symma/fleet/round.h"
#include "symma/transports/addresses.h"

namespace symma {
namespace {

// What was heard, from an exchange on, of one kind of letter.
struct HeardSince {
  int64_t exchange;
  Hearing hearing;
};
using Hearings = std::map<Letter::Kind, std::vector<HeardSince>>;

struct Comeback {
  int64_t round, exchange, of;
  bool at_once;      // with what it has: goes there as soon as it has done `of` rounds
  Json rows;         // of a newcomer; null of one that was here
  int64_t life = 0;  // that begins with it
};

struct Part {
  std::vector<int64_t> agents;
  std::vector<Hearings> hearings;  // of each of its lives: one begins where an earlier one may have been
  std::deque<Comeback> comebacks;
  int64_t stands = 0;  // the round that it stands at in the end
};

struct Score {
  std::vector<Part> parts;
  std::set<int64_t> welcomes;  // rounds after which somebody was let in
  int64_t end = -1;
};

Score score_of(const std::string& folder) {
  Score out;
  const std::string place = (std::filesystem::path(folder) / "roster.jsonl").string();
  const auto no = [&](const char* what) {
    throw UserError(place, what, "name the folder of a fleet of several processes that has come to its end");
  };
  const std::vector<Json> lines = read_roster(folder);
  std::map<size_t, std::vector<int64_t>> let_in;  // after these rounds, by process
  try {
    for (const Json& line : lines) {
      if (!line.contains("shares")) continue;
      if (!out.parts.empty() || line.at("round") != 0) no("is of a run that was gone on with");
      if (line.contains("free")) no("is of a run whose processes ran free, which is not the same twice");
      for (const Json& agents : line.at("shares"))
        out.parts.push_back({agents.get<std::vector<int64_t>>(), {{}}, {}, 0});
    }
    if (out.parts.empty()) no("does not say who began");
    for (const Json& line : lines) {
      Part& part = out.parts.at(line.at("process").get<size_t>());
      const auto round = line.at("round").get<int64_t>();
      if (line.contains("missing")) {
        Hearing h{line.at("missing").get<std::vector<int64_t>>(), {}};
        for (const Json& pair : line.value("lives", Json::array()))
          h.lives[pair.at(0).get<size_t>()] = pair.at(1).get<int64_t>();
        part.hearings.back()[static_cast<Letter::Kind>(line.at("kind").get<int>())].push_back(
            {line.at("exchange").get<int64_t>(), std::move(h)});
      }
      if (line.contains("with")) {
        part.comebacks.push_back({round, line.at("exchange").get<int64_t>(), line.at("of").get<int64_t>(),
                                  line.at("with") == "memory", line.value("rows", Json())});
        part.hearings.emplace_back();
      }
      if (line.contains("comes")) {
        out.welcomes.insert(round);
        for (const Json& p : line.at("comes")) let_in[p.get<size_t>()].push_back(round);
      }
      if (!line.contains("stands")) continue;
      out.end = round;
      for (size_t p = 0; p < out.parts.size(); ++p)
        out.parts[p].stands = line.at("stands").at(p).get<int64_t>();
    }
  } catch (const Json::exception&) {
    no("has a line that is not of symma");
  } catch (const std::out_of_range&) {
    no("has a line of a process that there was not");
  }
  if (out.end < 0) no("does not say how it ended");
  for (size_t p = 0; p < out.parts.size(); ++p)
    for (Comeback& back : out.parts[p].comebacks)
      back.life =
          std::count_if(let_in[p].begin(), let_in[p].end(), [&](int64_t r) { return r <= back.round; });
  return out;
}

// The letters of all parts. Which of them came is known, so each is waited for until it is there, and one
// that a part says twice, in two of its lives, is two.
class Theatre {
 public:
  explicit Theatre(const std::vector<std::vector<int64_t>>& shares)
      : addresses_(shares), boxes_(shares.size()), lives_(shares.size(), 0), over_(shares.size(), false) {}
  size_t part(int64_t address) const { return addresses_.part(address); }

  void put(const Letter& letter) {
    const std::lock_guard lock(mutex_);
    std::set<size_t> parts;
    for (const int64_t to : letter.to) parts.insert(addresses_.part(to));
    for (const size_t p : parts) boxes_[p].insert_or_assign(key(letter), addresses_.for_part(letter, p));
    came_.notify_all();
  }
  // That of part `me`; nothing where its sender has ended, or begun another life, without having said it: one
  // that was gone then asks for what it would have asked for.
  std::optional<Letter> take(size_t me, Letter::Kind kind, int64_t round, int64_t from, int64_t life) {
    std::unique_lock lock(mutex_);
    const Key wanted{kind, round, from, life};
    Box& box = boxes_[me];
    const size_t sender = addresses_.part(from);
    const auto there = [&] { return box.contains(wanted) || lives_[sender] > life || over_[sender]; };
    came_.wait_for(lock, std::chrono::seconds(3600), there);
    const auto it = box.find(wanted);
    if (it == box.end()) return {};
    return std::move(box.extract(it).mapped());
  }
  // Part `me` asks for none of this kind before `round` any more.
  void forget(size_t me, Letter::Kind kind, int64_t round) {
    const std::lock_guard lock(mutex_);
    Box& box = boxes_[me];
    box.erase(box.lower_bound({kind, INT64_MIN, INT64_MIN, 0}), box.lower_bound({kind, round, INT64_MIN, 0}));
  }
  void begin_life(size_t me, int64_t life) {
    const std::lock_guard lock(mutex_);
    lives_[me] = life;
    came_.notify_all();
  }
  // Part `me` says nothing more.
  void end(size_t me) {
    const std::lock_guard lock(mutex_);
    over_[me] = true;
    boxes_[me].clear();
    came_.notify_all();
  }

 private:
  using Key = std::tuple<Letter::Kind, int64_t, int64_t, int64_t>;  // kind, round, sender, its life
  using Box = std::map<Key, Letter>;
  static Key key(const Letter& l) { return {l.kind, l.round, l.from, l.life}; }

  const Addresses addresses_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<Box> boxes_;
  std::vector<int64_t> lives_;
  std::vector<bool> over_;
};

// Letters of one part, of which those come that came then.
class Played final : public Transport {
 public:
  Played(Theatre& theatre, size_t me, const Part& part)
      : theatre_(theatre), me_(me), hearings_(part.hearings) {
    for (const Comeback& back : part.comebacks) comes_at_.push_back(back.exchange + 1);
  }
  Roster roster() override { return {}; }
  void send(Letter letter) override {
    letter.life = life_;
    theatre_.put(letter);
  }
  Post collect(Letter::Kind kind, int64_t round, std::span<const int64_t> from) override {
    const Hearing hearing = heard_at(kind, round);
    Post post;
    for (const int64_t f : from) {
      std::optional<Letter> letter;
      if (!std::binary_search(hearing.gone.begin(), hearing.gone.end(), f)) {
        const auto life = hearing.lives.find(theatre_.part(f));
        letter = theatre_.take(me_, kind, round, f, life == hearing.lives.end() ? 0 : life->second);
      }
      if (letter)
        post.came.push_back(std::move(*letter));
      else
        post.missing.push_back(f);
    }
    // It may go back to a round that it has done.
    int64_t first = round;
    for (const int64_t exchange : comes_at_) first = std::min(first, exchange);
    theatre_.forget(me_, kind, first);
    return post;
  }
  void come_back(int64_t life) {
    life_ = life;
    comes_at_.pop_front();
    theatre_.begin_life(me_, life);
  }

 private:
  Hearing heard_at(Letter::Kind kind, int64_t round) const {
    Hearing out;
    const Hearings& hearings = hearings_.at(hearings_.size() - 1 - comes_at_.size());
    const auto it = hearings.find(kind);
    if (it == hearings.end()) return out;
    for (const HeardSince& h : it->second)
      if (h.exchange <= round) out = h.hearing;
    return out;
  }
  Theatre& theatre_;
  const size_t me_;
  const std::vector<Hearings>& hearings_;
  std::deque<int64_t> comes_at_;  // the first exchange of each life that is still to come
  int64_t life_ = 0;
};

// The round after which it begins another life.
int64_t leaves_at(const Comeback& back) {
  return back.at_once ? back.of : back.round;
}

// One process, as it went. Where it was gone it plays on, and nobody hears it.
RunState played(const Experiment& e, RunState run, Part part, const Score& score, Played& letters) {
  const RunState start = run;
  // Of what it saved, what it came back with or was judged by.
  std::set<int64_t> asked{part.stands};
  for (const Comeback& back : part.comebacks) asked.insert(back.of);
  std::map<int64_t, RunState> saved{{0, run}};
  const auto come_back = [&] {
    const Comeback back = part.comebacks.front();
    part.comebacks.pop_front();
    if (!back.at_once) {
      const auto it = saved.find(back.of);
      run = it != saved.end() ? it->second : start;
      if (!back.rows.is_null()) begin_with(e, run, back.rows);
    }
    enter(run, {back.round, back.exchange, 0, {}, {}});
    letters.come_back(back.life);
  };
  while (run.round < score.end || !part.comebacks.empty()) {
    run_round(e, run, &letters);
    if (asked.contains(run.round)) saved[run.round] = run;
    if (score.welcomes.contains(run.round)) welcome(run);
    while (!part.comebacks.empty() && run.round >= leaves_at(part.comebacks.front())) come_back();
  }
  if (part.stands == run.round) return run;
  const auto it = saved.find(part.stands);
  return it != saved.end() ? it->second : start;
}

}  // namespace

RunState replay(const Experiment& e, const std::string& folder) {
  if (e.exchange.privacy.of_system())
    throw UserError(folder, "drew its noise from the system, which is not the same twice",
                    "replay runs with privacy.noise_key = \"seed\"");
  const Score score = score_of(folder);
  std::vector<std::vector<int64_t>> shares;
  for (const Part& part : score.parts) shares.push_back(part.agents);
  int64_t agents = 0;
  for (const auto& of : shares) agents += static_cast<int64_t>(of.size());
  int64_t last = score.end;
  for (const Part& part : score.parts)
    for (const Comeback& back : part.comebacks) last = std::max({last, back.round, back.of});
  if (agents != e.fleet.agents || last > e.fleet.rounds)
    throw UserError(folder, "has a roster of another experiment", "its experiment.toml was changed");
  Theatre theatre(shares);
  const RunState start = start_run(e);
  std::vector<RunState> parts(shares.size());
  std::vector<std::exception_ptr> failed(shares.size());
  std::vector<std::thread> threads;
  for (size_t p = 0; p < shares.size(); ++p)
    threads.emplace_back([&, p] {
      Played letters(theatre, p, score.parts[p]);
      try {
        parts[p] = played(e, part_of(e, start, shares[p]), score.parts[p], score, letters);
      } catch (...) {
        failed[p] = std::current_exception();
      }
      // What it has said still counts; nobody waits for more.
      theatre.end(p);
    });
  for (auto& t : threads) t.join();
  for (const auto& f : failed)
    if (f) std::rethrow_exception(f);
  RunState whole = join(e, parts);
  whole.round = score.end;
  return whole;
}

std::vector<int64_t> differing_agents(const RunState& a, const RunState& b) {
  const int64_t n = a.learner.size();
  std::vector<int64_t> out;
  const auto same = [](const Tensor& x, const Tensor& y) {
    const Tensor p = x.contiguous(), q = y.contiguous();
    return p.scalar_type() == q.scalar_type() && p.sizes() == q.sizes() &&
           (p.nbytes() == 0 || std::memcmp(p.data_ptr(), q.data_ptr(), p.nbytes()) == 0);
  };
  for (int64_t i = 0; i < n; ++i) {
    const State x = a.learner.rows(i, i + 1), y = b.learner.rows(i, i + 1);
    bool equal = same(x.theta, y.theta) && same(x.steps, y.steps) && x.own.size() == y.own.size();
    for (const auto& [name, t] : x.own) equal = equal && y.own.contains(name) && same(t, y.own.at(name));
    if (!equal) out.push_back(i);
  }
  return out;
}

}  // namespace symma
