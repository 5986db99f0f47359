// Who was there when, written down so that it can be played again: roster.jsonl of a run's folder.
//
// A letter that did not come is all that a process feels of another's absence, so that is what is kept: each
// process notes whose letters it missed, from which exchange on. The first notes who is in the roster, which
// changes at rows of the log alone; one that comes back, with what it came back and into which round. While a
// run lasts each process writes a file of its own, roster/process-P.jsonl; in the end the first makes
// one file of them. docs/files.md has the form.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "symma/core/record.h"
#include "symma/exchange/transport.h"
#include "symma/fleet/folder.h"
#include "symma/transports/addresses.h"

namespace symma {

// How one comes in while a fleet is under way.
struct Entry {
  int64_t round = 0, exchange = 0, meeting = 0;  // that the fleet has done
  std::vector<bool> there;
  Json rows;  // [n, Q]: what a newcomer begins with, the mean of its neighbours; null where it has been here
  // Of one in another folder: which run this is, and how many of its lines are written down.
  std::string run = {};
  int64_t lines = 0;
  int64_t last = 0;  // the last round, of the budget of [privacy] or the file

  static Entry read(const std::string& text, int64_t places);  // throws UserError
  std::string text() const;
};

// The state of one that comes in with what it has: at the fleet's round, and bound to say all of its rows,
// since others may have missed what they are counted from.
void enter(RunState&, const Entry&);
// A newcomer's rows, [n, Q] as numbers. Throws UserError where these do not fit.
void begin_with(const Experiment&, RunState&, const Json& rows);
// Where the server is, it says all of its row to who comes in.
void welcome(RunState&);

// What a process writes down, and `sends` to the first where that does not see its folder.
class RosterFile {
 public:
  RosterFile(const RunOptions&, int64_t place, bool sends = false);
  void add(Json line);  // with the process's number

  // The lines that the first may not have yet: a letter. It has `lines` of them.
  std::string letter() const;
  void has(int64_t lines);
  // All that the last letter had.
  void has_all() { has(first_ + static_cast<int64_t>(waiting_.size())); }

 private:
  int64_t place_;
  bool sends_;
  Recorder out_;
  int64_t first_ = 0;  // number of the first line that waits
  std::vector<Json> waiting_;
};

// The lines of others, as they come by letter, written down by the first. What is no line of a roster, or
// none that others write, is left out: it would be read as if it were the first's.
class GuestBook {
 public:
  // Newcomers are judged by this metric, and no round is after the last.
  GuestBook(const RunOptions&, std::vector<std::vector<int64_t>> shares, std::string metric, int64_t last);
  int64_t lines(int64_t place) const { return guests_[place].taken; }
  // What one that is let in may begin with.
  void told(int64_t place, Json rows) { guests_[place].rows = std::move(rows); }
  // Whether it is a letter of lines. Those of a round after `round` are left out.
  bool take(int64_t place, const std::string& letter, int64_t round);

 private:
  struct Guest {
    int64_t taken = 0;
    Json rows;
    std::unique_ptr<RosterFile> file;
  };
  RunOptions options_;
  std::vector<std::vector<int64_t>> shares_;
  std::string metric_;
  int64_t last_;
  std::vector<Guest> guests_;
};

// Whose letters of a kind do not come, and from which life (Letter::life) those of a process are that do: of
// processes that are not in their first.
struct Hearing {
  std::vector<int64_t> gone;        // agents, ascending
  std::map<size_t, int64_t> lives;  // by process
  bool operator==(const Hearing&) const = default;
};

// Letters as they are, and whose did not come noted: a line where that changes. Also how long those of each
// process were waited for, and how old they were: a line now and then.
class Noted final : public Transport {
 public:
  // `shares`: the agents of each process.
  Noted(Transport& letters, RosterFile& file, const RunState& run,
        const std::vector<std::vector<int64_t>>& shares);
  Roster roster() override { return letters_.roster(); }
  void send(Letter letter) override { letters_.send(std::move(letter)); }
  Post collect(Letter::Kind, int64_t round, std::span<const int64_t> from) override;
  // One that has come back begins with nobody missing, and everybody in their first life.
  void begin_anew() { heard_.clear(); }
  // Writes down the waits since the last time; at most a hundred lines while a run gets e times as long, but
  // for the last.
  void note_waits(bool last);

 private:
  // Of one process's letters, since they were noted last.
  struct Waits {
    int64_t times = 0, letters = 0, missing = 0, bytes = 0;
    double seconds = 0, longest = 0;  // until the last of those asked for at a time had come, or was given up
    int64_t age = 0, oldest = 0;      // in exchanges; `age` is the sum over letters
  };
  void count(int64_t round, const Post&, double seconds);

  Transport& letters_;
  RosterFile& file_;
  const RunState& run_;
  std::map<Letter::Kind, Hearing> heard_;
  Addresses addresses_;
  std::map<size_t, Waits> waits_;  // by process
  std::chrono::steady_clock::time_point start_, noted_;
};

// The file of a run's folder that says which run it is, where others join it.
inline constexpr const char* kRunName = "run.id";

// How newcomers were judged, of a line of the roster: "mse 3.1 at once, 0.4 after 5 steps".
std::string judged_words(const Json& line);

// Removes what is written down of an earlier run.
void forget_roster(const RunOptions&);
// Makes one file of those of all processes.
void merge_roster(const RunOptions&);
// All lines, in order for each process.
std::vector<Json> read_roster(const std::string& folder);

// Of those asked, `gone` minus who came plus who did not.
std::vector<int64_t> gone_after(const std::vector<int64_t>& gone, std::span<const int64_t> asked,
                                const std::vector<int64_t>& missing);

}  // namespace symma
