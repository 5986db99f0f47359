#include "symma/exchange/secure_sides.h"

#include <sodium.h>

#include <algorithm>

namespace symma::secure {
namespace {

std::string call(int64_t agent) {
  return "agent " + std::to_string(agent);
}

// Fewer than this, and the sum says too much or cannot be had.
int64_t least(const Setting& s) {
  return std::max(s.threshold, s.crowd);
}

std::string too_few(const Setting& s, size_t have, const char* what) {
  if (static_cast<int64_t>(have) >= least(s)) return "";
  return std::to_string(have) + " agents " + what + ", and " + std::to_string(least(s)) + " must";
}

// What a signature is under: what it is for, the setting, who signs, and the rest.
std::vector<uint8_t> text_of(const char* purpose, const Setting& s, int64_t who) {
  std::vector<uint8_t> text;
  for (const char* c = purpose; *c; ++c) text.push_back(static_cast<uint8_t>(*c));
  const auto bits = static_cast<uint64_t>(s.bits);
  for (uint64_t x :
       {static_cast<uint64_t>(s.agents), static_cast<uint64_t>(s.threshold), static_cast<uint64_t>(s.crowd),
        static_cast<uint64_t>(s.size), bits, s.round, static_cast<uint64_t>(who)})
    for (uint8_t b : bytes_of(x)) text.push_back(b);
  return text;
}

std::vector<uint8_t> advert_text(const Setting& s, int64_t who, const Advert& a) {
  std::vector<uint8_t> text = text_of("symma advert", s, who);
  for (const Key* k : {&a.seal_key, &a.mask_key, &a.commitment})
    text.insert(text.end(), k->begin(), k->end());
  return text;
}

// The signer does not stand in it: all sign the same list.
std::vector<uint8_t> consent_text(const Setting& s, const Agents& survivors) {
  std::vector<uint8_t> text = text_of("symma consent", s, 0);
  for (int64_t a : survivors)
    for (uint8_t b : bytes_of(static_cast<uint64_t>(a))) text.push_back(b);
  return text;
}

Signature sign(const Identity& identity, const std::vector<uint8_t>& text) {
  Key known;
  std::array<uint8_t, crypto_sign_SECRETKEYBYTES> secret;
  crypto_sign_seed_keypair(known.data(), secret.data(), identity.seed.data());
  Signature out;
  crypto_sign_detached(out.data(), nullptr, text.data(), text.size(), secret.data());
  return out;
}

bool signed_by(const Key& known, const Signature& s, const std::vector<uint8_t>& text) {
  return crypto_sign_verify_detached(s.data(), text.data(), text.size(), known.data()) == 0;
}

std::string advert_fault(const Setting& s, const Roster& roster, int64_t from, const SignedAdvert& a) {
  const auto it = roster.find(from);
  if (from < 0 || from >= s.agents || it == roster.end()) return "there is no " + call(from);
  if (!signed_by(it->second, a.signature, advert_text(s, from, a.keys)))
    return "the advert of " + call(from) + " is not signed by it";
  return "";
}

}  // namespace

Key Identity::known_as() const {
  Key known;
  std::array<uint8_t, crypto_sign_SECRETKEYBYTES> secret;
  crypto_sign_seed_keypair(known.data(), secret.data(), seed.data());
  return known;
}

SignedAdvert sign(const Setting& setting, int64_t who, const Identity& identity, const Advert& keys) {
  return {keys, sign(identity, advert_text(setting, who, keys))};
}

Result<CheckedAdverts> CheckedAdverts::check(const Setting& s, const Roster& roster,
                                             const SignedAdverts& adverts) {
  start();
  if (const auto fault = too_few(s, adverts.size(), "advertised"); !fault.empty()) return {{}, fault};
  CheckedAdverts out;
  std::set<Key> seen;
  for (const auto& [from, a] : adverts) {
    if (const auto fault = advert_fault(s, roster, from, a); !fault.empty()) return {{}, fault};
    if (!seen.insert(a.keys.seal_key).second || !seen.insert(a.keys.mask_key).second)
      return {{}, call(from) + " advertised a key that was advertised before"};
    out.keys_[from] = a.keys;
  }
  return {out, ""};
}

Result<CheckedConsents> CheckedConsents::check(const Setting& s, const Roster& roster,
                                               const Agents& survivors, const Consents& consents) {
  if (const auto fault = too_few(s, consents.size(), "agreed on whose vectors came"); !fault.empty())
    return {{}, fault};
  const auto text = consent_text(s, survivors);
  for (const auto& [from, signature] : consents) {
    const auto it = roster.find(from);
    if (!survivors.count(from) || it == roster.end())
      return {{}, call(from) + " agreed, and is not of those whose vectors came"};
    if (!signed_by(it->second, signature, text))
      return {{}, call(from) + " did not agree to this list of whose vectors came"};
  }
  CheckedConsents out;
  out.survivors_ = survivors;
  return {out, ""};
}

// ---- An agent.

AgentSide::AgentSide(const Setting& setting, int64_t me, const Identity& identity, const Key& seed)
    : setting_(setting),
      me_(me),
      identity_(identity),
      seal_secret_(derive(seed, "seal")),
      mask_secret_(derive(seed, "mask")),
      self_seed_(derive(seed, "self")),
      share_seed_(derive(seed, "share")) {
  TORCH_CHECK(0 <= me && me < setting.agents && setting.sound(), "secure aggregation of ", setting.agents,
              " agents, threshold ", setting.threshold, ", crowd ", setting.crowd, ", bits ", setting.bits);
}

std::string AgentSide::not_now(Stage due) const {
  if (stage_ == due) return "";
  return stage_ > due ? call(me_) + " has answered this stage, and answers once"
                      : call(me_) + " is asked before its time";
}

Result<SignedAdvert> AgentSide::advertise() {
  if (const auto fault = not_now(Stage::kAdvertise); !fault.empty()) return {{}, fault};
  stage_ = Stage::kShare;
  const Advert keys{public_of(seal_secret_), public_of(mask_secret_), commitment_of(self_seed_)};
  return {sign(setting_, me_, identity_, keys), ""};
}

Result<Sealed> AgentSide::share(const CheckedAdverts& checked) {
  if (const auto fault = not_now(Stage::kShare); !fault.empty()) return {{}, fault};
  const Adverts& adverts = checked.keys();
  const auto mine = adverts.find(me_);
  if (mine == adverts.end() || mine->second.mask_key != public_of(mask_secret_))
    return {{}, "the server left " + call(me_) + " out of those who advertised"};
  const auto keys = split_key(mask_secret_, setting_.agents, setting_.threshold, derive(share_seed_, "key"));
  const auto seeds = split_key(self_seed_, setting_.agents, setting_.threshold, derive(share_seed_, "seed"));
  Sealed out;
  for (const auto& [to, advert] : adverts) {
    if (to == me_) continue;
    Key key;
    if (!agree(seal_secret_, advert.seal_key, "seal", setting_.round, me_, to, key))
      return {{}, call(to) + " advertised a key of small order"};
    out[to] = seal({keys[to], seeds[to]}, key);
  }
  own_ = {keys[me_], seeds[me_]};
  adverts_ = adverts;
  stage_ = Stage::kMask;
  return {out, ""};
}

Result<Bytes> AgentSide::mask(const Sealed& received, const std::vector<uint64_t>& values) {
  TORCH_CHECK(static_cast<int64_t>(values.size()) == setting_.size, values.size(), " values instead of ",
              setting_.size);
  if (const auto fault = not_now(Stage::kMask); !fault.empty()) return {{}, fault};
  if (const auto fault = too_few(setting_, received.size() + 1, "shared"); !fault.empty()) return {{}, fault};
  Agents sharing{me_};
  for (const auto& [from, bytes] : received) {
    if (from == me_ || !adverts_.count(from))
      return {{}, "shares from " + call(from) + ", who did not advertise"};
    if (bytes.size() != kSealedBytes) return {{}, "the shares from " + call(from) + " are not of their size"};
    sharing.insert(from);
  }
  std::vector<uint64_t> sum = values;
  add_stream(derive(self_seed_, "stream"), false, sum);
  for (int64_t v : sharing) {
    if (v == me_) continue;
    Key key;
    if (!mask_key(mask_secret_, adverts_.at(v).mask_key, setting_.round, me_, v, key))
      return {{}, call(v) + " advertised a key of small order"};
    add_stream(key, v < me_, sum);
  }
  received_ = received;
  sharing_ = std::move(sharing);
  stage_ = Stage::kConsent;
  BitWriter w;
  for (uint64_t x : sum) w.put(x, setting_.bits);
  return {w.take(), ""};
}

Result<Signature> AgentSide::consent(const Agents& survivors) {
  if (const auto fault = not_now(Stage::kConsent); !fault.empty()) return {{}, fault};
  if (const auto fault = too_few(setting_, survivors.size(), "sent their vectors"); !fault.empty())
    return {{}, fault};
  if (!std::includes(sharing_.begin(), sharing_.end(), survivors.begin(), survivors.end()))
    return {{}, "a vector of one who never shared"};
  if (!survivors.count(me_)) return {{}, "the server left " + call(me_) + " out of those whose vectors came"};
  survivors_ = survivors;
  stage_ = Stage::kReveal;
  return {sign(identity_, consent_text(setting_, survivors)), ""};
}

Result<Revealed> AgentSide::reveal(const CheckedConsents& consents) {
  if (const auto fault = not_now(Stage::kReveal); !fault.empty()) return {{}, fault};
  if (consents.survivors() != survivors_) return {{}, "others were told another list of whose vectors came"};
  Revealed out;
  for (int64_t v : sharing_) {
    Shares shares;
    if (v == me_) {
      shares = own_;
    } else {
      Key key;
      if (!agree(seal_secret_, adverts_.at(v).seal_key, "seal", setting_.round, v, me_, key) ||
          !open(received_.at(v), key, shares)) {
        unopened_.insert(v);
        continue;
      }
    }
    if (survivors_.count(v)) {
      out.seed_shares[v] = shares.seed;
    } else {
      out.key_shares[v] = shares.key;
    }
  }
  stage_ = Stage::kDone;
  return {out, ""};
}

// ---- The server.

ServerSide::ServerSide(const Setting& setting, Roster roster)
    : setting_(setting), roster_(std::move(roster)) {
  start();
  TORCH_CHECK(setting.sound(), "secure aggregation of ", setting.agents, " agents, threshold ",
              setting.threshold, ", crowd ", setting.crowd, ", bits ", setting.bits);
}

std::string ServerSide::not_taken(int64_t from, Stage due, bool again) const {
  if (stage_ != due) return call(from) + " answers a stage that is over, or not yet there";
  return again ? call(from) + " has answered this stage" : "";
}

std::string ServerSide::cannot_close(Stage due, size_t have, const char* what) const {
  return stage_ != due ? "this stage is over, or not yet there" : too_few(setting_, have, what);
}

std::string ServerSide::advertised(int64_t from, const SignedAdvert& a) {
  if (auto fault = not_taken(from, Stage::kAdverts, adverts_.count(from) > 0); !fault.empty()) return fault;
  if (auto fault = advert_fault(setting_, roster_, from, a); !fault.empty()) return fault;
  // What would make everybody else refuse the round.
  const Key probe = derive({}, "probe");
  Key point;
  for (const Key& key : {a.keys.seal_key, a.keys.mask_key})
    if (!agree(probe, key, "probe", 0, 0, 0, point)) return call(from) + " advertised a key of small order";
  if (a.keys.seal_key == a.keys.mask_key) return call(from) + " advertised one key twice";
  for (const Key& key : {a.keys.seal_key, a.keys.mask_key})
    if (const auto it = owner_.find(key); it != owner_.end())
      return call(from) + " advertised a key of " + call(it->second);
  owner_[a.keys.seal_key] = owner_[a.keys.mask_key] = from;
  adverts_[from] = a;
  return "";
}

std::string ServerSide::shared(int64_t from, const Sealed& sealed) {
  if (auto fault = not_taken(from, Stage::kShares, sealed_.count(from) > 0); !fault.empty()) return fault;
  if (!adverts_.count(from)) return call(from) + " did not advertise";
  if (sealed.size() + 1 != adverts_.size())
    return call(from) + " shared with others than those who advertised";
  for (const auto& [to, bytes] : sealed) {
    if (to == from || !adverts_.count(to))
      return call(from) + " shared with others than those who advertised";
    if (bytes.size() != kSealedBytes) return "the shares from " + call(from) + " are not of their size";
  }
  sealed_[from] = sealed;
  return "";
}

std::string ServerSide::masked(int64_t from, const Bytes& bytes) {
  if (auto fault = not_taken(from, Stage::kMasked, masked_.count(from) > 0); !fault.empty()) return fault;
  if (!sealed_.count(from)) return call(from) + " sent a vector but never shared";
  auto numbers = unpack(setting_, bytes);
  if (!numbers.ok()) return call(from) + ": " + numbers.fault;
  masked_[from] = std::move(numbers.value);
  return "";
}

std::string ServerSide::consented(int64_t from, const Signature& signature) {
  if (auto fault = not_taken(from, Stage::kConsents, consents_.count(from) > 0); !fault.empty()) return fault;
  if (!survivors_.count(from)) return call(from) + " agreed, and sent no vector";
  if (!signed_by(roster_.at(from), signature, consent_text(setting_, survivors_)))
    return call(from) + " did not agree to this list of whose vectors came";
  consents_[from] = signature;
  return "";
}

std::string ServerSide::revealed(int64_t from, const Revealed& r) {
  if (auto fault = not_taken(from, Stage::kReveals, revealed_.count(from) > 0); !fault.empty()) return fault;
  if (!survivors_.count(from)) return call(from) + " revealed shares, and sent no vector";
  const auto right = [&](const std::map<int64_t, Share>& shares, bool survived) {
    for (const auto& [of, share] : shares)
      if (!sealed_.count(of) || (survivors_.count(of) > 0) != survived) return false;
    return true;
  };
  if (!right(r.seed_shares, true) || !right(r.key_shares, false))
    return call(from) + " revealed other shares than were asked for";
  revealed_[from] = r;
  return "";
}

Result<SignedAdverts> ServerSide::adverts() {
  if (auto fault = cannot_close(Stage::kAdverts, adverts_.size(), "advertised"); !fault.empty())
    return {{}, fault};
  stage_ = Stage::kShares;
  return {adverts_, ""};
}

Result<std::map<int64_t, Sealed>> ServerSide::shares() {
  if (auto fault = cannot_close(Stage::kShares, sealed_.size(), "shared"); !fault.empty()) return {{}, fault};
  stage_ = Stage::kMasked;
  std::map<int64_t, Sealed> out;
  for (const auto& [from, sealed] : sealed_)
    for (const auto& [to, bytes] : sealed)
      if (sealed_.count(to)) out[to][from] = bytes;
  return {out, ""};
}

Result<Agents> ServerSide::survivors() {
  if (auto fault = cannot_close(Stage::kMasked, masked_.size(), "sent their vectors"); !fault.empty())
    return {{}, fault};
  stage_ = Stage::kConsents;
  for (const auto& [from, numbers] : masked_) survivors_.insert(from);
  return {survivors_, ""};
}

Result<Consents> ServerSide::consents() {
  if (auto fault = cannot_close(Stage::kConsents, consents_.size(), "agreed on whose vectors came");
      !fault.empty())
    return {{}, fault};
  stage_ = Stage::kReveals;
  return {consents_, ""};
}

// A secret from its shares. Where it is not the one that was promised, some are wrong: then without one of
// those who revealed them, or two (in a crowd where trying all pairs is cheap), as long as there are enough.
Result<Key> ServerSide::join(int64_t of, bool survived) {
  std::map<int64_t, Share> all;
  for (const auto& [from, r] : revealed_) {
    const auto& given = survived ? r.seed_shares : r.key_shares;
    if (const auto it = given.find(of); it != given.end() && !liars_.count(from)) all[from] = it->second;
  }
  const Advert& promised = adverts_.at(of).keys;
  const auto right = [&](const Key& k) {
    return survived ? commitment_of(k) == promised.commitment : public_of(k) == promised.mask_key;
  };
  const auto t = setting_.threshold;
  const auto without = [&](const Agents& some, Key& secret) {
    auto rest = all;
    for (int64_t a : some) rest.erase(a);
    if (static_cast<int64_t>(rest.size()) < t) return false;
    secret = join_key(rest, t);
    return right(secret);
  };
  if (static_cast<int64_t>(all.size()) < t) return {{}, "too few shares of " + call(of)};
  Key secret;
  if (without({}, secret)) return {secret, ""};
  // Only the first `threshold` are read, and the next once one of them is left out.
  std::vector<int64_t> read;
  for (const auto& [from, share] : all)
    if (static_cast<int64_t>(read.size()) < t + 1) read.push_back(from);
  for (int64_t a : read)
    if (without({a}, secret)) return liars_.insert(a), Result<Key>{secret, ""};
  constexpr int64_t kPairs = 40;
  if (t > kPairs) read.clear();
  for (int64_t a : read)
    for (int64_t b : read)
      if (a < b && without({a, b}, secret)) return liars_.insert({a, b}), Result<Key>{secret, ""};
  return {{}, "the shares of " + call(of) + " do not fit together"};
}

Result<std::vector<uint64_t>> ServerSide::sum() {
  if (stage_ != Stage::kReveals) return {{}, "there is no sum before its time, nor twice"};
  if (static_cast<int64_t>(revealed_.size()) < setting_.threshold)
    return {{}, "too few agents revealed their shares"};
  std::vector<uint64_t> sum(setting_.size, 0);
  for (const auto& [u, numbers] : masked_)
    for (int64_t i = 0; i < setting_.size; ++i) sum[i] += numbers[i];
  for (const auto& [v, sealed] : sealed_) {
    const bool survived = survivors_.count(v) > 0;
    const auto secret = join(v, survived);
    if (!secret.ok()) return {{}, secret.fault};
    if (survived) {
      add_stream(derive(secret.value, "stream"), true, sum);
      continue;
    }
    for (int64_t u : survivors_) {
      Key key;
      if (!mask_key(secret.value, adverts_.at(u).keys.mask_key, setting_.round, u, v, key))
        return {{}, call(u) + " advertised a key of small order"};
      add_stream(key, u < v, sum);  // what u added for v, taken away
    }
  }
  stage_ = Stage::kDone;
  for (uint64_t& x : sum) x &= low_bits(setting_.bits);
  return {sum, ""};
}

}  // namespace symma::secure
