// One exchange under secure aggregation: the sides of secure_sides.h, each where it lives, message by
// message. In one process the program plays both; in several an agent's side is played where its row is, and
// what the server's process hears of it is what the protocol says and no more.
//
// Who is known by which key goes straight from each process to each other one, over the line between these
// two, and not through the server, whose adverts are checked by it. Identities and keys are new in each
// exchange, so there is nothing to keep, and who resumes has others. The sum does not depend on them.
//
// Of the rows in a sum some may be of agents that live with the server, which knows these anyway. So in
// several processes a sum is of two more than live there, at least.
//
// Where the agents bring the noise (privacy.where = "distributed"), each adds its share to its own vector
// before the masks: the server sees no sum without it.
//
// Agents whose vector does not arrive ([faults]) have dropped out after sharing their keys, which is the
// stage that costs most to mend.
#include "symma/exchange/discrete_gaussian.h"
#include "symma/exchange/messages.h"
#include "symma/exchange/privacy.h"
#include "symma/exchange/secure_wire.h"

namespace symma {
namespace {

using Kind = Letter::Kind;

// The letters of one exchange. Agents are called by their number among those who take part.
class Ways {
 public:
  Ways(const Reach& r, const std::vector<int64_t>& who, int64_t exchange, Transport* elsewhere)
      : r_(r), who_(who), exchange_(exchange), elsewhere_(elsewhere) {
    for (size_t u = 0; u < who.size(); ++u)
      (r.place(who[u]) >= 0 ? own_ : outside_).insert(static_cast<int64_t>(u));
  }
  const secure::Agents& own() const { return own_; }
  const secure::Agents& outside() const { return outside_; }

  // From an agent of here to all elsewhere, and to a server that is.
  void introduce(int64_t u, const secure::Introduction& i) {
    std::vector<int64_t> to = ids(outside_);
    if (!r_.server) to.push_back(r_.agents);
    if (!to.empty()) elsewhere_->send({who_[u], std::move(to), exchange_, Kind::kKnown, secure::write(i)});
  }
  // From an agent of here to the server; nothing where that is here.
  void up(Kind kind, int64_t u, Bytes bytes) {
    if (!r_.server) elsewhere_->send({who_[u], {r_.agents}, exchange_, kind, std::move(bytes)});
  }
  // From the server to agents elsewhere.
  void down(Kind kind, const secure::Agents& to, Bytes bytes) {
    if (!to.empty()) elsewhere_->send({r_.agents, ids(to), exchange_, kind, std::move(bytes)});
  }
  // From the server to agents elsewhere, to each its own.
  void deal(Kind kind, const secure::Agents& to, std::vector<Bytes> each) {
    if (!to.empty()) elsewhere_->send({r_.agents, ids(to), exchange_, kind, {}, std::move(each)});
  }
  // What came from each, where it said something.
  std::map<int64_t, Bytes> heard(Kind kind, const secure::Agents& from) {
    std::map<int64_t, Bytes> out;
    if (from.empty()) return out;
    const std::vector<int64_t> asked = ids(from);
    for (Letter& letter : elsewhere_->collect(kind, exchange_, asked).came) {
      const auto it = std::lower_bound(who_.begin(), who_.end(), letter.from);
      if (it == who_.end() || *it != letter.from || letter.bytes.empty()) continue;
      out[it - who_.begin()] = std::move(letter.bytes);
    }
    return out;
  }
  // What a server elsewhere says; empty where it says no, or nothing came.
  Bytes told(Kind kind) {
    Post post = elsewhere_->collect(kind, exchange_, {&r_.agents, 1});
    return post.came.empty() ? Bytes() : std::move(post.came[0].bytes);
  }

 private:
  std::vector<int64_t> ids(const secure::Agents& some) const {
    std::vector<int64_t> out;
    for (int64_t u : some) out.push_back(who_[u]);
    return out;
  }
  const Reach& r_;
  const std::vector<int64_t>& who_;
  const int64_t exchange_;
  Transport* elsewhere_;
  secure::Agents own_, outside_;
};

// Rows as whole numbers. Noise on a sum hides a row of the clipping bound's length, and rounding must not
// lengthen it.
secure::FixedPoint fixed_for(const Exchange& x, double clip, int64_t agents) {
  secure::FixedPoint out{x.server.range, static_cast<int>(x.server.precision)};
  if (!x.privacy.at_server()) return out;
  out.norm = clip, out.range = std::min(clip, x.server.range);
  if (x.privacy.distributed()) out.noise = share_of_noise(x.privacy.noise * clip / out.step(), agents);
  return out;
}

// One process's part in one exchange: its agents' sides, and the server's where that is here.
class Part {
 public:
  Part(const Exchange& x, ExchangeState& s, const std::vector<int64_t>& who, int64_t columns, Rng rng,
       Transport* elsewhere)
      : s_(s),
        who_(who),
        ways_(*s.reach, who, s.rounds + 1, elsewhere),
        fixed_(fixed_for(x, s.clip, static_cast<int64_t>(who.size()))) {
    const auto n = static_cast<int64_t>(who.size());
    setting_ = {n,
                secure::Setting::two_thirds(n),
                columns,
                fixed_.bits(n),
                static_cast<uint64_t>(s.rounds),
                x.server.crowd};
    meet(noise_for(x.privacy, rng));
  }

  SecureSum play(const Tensor& rows, const std::vector<bool>& stays) {
    advertise();
    share();
    mask(rows, stays);
    consent();
    return reveal();
  }
  // Why there is no sum.
  const std::string& fault() const { return fault_; }

 private:
  const Reach& reach() const { return *s_.reach; }
  int64_t n() const { return setting_.agents; }

  // Learns who is known by which key, and makes the sides.
  void meet(const Noise& root) {
    const Reach& r = reach();
    int64_t with_server = 0;
    std::map<int64_t, secure::Identity> identities;
    for (int64_t u : ways_.own()) {
      const secure::Identity& me =
          identities[u] = {secure::derive(root.key(), "identity", static_cast<uint64_t>(u))};
      roster_[u] = me.known_as();
      with_server += r.server;
      if (!r.whole()) ways_.introduce(u, {r.server, roster_[u]});
    }
    for (const auto& [u, bytes] : ways_.heard(Kind::kKnown, ways_.outside())) {
      const auto i = secure::read_introduction(bytes);
      if (!i) continue;
      roster_[u] = i->key;
      answering_.insert(u);
      with_server += i->with_server;
    }
    if (!r.whole()) setting_.crowd = std::max(setting_.crowd, with_server + 2);
    alive_ = ways_.own();
    if (!setting_.sound()) return give_up(Kind::kAdvert, "a crowd of too few");
    if (r.server) server_.emplace(setting_, roster_);
    for (int64_t u : ways_.own()) noise_[u] = secure::derive(root.key(), "noise", static_cast<uint64_t>(u));
    for (int64_t u : ways_.own())
      sides_.emplace(u, secure::AgentSide(setting_, u, identities.at(u),
                                          secure::derive(root.key(), "agent", static_cast<uint64_t>(u))));
  }

  void count_up(int64_t u, size_t bytes) { s_.bits[2 * who_[u]] += 8 * static_cast<int64_t>(bytes); }
  void count_down(int64_t u, size_t bytes) { s_.bits[2 * who_[u] + 1] += 8 * static_cast<int64_t>(bytes); }

  // Nobody of here takes part any further, and nobody elsewhere need wait.
  void give_up(Kind next, const std::string& why) {
    note(why);
    for (int64_t u : alive_) ways_.up(next, u, {});
    alive_.clear();
    server_.reset();
    const auto after = static_cast<Kind>(static_cast<int>(next) + 1);
    if (reach().server && next != Kind::kReveal) ways_.down(after, ways_.outside(), {});
  }

  template <class T>
  using Take = std::string (secure::ServerSide::*)(int64_t, const T&);
  template <class T>
  using Close = secure::Result<T> (secure::ServerSide::*)();

  // A message of an agent of here, to the server here or elsewhere.
  template <class T>
  void say(Kind kind, int64_t u, const secure::Result<T>& message, size_t bytes, Take<T> take) {
    if (!message.ok()) return drop(kind, u, message.fault);
    count_up(u, bytes);
    if (server_) {
      note(((*server_).*take)(u, message.value));
    } else if constexpr (std::is_same_v<T, Bytes>) {
      ways_.up(kind, u, message.value);
    } else {
      ways_.up(kind, u, secure::write(message.value));
    }
  }
  void drop(Kind kind, int64_t u, const std::string& why) {
    note(why);
    ways_.up(kind, u, {});
    alive_.erase(u);
  }
  void note(const std::string& fault) {
    if (fault_.empty()) fault_ = fault;
  }

  // At the server: messages of agents elsewhere who have answered so far.
  template <class T>
  void listen(Kind kind, const auto& read, Take<T> take) {
    if (!server_) return;
    secure::Agents still;
    for (const auto& [u, bytes] : ways_.heard(kind, answering_)) {
      const auto message = read(bytes);
      const std::string fault = message ? ((*server_).*take)(u, *message) : "a letter that is none";
      note(fault);
      if (fault.empty()) still.insert(u);
    }
    answering_ = std::move(still);
  }

  // What the server says as it closes a stage, here and elsewhere; nothing where it says no.
  template <class T>
  std::optional<T> tell(Kind kind, Close<T> close, const auto& write, const auto& read) {
    if (!server_ && (reach().server || alive_.empty())) return {};
    const auto next = static_cast<Kind>(static_cast<int>(kind) + 1);
    if (server_) {
      secure::Result<T> closed = ((*server_).*close)();
      write(closed.ok() ? &closed.value : nullptr);
      if (closed.ok()) return std::move(closed.value);
      give_up(next, closed.fault);
      return {};
    }
    std::optional<T> out;
    if (const Bytes bytes = ways_.told(kind); !bytes.empty()) out = read(bytes);
    if (!out) give_up(next, "the server says no");
    return out;
  }
  template <class T>
  std::optional<T> tell_all(Kind kind, Close<T> close, const auto& bytes, const auto& read) {
    return tell<T>(
        kind, close,
        [&](const T* value) { ways_.down(kind, ways_.outside(), value ? bytes(*value) : Bytes()); }, read);
  }

  void advertise() {
    for (int64_t u : secure::Agents(alive_))
      say(Kind::kAdvert, u, sides_.at(u).advertise(), sizeof(secure::SignedAdvert),
          &secure::ServerSide::advertised);
    listen(Kind::kAdvert, secure::read_advert, &secure::ServerSide::advertised);
  }

  void share() {
    const auto adverts = tell_all(
        Kind::kAdverts, &secure::ServerSide::adverts, [](const auto& all) { return secure::write(all); },
        [&](const Bytes& b) { return secure::read_adverts(b, n()); });
    if (!adverts) return;
    if (server_)
      for (const auto& [u, a] : *adverts) count_down(u, sizeof(secure::SignedAdvert) * (adverts->size() - 1));
    const auto checked = secure::CheckedAdverts::check(setting_, roster_, *adverts);
    if (!checked.ok()) return give_up(Kind::kShares, checked.fault);
    for (int64_t u : secure::Agents(alive_)) {
      const auto sealed = sides_.at(u).share(checked.value);
      size_t bytes = 0;
      for (const auto& [v, b] : sealed.value) bytes += b.size();
      say(Kind::kShares, u, sealed, bytes, &secure::ServerSide::shared);
    }
    listen(
        Kind::kShares, [&](const Bytes& b) { return secure::read_shares(b, n()); },
        &secure::ServerSide::shared);
  }

  // One letter, of which each process gets what is for its agents: nothing, where nobody has shared with
  // them.
  void hand_out(const secure::Inboxes* all) {
    std::vector<Bytes> each;
    for (int64_t u : ways_.outside()) {
      secure::Inboxes one;
      if (all != nullptr && all->contains(u)) one[u] = all->at(u);
      each.push_back(secure::write(one));
    }
    ways_.deal(Kind::kInbox, ways_.outside(), std::move(each));
  }

  void mask(const Tensor& rows, const std::vector<bool>& stays) {
    auto inboxes = tell(
        Kind::kInbox, &secure::ServerSide::shares, [&](const secure::Inboxes* all) { hand_out(all); },
        [&](const Bytes& b) { return secure::read_inboxes(b, n()); });
    if (!inboxes) return;
    if (server_)
      for (const auto& [to, inbox] : *inboxes)
        for (const auto& [from, sealed] : inbox) count_down(to, sealed.size());
    for (int64_t u : secure::Agents(alive_)) {
      const int64_t place = reach().place(who_[u]);
      if (!stays[place]) {
        drop(Kind::kMasked, u, "");
        continue;
      }
      std::vector<uint64_t> row = fixed_.encode(rows[place], n());
      if (fixed_.noise > 0) {
        const auto noise = discrete_gaussian(noise_.at(u), setting_.size, fixed_.noise);
        for (size_t i = 0; i < row.size(); ++i)
          row[i] = (row[i] + static_cast<uint64_t>(noise[i])) & secure::low_bits(setting_.bits);
      }
      const auto message = sides_.at(u).mask((*inboxes)[u], row);
      say(Kind::kMasked, u, message, message.value.size(), &secure::ServerSide::masked);
    }
    listen(
        Kind::kMasked, [](const Bytes& b) { return std::optional<Bytes>(b); }, &secure::ServerSide::masked);
  }

  void consent() {
    survivors_ = tell_all(
        Kind::kSurvivors, &secure::ServerSide::survivors,
        [&](const auto& some) { return secure::write(some, n()); },
        [&](const Bytes& b) { return secure::read_survivors(b, n()); });
    if (!survivors_) return;
    if (server_)
      for (int64_t u : *survivors_) count_down(u, static_cast<size_t>((n() + 7) / 8));
    for (int64_t u : secure::Agents(alive_))
      say(Kind::kConsent, u, sides_.at(u).consent(*survivors_), sizeof(secure::Signature),
          &secure::ServerSide::consented);
    listen(Kind::kConsent, secure::read_consent, &secure::ServerSide::consented);
  }

  SecureSum reveal() {
    const auto consents = tell_all(
        Kind::kConsents, &secure::ServerSide::consents, [](const auto& all) { return secure::write(all); },
        [&](const Bytes& b) { return secure::read_consents(b, n()); });
    if (!consents) return {};
    if (server_)
      for (const auto& [u, signature] : *consents)
        count_down(u, sizeof(secure::Signature) * consents->size());
    const auto agreed = secure::CheckedConsents::check(setting_, roster_, *survivors_, *consents);
    if (!agreed.ok()) return give_up(Kind::kReveal, agreed.fault), SecureSum{};
    for (int64_t u : secure::Agents(alive_)) {
      const auto shares = sides_.at(u).reveal(agreed.value);
      say(Kind::kReveal, u, shares,
          sizeof(secure::Share) * (shares.value.seed_shares.size() + shares.value.key_shares.size()),
          &secure::ServerSide::revealed);
    }
    listen(
        Kind::kReveal, [&](const Bytes& b) { return secure::read_revealed(b, n()); },
        &secure::ServerSide::revealed);
    if (!server_) return {};
    const auto sum = server_->sum();
    if (!sum.ok()) return note(sum.fault), SecureSum{};
    return {fixed_.decode(sum.value, n()), static_cast<int64_t>(survivors_->size())};
  }

  ExchangeState& s_;
  const std::vector<int64_t>& who_;
  Ways ways_;
  const secure::FixedPoint fixed_;
  secure::Setting setting_;
  secure::Roster roster_;
  std::map<int64_t, secure::AgentSide> sides_;
  std::map<int64_t, secure::Key> noise_;  // of agents of here
  std::optional<secure::ServerSide> server_;
  secure::Agents alive_;      // agents of here that take part
  secure::Agents answering_;  // agents elsewhere that have answered each stage, at the server
  std::optional<secure::Agents> survivors_;
  std::string fault_;
};

}  // namespace

SecureSum secure_sum(const Exchange& x, ExchangeState& s, const Tensor& rows, const std::vector<int64_t>& who,
                     const std::vector<bool>& stays, Rng rng, Transport* elsewhere) {
  const auto n = static_cast<int64_t>(who.size());
  const int64_t least = std::max(secure::Setting::two_thirds(n), x.server.crowd);
  if (n < least) return {};
  Part part(x, s, who, rows.size(1), rng, elsewhere);
  SecureSum out = part.play(rows, stays);
  // In one process both sides keep to the protocol: a fault would be this program's own.
  const auto stayed = std::count_if(who.begin(), who.end(), [&](int64_t id) {
    const int64_t place = s.reach->place(id);
    return place >= 0 && stays[place];
  });
  TORCH_CHECK(out.sum.defined() || !s.reach->whole() || stayed < least, "secure aggregation: ", part.fault());
  return out;
}

}  // namespace symma
