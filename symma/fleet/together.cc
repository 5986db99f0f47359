#include "symma/fleet/together.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <set>

#include "symma/core/errors.h"
#include "symma/core/record.h"
#include "symma/core/steadfast.h"
#include "symma/core/tensorboard.h"
#include "symma/fleet/blocks.h"
#include "symma/fleet/calendar.h"
#include "symma/fleet/hidden_rows.h"

namespace symma {
namespace {

using Stopwatch = std::chrono::steady_clock;

double seconds_since(Stopwatch::time_point start) {
  return std::chrono::duration<double>(Stopwatch::now() - start).count();
}

int64_t address_of(int64_t place) {
  return -1 - place;
}

// Scores as tensors, [agents, steps, tasks] each, and back.
void put_scores(TensorDict& to, const std::string& prefix, const EvalResult& r) {
  to[prefix + "agents"] = at::tensor(r.agents, at::kLong);
  const std::string names = Json(r.names).dump();
  to[prefix + "names"] = at::tensor(std::vector<uint8_t>(names.begin(), names.end()), at::kByte);
  for (const auto& [name, table] : r.all) {
    const auto a = static_cast<int64_t>(table.size()), s = static_cast<int64_t>(table[0].size()),
               t = static_cast<int64_t>(table[0][0].size());
    Tensor out = at::empty({a, s, t}, at::kDouble);
    double* at = out.data_ptr<double>();
    for (const auto& of_agent : table)
      for (const auto& of_step : of_agent) at = std::copy(of_step.begin(), of_step.end(), at);
    to[prefix + "score." + name] = out;
  }
}

EvalResult take_scores(const TensorDict& from, const std::string& prefix, const Experiment& e, Split split) {
  EvalResult r{split, e.spec.metric, e.eval.steps, {}, {}, {}};
  const Tensor agents = from.at(prefix + "agents").contiguous();
  r.agents.assign(agents.data_ptr<int64_t>(), agents.data_ptr<int64_t>() + agents.numel());
  const Tensor names = from.at(prefix + "names").contiguous();
  const auto* text = names.data_ptr<uint8_t>();
  r.names = Json::parse(text, text + names.numel()).get<std::vector<std::vector<std::string>>>();
  const std::string score = prefix + "score.";
  for (const auto& [name, t] : from) {
    if (!name.starts_with(score)) continue;
    const double* at = t.data_ptr<double>();
    ScoreTable table(t.size(0), std::vector(t.size(1), std::vector<double>(t.size(2))));
    for (auto& of_agent : table)
      for (auto& of_step : of_agent) std::copy_n(at, of_step.size(), of_step.begin()), at += of_step.size();
    r.all[name.substr(score.size())] = std::move(table);
  }
  return r;
}

// What a process makes known for a row of the log. Under secure aggregation no row: the first process is the
// server's.
TensorDict account_of(const Experiment& e, const RunState& run, bool log, bool stop) {
  TensorDict out;
  out["counts"] = at::tensor({run.tasks, run.exchange.total_bits(), int64_t{stop}}, at::kLong);
  if (!log) return out;
  if (!e.exchange.server.secure) out["theta"] = run.learner.theta;
  out["rounds"] = run.rounds;
  for (const auto& [name, sum] : run.sums) out["sum." + name] = sum;
  if (const auto it = run.learner.own.find("env_steps"); it != run.learner.own.end())
    out["env_steps"] = it->second;
  return out;
}

// The whole fleet, as far as a row of the log speaks of it. Of a process that is gone the rows are those it
// was last known with, and count for nothing since.
class Overview {
 public:
  Overview(const Experiment& e, const std::vector<std::vector<int64_t>>& shares)
      : e_(e), shares_(shares), last_(shares.size()) {
    // Before anything is known of them they stand as they start.
    const RunState start = start_run(e);
    for (size_t p = 0; p < shares.size(); ++p)
      last_[p] = account_of(e, part_of(e, start, shares[p]), true, false);
  }

  // Returns whether some process has been asked to stop.
  bool add(const std::vector<std::string>& parcels, bool log) {
    bool stop = false;
    for (size_t p = 0; p < parcels.size(); ++p) {
      TensorDict& last = last_[p];
      if (parcels[p].empty()) {
        for (auto& [name, t] : last)
          if (name == "rounds" || name.starts_with("sum.")) t = at::zeros_like(t);
        continue;
      }
      TensorDict now = of_safetensors(parcels[p], "a letter").tensors;
      stop = stop || now.at("counts").data_ptr<int64_t>()[2] != 0;
      heard_.insert(shares_[p].begin(), shares_[p].end());
      if (log) last = std::move(now);
    }
    return stop;
  }

  const TensorDict& last(size_t place) const { return last_[place]; }

  // Rows as they were last known, [N, Q].
  Tensor theta() const { return joined("theta"); }

  // For each agent of a process the mean row of its neighbours elsewhere that have been heard of, or of all
  // these: what a newcomer begins with.
  Json beside(int64_t place) const {
    const Tensor rows = theta().to(at::kDouble);
    const std::vector<int64_t>& newcomers = shares_[place];
    const auto known = [&](int64_t agent) { return heard_.contains(agent); };
    Json out = Json::array();
    for (const int64_t a : newcomers) {
      std::vector<int64_t> near;
      for (const auto& [x, y] : e_.exchange.graph.edges)
        if (x == a || y == a)
          if (const int64_t other = x == a ? y : x; other < e_.fleet.agents && known(other))
            near.push_back(other);
      if (near.empty())
        for (int64_t b = 0; b < e_.fleet.agents; ++b)
          if (known(b)) near.push_back(b);
      const Tensor mean = rows.index_select(0, at::tensor(near, at::kLong)).mean(0);
      out.push_back(std::vector<double>(mean.data_ptr<double>(), mean.data_ptr<double>() + mean.numel()));
    }
    return out;
  }

  RunState run(const RunState& own) const {
    RunState out;
    out.round = own.round;
    out.exchange.rounds = own.exchange.rounds;
    out.learner.theta = e_.exchange.server.secure ? rows_as_told(e_, own) : joined("theta");
    if (last_[0].contains("env_steps")) out.learner.own["env_steps"] = joined("env_steps");
    out.rounds = joined("rounds");
    std::set<std::string> names;
    int64_t bits = 0;
    for (const TensorDict& part : last_) {
      for (const auto& [name, t] : part)
        if (name.starts_with("sum.")) names.insert(name);
      out.tasks += part.at("counts").data_ptr<int64_t>()[0];
      bits += part.at("counts").data_ptr<int64_t>()[1];
    }
    for (const auto& name : names) out.sums[name.substr(4)] = joined(name);
    out.exchange.bits = {bits};
    return out;
  }

 private:
  Tensor joined(const std::string& name) const {
    std::vector<Tensor> parts;
    for (const TensorDict& part : last_)
      parts.push_back(part.contains(name) ? part.at(name) : at::zeros_like(part.at("rounds")));
    return at::cat(parts);
  }
  const Experiment& e_;
  const std::vector<std::vector<int64_t>>& shares_;
  std::vector<TensorDict> last_;
  std::set<int64_t> heard_;
};

// Who has been there, as the first sees it.
class Company {
 public:
  explicit Company(int64_t places) : there_(places, true), known_(places, false) { known_[0] = true; }
  // Whether that is news.
  bool is(const std::vector<bool>& there) {
    for (size_t p = 0; p < there.size(); ++p) known_[p] = known_[p] || there[p];
    if (there == there_) return false;
    there_ = there;
    ++epoch_;
    return true;
  }
  bool knows(int64_t place) const { return known_[place]; }
  int64_t epoch() const { return epoch_; }
  std::vector<int64_t> agents(const std::vector<std::vector<int64_t>>& shares) const {
    std::vector<int64_t> out;
    for (size_t p = 0; p < shares.size(); ++p)
      if (there_[p]) out.insert(out.end(), shares[p].begin(), shares[p].end());
    return out;
  }

 private:
  std::vector<bool> there_, known_;
  int64_t epoch_ = 0;
};

std::string letter_of(const TensorDict& tensors) {
  return to_safetensors({tensors, {}});
}

std::string said_by_first(const std::optional<std::string>& told) {
  if (!told)
    throw UserError("processes", "the first process is gone", "go on from the last checkpoint with --resume");
  return *told;
}

// The agents of one that comes while the fleet is under way: as they were last saved, or what their
// neighbours are in the mean, or a fresh start.
RunState come_in(const Experiment& e, const RunOptions& options, Party& party, RosterFile& file) {
  const Entry entry = Entry::read(party.comings()->entry());
  Json line{{"round", entry.round}, {"exchange", entry.exchange}};
  std::optional<RunState> run = saved_part(e, options, party.agents());
  if (run) line["with"] = "file", line["of"] = run->round;
  if (!run) {
    run = part_of(e, start_run(e), party.agents());
    line["with"] = entry.rows.is_null() ? "file" : "neighbours", line["of"] = 0;
    if (!entry.rows.is_null()) begin_with(e, *run, entry.rows), line["rows"] = entry.rows;
  }
  enter(*run, entry);
  party.enter(entry);
  file.add(line);
  return *run;
}

// One that was out of reach asks to be let in again, with its agents as they are.
void come_back(Party& party, RunState& run, RosterFile& file) {
  if (party.comings() == nullptr) (void)said_by_first({});
  const Entry entry = Entry::read(party.comings()->knock());
  file.add({{"round", entry.round}, {"exchange", entry.exchange}, {"with", "memory"}, {"of", run.round}});
  enter(run, entry);
  party.enter(entry);
}

// Opens the run at the first process, and hands each its part.
RunState open_together(const Experiment& e, const RunOptions& options, Party& party) {
  std::vector<std::string> each(party.places(), "no");
  if (!party.first()) {
    const std::string told = said_by_first(party.tell({}));
    if (told == "no") throw ToldElsewhere{};
    const RunState fresh = part_of(e, start_run(e), party.agents());
    if (told == "fresh") return fresh;
    const RunState part = run_of(e, fresh, of_safetensors(told, "the first process"), "the first process");
    if (!e.exchange.server.secure) return part;
    // The first may not have been shown all that is in it.
    const std::optional<RunState> own = saved_part(e, options, party.agents());
    return own && own->round == part.round ? *own : part;
  }
  RunState whole;
  try {
    whole = open_run(e, options);
  } catch (...) {
    party.tell(each);
    throw;
  }
  for (int64_t p = 0; p < party.places(); ++p)
    each[p] = whole.round == 0 ? "fresh" : to_safetensors(file_of(e, part_of(e, whole, party.shares()[p])));
  if (!options.resume || whole.round == 0) forget_roster(options);
  party.tell(each);
  return part_of(e, whole, party.agents());
}

// What each process makes of the first's answer at a row of the log.
struct Answer {
  bool stop = false;
  std::vector<bool> there;
  std::string directory;

  std::string text() const { return Json{{"stop", stop}, {"there", there}, {"where", directory}}.dump(); }
  static std::optional<Answer> read(const std::optional<std::string>& text) {
    if (!text) return {};
    const Json j = parse_json(*text);
    return Answer{j.at("stop").get<bool>(), j.at("there").get<std::vector<bool>>(),
                  j.at("where").get<std::string>()};
  }
};

// Each process writes its agents; the first, once all have, that they belong together. Of one that is gone
// the agents are kept as they were last written.
void save_together(const Experiment& e, const RunOptions& options, Party& party, const RunState& run,
                   std::vector<std::string>& files) {
  const std::vector<std::string> written = party.gather(save_block(e, options, run));
  if (!party.first()) return;
  for (size_t p = 0; p < written.size(); ++p) {
    if (!written[p].empty()) {
      files[p] = written[p];
      continue;
    }
    if (files[p].empty()) return;
    const std::filesystem::path now =
        std::filesystem::path(written[0]).parent_path() / std::filesystem::path(files[p]).filename();
    if (!std::filesystem::exists(in(options, files[p].c_str()))) return;
    if (now != files[p])
      std::filesystem::copy_file(in(options, files[p].c_str()), in(options, now.c_str()),
                                 std::filesystem::copy_options::overwrite_existing);
    files[p] = now.string();
  }
  save_index(options, run.round, files);
}

// The whole fleet at the first process; `stands` at which round each part of it is.
RunState whole_at_first(const Experiment& e, const RunOptions& options, Party& party, const RunState& run,
                        const std::vector<std::string>& files, Json& stands) {
  const bool secure = e.exchange.server.secure;
  const std::vector<std::string> parts =
      party.gather(secure ? save_block(e, options, run) : to_safetensors(file_of(e, run)));
  if (!party.first()) return run;
  const RunState fresh = start_run(e);
  std::vector<RunState> all;
  for (int64_t p = 0; p < party.places(); ++p) {
    const RunState start = part_of(e, fresh, party.shares()[p]);
    const std::string saved = files[p].empty() ? "" : in(options, files[p].c_str());
    if (secure && !parts[p].empty()) {
      all.push_back(part_shown(e, options, run, start, parts[p]));
    } else if (!parts[p].empty()) {
      all.push_back(run_of(e, start, of_safetensors(parts[p], "a letter"), "a letter"));
    } else {
      all.push_back(!saved.empty() && std::filesystem::exists(saved)
                        ? run_of(e, start, read_safetensors(saved), saved)
                        : start);
    }
    stands.push_back(all.back().round);
  }
  RunState whole = join(e, all);
  whole.round = run.round;
  whole.exchange.rounds = run.exchange.rounds;
  whole.seconds = run.seconds;
  return whole;
}

}  // namespace

std::vector<std::string> Party::gather(const std::string& mine) {
  const int64_t number = meetings_++;
  std::vector<std::string> out(shares_.size());
  if (!first()) {
    letters_.send({address_of(place_),
                   {address_of(0)},
                   number,
                   Letter::Kind::kGather,
                   Bytes(mine.begin(), mine.end())});
    return out;
  }
  out[0] = mine;
  std::vector<int64_t> others;
  for (int64_t p = places() - 1; p > 0; --p) others.push_back(address_of(p));
  for (const Letter& letter : letters_.collect(Letter::Kind::kGather, number, others).came)
    out[-1 - letter.from] = std::string(letter.bytes.begin(), letter.bytes.end());
  return out;
}

void Party::enter(const Entry& entry) {
  meetings_ = entry.meeting;
  comings_->there(entry.there, "");
}

std::optional<std::string> Party::tell(const std::vector<std::string>& each) {
  const int64_t number = meetings_++;
  if (first()) {
    for (int64_t p = 1; p < places(); ++p)
      letters_.send({address_of(0),
                     {address_of(p)},
                     number,
                     Letter::Kind::kTold,
                     Bytes(each[p].begin(), each[p].end())});
    return each[0];
  }
  const int64_t from = address_of(0);
  const Post post = letters_.collect(Letter::Kind::kTold, number, {&from, 1});
  if (post.came.empty()) return {};
  return std::string(post.came[0].bytes.begin(), post.came[0].bytes.end());
}

void check_together(const Experiment& e, const RunOptions& options) {
  const auto no = [](const char* what, const char* remedy) {
    throw UserError("processes", std::string("several were started, and ") + what, remedy);
  };
  if (e.population.on())
    no("agents of a population copy each other whole", "start one, or set population.settings to []");
  if (e.exchange.server.secure && e.exchange.attack)
    no("hostile agents see what the others say, which secure aggregation hides from all",
       "start one, or set server.secure to false or faults.agents to []");
  if (e.exchange.privacy.on() && !e.exchange.privacy.seeded())
    no("what noise of the system spends is counted in one process so far",
       "start one, or set privacy.noise_key to seed, which protects nothing");
  if (options.device != "cpu") no("they are on the processor", "start one, or leave out --device");
}

bool train_together(const Experiment& e, const RunOptions& options, const TrainHooks& hooks, Party& party,
                    RunState& run) {
  const bool first = party.first(), late = party.comings() != nullptr && !party.comings()->entry().empty();
  if (!late) run = open_together(e, options, party);
  RosterFile roster(options, party.place());
  if (late) run = come_in(e, options, party, roster);
  if (first) roster.add({{"round", run.round}, {"shares", party.shares()}});
  Noted letters(party.letters(), roster, run);
  const bool resumed = run.round > 0;
  std::optional<Recorder> metrics;
  std::optional<EventFile> events;
  std::vector<LogListener> listeners;
  if (first) {
    metrics.emplace(in(options, "metrics.jsonl"), resumed ? run.round : -1);
    events.emplace(options.folder, resumed ? run.round + 1 : -1);
    listeners = {[&](const Json& row) { metrics->add(row); }, to_tensorboard(*events, e.spec.metric)};
    listeners.insert(listeners.end(), hooks.listeners.begin(), hooks.listeners.end());
  }
  const int64_t begun = run.round;
  const auto start = Stopwatch::now();
  const double before = run.seconds;
  const Account account(e);
  const int64_t last_round = account.last_round(e.fleet.rounds);
  const Calendar calendar(e, last_round);
  double score = std::nan(""), loss = std::nan("");
  std::vector<std::string> files(party.places());
  std::optional<Overview> overview;
  if (first) overview.emplace(e, party.shares());
  Company company(party.places());
  bool stopped = false;
  // All stop at one row of the log. Who gives up a round leaves the others without it.
  const Steadfast until_then;
  while (run.round < last_round && !stopped) {
    run_round(e, run, &letters);
    const bool log = calendar.logs(run.round), save = calendar.saves(run.round),
               judged = log && calendar.judges(run.round);
    if (log || save) {
      TensorDict mine = account_of(e, run, log, hooks.stop());
      if (judged) put_scores(mine, "validation.", judge_on_validation(e, run.learner));
      const std::vector<std::string> all = party.gather(letter_of(mine));
      std::vector<std::string> answers(party.places());
      std::vector<int64_t> coming;
      if (first) {
        stopped = overview->add(all, log);
        if (log) {
          const RunState fleet = overview->run(run);
          loss = mean_of(e, fleet, "loss");
          Json validation;
          if (judged) {
            std::vector<EvalResult> parts;
            for (size_t p = 0; p < all.size(); ++p)
              if (!all[p].empty())
                parts.push_back(take_scores(overview->last(p), "validation.", e, Split::kValidation));
            validation = validation_row(e, join(e, parts));
            score = score_of(validation);
          }
          const Json row = log_row(e, fleet, account, before + seconds_since(start), validation);
          for (const LogListener& listener : listeners) listener(row);
        }
        Answer answer{stopped, {}, ""};
        for (const std::string& parcel : all) answer.there.push_back(!parcel.empty());
        if (party.comings() != nullptr && log && !stopped) coming = party.comings()->knocking();
        for (const int64_t p : coming) answer.there[p] = true;
        if (!coming.empty()) answer.directory = party.comings()->directory();
        answers.assign(answers.size(), answer.text());
      }
      const std::optional<Answer> answer = Answer::read(party.tell(answers));
      if (!answer || !answer->there[party.place()]) {
        come_back(party, run, roster);
        letters.begin_anew();
        continue;
      }
      stopped = answer->stop;
      if (log) forget_sums(run);
      if (save || stopped) {
        run.seconds = before + seconds_since(start);
        save_together(e, options, party, run, files);
      }
      // Whether or not they live to take part.
      if (!coming.empty()) roster.add({{"round", run.round}, {"comes", coming}});
      for (const int64_t p : coming) {
        const auto beginning = [&](int64_t place) {
          return e.exchange.server.secure ? rows_to_begin_with(run, party.shares()[place].size())
                                          : overview->beside(place);
        };
        const Entry entry{run.round, run.exchange.rounds, party.meetings(), answer->there,
                          company.knows(p) ? Json() : beginning(p)};
        party.comings()->let_in(p, entry.text());
      }
      if (party.comings() != nullptr) party.comings()->there(answer->there, answer->directory);
      if (first && company.is(answer->there))
        roster.add(
            {{"round", run.round}, {"epoch", company.epoch()}, {"there", company.agents(party.shares())}});
      if (!answer->directory.empty()) welcome(run);
    }
    if (!first) continue;
    const double rate = static_cast<double>(run.round - begun) / std::max(1e-9, seconds_since(start));
    hooks.progress({run.round, last_round, rate, static_cast<double>(last_round - run.round) / rate, loss,
                    score, log, account.open() ? account.epsilon(run.round) : std::nan("")});
  }
  const RunState own = run;
  Json stands = Json::array();
  run = whole_at_first(e, options, party, own, files, stands);
  if (first) {
    save_checkpoint(in(options, "checkpoint.safetensors"), e, run);
    remove_blocks(options);
    roster.add({{"round", run.round}, {"stands", stands}});
    merge_roster(options);
  }
  return run.round >= last_round;
}

std::vector<EvalResult> judge_together(const Experiment& e, Party& party, const State& own) {
  std::vector<std::pair<std::string, Split>> splits{{"test.", Split::kTest}};
  if (e.eval.ood) splits.push_back({"ood.", Split::kOod});
  TensorDict mine;
  for (const auto& [name, split] : splits) put_scores(mine, name, judge(e, own, split));
  const std::vector<std::string> all = party.gather(letter_of(mine));
  std::vector<EvalResult> out;
  if (!party.first()) return out;
  std::vector<TensorDict> told;
  for (const std::string& parcel : all)
    if (!parcel.empty()) told.push_back(of_safetensors(parcel, "a letter").tensors);
  for (const auto& [name, split] : splits) {
    std::vector<EvalResult> parts;
    for (const TensorDict& one : told) parts.push_back(take_scores(one, name, e, split));
    out.push_back(join(e, parts));
  }
  return out;
}

}  // namespace symma
