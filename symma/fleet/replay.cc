#include "symma/fleet/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <set>
#include <thread>

#include "symma/core/errors.h"
#include "symma/fleet/roster.h"
#include "symma/fleet/round.h"
#include "symma/transports/hall.h"

namespace symma {
namespace {

// From an exchange on, of one kind of letter.
struct Missing {
  int64_t exchange;
  std::vector<int64_t> gone;
};
using Gaps = std::map<Letter::Kind, std::vector<Missing>>;

struct Comeback {
  int64_t round, exchange, of;
  bool at_once;  // with what it has: goes there as soon as it has done `of` rounds
  Json rows;     // of a newcomer; null of one that was here
};

struct Part {
  std::vector<int64_t> agents;
  Gaps gaps;
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
  try {
    for (const Json& line : lines) {
      if (!line.contains("shares")) continue;
      if (!out.parts.empty() || line.at("round") != 0) no("is of a run that was gone on with");
      if (line.contains("free")) no("is of a run whose processes ran free, which is not the same twice");
      for (const Json& agents : line.at("shares"))
        out.parts.push_back({agents.get<std::vector<int64_t>>(), {}, {}, 0});
    }
    if (out.parts.empty()) no("does not say who began");
    for (const Json& line : lines) {
      Part& part = out.parts.at(line.at("process").get<size_t>());
      const auto round = line.at("round").get<int64_t>();
      if (line.contains("missing"))
        part.gaps[static_cast<Letter::Kind>(line.at("kind").get<int>())].push_back(
            {line.at("exchange").get<int64_t>(), line.at("missing").get<std::vector<int64_t>>()});
      if (line.contains("with")) {
        const auto exchange = line.at("exchange").get<int64_t>();
        part.comebacks.push_back({round, exchange, line.at("of").get<int64_t>(), line.at("with") == "memory",
                                  line.value("rows", Json())});
        // What it missed before it was away is over.
        for (auto& [kind, missing] : part.gaps) missing.push_back({exchange + 1, {}});
      }
      if (line.contains("comes")) out.welcomes.insert(round);
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
  return out;
}

// Letters of one part, of which those do not come that did not come then.
class Played final : public Transport {
 public:
  Played(std::unique_ptr<Transport> seat, const Gaps& gaps) : seat_(std::move(seat)), gaps_(gaps) {}
  Roster roster() override { return seat_->roster(); }
  void send(Letter letter) override { seat_->send(std::move(letter)); }
  Post collect(Letter::Kind kind, int64_t round, std::span<const int64_t> from) override {
    const std::vector<int64_t>* gone = nullptr;
    if (const auto it = gaps_.find(kind); it != gaps_.end())
      for (const Missing& m : it->second)
        if (m.exchange <= round) gone = &m.gone;
    if (gone == nullptr || gone->empty()) return seat_->collect(kind, round, from);
    std::vector<int64_t> asked;
    for (const int64_t f : from)
      if (!std::binary_search(gone->begin(), gone->end(), f)) asked.push_back(f);
    Post post = seat_->collect(kind, round, asked);
    for (const int64_t f : from)
      if (std::binary_search(gone->begin(), gone->end(), f)) post.missing.push_back(f);
    std::sort(post.missing.begin(), post.missing.end());
    return post;
  }

 private:
  std::unique_ptr<Transport> seat_;
  const Gaps& gaps_;
};

// One process, as it went. Where it was gone it plays on, and nobody hears it.
RunState played(const Experiment& e, RunState run, Part part, const Score& score, Transport& letters) {
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
  };
  while (run.round < score.end) {
    run_round(e, run, &letters);
    if (asked.contains(run.round)) saved[run.round] = run;
    if (score.welcomes.contains(run.round)) welcome(run);
    while (!part.comebacks.empty() &&
           run.round ==
               (part.comebacks.front().at_once ? part.comebacks.front().of : part.comebacks.front().round))
      come_back();
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
  if (agents != e.fleet.agents || score.end > e.fleet.rounds)
    throw UserError(folder, "has a roster of another experiment", "its experiment.toml was changed");
  Hall hall(shares, 3600);
  const RunState start = start_run(e);
  std::vector<RunState> parts(shares.size());
  std::vector<std::exception_ptr> failed(shares.size());
  std::vector<std::thread> threads;
  for (size_t p = 0; p < shares.size(); ++p)
    threads.emplace_back([&, p] {
      Played letters(hall.seat(p), score.parts[p].gaps);
      try {
        parts[p] = played(e, part_of(e, start, shares[p]), score.parts[p], score, letters);
      } catch (...) {
        failed[p] = std::current_exception();
        // What it has said still counts; nobody waits for more.
        hall.leave(p);
      }
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
