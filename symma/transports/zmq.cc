#include "symma/transports/zmq.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <map>
#include <thread>

#include "symma/core/errors.h"
#include "symma/core/tensor.h"
#include "symma/transports/envelope.h"

namespace symma {
namespace {

using Clock = std::chrono::steady_clock;
using Key = std::array<uint8_t, 32>;

double since(Clock::time_point t) {
  return std::chrono::duration<double>(Clock::now() - t).count();
}

struct Keys {
  Key secret{}, open{};
};

Keys keys_of(const std::string& secret) {
  TORCH_CHECK(sodium_init() >= 0, "libsodium does not start");
  Keys k;
  const std::string text = "symma fleet " + secret;
  crypto_generichash(k.secret.data(), k.secret.size(), reinterpret_cast<const uint8_t*>(text.data()),
                     text.size(), nullptr, 0);
  crypto_scalarmult_base(k.open.data(), k.secret.data());
  return k;
}

struct CloseContext {
  void operator()(void* p) const { zmq_ctx_term(p); }
};
struct CloseSocket {
  void operator()(void* p) const { zmq_close(p); }
};
using Context = std::unique_ptr<void, CloseContext>;
using Socket = std::unique_ptr<void, CloseSocket>;

void set(const Socket& s, int option, int value) {
  zmq_setsockopt(s.get(), option, &value, sizeof(value));
}
void set(const Socket& s, int option, const Key& value) {
  zmq_setsockopt(s.get(), option, value.data(), value.size());
}

// Lets in those who have the fleet's key (ZeroMQ RFC 27). Ends with its context.
void guard_doors(void* door, const Key& known) {
  const Socket socket(door);
  for (;;) {
    std::vector<std::string> frames;
    int more = 1;
    while (more != 0) {
      zmq_msg_t m;
      zmq_msg_init(&m);
      if (zmq_msg_recv(&m, door, 0) < 0) {
        zmq_msg_close(&m);
        return;  // the context has ended
      }
      frames.emplace_back(static_cast<const char*>(zmq_msg_data(&m)), zmq_msg_size(&m));
      more = zmq_msg_more(&m);
      zmq_msg_close(&m);
    }
    // version, request, domain, address, identity, mechanism, key
    const bool one = frames.size() == 7 && frames[5] == "CURVE" && frames[6].size() == known.size() &&
                     sodium_memcmp(frames[6].data(), known.data(), known.size()) == 0;
    const std::string request = frames.size() > 1 ? frames[1] : "";
    const std::string answer[] = {"1.0", request, one ? "200" : "400", one ? "" : "not of this fleet",
                                  "",    ""};
    for (size_t i = 0; i < 6; ++i)
      zmq_send(door, answer[i].data(), answer[i].size(), i + 1 < 6 ? ZMQ_SNDMORE : 0);
  }
}

// The address of this machine that leads to `host`.
std::string own_address(const std::string& host, int64_t port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_DGRAM;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0 || found == nullptr)
    throw UserError("transport.first", "\"" + host + "\" is the name of no machine",
                    "name the one on which the first process runs, as host:port");
  const int s = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in mine{};
  socklen_t size = sizeof(mine);
  const bool ok = ::connect(s, found->ai_addr, found->ai_addrlen) == 0 &&
                  ::getsockname(s, reinterpret_cast<sockaddr*>(&mine), &size) == 0;
  ::close(s);
  freeaddrinfo(found);
  if (!ok)
    throw UserError("transport.first", "no way leads from here to " + host,
                    "is this machine on its network?");
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &mine.sin_addr, text, sizeof(text));
  return text;
}

class Lines final : public Transport {
 public:
  explicit Lines(const Meeting& m)
      : meeting_(m), keys_(keys_of(m.secret)), context_(zmq_ctx_new()), peers_(m.parts.size()) {
    for (size_t p = 0; p < m.parts.size(); ++p) {
      for (const int64_t id : m.parts[p]) {
        if (home_.size() <= static_cast<size_t>(id)) home_.resize(id + 1);
        home_[id] = p;
      }
    }
    home_.push_back(home_.at(0));  // the server
    void* door = zmq_socket(context_.get(), ZMQ_REP);
    TORCH_CHECK(zmq_bind(door, "inproc://zeromq.zap.01") == 0, zmq_strerror(zmq_errno()));
    doorkeeper_ = std::thread(guard_doors, door, keys_.open);
    try {
      come_together();
    } catch (...) {
      close();
      throw;
    }
  }

  ~Lines() override { close(); }

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
    doorkeeper_.join();
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
      const bool late = since(start) >= meeting_.patience;
      std::erase_if(open, [&](int64_t f) {
        Peer& peer = peers_[home_of(f)];
        if (box_.contains({kind, round, f})) return true;
        // A line keeps the order: whoever has said something later will not say this any more.
        const auto later = box_.upper_bound({kind, round, f});
        for (auto it = later; it != box_.end() && std::get<0>(it->first) == kind; ++it)
          if (std::get<2>(it->first) == f) return true;
        if (peer.up) return false;
        if (late && !peer.lost) peer.lost = true, ++epoch_;
        return peer.lost;
      });
      if (open.empty()) break;
      wait(100);
    }
    Post post;
    for (const int64_t f : from) {
      const auto it = box_.find({kind, round, f});
      if (it == box_.end()) {
        post.missing.push_back(f);
        continue;
      }
      post.came.push_back(std::move(it->second));
      box_.erase(it);
    }
    // What came too late for its round is of no use to a later one.
    for (auto it = box_.lower_bound({kind, INT64_MIN, INT64_MIN});
         it != box_.end() && std::get<0>(it->first) == kind && std::get<1>(it->first) < round;)
      it = box_.erase(it);
    return post;
  }

 private:
  struct Peer {
    std::string address;
    Socket line, events;
    Bytes out;          // letters that have not gone yet
    bool up = false;    // it can be reached
    bool lost = false;  // it could not for so long that nobody waits for it
  };

  bool me(size_t p) const { return static_cast<int64_t>(p) == meeting_.place; }
  size_t home_of(int64_t address) const {
    return address < 0 ? static_cast<size_t>(-1 - address) : home_.at(address);
  }

  // As a server of CURVE, or as its client.
  Socket socket(int type, bool server) {
    Socket s(zmq_socket(context_.get(), type));
    set(s, ZMQ_LINGER, 0);
    set(s, ZMQ_HEARTBEAT_IVL, 2000);
    set(s, ZMQ_HEARTBEAT_TIMEOUT, 10000);
    set(s, ZMQ_SNDHWM, 256);
    set(s, ZMQ_RCVHWM, 256);
    set(s, ZMQ_CURVE_SECRETKEY, keys_.secret);
    if (server) {
      set(s, ZMQ_CURVE_SERVER, 1);
      zmq_setsockopt(s.get(), ZMQ_ZAP_DOMAIN, "symma", 5);
    } else {
      set(s, ZMQ_CURVE_PUBLICKEY, keys_.open);
      set(s, ZMQ_CURVE_SERVERKEY, keys_.open);
    }
    return s;
  }

  void listen(const std::string& host, const std::string& port) {
    inbox_ = socket(ZMQ_PULL, true);
    const std::string address = "tcp://" + host + ":" + port;
    if (zmq_bind(inbox_.get(), address.c_str()) != 0)
      throw UserError("transport.first",
                      fmt::format("nothing can listen at {} ({})", address, zmq_strerror(zmq_errno())),
                      "name another port");
  }

  void connect(size_t p, const std::string& address) {
    Peer& peer = peers_[p];
    peer.address = address;
    peer.line = socket(ZMQ_PUSH, false);
    const std::string events = fmt::format("inproc://events-{}", p);
    zmq_socket_monitor(peer.line.get(), events.c_str(),
                       ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED);
    peer.events.reset(zmq_socket(context_.get(), ZMQ_PAIR));
    set(peer.events, ZMQ_LINGER, 0);
    zmq_connect(peer.events.get(), events.c_str());
    if (zmq_connect(peer.line.get(), address.c_str()) != 0)
      throw UserError("transport.first", "\"" + address + "\" is no address", "write host:port");
  }

  // Each tells the first where it listens, and hears from it where all do.
  void come_together() {
    const int64_t own = -1 - meeting_.place;
    const std::string first = fmt::format("tcp://{}:{}", meeting_.host, meeting_.port);
    const auto bytes_of = [](const std::string& s) { return Bytes(s.begin(), s.end()); };
    const auto start = Clock::now();
    const auto wait_for = [&](const auto& there, const auto& missing) {
      while (!there()) {
        if (since(start) > meeting_.start)
          throw UserError("processes", missing(),
                          "are all of them running, with the same key? See transport.start");
        look();
        if (!there()) wait(50);
      }
    };
    if (meeting_.place == 0) {
      const bool local = meeting_.host == "127.0.0.1" || meeting_.host == "localhost";
      listen(local ? "127.0.0.1" : "*", std::to_string(meeting_.port));
      std::vector<std::string> where(peers_.size(), first);
      std::vector<int64_t> waited;
      for (size_t p = 1; p < peers_.size(); ++p) waited.push_back(-1 - static_cast<int64_t>(p));
      const auto came = [&](int64_t f) { return box_.contains({Letter::Kind::kGather, -1, f}); };
      wait_for([&] { return std::all_of(waited.begin(), waited.end(), came); },
               [&] {
                 std::string names;
                 for (const int64_t f : waited)
                   if (!came(f)) names += fmt::format("{}{}", names.empty() ? "" : ", ", -1 - f);
                 return fmt::format("process {} of {} did not come within {:g} s", names, peers_.size(),
                                    meeting_.start);
               });
      std::string table;
      for (size_t p = 0; p < peers_.size(); ++p) {
        if (p > 0) {
          const Letter& hello = box_.at({Letter::Kind::kGather, -1, -1 - static_cast<int64_t>(p)});
          where[p] = std::string(hello.bytes.begin(), hello.bytes.end());
          connect(p, where[p]);
        }
        table += where[p] + "\n";
      }
      box_.clear();
      send({own, waited, -1, Letter::Kind::kTold, bytes_of(table)});
      wait_for_lines(start);
      return;
    }
    const std::string here = own_address(meeting_.host, meeting_.port);
    listen(here, "*");
    char mine[256];
    size_t size = sizeof(mine);
    zmq_getsockopt(inbox_.get(), ZMQ_LAST_ENDPOINT, mine, &size);
    connect(0, first);
    send({own, {-1}, -1, Letter::Kind::kGather, bytes_of(mine)});
    wait_for(
        [&] {
          return box_.contains({Letter::Kind::kTold, -1, -1});
        },
        [&] {
          return fmt::format("the first process did not answer at {} within {:g} s", first, meeting_.start);
        });
    const Letter table = box_.at({Letter::Kind::kTold, -1, -1});
    box_.clear();
    std::string line;
    size_t p = 0;
    for (const uint8_t c : table.bytes) {
      if (c != '\n') {
        line += static_cast<char>(c);
        continue;
      }
      if (p > 0 && p < peers_.size() && !me(p)) connect(p, line);
      line.clear();
      ++p;
    }
    wait_for_lines(start);
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
    if (!peer.line || peer.out.empty()) return;
    const Bytes message = sealed(meeting_.place, std::exchange(peer.out, {}));
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
        const bool up = what == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
        if (up && peer.lost) peer.lost = false, ++epoch_;
        peer.up = up;
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
      if (auto opened =
              open(bytes, static_cast<int64_t>(peers_.size()), static_cast<int64_t>(home_.size()))) {
        for (Letter& letter : opened->letters) {
          // Nobody speaks for another.
          if (home_of(letter.from) != static_cast<size_t>(opened->place)) continue;
          box_.insert_or_assign({letter.kind, letter.round, letter.from}, std::move(letter));
        }
      }
      zmq_msg_close(&m);
    }
  }

  void wait(int ms) {
    std::vector<zmq_pollitem_t> items{{inbox_.get(), 0, ZMQ_POLLIN, 0}};
    for (const Peer& peer : peers_)
      if (peer.events) items.push_back({peer.events.get(), 0, ZMQ_POLLIN, 0});
    zmq_poll(items.data(), static_cast<int>(items.size()), ms);
  }

  const Meeting meeting_;
  const Keys keys_;
  Context context_;
  Socket inbox_;
  std::vector<Peer> peers_;
  std::vector<size_t> home_;                                          // of each agent, and of the server
  std::map<std::tuple<Letter::Kind, int64_t, int64_t>, Letter> box_;  // by kind, round, sender
  std::thread doorkeeper_;
  int64_t epoch_ = 0;
};

}  // namespace

std::unique_ptr<Transport> meet(const Meeting& m) {
  return std::make_unique<Lines>(m);
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
