#include "symma/exchange/secure_wire.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace symma::secure {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers travel as they lie in memory");

template <class T>
void append(Bytes& to, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  const auto* p = reinterpret_cast<const uint8_t*>(&value);
  to.insert(to.end(), p, p + sizeof(T));
}

void append(Bytes& to, const SignedAdvert& a) {
  append(to, a.keys.seal_key), append(to, a.keys.mask_key), append(to, a.keys.commitment);
  append(to, a.signature);
}

// What is left of a letter. Past its end, and once something was wrong, it gives zeros.
class Left {
 public:
  explicit Left(Text text) : text_(text) {}
  template <class T>
  T take() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    if (const Text bytes = take(sizeof(T)); !bytes.empty()) std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  Text take(size_t n) {
    if (text_.size() < n) bad_ = true;
    if (bad_) return {};
    const Text out = text_.first(n);
    text_ = text_.subspan(n);
    return out;
  }
  int64_t agent(int64_t agents) {
    const auto a = int64_t{take<uint32_t>()};
    bad_ = bad_ || a >= agents;
    return a;
  }
  SignedAdvert advert() {
    SignedAdvert a;
    a.keys.seal_key = take<Key>(), a.keys.mask_key = take<Key>(), a.keys.commitment = take<Key>();
    a.signature = take<Signature>();
    return a;
  }
  // That a list is not in order, or that somebody stands in it twice.
  template <class M>
  void ascending(const M& so_far, int64_t next) {
    bad_ = bad_ || (!so_far.empty() && so_far.rbegin()->first >= next);
  }
  bool more() const { return !bad_ && !text_.empty(); }
  bool well() const { return !bad_ && text_.empty(); }
  void fail() { bad_ = true; }

 private:
  Text text_;
  bool bad_ = false;
};

template <class T>
std::optional<T> if_well(const Left& left, T value) {
  return left.well() ? std::optional<T>(std::move(value)) : std::nullopt;
}

}  // namespace

Bytes write(const Introduction& i) {
  Bytes out{static_cast<uint8_t>(i.with_server)};
  append(out, i.key);
  return out;
}

Bytes write(const SignedAdvert& a) {
  Bytes out;
  append(out, a);
  return out;
}

Bytes write(const SignedAdverts& all) {
  Bytes out;
  for (const auto& [a, advert] : all) append(out, static_cast<uint32_t>(a)), append(out, advert);
  return out;
}

Bytes write(const Sealed& all) {
  Bytes out;
  for (const auto& [a, sealed] : all) {
    append(out, static_cast<uint32_t>(a));
    out.insert(out.end(), sealed.begin(), sealed.end());
  }
  return out;
}

Bytes write(const Inboxes& all) {
  Bytes out;
  for (const auto& [to, inbox] : all)
    for (const auto& [from, sealed] : inbox) {
      append(out, static_cast<uint32_t>(to)), append(out, static_cast<uint32_t>(from));
      out.insert(out.end(), sealed.begin(), sealed.end());
    }
  return out;
}

Bytes write(const Agents& some, int64_t agents) {
  BitWriter bits;
  for (int64_t a = 0; a < agents; ++a) bits.put(some.contains(a), 1);
  return bits.take();
}

Bytes write(const Signature& s) {
  return {s.begin(), s.end()};
}

Bytes write(const Consents& all) {
  Bytes out;
  for (const auto& [a, signature] : all) append(out, static_cast<uint32_t>(a)), append(out, signature);
  return out;
}

Bytes write(const Revealed& r) {
  Bytes out;
  for (const auto* shares : {&r.seed_shares, &r.key_shares})
    for (const auto& [a, share] : *shares) {
      append(out, static_cast<uint32_t>(a));
      out.push_back(shares == &r.key_shares);
      append(out, share);
    }
  return out;
}

std::optional<Introduction> read_introduction(Text text) {
  Left left(text);
  const auto with = left.take<uint8_t>();
  if (with > 1) left.fail();
  const auto key = left.take<Key>();
  return if_well(left, Introduction{with == 1, key});
}

std::optional<SignedAdvert> read_advert(Text text) {
  Left left(text);
  return if_well(left, left.advert());
}

std::optional<SignedAdverts> read_adverts(Text text, int64_t agents) {
  Left left(text);
  SignedAdverts out;
  while (left.more()) {
    const int64_t a = left.agent(agents);
    left.ascending(out, a);
    out[a] = left.advert();
  }
  return if_well(left, std::move(out));
}

std::optional<Sealed> read_shares(Text text, int64_t agents) {
  Left left(text);
  Sealed out;
  while (left.more()) {
    const int64_t a = left.agent(agents);
    left.ascending(out, a);
    const Text sealed = left.take(kSealedBytes);
    out[a] = Bytes(sealed.begin(), sealed.end());
  }
  return if_well(left, std::move(out));
}

std::optional<Inboxes> read_inboxes(Text text, int64_t agents) {
  Left left(text);
  Inboxes out;
  while (left.more()) {
    const int64_t to = left.agent(agents), from = left.agent(agents);
    if (!out.empty() && out.rbegin()->first > to) left.fail();
    Sealed& inbox = out[to];
    left.ascending(inbox, from);
    const Text sealed = left.take(kSealedBytes);
    inbox[from] = Bytes(sealed.begin(), sealed.end());
  }
  return if_well(left, std::move(out));
}

std::optional<Agents> read_survivors(Text text, int64_t agents) {
  BitReader bits(text);
  Agents out;
  for (int64_t a = 0; a < agents && !bits.failed(); ++a)
    if (bits.get(1) == 1) out.insert(a);
  if (!bits.finished()) return {};
  return out;
}

std::optional<Signature> read_consent(Text text) {
  Left left(text);
  const auto signature = left.take<Signature>();
  return if_well(left, signature);
}

std::optional<Consents> read_consents(Text text, int64_t agents) {
  Left left(text);
  Consents out;
  while (left.more()) {
    const int64_t a = left.agent(agents);
    left.ascending(out, a);
    out[a] = left.take<Signature>();
  }
  return if_well(left, std::move(out));
}

std::optional<Revealed> read_revealed(Text text, int64_t agents) {
  Left left(text);
  Revealed out;
  while (left.more()) {
    const int64_t a = left.agent(agents);
    const auto key = left.take<uint8_t>();
    if (key > 1) left.fail();
    auto& shares = key == 1 ? out.key_shares : out.seed_shares;
    left.ascending(shares, a);
    shares[a] = left.take<Share>();
  }
  return if_well(left, std::move(out));
}

}  // namespace symma::secure
