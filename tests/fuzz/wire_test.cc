// Mutated letters against a running fleet: by somebody whose key is in its list and who is not let in, so
// that nothing of it may count; and by a member that takes part, and bends some of all that it says. Nothing
// may come of it but letters that are refused: the fleet goes on, and ends when it is asked to.
//
// SYMMA_WIRE_SECONDS (10) and SYMMA_WIRE_SEED (1) say for how long, and with which letters: scripts/fuzz
// --wire.
#include <gtest/gtest.h>
#include <zmq.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <thread>

#include "cli/program.h"
#include "fleet/open_fleet.h"
#include "fuzz/mutate.h"
#include "symma/core/errors.h"
#include "symma/core/options.h"
#include "symma/core/parallel.h"
#include "symma/core/record.h"
#include "symma/core/safetensors.h"
#include "symma/core/version.h"
#include "symma/exchange/wire.h"
#include "symma/fleet/parcels.h"
#include "symma/fleet/roster.h"
#include "symma/fleet/together.h"
#include "symma/transports/envelope.h"
#include "symma/transports/members.h"
#include "symma/transports/zmq.h"

namespace symma {
namespace {

namespace fs = std::filesystem;
using fuzz::Dice;
using program::Process;

double number_of(const char* name, double usual) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::atof(text) : usual;
}

const std::string kFleet = R"(agents = 6
rounds = 100000000
tasks = 2
log_every = 10
checkpoint_every = 50
[task]
kind = "sinusoid"
[model]
hidden = [8, 6]
[exchange]
topology = "ring"
[eval]
every = 200
tasks = 6
steps = [0, 1]
validation_tasks = 4
[transport]
key = "fleet.key"
members = "members.txt"
patience = 1
slow = 3
)";

Bytes bytes_of(const std::string& s) {
  return {s.begin(), s.end()};
}

Letter::Kind any_kind(Dice& dice) {
  return static_cast<Letter::Kind>(dice.below(static_cast<size_t>(Letter::kLast) + 1));
}

// What a letter of this kind may hold, damaged in one time of two.
Bytes content(const Experiment& e, const RunState& run, Letter::Kind kind, Dice& dice) {
  std::string out;
  if (kind == Letter::Kind::kGather) {
    TensorDict parcel = account_of(e, run, true, dice.one_in(10));
    put_text(parcel, "roster", R"({"from":0,"lines":[{"round":3,"exchange":3,"kind":1,"missing":[5]}]})");
    out = dice.one_in(3) ? to_safetensors(file_of(e, run)) : letter_of(parcel);
    if (dice.one_in(2)) out = fuzz::mutate_safetensors(out, dice);
  } else if (kind == Letter::Kind::kTold) {
    out = fuzz::mutate_json(
        R"({"stop":true,"there":[true,true,true],"where":"[\"tcp://127.0.0.1:1\",\"\",\"\"]"})", dice);
  } else {
    const Bytes row = pack({.form = Form::kWhole, .row = run.learner.theta[0].to(at::kDouble)}, at::kFloat);
    out = {row.begin(), row.end()};
    if (dice.one_in(2)) out = fuzz::mutate_bytes(out, dice);
  }
  return bytes_of(out);
}

// A line of somebody who has a key, and says what he likes.
class Raw {
 public:
  Raw(const Key& own, const Key& fleet, int port)
      : context_(zmq_ctx_new()), line_(zmq_socket(context_, ZMQ_PUSH)) {
    const Key open = public_key(own);
    zmq_setsockopt(line_, ZMQ_CURVE_SECRETKEY, own.data(), own.size());
    zmq_setsockopt(line_, ZMQ_CURVE_PUBLICKEY, open.data(), open.size());
    zmq_setsockopt(line_, ZMQ_CURVE_SERVERKEY, fleet.data(), fleet.size());
    const int none = 0;
    zmq_setsockopt(line_, ZMQ_LINGER, &none, sizeof(none));
    EXPECT_EQ(zmq_connect(line_, ("tcp://127.0.0.1:" + std::to_string(port)).c_str()), 0);
  }
  ~Raw() {
    zmq_close(line_);
    zmq_ctx_term(context_);
  }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;
  bool send(const Bytes& message, bool more = false) {
    return zmq_send(line_, message.data(), message.size(), ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) >= 0;
  }

 private:
  void *context_, *line_;
};

class Wire : public OpenFleet {
 protected:
  void SetUp() override {
    const double seconds = number_of("SYMMA_WIRE_SECONDS", 10);
    program::most_seconds = 300 + static_cast<unsigned>(seconds);
    for (const char* who : {"fleet", "north", "liar"}) {
      fs::create_directories(at / who);
      program::spill(at / (std::string(who) + "/exp.toml"), kFleet + first_line());
      keys[who] = make_key(at / (std::string(who) + "/" + who + ".key"));
    }
    program::spill(at / "fleet/members.txt",
                   "2-3 " + text_of(keys["north"]) + " north\n4-5 " + text_of(keys["liar"]) + " liar\n");
    e = Experiment::build(Config::load(at / "liar/exp.toml"));
    e.exchange.letters_may_be_lost = true;
    state = part_of(e, start_run(e), {4, 5});
    first = start("fleet", {"train", "exp.toml", "--stay", "--out", "run"});
    north = start("north", {"join", "exp.toml", "--agents", "2-3", "--key", "north.key", "--fleet-key",
                            text_of(keys["fleet"]), "--out", "mine"});
    ASSERT_TRUE(program::wait_until([&] { return takes_part(2); }));
    until =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(static_cast<int64_t>(1000 * seconds));
  }
  bool takes_part(int64_t agent) const {
    const auto who = there();
    return std::find(who.begin(), who.end(), agent) != who.end();
  }
  // The fleet goes on, and ends as it should, and so does its member.
  void end() {
    ASSERT_TRUE(program::wait_until([&] { return takes_part(2); }));
    goes_on();
    ASSERT_TRUE(takes_part(2));
    first->send(SIGTERM);
    const auto r = first->wait();
    EXPECT_EQ(r.code, 128 + SIGTERM) << r.signal << "\n" << r.err;
    const auto n = north->wait();
    EXPECT_EQ(n.code, 0) << n.signal << "\n" << n.err;
    for (const std::string& err : {r.err, n.err})
      for (const char* word : {"Sanitizer", "runtime error", "internal error"})
        EXPECT_FALSE(program::holds(err, word)) << err;
  }

  std::map<std::string, Key> keys;
  Experiment e;
  RunState state;  // of agents 4 and 5
  std::unique_ptr<Process> north;
  Dice dice{static_cast<uint64_t>(number_of("SYMMA_WIRE_SEED", 1))};
  std::chrono::steady_clock::time_point until;
  bool over() const { return std::chrono::steady_clock::now() > until; }
};

TEST_F(Wire, WhoIsNotLetInChangesNothing) {
  Raw line(read_key(at / "liar/liar.key"), keys["fleet"], port);
  const std::string hello = Json{{"address", "tcp://127.0.0.1:1"},
                                 {"agents", {4, 5}},
                                 {"time", 1},
                                 {"about", R"({"symma":"another","settings":{}})"}}
                                .dump();
  size_t sent = 0, round = 0;
  while (!over()) {
    if (sent % 200 == 0) round = 10 * rows();
    Bytes letters;
    for (size_t k = dice.below(4); k > 0; --k) {
      Letter letter;
      letter.kind = any_kind(dice);
      letter.round = static_cast<int64_t>(round + dice.below(20)) - 2;
      const bool process = letter.kind == Letter::Kind::kGather || letter.kind == Letter::Kind::kTold;
      letter.from = process ? -3 : 4 + static_cast<int64_t>(dice.below(2));
      if (dice.one_in(8)) letter.from = static_cast<int64_t>(dice.below(10)) - 3;
      letter.to = {process ? -1 : static_cast<int64_t>(dice.below(6))};
      letter.bytes = content(e, state, letter.kind, dice);
      if (process && dice.one_in(5))
        letter.round = -1, letter.bytes = bytes_of(fuzz::mutate_json(hello, dice));
      put_letter(letters, letter);
    }
    Bytes message = sealed(dice.one_in(10) ? static_cast<int64_t>(dice.next() >> 32) : 2,
                           static_cast<int64_t>(dice.below(3)), letters);
    if (dice.one_in(3)) {
      const std::string bent = fuzz::mutate_bytes({message.begin(), message.end()}, dice);
      message = bytes_of(bent);
    }
    if (!line.send(message, dice.one_in(50)) || ++sent % 50 == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  std::printf("%zu messages\n", sent);
  EXPECT_GT(sent, 100u);
  for (const Json& line : read_roster(at / "fleet/run"))
    if (line.contains("comes")) {
      EXPECT_EQ(line["comes"], std::vector<int64_t>{1});
    }
  end();
  replays();
}

// Letters as a member sends them, some of them bent.
class Bent final : public Transport, public Comings {
 public:
  Bent(Lines& lines, Dice& dice) : lines_(lines), dice_(dice) {}
  Roster roster() override { return lines_.roster(); }
  void send(Letter letter) override {
    ++sent;
    if (dice_.one_in(12)) {
      ++bent;
      std::string text(letter.bytes.begin(), letter.bytes.end());
      switch (dice_.below(6)) {
        case 0:
          text = fuzz::mutate_safetensors(text, dice_);
          break;
        case 1:
          text = fuzz::mutate_json(text, dice_);
          break;
        case 2:
          letter.round += static_cast<int64_t>(dice_.below(7)) - 3;
          break;
        case 3:
          letter.kind = any_kind(dice_);
          break;
        case 4:
          letter.from = static_cast<int64_t>(dice_.below(8)) - 3;
          break;
        default:
          text = fuzz::mutate_bytes(text, dice_);
      }
      letter.bytes = bytes_of(text);
    }
    lines_.send(std::move(letter));
  }
  Post collect(Letter::Kind kind, int64_t round, std::span<const int64_t> from) override {
    return lines_.collect(kind, round, from);
  }
  std::vector<int64_t> knocking() override { return lines_.knocking(); }
  void let_in(int64_t place, const std::string& entry) override { lines_.let_in(place, entry); }
  std::string directory() const override { return lines_.directory(); }
  void there(const std::vector<bool>& places, const std::string& directory) override {
    lines_.there(places, directory);
  }
  std::string entry() const override { return lines_.entry(); }
  std::string knock() override { return lines_.knock(); }

  int64_t sent = 0, bent = 0;

 private:
  Lines& lines_;
  Dice& dice_;
};

TEST_F(Wire, AMemberThatBendsWhatItSaysHarmsItselfAlone) {
  set_threads(1);
  RunOptions options{at / "liar/mine"};
  fs::create_directories(options.folder);
  Meeting m;
  m.host = "127.0.0.1", m.port = port, m.patience = 1, m.start = 20, m.slow = 3;
  m.joins = {4, 5};
  m.keys = Keyring{read_key(at / "liar/liar.key"), {keys["fleet"]}};
  m.about = Json{{"symma", SYMMA_VERSION}, {"settings", e.settings}, {"run", ""}}.dump();
  int64_t in = 0, sent = 0, bent = 0;
  while (!over()) {
    try {
      const auto lines = meet(m);
      ++in;
      Bent letters(*lines, dice);
      Party party(lines->place(), lines->parts(), letters,
                  Entry::read(lines->entry(), static_cast<int64_t>(lines->parts().size())).run);
      RunState state;
      const TrainHooks hooks{.stop = [&] { return over(); }};
      const auto add = [&] { sent += letters.sent, bent += letters.bent; };
      try {
        train_together(e, options, hooks, party, state);
        add();
      } catch (const UserError&) {
        add();
      }
    } catch (const UserError&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
  std::printf("let in %ld times, %ld letters, %ld of them bent\n", static_cast<long>(in),
              static_cast<long>(sent), static_cast<long>(bent));
  EXPECT_GT(bent, 0);
  end();
}

}  // namespace
}  // namespace symma
