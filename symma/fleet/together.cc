#include "symma/fleet/together.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <filesystem>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/interrupt.h"
#include "symma/core/record.h"
#include "symma/core/tensorboard.h"
#include "symma/fleet/blocks.h"
#include "symma/fleet/calendar.h"
#include "symma/fleet/hidden_rows.h"
#include "symma/fleet/parcels.h"
#include "symma/fleet/spent.h"
#include "symma/transports/addresses.h"
#include "symma/transports/free_running.h"
#include "symma/transports/members.h"

namespace symma {
namespace {

using Stopwatch = std::chrono::steady_clock;

double seconds_since(Stopwatch::time_point start) {
  return std::chrono::duration<double>(Stopwatch::now() - start).count();
}

constexpr int64_t kFirstWord = -2;  // the round of what one that comes in says before all else

// Who has been there, as the first sees it.
class Company {
 public:
  // Of a fleet that all begin, or that others join later.
  Company(int64_t places, bool open) : there_(open ? 0 : places, true), known_(places, false) {
    known_[0] = true;
  }
  // Whether that is news.
  bool is(const std::vector<bool>& there) {
    for (size_t p = 0; p < there.size(); ++p) known_[p] = known_[p] || there[p];
    if (there == there_) return false;
    before_ = std::exchange(there_, there);
    ++epoch_;
    return true;
  }
  // Who came and who went, in words.
  std::string news(const std::vector<std::vector<int64_t>>& shares, int64_t round) const {
    std::string out;
    for (size_t p = 1; p < there_.size(); ++p)
      if (there_[p] != (p < before_.size() && before_[p]))
        out += fmt::format("{}agents {} {} after round {}", out.empty() ? "" : "; ", agents_text(shares[p]),
                           there_[p] ? "came in" : "are gone", round);
    return out;
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
  std::vector<bool> there_, known_, before_;
  int64_t epoch_ = 0;
};

std::string said_by_first(const std::optional<std::string>& told) {
  if (!told)
    throw UserError("processes", "the first process is gone", "go on from the last checkpoint with --resume");
  return *told;
}

// Where nobody else sees its folder, a guest keeps its agents at home too.
void keep_at_home(const Experiment& e, const RunOptions& options, const Party& party, const RunState& run) {
  if (party.guest()) save_index(options, run.round, {save_block(e, options, run)});
}

// The scores of newcomers that have not learned anything yet, as the roster has them.
Json judged_first(const Experiment& e, const RunState& run) {
  const EvalResult r = judge(e, run.learner, Split::kTest);
  if (r.agents.empty()) return {};
  const Json all = eval_json(r, e.spec, "");
  return {{"round", run.round},
          {"newcomers", r.agents},
          {"judged", {{"metric", all["metric"]}, {"steps", all["steps"]}, {"mean", all["mean"]}}}};
}

// Takes part from here on. The first knows with what before anybody hears of it.
void take_part(Party& party, RunState& run, const Entry& entry, RosterFile& file, const Json& line) {
  enter(run, entry);
  party.enter(entry);
  if (party.guest()) file.has(entry.lines);
  file.add(line);
  if (party.guest()) party.say(file.letter());
}

// The agents of one that comes while the fleet is under way: as they were last saved, or what their
// neighbours are in the mean, or a fresh start.
RunState come_in(const Experiment& e, const RunOptions& options, Party& party, RosterFile& file,
                 const TrainHooks& hooks, int64_t& last_round) {
  const Entry entry = Entry::read(party.comings()->entry(), party.places());
  last_round = entry.last;
  if (party.guest()) write_file(in(options, kRunName), entry.run + "\n");
  Json line{{"round", entry.round}, {"exchange", entry.exchange}};
  std::optional<RunState> run = saved_part(e, options, party.agents());
  const bool fresh = !run;
  if (run) line["with"] = "file", line["of"] = run->round;
  if (fresh) {
    run = start_run(e, party.agents());
    line["with"] = entry.rows.is_null() ? "file" : "neighbours", line["of"] = 0;
    if (!entry.rows.is_null()) begin_with(e, *run, entry.rows), line["rows"] = entry.rows;
  }
  const int64_t of = run->round;
  take_part(party, *run, entry, file, line);
  hooks.news(fresh ? fmt::format("let in after round {}, with the mean of the neighbours", entry.round)
                   : fmt::format("let in after round {}, with what was saved after {}", entry.round, of));
  if (fresh && !entry.rows.is_null())
    if (const Json judged = judged_first(e, *run); !judged.is_null()) {
      file.add(judged);
      hooks.news("judged before having learned anything: " + judged_words(judged));
    }
  return *run;
}

// One that was out of reach asks to be let in again, with its agents as they are.
void come_back(const Experiment& e, const RunOptions& options, Party& party, RunState& run,
               RosterFile& file) {
  if (party.comings() == nullptr) (void)said_by_first({});
  keep_at_home(e, options, party, run);
  const Entry entry = Entry::read(party.comings()->knock(), party.places());
  take_part(party, run, entry, file,
            {{"round", entry.round}, {"exchange", entry.exchange}, {"with", "memory"}, {"of", run.round}});
}

// Opens the run at the first process, and hands each its part.
RunState open_together(const Experiment& e, const RunOptions& options, Party& party) {
  std::vector<std::string> each(party.places(), "no");
  if (!party.first()) {
    const std::string told = said_by_first(party.tell({}));
    if (told == "no") throw ToldElsewhere{};
    const RunState fresh = start_run(e, party.agents());
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
  if (party.open()) write_file(in(options, kRunName), party.run() + "\n");
  party.tell(each);
  return part_of(e, whole, party.agents());
}

// The last round, which the first knows: what earlier starts have spent of a budget stands in its folder.
int64_t last_of_all(Party& party, int64_t mine) {
  const std::string told =
      said_by_first(party.tell(std::vector<std::string>(party.places(), std::to_string(mine))));
  int64_t last = 0;
  const auto [end, error] = std::from_chars(told.data(), told.data() + told.size(), last);
  if (error == std::errc() && end == told.data() + told.size() && last >= 0) return last;
  throw UserError("processes", "what the first one says of the last round makes no sense",
                  "is it of the same version?");
}

// What each process makes of the first's answer at a row of the log.
struct Answer {
  bool stop = false;
  std::vector<bool> there;
  std::string directory;

  std::string text() const { return Json{{"stop", stop}, {"there", there}, {"where", directory}}.dump(); }
  static std::optional<Answer> read(const std::optional<std::string>& text, int64_t places) {
    if (!text) return {};
    try {
      const Json j = parse_json(*text);
      Answer out{j.at("stop").get<bool>(), j.at("there").get<std::vector<bool>>(),
                 j.at("where").get<std::string>()};
      if (static_cast<int64_t>(out.there.size()) == places) return out;
    } catch (const Json::exception&) {
    }
    throw UserError("processes", "what the first one says of a round makes no sense",
                    "is it of the same version?");
  }
};

// The state of other people's agents, at the round that all stand at; nothing where it is not that.
std::optional<RunState> guest_part(const Experiment& e, const RunState& run, const RunState& start,
                                   const std::string& bytes) {
  if (bytes.empty()) return {};
  auto part = state_in(e, start, bytes);
  const bool same = part && part->round == run.round && part->exchange.rounds == run.exchange.rounds;
  return same ? std::move(part) : std::nullopt;
}

// Each process writes its agents; the first, once all have, that they belong together. Of one that is gone
// the agents are kept as they were last written.
void save_together(const Experiment& e, const RunOptions& options, Party& party, const RunState& run,
                   std::vector<std::string>& files) {
  keep_at_home(e, options, party, run);
  std::vector<std::string> written =
      party.gather(party.guest() ? to_safetensors(file_of(e, run)) : save_block(e, options, run));
  if (!party.first()) return;
  // Of guests come the agents themselves.
  if (party.open()) {
    const RunState fresh = start_run(e);
    for (int64_t p = 1; p < party.places(); ++p) {
      const auto part = guest_part(e, run, part_of(e, fresh, party.shares()[p]), written[p]);
      written[p] = part ? save_block(e, options, *part) : "";
    }
  }
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

// The last that each process makes known, at the first. All wait until the first has answered: a process that
// ends closes its lines, and where a packet of its last letter was lost, or one of the other end's was under
// way, nobody says it again.
std::vector<std::string> gather_last(Party& party, const std::string& mine) {
  std::vector<std::string> all = party.gather(mine);
  party.tell(std::vector<std::string>(party.places()));
  return all;
}

// The whole fleet at the first process; `stands` at which round each part of it is.
RunState whole_at_first(const Experiment& e, const RunOptions& options, Party& party, const RunState& run,
                        const std::vector<std::string>& files, Json& stands) {
  const bool secure = e.exchange.server.secure;
  const std::vector<std::string> parts =
      gather_last(party, secure ? save_block(e, options, run) : to_safetensors(file_of(e, run)));
  if (!party.first()) return run;
  const RunState fresh = start_run(e);
  std::vector<RunState> all;
  for (int64_t p = 0; p < party.places(); ++p) {
    const RunState start = part_of(e, fresh, party.shares()[p]);
    const std::string saved = files[p].empty() ? "" : in(options, files[p].c_str());
    if (secure && !parts[p].empty()) {
      all.push_back(part_shown(e, options, run, start, parts[p]));
    } else if (auto part = guest_part(e, run, start, parts[p])) {
      all.push_back(std::move(*part));
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

void Party::send(int64_t to, int64_t number, Letter::Kind kind, const std::string& text) {
  letters_.send({address_of(place_), {address_of(to)}, number, kind, Bytes(text.begin(), text.end())});
}

std::vector<std::string> Party::heard(int64_t number, const std::vector<int64_t>& places) {
  std::vector<int64_t> from;
  for (auto it = places.rbegin(); it != places.rend(); ++it) from.push_back(address_of(*it));
  std::vector<std::string> out(shares_.size());
  for (const Letter& letter : letters_.collect(Letter::Kind::kGather, number, from).came)
    out[-1 - letter.from] = std::string(letter.bytes.begin(), letter.bytes.end());
  return out;
}

std::vector<std::string> Party::gather(const std::string& mine) {
  const int64_t number = meetings_++;
  if (!first()) {
    send(0, number, Letter::Kind::kGather, mine);
    return std::vector<std::string>(shares_.size());
  }
  std::vector<int64_t> others;
  for (int64_t p = 1; p < places(); ++p) others.push_back(p);
  std::vector<std::string> out = heard(number, others);
  out[0] = mine;
  return out;
}

std::vector<std::string> Party::words(const std::vector<int64_t>& coming) {
  return heard(kFirstWord, coming);
}

void Party::say(const std::string& word) {
  send(0, kFirstWord, Letter::Kind::kGather, word);
}

void Party::enter(const Entry& entry) {
  meetings_ = entry.meeting;
  comings_->there(entry.there, "");
}

std::optional<std::string> Party::tell(const std::vector<std::string>& each) {
  const int64_t number = meetings_++;
  if (first()) {
    for (int64_t p = 1; p < places(); ++p) send(p, number, Letter::Kind::kTold, each[p]);
    return each[0];
  }
  const int64_t from = address_of(0);
  const Post post = letters_.collect(Letter::Kind::kTold, number, {&from, 1});
  if (post.came.empty()) return {};
  return std::string(post.came[0].bytes.begin(), post.came[0].bytes.end());
}

void check_together(const Experiment& e, const RunOptions& options, bool open) {
  const auto no = [](const char* what, const char* remedy) {
    throw UserError("processes", std::string("several were started, and ") + what, remedy);
  };
  if (e.population.on())
    no("agents of a population copy each other whole", "start one, or set population.settings to []");
  if (e.exchange.server.secure && e.exchange.attack)
    no("hostile agents see what the others say, which secure aggregation hides from all",
       "start one, or set server.secure to false or faults.agents to []");
  if ((e.exchange.tracks() || e.exchange.corrects()) && !e.exchange.graph.edges.empty())
    no("corrected strategies need every message, of which a process that dies sends none",
       "start one, or set exchange.strategy to adapt-then-combine or push-sum");
  if (open && e.exchange.server.secure)
    throw UserError("server.secure", "cannot be in a fleet that others join",
                    "set it to false, or start a fleet whose processes are all there from the beginning");
  if (e.exchange.privacy.of_system() && !e.exchange.privacy.distributed())
    no("what noise of the system spends is counted over them only where each agent brings its share of it",
       "start one, set privacy.where to distributed, or set privacy.noise_key to seed, which protects "
       "nothing");
  if (options.device != "cpu") no("they are on the processor", "start one, or leave out --device");
}

void check_free(const Experiment& e) {
  if (e.exchange.graph.edges.empty() || e.exchange.pushes()) return;
  throw UserError("transport.mode",
                  "is free, and with strategy \"" + e.exchange.options.strategy +
                      "\" the mean would not be kept where letters are of different rounds",
                  "set exchange.strategy to push-sum on a graph without a server, or the mode to rounds");
}

bool train_together(const Experiment& e, const RunOptions& options, const TrainHooks& hooks, Party& party,
                    RunState& run) {
  const bool first = party.first(), late = party.comings() != nullptr && !party.comings()->entry().empty();
  if (!late) run = open_together(e, options, party);
  const bool noisy = e.exchange.privacy.of_system();
  std::optional<SpentFile> spent;
  if (noisy && first) spent.emplace(in(options, "spent.txt"), run.round);
  const Account account = spent ? Account(e, spent->earlier(), run.round) : Account(e);
  int64_t last_round = 0;
  if (!late) last_round = last_of_all(party, first ? account.last_round(e.fleet.rounds) : 0);
  RosterFile roster(options, party.place(), party.guest());
  GuestBook guests(options, party.shares(), e.spec.metric, last_round);
  if (late) run = come_in(e, options, party, roster, hooks, last_round);
  std::optional<FreeRunning> free;
  if (party.staleness() > 0)
    free.emplace(party.letters(), dynamic_cast<Newest&>(party.letters()), party.staleness());
  if (first) {
    Json begins{{"round", run.round}, {"shares", party.shares()}};
    if (free) begins["free"] = party.staleness();
    roster.add(begins);
  }
  Noted letters(free ? static_cast<Transport&>(*free) : party.letters(), roster, run, party.shares());
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
  const Calendar calendar(e, last_round);
  double score = std::nan(""), loss = std::nan("");
  std::vector<std::string> files(party.places());
  std::optional<Overview> overview;
  if (first) overview.emplace(e, party.shares());
  Company company(party.places(), party.open());
  bool stopped = false;
  // All stop at one row of the log. Who gives up a round leaves the others without it.
  const Steadfast until_then;
  while (run.round < last_round && !stopped) {
    if (spent) spent->begin(run.round);
    run_round(e, run, &letters);
    const bool log = calendar.logs(run.round), save = calendar.saves(run.round),
               judged = log && calendar.judges(run.round);
    if (log || save) {
      const bool asked = hooks.stop();
      TensorDict mine = account_of(e, run, log, asked);
      if (judged) put_scores(mine, "validation.", judge_on_validation(e, run.learner));
      if (log) letters.note_waits(party.guest() && (run.round >= last_round || asked));
      if (party.guest()) put_text(mine, "roster", roster.letter());
      std::vector<std::string> all = party.gather(letter_of(mine));
      std::vector<std::string> answers(party.places());
      std::vector<int64_t> coming;
      if (first) {
        overview->add(all, log, judged);
        for (int64_t p = 0; p < party.places(); ++p) {
          const bool guest = party.open() && p > 0, ends = overview->ending()[p];
          stopped = stopped || (!guest && ends);
          // A guest that wants to leave does, once its lines are written down.
          if (guest && !all[p].empty() && (!guests.take(p, overview->note(p, "roster"), run.round) || ends))
            all[p].clear();
        }
        if (log) {
          const RunState fleet = overview->run(run);
          loss = mean_of(e, fleet, "loss");
          Json validation;
          if (judged) {
            validation = validation_row(e, join(e, overview->validation()));
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
      const std::optional<Answer> answer = Answer::read(party.tell(answers), party.places());
      if (answer && party.guest() && asked) {
        keep_at_home(e, options, party, run);
        return false;
      }
      if (!answer || !answer->there[party.place()]) {
        come_back(e, options, party, run, roster);
        letters.begin_anew();
        continue;
      }
      if (party.guest()) roster.has_all();
      stopped = answer->stop;
      if (log) forget_sums(run);
      if (save || stopped) {
        run.seconds = before + seconds_since(start);
        save_together(e, options, party, run, files);
      }
      // Whether or not they live to take part.
      if (!coming.empty()) roster.add({{"round", run.round}, {"comes", coming}});
      for (const int64_t p : coming) {
        const Json rows = company.knows(p) && !party.open() ? Json()
                          : e.exchange.server.secure ? rows_to_begin_with(run, party.shares()[p].size())
                                                     : overview->beside(p);
        const Entry entry{run.round, run.exchange.rounds, party.meetings(), answer->there,
                          rows,      party.run(),         guests.lines(p),  last_round};
        guests.told(p, entry.rows);
        party.comings()->let_in(p, entry.text());
      }
      if (first && party.open() && !coming.empty()) {
        const std::vector<std::string> words = party.words(coming);
        // One that was out of reach may have gone on alone, to the row of the log after this one.
        for (const int64_t p : coming) guests.take(p, words[p], run.round + calendar.log_every);
      }
      if (party.comings() != nullptr) party.comings()->there(answer->there, answer->directory);
      if (first && company.is(answer->there)) {
        roster.add(
            {{"round", run.round}, {"epoch", company.epoch()}, {"there", company.agents(party.shares())}});
        if (const std::string news = company.news(party.shares(), run.round); !news.empty()) hooks.news(news);
      }
      if (!answer->directory.empty()) welcome(run);
    }
    if (!first) continue;
    const double rate = static_cast<double>(run.round - begun) / std::max(1e-9, seconds_since(start));
    hooks.progress({run.round, last_round, rate, static_cast<double>(last_round - run.round) / rate, loss,
                    score, log, [&] { return account.open() ? account.epsilon(run.round) : std::nan(""); }});
  }
  if (!party.guest()) letters.note_waits(true);
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
  const std::vector<std::string> all = gather_last(party, letter_of(mine));
  std::vector<EvalResult> out;
  if (!party.first()) return out;
  std::vector<std::optional<TensorDict>> told;
  told.reserve(all.size());
  for (const std::string& parcel : all) told.push_back(parcel.empty() ? std::nullopt : tensors_in(parcel));
  for (const auto& [name, split] : splits) {
    std::vector<EvalResult> parts;
    for (size_t p = 0; p < told.size(); ++p) {
      if (!told[p]) continue;
      auto one = scores_in(*told[p], name, e, split, party.shares()[p], p > 0 ? &parts.at(0) : nullptr);
      if (one) parts.push_back(std::move(*one));
    }
    out.push_back(join(e, parts));
  }
  return out;
}

}  // namespace symma
