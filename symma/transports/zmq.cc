#include "symma/transports/zmq.h"

#include <fmt/format.h>
#include <sodium.h>
#include <zmq.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>

#include "symma/core/errors.h"
#include "symma/core/record.h"
#include "symma/core/tensor.h"
#include "symma/transports/addresses.h"
#include "symma/transports/entrance.h"
#include "symma/transports/envelope.h"
#include "symma/transports/letter_box.h"
#include "symma/transports/line.h"
#include "symma/transports/members.h"
#include "symma/transports/sockets.h"

namespace symma {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point t) {
  return std::chrono::duration<double>(Clock::now() - t).count();
}

// Keys of a fleet that shares a secret.
Keyring ring_of(const Meeting& m) {
  if (m.keys) return *m.keys;
  Keyring ring{key_of_place(m.secret, m.place), {}};
  for (size_t p = 0; p < m.parts.size(); ++p)
    ring.known.push_back(public_key(key_of_place(m.secret, static_cast<int64_t>(p))));
  return ring;
}

constexpr int64_t kMostPlaces = int64_t{1} << 24;
constexpr int kMostBroken = 5;  // handshakes that fail before it is clear that they always will
constexpr size_t kRoundsAhead = 64;
constexpr double kRefusalsApart = 1;  // seconds: who is refused asks once in them, or is not heard
constexpr size_t kMostRefusals = 32;  // in these seconds, to all
constexpr int64_t kBeforeAll = -1;    // the round of what is said before anything is

class ZmqLines final : public Lines {
 public:
  explicit ZmqLines(const Meeting& m)
      : meeting_(m),
        ring_(ring_of(m)),
        context_(zmq_ctx_new()),
        curve_{context_.get(), ring_.own, m.patience, m.most_bytes},
        peers_(m.parts.size()),
        addresses_(m.parts) {
    // One that joins hears from the first who it is.
    if (!m.joins.empty()) meeting_.place = -1, peers_.resize(1);
    doorkeeper_.emplace(context_.get());
    for (size_t p = 0; p < ring_.known.size(); ++p) doorkeeper_->know(ring_.known[p], p);
    try {
      if (me(0))
        begin();
      else
        join();
    } catch (...) {
      close();
      throw;
    }
  }

  ~ZmqLines() override { close(); }

  const std::vector<std::vector<int64_t>>& parts() const override { return meeting_.parts; }
  int64_t place() const override { return meeting_.place; }

  void close() {
    for (size_t p = 0; p < peers_.size(); ++p) flush(p);
    // Letters that are still under way get some time, unless nobody is there to take them.
    for (Peer& peer : peers_) {
      if (peer.line) peer.line->linger(peer.up() ? 5000 : 0);
      peer.line.reset();
    }
    inbox_.reset();
    zmq_ctx_shutdown(context_.get());
    doorkeeper_->join();
  }

  Roster roster() override {
    look();
    Roster out{epoch_, {}};
    for (size_t p = 0; p < peers_.size(); ++p)
      if (me(p) || !peers_[p].lost)
        out.ids.insert(out.ids.end(), meeting_.parts[p].begin(), meeting_.parts[p].end());
    std::sort(out.ids.begin(), out.ids.end());
    return out;
  }

  void send(Letter letter) override {
    std::vector<bool> done(peers_.size(), false);
    for (const int64_t to : letter.to) {
      const size_t p = addresses_.part(to);
      if (me(p) || done[p]) continue;
      done[p] = true;
      // Also to one that cannot be reached from here: it may well hear, and wait for it.
      put_letter(peers_[p].out, addresses_.for_part(letter, p));
      peers_[p].upto.see(letter);
    }
    // What agents say is many letters, and goes out together once their process waits for the others'.
    if (letter.kind == Letter::Kind::kSaid || letter.kind == Letter::Kind::kScene) return;
    for (size_t p = 0; p < peers_.size(); ++p) flush(p);
  }

  Post collect(Letter::Kind kind, int64_t round, std::span<const int64_t> from) override {
    const auto waited = wait_for(from, [&](std::vector<int64_t>& open) { box_.settle(kind, round, open); });
    return counted(from, waited, [&](const auto& those) { return box_.take(kind, round, those); });
  }

  Post newest(Letter::Kind kind, int64_t oldest, std::span<const int64_t> from) override {
    const auto waited = wait_for(from, [&](std::vector<int64_t>& open) {
      if (oldest <= 0)
        open.clear();
      else
        box_.settle(kind, oldest, open);
    });
    return counted(from, waited, [&](const auto& those) { return box_.newest(kind, oldest, those); });
  }

  std::vector<int64_t> knocking() override {
    look();
    std::vector<int64_t> out;
    for (const auto& [p, ask] : knocks_) out.push_back(p);
    return out;
  }

  void let_in(int64_t place, const std::string& entry) override {
    const auto it = knocks_.find(place);
    if (it == knocks_.end()) return;
    // The others have heard of it, whether or not it hears this.
    begins_anew(place, peers_[place].life + 1);
    // Also anew where there was a line that broke: it may be one that does not mend itself.
    if (peers_[place].address != it->second.address || !peers_[place].up()) {
      try {
        connect(place, it->second.address);
      } catch (const UserError&) {
        // No file is left for a line, say. That is no reason for all to end: it stays at the door.
        return;
      }
    }
    answered_[place] = it->second;
    peers_[place].lost = peers_[place].outside = false;
    knocks_.erase(it);
    send(told(place, bytes_of(table(place, entry))));
  }

  std::string directory() const override { return Json{{"where", listening()}, {"lives", lives()}}.dump(); }

  void there(const std::vector<bool>& places, const std::string& directory) override {
    look();
    const Json told = parse_json(directory);
    const Json where = told.is_object() ? told.value("where", Json()) : Json(),
               lives = told.is_object() ? told.value("lives", Json()) : Json();
    for (size_t p = 0; p < peers_.size() && p < places.size(); ++p) {
      if (me(p)) continue;
      Peer& peer = peers_[p];
      peer.outside = !places[p];
      bool fresh = false;
      if (where.is_array() && p < where.size() && where[p].is_string()) {
        const auto address = where[p].get<std::string>();
        fresh = is_address(address) && address != peer.address;
        if (fresh) connect(p, address);
      }
      // All who hear of it turn to its new life between two exchanges.
      if (!me(0) && lives.is_array() && p < lives.size() && lives[p].is_number_integer() &&
          lives[p].get<int64_t>() > peer.life)
        begins_anew(p, lives[p].get<int64_t>());
      if (!places[p]) lose(peer);
      // One that cannot be reached from here is not waited for anew each time, and one that waits at the door
      // says nothing, although the first had heard of it what this is about.
      const bool asks = peer.asks || knocks_.contains(static_cast<int64_t>(p));
      if (places[p] && peer.lost && !asks && (peer.up() || fresh || me(0))) peer.lost = false, ++epoch_;
    }
  }

  std::string entry() const override { return entry_; }

  std::string knock() override {
    for (size_t p = 0; p < peers_.size(); ++p) {
      flush(p);
      if (peers_[p].line) peers_[p].line->forget();
    }
    box_.forget(Letter::Kind::kTold);
    ask_to_come_in();
    return entry_;
  }

 private:
  struct Ask {
    std::string address;  // where it listens
    int64_t time = 0;     // how often it has asked
    bool operator==(const Ask&) const = default;
  };
  struct Peer {
    std::string address;  // where it listens
    std::optional<Line> line;
    Bytes out;             // letters that have not gone yet
    Upto upto;             // their newest rounds
    bool lost = false;     // unreachable for so long, or not in the roster: nobody waits for it
    bool outside = false;  // not in the roster: what it says does not count
    bool asks = false;     // it has said that it waits at the door
    int64_t life = 0;      // in which it speaks (Letter::life)

    bool up() const { return line && line->up(); }
  };

  bool me(size_t p) const { return static_cast<int64_t>(p) == meeting_.place; }

  void lose(Peer& peer) {
    if (peer.lost) return;
    peer.lost = true;
    ++epoch_;
  }

  // What it said before it was away is over.
  void begins_anew(size_t p, int64_t life) {
    box_.forget_part(p);
    peers_[p].life = life;
    peers_[p].asks = false;
  }

  // Waits until `settle` has erased all of `from` of whom something is waited for. Seconds until all of a
  // place were erased, by place.
  std::vector<double> wait_for(std::span<const int64_t> from,
                               const std::function<void(std::vector<int64_t>& open)>& settle) {
    for (size_t p = 0; p < peers_.size(); ++p) flush(p);
    const auto start = Clock::now();
    double now = 0;
    std::vector<double> waited(peers_.size());
    std::vector<int64_t> open(from.begin(), from.end());
    for (;;) {
      look();
      for (Peer& peer : peers_)
        if (peer.line) peer.line->mend();
      const bool late = since(start) >= meeting_.patience,
                 slow = meeting_.slow > 0 && since(start) >= meeting_.slow;
      for (const int64_t f : open) waited[addresses_.part(f)] = now;
      settle(open);
      std::erase_if(open, [&](int64_t f) {
        const size_t p = addresses_.part(f);
        Peer& peer = peers_[p];
        if (peer.outside) return true;
        if ((!peer.up() && late) || (slow && p != 0)) lose(peer);
        return peer.lost;
      });
      if (open.empty()) return waited;
      wait(100);
      now = since(start);
    }
  }

  // What `taken` gives of those whose words count; the others are missing.
  Post counted(std::span<const int64_t> from, const std::vector<double>& waited, const auto& taken) const {
    std::vector<int64_t> those;
    const auto outside = [&](int64_t f) { return peers_[addresses_.part(f)].outside; };
    std::remove_copy_if(from.begin(), from.end(), std::back_inserter(those), outside);
    Post post = taken(those);
    std::copy_if(from.begin(), from.end(), std::back_inserter(post.missing), outside);
    for (Letter& letter : post.came) letter.waited = waited[addresses_.part(letter.from)];
    return post;
  }

  void listen(const std::string& host, const std::string& port) {
    inbox_ = curve_.inbox();
    const std::string address = "tcp://" + host + ":" + port;
    if (zmq_bind(inbox_.get(), address.c_str()) != 0)
      throw UserError("transport.first",
                      fmt::format("nothing can listen at {} ({})", address, zmq_strerror(zmq_errno())),
                      "name another port");
  }

  void connect(size_t p, const std::string& address) {
    Peer& peer = peers_[p];
    peer.out.clear();
    peer.upto = {};
    peer.address = address;
    peer.line.emplace(curve_, ring_.known.at(p), address);
  }

  std::vector<std::string> listening() const {
    std::vector<std::string> out;
    for (const Peer& peer : peers_) out.push_back(peer.address);
    for (const auto& [p, ask] : knocks_) out[p] = ask.address;  // where they will be
    return out;
  }

  // Of those who knock, as they will be.
  std::vector<int64_t> lives() const {
    std::vector<int64_t> out;
    for (const Peer& peer : peers_) out.push_back(peer.life);
    for (const auto& [p, ask] : knocks_) ++out[p];
    return out;
  }

  FleetTable table(int64_t place, const std::string& entry) const {
    return {place, meeting_.parts, listening(), ring_.known, lives(), entry};
  }

  // What the first says to a place before anything is said.
  static Letter told(int64_t place, Bytes words) {
    return {address_of(0), {address_of(place)}, kBeforeAll, Letter::Kind::kTold, std::move(words)};
  }

  // The first hears from each where it listens, and tells all where all do.
  void begin() {
    const std::string first = fmt::format("tcp://{}:{}", meeting_.host, meeting_.port);
    const bool local = meeting_.host == "127.0.0.1" || meeting_.host == "localhost";
    listen(local ? "127.0.0.1" : "*", std::to_string(meeting_.port));
    peers_[0].address = first;
    if (meeting_.stay) {
      for (size_t p = 1; p < peers_.size(); ++p) lose(peers_[p]), peers_[p].outside = true;
      return;
    }
    const auto start = Clock::now();
    while (knocks_.size() + 1 < peers_.size()) {
      if (since(start) > meeting_.start) {
        std::string names;
        for (size_t p = 1; p < peers_.size(); ++p)
          if (!knocks_.contains(p)) names += fmt::format("{}{}", names.empty() ? "" : ", ", p);
        throw UserError(
            "processes",
            fmt::format("process {} of {} did not come within {:g} s", names, peers_.size(), meeting_.start),
            "are all of them running, with the same key? See transport.start");
      }
      look();
      wait(50);
    }
    for (const auto& [p, ask] : knocks_) connect(p, ask.address);
    answered_ = std::exchange(knocks_, {});
    for (Peer& peer : peers_) peer.lost = false;
    for (const auto& [p, ask] : answered_) send(told(p, bytes_of(table(p, ""))));
    wait_for_lines(start);
  }

  void join() {
    const std::string here = own_address(meeting_.host, meeting_.port);
    listen(here, "*");
    char mine[256];
    size_t size = sizeof(mine);
    zmq_getsockopt(inbox_.get(), ZMQ_LAST_ENDPOINT, mine, &size);
    here_ = mine;
    connect(0, fmt::format("tcp://{}:{}", meeting_.host, meeting_.port));
    const auto start = Clock::now();
    ask_to_come_in();
    // Of a fleet that is under way some may be gone: who cannot be reached is not waited for.
    if (entry_.empty()) wait_for_lines(start);
  }

  // Says where it listens until the first has answered, and does as it is told.
  void ask_to_come_in() {
    const std::string asks = meeting_.joins.empty() ? "processes" : "symma join";
    const auto start = Clock::now();
    auto said = start - std::chrono::hours(1), heard_of = start;
    const auto& part = meeting_.joins.empty() ? meeting_.parts[meeting_.place] : meeting_.joins;
    Bytes letters;
    put_letter(letters, {address_of(0),
                         {},
                         kBeforeAll,
                         Letter::Kind::kGather,
                         bytes_of(Hello{here_, ++asked_, part, meeting_.about})});
    const Bytes hello = sealed(kWhoeverKnows, life_, letters);
    const Line& first = *peers_[0].line;
    for (;;) {
      look();
      if (first.refused())
        throw UserError(meeting_.joins.empty() ? "transport.key" : "--key",
                        fmt::format("the fleet at {} does not know this key", first.address()),
                        "ask whoever runs it to write what symma key prints into its list of members");
      if (!meeting_.joins.empty() && first.broken() >= kMostBroken)
        throw UserError("--fleet-key",
                        fmt::format("whoever listens at {} does not have that key", first.address()),
                        "ask whoever runs the fleet for its address and public key");
      if (const auto letter = box_.take(Letter::Kind::kTold, kBeforeAll, address_of(0))) {
        const auto answer = answer_of(letter->bytes);
        if (!answer) throw nonsense();
        const auto* no = std::get_if<Refusal>(&*answer);
        if (no == nullptr) return take_part(std::get<FleetTable>(*answer));
        // A line that has broken just now may still look whole from there.
        if (!no->later || since(start) > 2 * meeting_.patience + 2)
          throw UserError(
              asks, "the fleet refuses: " + no->why,
              no->remedy.empty() ? "see who is there and which agents the key is of" : no->remedy);
      }
      if (first.up()) heard_of = Clock::now();
      const bool gone = asked_ > 1 && since(heard_of) > std::max(10.0, 3 * meeting_.patience);
      if (gone || since(start) > meeting_.start)
        throw UserError(asks,
                        fmt::format("the first process did not answer at {} within {:.0f} s", first.address(),
                                    since(start)),
                        "is it running, with the same key? See transport.start");
      if (since(said) > 1) {
        said = Clock::now();
        // Also to the others: nobody waits for one that asks to be let in.
        for (size_t p = 0; p < peers_.size(); ++p)
          if (!me(p) && peers_[p].line && (p == 0 || peers_[p].up())) peers_[p].line->send_once(hello);
      }
      wait(50);
    }
  }

  static UserError nonsense() {
    return {"processes", "what the first one said makes no sense", "is it of the same version?"};
  }

  void take_part(const FleetTable& told) {
    if (!meeting_.parts.empty() && told.parts != meeting_.parts)
      throw UserError("processes", "the first one has other agents, or another number of processes",
                      "start all with the same file");
    const auto places = static_cast<int64_t>(told.parts.size());
    if (meeting_.parts.empty()) {
      if (told.place <= 0 || told.place >= places || told.parts[told.place] != meeting_.joins)
        throw nonsense();
      meeting_.parts = told.parts;
      meeting_.place = told.place;
      peers_.resize(places);
      addresses_ = Addresses(told.parts);
      ring_.known.resize(places);
      for (int64_t p = 1; p < places; ++p) doorkeeper_->know(ring_.known[p] = told.keys[p], p);
    }
    for (int64_t p = 1; p < places; ++p)
      if (!me(p) && is_address(told.where[p]) && told.where[p] != peers_[p].address)
        connect(p, told.where[p]);
    for (int64_t p = 0; p < places; ++p)
      if (told.lives[p] > peers_[p].life) begins_anew(p, told.lives[p]);
    life_ = told.lives[meeting_.place];
    entry_ = told.entry;
  }

  // One has said where it listens, and in which life. The first knows by its key which place it is.
  void hear(int64_t place, int64_t life, const Hello& hello) {
    if (place <= 0) return;
    Peer& peer = peers_[place];
    const bool same = hello.address == peer.address;
    if (!me(0)) {
      if (same && life >= peer.life) lose(peer), peer.asks = true;
      return;
    }
    const auto& agents = meeting_.parts[place];
    if (hello.agents != agents)
      return refuse(place, hello, {"this key is of agents " + agents_text(agents), "ask for these"});
    if (meeting_.refuses)
      if (const auto why = meeting_.refuses(hello.about))
        return refuse(place, hello, {why->first, why->second});
    if (!same && peer.up() && !peer.lost)
      return refuse(place, hello,
                    {fmt::format("agents {} are there already", agents_text(agents)),
                     "wait until they have left, or ask for a key of your own", true});
    // It asks until it is answered, and the last time may come after that.
    const Ask ask{hello.address, hello.time};
    if (const auto it = answered_.find(place); it != answered_.end() && it->second == ask) return;
    lose(peer);
    knocks_[place] = ask;
  }

  // Each answer is a line of its own for as long as it takes, and lines are few: whoever asks again and again
  // is to leave some for the others.
  void refuse(int64_t place, const Hello& hello, const Refusal& why) {
    std::erase_if(refused_, [](const auto& one) { return since(one.second) >= kRefusalsApart; });
    if (refused_.size() >= kMostRefusals || !refused_.emplace(place, Clock::now()).second) return;
    const Socket line = curve_.outbox(ring_.known.at(place));
    set(line, ZMQ_LINGER, 3000);
    if (zmq_connect(line.get(), hello.address.c_str()) != 0) return;
    Bytes letters;
    put_letter(letters, told(place, bytes_of(why)));
    const Bytes message = sealed(0, 0, letters);
    zmq_send(line.get(), message.data(), message.size(), ZMQ_DONTWAIT);
  }

  void wait_for_lines(Clock::time_point start) {
    const auto down = [](const Peer& peer) { return peer.line && !peer.up(); };
    while (std::any_of(peers_.begin(), peers_.end(), down)) {
      if (since(start) > meeting_.start) {
        const auto it = std::find_if(peers_.begin(), peers_.end(), down);
        throw UserError("processes",
                        fmt::format("process {} cannot be reached at {}", it - peers_.begin(), it->address),
                        "is there a firewall between the machines?");
      }
      look();
      wait(50);
    }
  }

  void flush(size_t p) {
    Peer& peer = peers_[p];
    if (peer.out.empty()) return;
    if (!peer.line) return peer.out.clear();
    Bytes message = sealed(meeting_.place, life_, std::exchange(peer.out, {}));
    const Upto upto = std::exchange(peer.upto, {});
    // One that cannot be reached hears it once it can be: it may have come in, and wait for us by then.
    if (peer.lost && !peer.up())
      peer.line->send_later(std::move(message), upto);
    else
      peer.line->send(std::move(message), upto);
  }

  // Takes all that has come: letters, and who can be reached.
  void look() {
    for (Peer& peer : peers_)
      if (peer.line) peer.line->look();
    for (;;) {
      zmq_msg_t m;
      zmq_msg_init(&m);
      if (zmq_msg_recv(&m, inbox_.get(), ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&m);
        return;
      }
      const std::span bytes(static_cast<const uint8_t*>(zmq_msg_data(&m)), zmq_msg_size(&m));
      // What is no message of ours is its sender's fault, and dropped.
      // One that joins does not know yet how many there are, and hears of the first alone.
      const auto places = meeting_.parts.empty() ? kMostPlaces : static_cast<int64_t>(peers_.size());
      if (auto opened = open(bytes, places, addresses_.end())) {
        // By its key, and not by what it says.
        const char* name = zmq_msg_gets(&m, "User-Id");
        const int64_t place = name != nullptr ? std::atoll(name) : -1;
        for (Letter& letter : opened->letters) take(opened->place, place, std::move(letter));
      }
      zmq_msg_close(&m);
    }
  }

  void take(int64_t said, int64_t place, Letter letter) {
    if (place < 0 || place >= static_cast<int64_t>(peers_.size())) return;
    if (letter.kind == Letter::Kind::kGather && letter.round == kBeforeAll) {
      if (const auto hello = hello_of(letter.bytes)) hear(place, letter.life, *hello);
      return;
    }
    // Nobody speaks for another.
    if (said != place || addresses_.part(letter.from) != static_cast<size_t>(place)) return;
    // Nor does its earlier life. Which one is the present, the first knows; others may hear of it from
    // itself.
    if (letter.life < peers_[place].life || (me(0) && letter.life > peers_[place].life)) return;
    if (letter.life > peers_[place].life) begins_anew(place, letter.life);
    // A flood, or one that stood still while the others went on: nobody is waited for so many rounds. What
    // came first goes, since the last may be that this one is let in again.
    const size_t agents = meeting_.parts.empty() ? 0 : meeting_.parts[place].size();
    const auto size = static_cast<int64_t>(letter.bytes.size());
    if (size > 4 * meeting_.most_bytes) return;
    const auto fits = [&] {
      const LetterBox::Held held = box_.held(place);
      return (box_.has(letter.kind, letter.round, letter.from) ||
              held.letters < kRoundsAhead * (agents + 4)) &&
             held.bytes + size <= 4 * meeting_.most_bytes;
    };
    while (!fits())
      if (!box_.forget_oldest(place)) return;
    box_.put(std::move(letter), place);
  }

  void wait(int ms) {
    std::vector<zmq_pollitem_t> items{{inbox_.get(), 0, ZMQ_POLLIN, 0}};
    for (const Peer& peer : peers_)
      if (peer.line) items.push_back({peer.line->events(), 0, ZMQ_POLLIN, 0});
    zmq_poll(items.data(), static_cast<int>(items.size()), ms);
  }

  Meeting meeting_;
  Keyring ring_;
  Context context_;
  Curve curve_;
  Socket inbox_;
  std::vector<Peer> peers_;
  Addresses addresses_;
  LetterBox box_;
  std::map<int64_t, Ask> knocks_, answered_;      // who asks to come in; whom the first has answered last
  std::map<int64_t, Clock::time_point> refused_;  // when, of late
  std::optional<Doorkeeper> doorkeeper_;
  std::string here_, entry_;
  int64_t epoch_ = 0, asked_ = 0, life_ = 0;
};

}  // namespace

std::unique_ptr<Lines> meet(const Meeting& m) {
  return std::make_unique<ZmqLines>(m);
}

std::string new_secret() {
  TORCH_CHECK(sodium_init() >= 0, "libsodium does not start");
  uint8_t bytes[32];
  randombytes_buf(bytes, sizeof(bytes));
  char text[2 * sizeof(bytes) + 1];
  sodium_bin2hex(text, sizeof(text), bytes, sizeof(bytes));
  return text;
}

}  // namespace symma
