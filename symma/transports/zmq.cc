#include "symma/transports/zmq.h"

#include <fmt/format.h>
#include <sodium.h>
#include <zmq.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <set>

#include "symma/core/errors.h"
#include "symma/core/record.h"
#include "symma/core/tensor.h"
#include "symma/transports/envelope.h"
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
constexpr size_t kMostHello = size_t{1} << 20;
constexpr int kMostBroken = 5;  // handshakes that fail before it is clear that they always will
constexpr size_t kRecent = 4, kRoundsAhead = 64;
constexpr int64_t kBeforeAll = -1;  // the round of what is said before anything is

class ZmqLines final : public Lines {
 public:
  explicit ZmqLines(const Meeting& m)
      : meeting_(m), ring_(ring_of(m)), context_(zmq_ctx_new()), peers_(m.parts.size()) {
    // One that joins hears from the first who it is.
    if (!m.joins.empty()) meeting_.place = -1, peers_.resize(1);
    find_homes();
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
      if (peer.line) set(peer.line, ZMQ_LINGER, peer.up ? 5000 : 0);
      peer.events.reset();
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
      const size_t p = home_of(to);
      if (me(p) || done[p]) continue;
      done[p] = true;
      // Also to one that cannot be reached from here: it may well hear, and wait for it.
      put_letter(peers_[p].out, letter);
    }
    // What agents say is many letters, and goes out together once their process waits for the others'.
    if (letter.kind == Letter::Kind::kSaid || letter.kind == Letter::Kind::kScene) return;
    for (size_t p = 0; p < peers_.size(); ++p) flush(p);
  }

  Post collect(Letter::Kind kind, int64_t round, std::span<const int64_t> from) override {
    for (size_t p = 0; p < peers_.size(); ++p) flush(p);
    const auto start = Clock::now();
    std::vector<int64_t> open(from.begin(), from.end());
    for (;;) {
      look();
      mend();
      const bool late = since(start) >= meeting_.patience,
                 slow = meeting_.slow > 0 && since(start) >= meeting_.slow;
      // A line keeps the order: whoever has said something later will not say this any more.
      std::set<int64_t> past;
      for (auto it = box_.upper_bound({kind, round, INT64_MAX});
           it != box_.end() && std::get<0>(it->first) == kind; ++it)
        past.insert(std::get<2>(it->first));
      std::erase_if(open, [&](int64_t f) {
        Peer& peer = peers_[home_of(f)];
        if (peer.outside || box_.contains({kind, round, f}) || past.contains(f)) return true;
        if ((!peer.up && late) || (slow && home_of(f) != 0)) lose(peer);
        return peer.lost;
      });
      if (open.empty()) break;
      wait(100);
    }
    Post post;
    for (const int64_t f : from) {
      const auto it = box_.find({kind, round, f});
      if (it == box_.end() || peers_[home_of(f)].outside) {
        post.missing.push_back(f);
        continue;
      }
      peers_[home_of(f)].bytes -= static_cast<int64_t>(it->second.bytes.size());
      post.came.push_back(std::move(it->second));
      drop(it);
    }
    // What came too late for its round is of no use to a later one.
    for (auto it = box_.lower_bound({kind, INT64_MIN, INT64_MIN});
         it != box_.end() && std::get<0>(it->first) == kind && std::get<1>(it->first) < round;)
      it = drop(it);
    return post;
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
    // Also anew where there was a line that broke: it may be one that does not mend itself.
    if (peers_[place].address != it->second.address || !peers_[place].up) connect(place, it->second.address);
    answered_[place] = it->second;
    peers_[place].lost = peers_[place].outside = false;
    // What it said before it was away is over.
    for (auto letter = box_.begin(); letter != box_.end();)
      letter = home_of(std::get<2>(letter->first)) == static_cast<size_t>(place) ? drop(letter)
                                                                                 : std::next(letter);
    knocks_.erase(it);
    send({address_of(0), {address_of(place)}, kBeforeAll, Letter::Kind::kTold, table(place, entry)});
  }

  std::string directory() const override {
    Json out = Json::array();
    for (const Peer& peer : peers_) out.push_back(peer.address);
    for (const auto& [p, ask] : knocks_) out[p] = ask.address;  // where they will be
    return out.dump();
  }

  void there(const std::vector<bool>& places, const std::string& directory) override {
    look();
    const Json where = parse_json(directory);
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
      if (!places[p]) lose(peer);
      // One that cannot be reached from here is not waited for anew each time.
      if (places[p] && peer.lost && (peer.up || fresh || me(0))) peer.lost = false, ++epoch_;
    }
  }

  std::string entry() const override { return entry_; }

  std::string knock() override {
    for (auto it = box_.begin(); it != box_.end();)
      it = std::get<0>(it->first) == Letter::Kind::kTold ? drop(it) : std::next(it);
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
    std::string address;
    Socket line, events;
    Bytes out;                 // letters that have not gone yet
    std::deque<Bytes> recent;  // the last messages: some may be lost where a line breaks
    bool up = false;           // it can be reached
    bool lost = false;         // it could not for so long, or it is not in the roster: nobody waits for it
    bool refused = false;      // it does not know our key
    bool outside = false;      // not in the roster: what it says does not count
    Clock::time_point begun;   // this line
    int broken = 0;            // handshakes that failed for no reason that was told
    size_t waiting = 0;        // letters of it in the box
    int64_t bytes = 0;         // that these have
    bool was_up = false;       // once before, on this line
    bool behind = false;       // some of the last messages were not sent
  };

  bool me(size_t p) const { return static_cast<int64_t>(p) == meeting_.place; }
  size_t home_of(int64_t address) const {
    return address < 0 ? static_cast<size_t>(-1 - address) : home_.at(address);
  }

  static int64_t address_of(int64_t place) { return -1 - place; }

  void find_homes() {
    home_.clear();
    for (size_t p = 0; p < meeting_.parts.size(); ++p) {
      for (const int64_t id : meeting_.parts[p]) {
        if (home_.size() <= static_cast<size_t>(id)) home_.resize(id + 1);
        home_[id] = p;
      }
    }
    home_.push_back(home_.empty() ? 0 : home_[0]);  // the server
  }

  void lose(Peer& peer) {
    if (peer.lost) return;
    peer.lost = true;
    ++epoch_;
  }

  // As a server of CURVE, or as the client of a server with that key.
  Socket socket(int type, const Key* server) {
    Socket s(zmq_socket(context_.get(), type));
    set(s, ZMQ_LINGER, 0);
    // Who stands still is noticed before patience is over.
    const double ms = 1000 * meeting_.patience;
    set(s, ZMQ_HEARTBEAT_IVL, static_cast<int>(std::clamp(ms / 5, 200.0, 2000.0)));
    set(s, ZMQ_HEARTBEAT_TIMEOUT, static_cast<int>(std::clamp(ms * 0.6, 1000.0, 10000.0)));
    set(s, ZMQ_SNDHWM, 256);
    set(s, ZMQ_RCVHWM, 256);
    set(s, ZMQ_CURVE_SECRETKEY, ring_.own);
    if (server == nullptr) {
      set(s, ZMQ_CURVE_SERVER, 1);
      zmq_setsockopt(s.get(), ZMQ_ZAP_DOMAIN, "symma", 5);
      // A frame that claims more is not read, and its line is closed.
      const int64_t most = meeting_.most_bytes;
      zmq_setsockopt(s.get(), ZMQ_MAXMSGSIZE, &most, sizeof(most));
    } else {
      set(s, ZMQ_CURVE_PUBLICKEY, public_key(ring_.own));
      set(s, ZMQ_CURVE_SERVERKEY, *server);
    }
    return s;
  }

  void listen(const std::string& host, const std::string& port) {
    inbox_ = socket(ZMQ_PULL, nullptr);
    const std::string address = "tcp://" + host + ":" + port;
    if (zmq_bind(inbox_.get(), address.c_str()) != 0)
      throw UserError("transport.first",
                      fmt::format("nothing can listen at {} ({})", address, zmq_strerror(zmq_errno())),
                      "name another port");
  }

  void connect(size_t p, const std::string& address) {
    Peer& peer = peers_[p];
    peer.events.reset();
    peer.line.reset();
    peer.recent.clear();
    peer.out.clear();
    peer.up = peer.was_up = peer.behind = peer.refused = false;
    peer.broken = 0;
    peer.begun = Clock::now();
    peer.address = address;
    peer.line = socket(ZMQ_PUSH, &ring_.known.at(p));
    const std::string events = fmt::format("inproc://events-{}", ++monitors_);
    zmq_socket_monitor(peer.line.get(), events.c_str(),
                       ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                           ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                           ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
    peer.events.reset(zmq_socket(context_.get(), ZMQ_PAIR));
    set(peer.events, ZMQ_LINGER, 0);
    zmq_connect(peer.events.get(), events.c_str());
    if (zmq_connect(peer.line.get(), address.c_str()) != 0)
      throw UserError("transport.first", "\"" + address + "\" is no address", "write host:port");
  }

  // A line that was refused is not tried again by ZeroMQ. The other end may just not have been told of us
  // yet.
  void mend() {
    for (size_t p = me(0) ? 1 : 0; p < peers_.size(); ++p) {
      Peer& peer = peers_[p];
      if (!peer.refused || since(peer.begun) < 0.3) continue;
      auto recent = std::move(peer.recent);
      connect(p, std::string(peer.address));
      peer.recent = std::move(recent);
      peer.behind = true;
    }
  }

  static Bytes bytes_of(const std::string& s) { return {s.begin(), s.end()}; }

  // What the first tells a place: who is where, and how it takes part.
  Bytes table(int64_t place, const std::string& entry) const {
    std::vector<std::string> keys;
    for (const Key& k : ring_.known) keys.push_back(text_of(k));
    return bytes_of(Json{
        {"place", place},
        {"parts", meeting_.parts},
        {"where", parse_json(directory())},
        {"keys", keys},
        {"entry",
         entry}}.dump());
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
    for (const auto& [p, ask] : answered_)
      send({address_of(0), {address_of(p)}, kBeforeAll, Letter::Kind::kTold, table(p, "")});
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
    const std::tuple answer{Letter::Kind::kTold, kBeforeAll, address_of(0)};
    const auto start = Clock::now();
    auto said = start - std::chrono::hours(1), heard_of = start;
    const auto& part = meeting_.joins.empty() ? meeting_.parts[meeting_.place] : meeting_.joins;
    const Json words{{"address", here_}, {"agents", part}, {"time", ++asked_}, {"about", meeting_.about}};
    const Letter hello{address_of(0), {}, kBeforeAll, Letter::Kind::kGather, bytes_of(words.dump())};
    std::vector<bool> told_to(peers_.size(), false);
    for (;;) {
      look();
      if (peers_[0].refused)
        throw UserError(meeting_.joins.empty() ? "transport.key" : "--key",
                        fmt::format("the fleet at {} does not know this key", peers_[0].address),
                        "ask whoever runs it to write what symma key prints into its list of members");
      if (!meeting_.joins.empty() && peers_[0].broken >= kMostBroken)
        throw UserError("--fleet-key",
                        fmt::format("whoever listens at {} does not have that key", peers_[0].address),
                        "ask whoever runs the fleet for its address and public key");
      if (const auto it = box_.find(answer); it != box_.end()) {
        const Json told = parse_json(std::string(it->second.bytes.begin(), it->second.bytes.end()));
        drop(it);
        if (told.is_object() && told.contains("no") && told["no"].is_string()) {
          // A line that has broken just now may still look whole from there.
          if (!told.value("later", false) || since(start) > 2 * meeting_.patience + 2)
            throw UserError(meeting_.joins.empty() ? "processes" : "symma join",
                            "the fleet refuses: " + told["no"].get<std::string>(),
                            told.value("remedy", Json()).is_string()
                                ? told["remedy"].get<std::string>()
                                : "see who is there and which agents the key is of");
        } else {
          return do_as_told(told);
        }
      }
      if (peers_[0].up) heard_of = Clock::now();
      const bool gone = asked_ > 1 && since(heard_of) > std::max(10.0, 3 * meeting_.patience);
      if (gone || since(start) > meeting_.start)
        throw UserError(meeting_.joins.empty() ? "processes" : "symma join",
                        fmt::format("the first process did not answer at {} within {:.0f} s",
                                    peers_[0].address, since(start)),
                        "is it running, with the same key? See transport.start");
      if (since(said) > 1) {
        said = Clock::now();
        // To the first until it answers. To the others once: nobody waits for one that asks to be let in.
        for (size_t p = 0; p < peers_.size(); ++p) {
          if (me(p) || !peers_[p].line || told_to[p] || (p > 0 && !peers_[p].up)) continue;
          told_to[p] = p > 0;
          Bytes letters;
          put_letter(letters, hello);
          const Bytes message = sealed(kWhoeverKnows, letters);
          zmq_send(peers_[p].line.get(), message.data(), message.size(), ZMQ_DONTWAIT);
        }
      }
      wait(50);
    }
  }

  void do_as_told(const Json& told) {
    try {
      const auto parts = told.at("parts").get<std::vector<std::vector<int64_t>>>();
      const auto keys = told.at("keys").get<std::vector<std::string>>();
      const auto where = told.at("where").get<std::vector<std::string>>();
      if (keys.size() != parts.size() || where.size() != parts.size()) throw std::out_of_range("");
      std::set<int64_t> ids;
      for (const auto& part : parts) ids.insert(part.begin(), part.end());
      if (ids.empty() || *ids.begin() != 0 || *ids.rbegin() >= static_cast<int64_t>(ids.size()))
        throw std::out_of_range("");
      if (!meeting_.parts.empty() && parts != meeting_.parts)
        throw UserError("processes", "the first one has other agents, or another number of processes",
                        "start all with the same file");
      if (meeting_.parts.empty()) {
        const auto place = told.at("place").get<int64_t>();
        if (place <= 0 || place >= static_cast<int64_t>(parts.size()) || parts[place] != meeting_.joins)
          throw std::out_of_range("");
        meeting_.parts = parts;
        meeting_.place = place;
        peers_.resize(parts.size());
        ring_.known.resize(parts.size());
        find_homes();
        for (size_t p = 1; p < keys.size(); ++p) {
          ring_.known[p] = key_of(keys[p]).value();
          doorkeeper_->know(ring_.known[p], p);
        }
      }
      for (size_t p = 1; p < parts.size(); ++p)
        if (!me(p) && is_address(where[p]) && where[p] != peers_[p].address) connect(p, where[p]);
      entry_ = told.at("entry").get<std::string>();
    } catch (const UserError&) {
      throw;
    } catch (const std::exception&) {
      throw UserError("processes", "what the first one said makes no sense", "is it of the same version?");
    }
  }

  // One has said where it listens. The first knows by its key which place it is.
  void hear_hello(int64_t place, const Letter& hello) {
    if (hello.bytes.size() > kMostHello) return;
    const Json said = parse_json(std::string(hello.bytes.begin(), hello.bytes.end()));
    if (place <= 0 || !said.is_object() || !said.contains("address") || !said["address"].is_string() ||
        !said.contains("time") || !said["time"].is_number_integer())
      return;
    const auto address = said["address"].get<std::string>();
    if (!is_address(address)) return;
    Peer& peer = peers_[place];
    const bool same = address == peer.address;
    if (!me(0)) {
      if (same) lose(peer);
      return;
    }
    const auto& agents = meeting_.parts[place];
    if (!said.contains("agents") || said["agents"] != Json(agents))
      return refuse(place, address, "this key is of agents " + agents_text(agents), "ask for these", false);
    if (meeting_.refuses) {
      const Json about = said.value("about", Json());
      if (const auto why = meeting_.refuses(about.is_string() ? about.get<std::string>() : ""))
        return refuse(place, address, why->first, why->second, false);
    }
    if (!same && peer.up && !peer.lost)
      return refuse(place, address, fmt::format("agents {} are there already", agents_text(agents)),
                    "wait until they have left, or ask for a key of your own", true);
    // It asks until it is answered, and the last time may come after that.
    const Ask ask{address, said["time"].get<int64_t>()};
    if (const auto it = answered_.find(place); it != answered_.end() && it->second == ask) return;
    lose(peer);
    knocks_[place] = ask;
  }

  void refuse(int64_t place, const std::string& address, const std::string& why, const std::string& remedy,
              bool later) {
    const Socket line = socket(ZMQ_PUSH, &ring_.known.at(place));
    set(line, ZMQ_LINGER, 3000);
    if (zmq_connect(line.get(), address.c_str()) != 0) return;
    Bytes letters;
    put_letter(letters, {address_of(0),
                         {address_of(place)},
                         kBeforeAll,
                         Letter::Kind::kTold,
                         bytes_of(Json{{"no", why}, {"remedy", remedy}, {"later", later}}.dump())});
    const Bytes message = sealed(0, letters);
    zmq_send(line.get(), message.data(), message.size(), ZMQ_DONTWAIT);
  }

  void wait_for_lines(Clock::time_point start) {
    const auto down = [](const Peer& peer) { return peer.line && !peer.up; };
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
    peer.recent.push_back(sealed(meeting_.place, std::exchange(peer.out, {})));
    if (peer.recent.size() > kRecent) peer.recent.pop_front();
    // One that cannot be reached hears it once it can be: it may have come in, and wait for us by then.
    if (peer.lost && !peer.up) {
      peer.behind = true;
      return;
    }
    const Bytes& message = peer.recent.back();
    // Never waits: where a line is full, its other end is gone, or far behind.
    zmq_send(peer.line.get(), message.data(), message.size(), ZMQ_DONTWAIT);
  }

  // Takes all that has come: letters, and who can be reached.
  void look() {
    for (Peer& peer : peers_) {
      if (!peer.events) continue;
      for (;;) {
        uint8_t event[6];
        if (zmq_recv(peer.events.get(), event, sizeof(event), ZMQ_DONTWAIT) < 0) break;
        char address[1];
        zmq_recv(peer.events.get(), address, sizeof(address), 0);
        uint16_t what = 0;
        std::memcpy(&what, event, sizeof(what));
        // Refused once is refused, whatever the line says as it closes.
        peer.refused = what != ZMQ_EVENT_HANDSHAKE_SUCCEEDED &&
                       (peer.refused || what == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH);
        peer.broken +=
            what == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL || what == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL;
        peer.up = what == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
        if (peer.up) peer.broken = 0;
        if (peer.up && (std::exchange(peer.was_up, true) || std::exchange(peer.behind, false)))
          // What was under way as it broke may not have come: it is said again, and taken once.
          for (const Bytes& message : peer.recent)
            zmq_send(peer.line.get(), message.data(), message.size(), ZMQ_DONTWAIT);
      }
    }
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
      if (auto opened = open(bytes, places, static_cast<int64_t>(home_.size()))) {
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
    if (letter.kind == Letter::Kind::kGather && letter.round == kBeforeAll) return hear_hello(place, letter);
    // Nobody speaks for another.
    if (said != place || home_of(letter.from) != static_cast<size_t>(place)) return;
    Peer& peer = peers_[place];
    const std::tuple key{letter.kind, letter.round, letter.from};
    // A flood: nobody is so many rounds ahead of the others.
    const size_t agents = meeting_.parts.empty() ? 0 : meeting_.parts[place].size();
    const auto size = static_cast<int64_t>(letter.bytes.size());
    const auto before = box_.find(key);
    if (before == box_.end() && peer.waiting >= kRoundsAhead * (agents + 4)) return;
    if (peer.bytes + size > 4 * meeting_.most_bytes) return;
    if (before != box_.end()) drop(before);
    box_.emplace(key, std::move(letter));
    ++peer.waiting, peer.bytes += size;
  }

  std::map<std::tuple<Letter::Kind, int64_t, int64_t>, Letter>::iterator drop(
      std::map<std::tuple<Letter::Kind, int64_t, int64_t>, Letter>::iterator it) {
    Peer& peer = peers_[home_of(std::get<2>(it->first))];
    --peer.waiting, peer.bytes -= static_cast<int64_t>(it->second.bytes.size());
    return box_.erase(it);
  }

  void wait(int ms) {
    std::vector<zmq_pollitem_t> items{{inbox_.get(), 0, ZMQ_POLLIN, 0}};
    for (const Peer& peer : peers_)
      if (peer.events) items.push_back({peer.events.get(), 0, ZMQ_POLLIN, 0});
    zmq_poll(items.data(), static_cast<int>(items.size()), ms);
  }

  Meeting meeting_;
  Keyring ring_;
  Context context_;
  Socket inbox_;
  std::vector<Peer> peers_;
  std::vector<size_t> home_;                                          // of each agent, and of the server
  std::map<std::tuple<Letter::Kind, int64_t, int64_t>, Letter> box_;  // by kind, round, sender
  std::map<int64_t, Ask> knocks_, answered_;  // who asks to come in; whom the first has answered last
  std::optional<Doorkeeper> doorkeeper_;
  std::string here_, entry_;
  int64_t epoch_ = 0, monitors_ = 0, asked_ = 0;
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
