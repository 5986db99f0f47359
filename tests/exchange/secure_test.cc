// Secure sums equal plain sums with agents gone at every stage; single messages look like noise.
#include "exchange/uniform.h"
#include "symma/exchange/secure_wire.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "symma/core/rng.h"

namespace symma::secure {
namespace {

Key key_of(uint64_t n) {
  Key k{};
  for (int i = 0; i < 8; ++i) k[i] = static_cast<uint8_t>(n >> 8 * i);
  return derive(k, "test");
}

std::vector<std::vector<uint64_t>> inputs(const Setting& s, uint64_t seed) {
  std::vector<std::vector<uint64_t>> x(s.agents);
  Draws d(Rng(seed).split("inputs"));
  for (auto& row : x)
    for (int64_t i = 0; i < s.size; ++i)
      row.push_back((uint64_t{d.word()} << 32 | d.word()) &
                    (s.bits == 64 ? ~uint64_t{0} : (uint64_t{1} << s.bits) - 1));
  return x;
}

// The round of `seed`: who is who, and both sides.
struct Party {
  Setting setting;
  std::vector<Identity> identities;
  Roster roster;
  std::vector<AgentSide> agents;

  Party(const Setting& s, uint64_t seed) : setting(s) {
    for (int64_t a = 0; a < s.agents; ++a) {
      identities.push_back({derive(key_of(seed), "identity", a)});
      roster[a] = identities.back().known_as();
      agents.emplace_back(s, a, identities.back(), key_of(1000 * seed + a));
    }
  }
  ServerSide server() const { return {setting, roster}; }
};

// What a server saw, and what it made of it.
struct Round {
  SignedAdverts adverts;
  Agents sharing, survivors;
  std::map<int64_t, Sealed> inbox;
  Sealed masked;
  std::map<int64_t, Revealed> revealed;
  Agents liars;
  Result<std::vector<uint64_t>> sum;
};

// The protocol with agents gone before each of its five messages. `spoil` may change what is revealed.
Round run(const Setting& s, const std::vector<std::vector<uint64_t>>& x, const std::array<Agents, 5>& gone,
          uint64_t seed, const std::function<void(int64_t, Revealed&)>& spoil = {}) {
  Round r;
  Party p(s, seed);
  ServerSide server = p.server();
  const auto here = [&](int64_t a, int stage) {
    for (int i = 0; i <= stage; ++i)
      if (gone[i].count(a)) return false;
    return true;
  };
  for (int64_t a = 0; a < s.agents; ++a)
    if (here(a, 0)) {
      EXPECT_EQ(server.advertised(a, p.agents[a].advertise().value), "");
    }
  const auto adverts = server.adverts();
  if (!adverts.ok()) return r.sum.fault = adverts.fault, r;
  r.adverts = adverts.value;
  const auto checked = CheckedAdverts::check(s, p.roster, r.adverts);
  EXPECT_TRUE(checked.ok()) << checked.fault;
  for (int64_t a = 0; a < s.agents; ++a) {
    if (!here(a, 1)) continue;
    const auto sealed = p.agents[a].share(checked.value);
    EXPECT_TRUE(sealed.ok()) << sealed.fault;
    EXPECT_EQ(server.shared(a, sealed.value), "");
    r.sharing.insert(a);
  }
  const auto inbox = server.shares();
  if (!inbox.ok()) return r.sum.fault = inbox.fault, r;
  r.inbox = inbox.value;
  for (int64_t a = 0; a < s.agents; ++a) {
    if (!here(a, 2)) continue;
    const auto masked = p.agents[a].mask(r.inbox[a], x[a]);
    EXPECT_TRUE(masked.ok()) << masked.fault;
    EXPECT_EQ(server.masked(a, masked.value), "");
    r.masked[a] = masked.value;
  }
  const auto survivors = server.survivors();
  if (!survivors.ok()) return r.sum.fault = survivors.fault, r;
  r.survivors = survivors.value;
  for (int64_t a : r.survivors) {
    if (!here(a, 3)) continue;
    const auto signature = p.agents[a].consent(r.survivors);
    EXPECT_TRUE(signature.ok()) << signature.fault;
    EXPECT_EQ(server.consented(a, signature.value), "");
  }
  const auto consents = server.consents();
  if (!consents.ok()) return r.sum.fault = consents.fault, r;
  const auto agreed = CheckedConsents::check(s, p.roster, r.survivors, consents.value);
  EXPECT_TRUE(agreed.ok()) << agreed.fault;
  for (int64_t a : r.survivors) {
    if (!here(a, 4)) continue;
    auto revealed = p.agents[a].reveal(agreed.value);
    EXPECT_TRUE(revealed.ok()) << revealed.fault;
    if (spoil) spoil(a, revealed.value);
    EXPECT_EQ(server.revealed(a, revealed.value), "");
    r.revealed[a] = revealed.value;
  }
  r.sum = server.sum();
  r.liars = server.liars();
  return r;
}

TEST(SecureSum, IsExactWithAThirdGoneAtAnyStage) {
  for (int bits : {20, 32, 61, 64})
    for (uint64_t seed = 0; seed < 12; ++seed) {
      const int64_t n = 3 + static_cast<int64_t>(seed) % 4 * 3;
      const Setting s{n, Setting::two_thirds(n), 37, bits, seed};
      const auto x = inputs(s, seed);
      std::array<Agents, 5> gone;
      Draws d(Rng(seed).split("gone"));
      for (int64_t a : d.choose(n, n - s.threshold)) gone[seed < 5 ? seed : d.below(5)].insert(a);
      const Round r = run(s, x, gone, seed);
      ASSERT_TRUE(r.sum.ok()) << r.sum.fault;
      for (int64_t i = 0; i < s.size; ++i) {
        uint64_t plain = 0;
        for (int64_t a : r.survivors) plain += x[a][i];
        ASSERT_EQ(r.sum.value[i], bits == 64 ? plain : plain & ((uint64_t{1} << bits) - 1));
      }
    }
}

TEST(SecureSum, OfRealNumbersIsTheSumOfTheirFixedPoints) {
  const int64_t n = 9;
  const FixedPoint f{.range = 4, .precision = 24};
  const Setting s{n, Setting::two_thirds(n), 500, f.bits(n), 1};
  const Tensor rows = normal(Rng(1), {n, 500}, at::kDouble);
  std::vector<std::vector<uint64_t>> x;
  for (int64_t a = 0; a < n; ++a) x.push_back(f.encode(rows[a], n));
  const Round r = run(s, x, {Agents{}, Agents{2}, Agents{4, 5}}, 7);
  ASSERT_TRUE(r.sum.ok()) << r.sum.fault;
  Tensor plain = at::zeros({500}, at::kDouble);
  for (int64_t a : r.survivors) plain += rows[a].clamp(-4, 4);
  EXPECT_EQ(r.survivors.size(), 6u);
  EXPECT_LE((f.decode(r.sum.value, n) - plain).abs().max().item<double>(), 6 * 0.5 * 4 / ((1 << 23) - 1));
  // 28 bits a value instead of 24.
  EXPECT_EQ(r.masked.begin()->second.size(), 500u * 28 / 8);
}

TEST(FixedPoint, ClipsAndKeepsExtremeSums) {
  const FixedPoint f{.range = 1, .precision = 16};
  const Tensor x = at::tensor({2., -2., 1., -1., 0., NAN}, at::kDouble);
  const auto e = f.encode(x, 1000);
  std::vector<uint64_t> sum(6, 0);
  for (int a = 0; a < 1000; ++a)
    for (int i = 0; i < 6; ++i) sum[i] = (sum[i] + e[i]) & ((uint64_t{1} << f.bits(1000)) - 1);
  EXPECT_LE((f.decode(sum, 1000) - at::tensor({1000., -1000., 1000., -1000., 0., 0.}, at::kDouble))
                .abs()
                .max()
                .item<double>(),
            1e-9);
}

TEST(SecureSum, SingleMessagesAreUniformWhateverTheyHold) {
  const Setting s{5, 4, 40000, 32, 3};
  // All zeros, and all ones: nothing is plainer.
  for (uint64_t value : {0u, 1u, 0x7fffffffu}) {
    const std::vector<std::vector<uint64_t>> x(5, std::vector<uint64_t>(s.size, value));
    EXPECT_GT(chi_squared(x[0], 32), 1000) << "the test can tell";
    const Round r = run(s, x, {}, 11 + value);
    ASSERT_TRUE(r.sum.ok());
    EXPECT_EQ(r.sum.value[77], (5 * value) & 0xffffffffu);
    for (const auto& [a, bytes] : r.masked)
      EXPECT_LT(std::abs(chi_squared(unpack(s, bytes).value, 32)), 5) << a;
    // Nor do differences of two agents' messages, or neighbouring numbers of one, show anything.
    auto a = unpack(s, r.masked.at(0)).value, b = unpack(s, r.masked.at(1)).value;
    double correlation = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      correlation += (static_cast<double>(a[i]) / 0x1p32 - .5) *
                     (static_cast<double>(a[(i + 1) % a.size()]) / 0x1p32 - .5) * 12;
      a[i] = (a[i] - b[i]) & 0xffffffffu;
    }
    EXPECT_LT(std::abs(chi_squared(a, 32)), 5);
    EXPECT_LT(std::abs(correlation) / std::sqrt(static_cast<double>(a.size())), 5);
  }
}

TEST(SecureSum, AnAgentNeverGivesBothSharesOfOnePeer) {
  const Setting s{4, 3, 10, 32, 4};
  const Round r = run(s, inputs(s, 1), {Agents{}, Agents{}, Agents{2}}, 21);
  ASSERT_TRUE(r.sum.ok());
  for (const auto& [a, revealed] : r.revealed) {
    for (const auto& [v, share] : revealed.seed_shares) EXPECT_EQ(revealed.key_shares.count(v), 0u);
    EXPECT_EQ(revealed.key_shares.count(2), 1u);
  }
}

TEST(SecureSum, TooFewAgentsOrWrongMessagesAreFaults) {
  const Setting s{6, 4, 10, 32, 5};
  const auto x = inputs(s, 5);
  for (size_t stage = 0; stage < 5; ++stage) {
    std::array<Agents, 5> gone;
    gone[stage] = {0, 1, 2};
    EXPECT_FALSE(run(s, x, gone, 31).sum.ok()) << stage;
  }
  // A crowd that is smaller than was asked for.
  Setting crowd = s;
  crowd.crowd = 6;
  EXPECT_FALSE(run(crowd, x, {Agents{}, Agents{}, Agents{1}}, 31).sum.ok());
  EXPECT_TRUE(run(crowd, x, {}, 31).sum.ok());
}

TEST(SecureSum, WrongSharesAreMadeUpForOrAFault) {
  const Setting s{6, 4, 10, 32, 5};
  const auto x = inputs(s, 5);
  const Round right = run(s, x, {}, 32);
  const auto spoil = [](const Agents& who) {
    return [who](int64_t a, Revealed& r) {
      if (who.count(a)) r.seed_shares[2][0] ^= 1;
    };
  };
  for (const Agents& who : {Agents{0}, Agents{3}, Agents{0, 2}}) {
    const Round r = run(s, x, {}, 32, spoil(who));
    ASSERT_TRUE(r.sum.ok()) << r.sum.fault;
    EXPECT_EQ(r.sum.value, right.sum.value);
    EXPECT_EQ(r.liars, who);
  }
  const Round lost = run(s, x, {}, 32, spoil({0, 1, 2}));
  EXPECT_NE(lost.sum.fault.find("agent 2"), std::string::npos);
}

// ---- A server that lies.

struct Lying : testing::Test {
  Setting s{5, 4, 3, 32, 9};
  Party p{s, 41};
  SignedAdverts adverts;
  std::vector<std::vector<uint64_t>> x = inputs(s, 9);
  Lying() {
    for (int64_t a = 0; a < s.agents; ++a) adverts[a] = p.agents[a].advertise().value;
  }
  std::string refused(const SignedAdverts& a) const { return CheckedAdverts::check(s, p.roster, a).fault; }
  // As far as before the masked vectors.
  std::map<int64_t, Sealed> share() {
    std::map<int64_t, Sealed> inbox;
    const auto checked = CheckedAdverts::check(s, p.roster, adverts);
    for (int64_t a = 0; a < s.agents; ++a)
      for (const auto& [to, bytes] : p.agents[a].share(checked.value).value) inbox[to][a] = bytes;
    return inbox;
  }
};

TEST_F(Lying, ItsOwnKeysInThePlaceOfOthersAreRefused) {
  // Without signatures a server that knew the keys of all but one took every mask off that one's vector.
  Party own(s, 99);
  SignedAdverts swapped = adverts;
  for (int64_t a = 1; a < s.agents; ++a) swapped[a] = own.agents[a].advertise().value;
  EXPECT_NE(refused(swapped).find("not signed by it"), std::string::npos);
  // Nor another's advert, nor one of another round, nor one key twice.
  swapped = adverts;
  swapped[1] = adverts[2];
  EXPECT_NE(refused(swapped).find("agent 1"), std::string::npos);
  Setting later = s;
  later.round = 10;
  EXPECT_FALSE(CheckedAdverts::check(later, p.roster, adverts).ok());
  EXPECT_EQ(refused(adverts), "");
}

TEST_F(Lying, NumbersThatNobodyHasAreRefused) {
  // On the old code an advert numbered 1,000,000 crashed, and one numbered 5 of 5 sealed what lay on the
  // heap.
  for (int64_t number : {int64_t{5}, int64_t{1000000}, int64_t{-1}, INT64_MAX}) {
    SignedAdverts more = adverts;
    more[number] = adverts[1];
    EXPECT_NE(refused(more).find("there is no agent"), std::string::npos) << number;
    ServerSide server = p.server();
    EXPECT_NE(server.advertised(number, adverts[1]).find("there is no agent"), std::string::npos);
  }
  const auto inbox = share();
  Sealed more = inbox.at(1);
  more[1000000] = more.at(0);
  EXPECT_FALSE(p.agents[1].mask(more, x[1]).ok());
  EXPECT_TRUE(p.agents[1].mask(inbox.at(1), x[1]).ok());
  EXPECT_FALSE(p.agents[1].consent({0, 1, 2, 3, 7}).ok());
}

TEST_F(Lying, EachStageIsAnsweredOnce) {
  EXPECT_FALSE(p.agents[0].advertise().ok());
  EXPECT_FALSE(p.agents[0].mask({}, x[0]).ok());
  const auto inbox = share();
  EXPECT_FALSE(p.agents[0].share(CheckedAdverts::check(s, p.roster, adverts).value).ok());
  for (int64_t a = 0; a < s.agents; ++a) {
    EXPECT_TRUE(p.agents[a].mask(inbox.at(a), x[a]).ok());
    EXPECT_FALSE(p.agents[a].mask(inbox.at(a), x[a]).ok());
  }
  // Asked twice with other survivors, an agent would have given both shares of agent 4, and its vector whole.
  Consents all, fewer;
  const Agents everyone{0, 1, 2, 3, 4}, others{0, 1, 2, 3};
  for (int64_t a : everyone) {
    all[a] = p.agents[a].consent(everyone).value;
    EXPECT_FALSE(p.agents[a].consent(others).ok());
  }
  const auto agreed = CheckedConsents::check(s, p.roster, everyone, all);
  EXPECT_TRUE(p.agents[0].reveal(agreed.value).ok());
  EXPECT_FALSE(p.agents[0].reveal(agreed.value).ok());
}

TEST_F(Lying, TwoListsOfSurvivorsGiveNoSum) {
  const auto inbox = share();
  for (int64_t a = 0; a < s.agents; ++a) EXPECT_TRUE(p.agents[a].mask(inbox.at(a), x[a]).ok());
  // Three are told that agent 4 dropped out, two that all are there.
  const Agents everyone{0, 1, 2, 3, 4}, others{0, 1, 2, 3};
  Consents first, second;
  for (int64_t a : {0, 1, 2}) first[a] = p.agents[a].consent(others).value;
  for (int64_t a : {3, 4}) second[a] = p.agents[a].consent(everyone).value;
  Consents mixed = first;
  mixed[3] = second.at(3);
  EXPECT_FALSE(CheckedConsents::check(s, p.roster, others, first).ok());  // too few
  EXPECT_FALSE(CheckedConsents::check(s, p.roster, others, mixed).ok());  // a signature under another list
  EXPECT_FALSE(CheckedConsents::check(s, p.roster, everyone, second).ok());
  // And a list that is agreed on, but is not the one that an agent was told.
  Party again(s, 41);
  Consents forged;
  for (int64_t a : everyone) forged[a] = second.at(4);
  EXPECT_FALSE(CheckedConsents::check(s, p.roster, everyone, forged).ok());
}

TEST_F(Lying, ItLeavesNobodyOut) {
  SignedAdverts without = adverts;
  without.erase(0);
  const auto checked = CheckedAdverts::check(s, p.roster, without);
  ASSERT_TRUE(checked.ok());
  EXPECT_FALSE(p.agents[0].share(checked.value).ok());
  // A sum of one: a crowd must be there at each stage.
  const auto inbox = share();
  EXPECT_FALSE(p.agents[1].mask({{0, inbox.at(1).at(0)}}, x[1]).ok());
  EXPECT_TRUE(p.agents[1].mask(inbox.at(1), x[1]).ok());
  EXPECT_FALSE(p.agents[1].consent({1}).ok());
  EXPECT_FALSE(p.agents[1].consent({0, 2, 3, 4}).ok());
}

TEST_F(Lying, AgentsThatSendTheServerGarbageAreNamed) {
  ServerSide server = p.server();
  SignedAdvert bad = adverts.at(3);
  bad.keys.mask_key[0] ^= 1;
  EXPECT_NE(server.advertised(3, bad), "");
  for (const auto& [a, advert] : adverts) EXPECT_EQ(server.advertised(a, advert), "");
  EXPECT_NE(server.advertised(2, adverts.at(2)), "");  // a second time
  EXPECT_NE(server.masked(2, {}), "");                 // before its time
  ASSERT_TRUE(server.adverts().ok());
  const auto checked = CheckedAdverts::check(s, p.roster, adverts);
  for (int64_t a = 0; a < s.agents; ++a) {
    const Sealed sealed = p.agents[a].share(checked.value).value;
    Sealed other = sealed;
    other.begin()->second.pop_back();
    EXPECT_NE(server.shared(a, other), "");
    other = sealed;
    other[a] = sealed.begin()->second;
    EXPECT_NE(server.shared(a, other), "");
    EXPECT_EQ(server.shared(a, sealed), "");
  }
  auto inbox = server.shares().value;
  inbox[1][3][5] ^= 1;  // the server spoils one
  for (int64_t a = 0; a < s.agents; ++a) {
    Bytes masked = p.agents[a].mask(inbox.at(a), x[a]).value, cut = masked;
    cut.pop_back();
    EXPECT_NE(server.masked(a, cut).find(std::to_string(a)), std::string::npos);
    EXPECT_EQ(server.masked(a, masked), "");
  }
  const Agents everyone = server.survivors().value;
  for (int64_t a : everyone) {
    const Signature right = p.agents[a].consent(everyone).value;
    Signature wrong = right;
    wrong[7] ^= 1;
    EXPECT_NE(server.consented(a, wrong), "");
    EXPECT_EQ(server.consented(a, right), "");
  }
  const auto agreed = CheckedConsents::check(s, p.roster, everyone, server.consents().value);
  const auto spoiled = p.agents[1].reveal(agreed.value);
  EXPECT_EQ(p.agents[1].unopened(), Agents{3});
  EXPECT_EQ(spoiled.value.seed_shares.count(3), 0u);
  EXPECT_EQ(spoiled.value.seed_shares.size(), 4u);
  EXPECT_EQ(server.revealed(1, spoiled.value), "");
  Revealed r = p.agents[0].reveal(agreed.value).value;
  Revealed more = r;
  more.key_shares[1] = r.seed_shares.at(1);
  EXPECT_NE(server.revealed(0, more), "");
  more.seed_shares.erase(1);
  EXPECT_NE(server.revealed(0, more), "");
  EXPECT_EQ(server.revealed(0, r), "");
  EXPECT_FALSE(server.sum().ok());  // two of five
}

// What would make everybody else refuse the round costs the one who sends it.
TEST_F(Lying, AgentsWithKeysThatAreNoneAreLeftOut) {
  ServerSide server = p.server();
  EXPECT_EQ(server.advertised(0, adverts.at(0)), "");
  const auto signed_by = [&](int64_t who, const Advert& keys) {
    return sign(s, who, p.identities[who], keys);
  };
  Advert low = adverts.at(1).keys, same = adverts.at(1).keys;
  low.mask_key = Key{};
  EXPECT_NE(server.advertised(1, signed_by(1, low)).find("small order"), std::string::npos);
  low = adverts.at(1).keys, low.seal_key = Key{1};
  EXPECT_NE(server.advertised(1, signed_by(1, low)).find("small order"), std::string::npos);
  same.mask_key = adverts.at(0).keys.mask_key;
  EXPECT_NE(server.advertised(1, signed_by(1, same)).find("a key of agent 0"), std::string::npos);
  // Agents look through all keys of a round together, whatever each is for.
  Advert crossed = adverts.at(1).keys;
  crossed.seal_key = adverts.at(0).keys.mask_key;
  EXPECT_NE(server.advertised(1, signed_by(1, crossed)).find("a key of agent 0"), std::string::npos);
  crossed = adverts.at(1).keys, crossed.mask_key = crossed.seal_key;
  EXPECT_NE(server.advertised(1, signed_by(1, crossed)).find("one key twice"), std::string::npos);
  for (int64_t a = 1; a < s.agents; ++a) EXPECT_EQ(server.advertised(a, adverts.at(a)), "");
  EXPECT_FALSE(server.shares().ok());  // before its time
  EXPECT_TRUE(server.adverts().ok());
  EXPECT_FALSE(server.adverts().ok());  // nor twice
}

// ---- Letters as bytes.

TEST(Wire, ReadsWhatWasWrittenAndNothingElse) {
  const Setting s{5, 4, 3, 32, 9};
  Party p(s, 77);
  SignedAdverts adverts;
  for (int64_t a = 0; a < s.agents; ++a) adverts[a] = p.agents[a].advertise().value;
  const auto checked = CheckedAdverts::check(s, p.roster, adverts);
  Inboxes inboxes;
  for (int64_t a = 0; a < s.agents; ++a)
    for (const auto& [to, bytes] : p.agents[a].share(checked.value).value) inboxes[to][a] = bytes;
  const Introduction hello{true, p.roster.at(1)};
  Consents consents;
  for (int64_t a : {0, 2, 4}) consents[a] = adverts.at(a).signature;
  Revealed revealed;
  for (int64_t a : {0, 1, 3}) revealed.seed_shares[a] = {1, 2, 3, 4, static_cast<uint64_t>(a)};
  revealed.key_shares[2] = {5, 6, 7, 8, 9};
  const int64_t n = s.agents;
  // Each kind: its bytes, and whether bytes are read as it, and then written as the same.
  const std::vector<std::pair<Bytes, std::function<bool(const Bytes&)>>> kinds{
      {write(hello),
       [](const Bytes& b) {
         const auto x = read_introduction(b);
         return x && write(*x) == b;
       }},
      {write(adverts.at(2)),
       [](const Bytes& b) {
         const auto x = read_advert(b);
         return x && write(*x) == b;
       }},
      {write(adverts),
       [=](const Bytes& b) {
         const auto x = read_adverts(b, n);
         return x && write(*x) == b;
       }},
      {write(inboxes.at(3)),
       [=](const Bytes& b) {
         const auto x = read_shares(b, n);
         return x && write(*x) == b;
       }},
      {write(inboxes),
       [=](const Bytes& b) {
         const auto x = read_inboxes(b, n);
         return x && write(*x) == b;
       }},
      {write(Agents{0, 2, 4}, n),
       [=](const Bytes& b) {
         const auto x = read_survivors(b, n);
         return x && write(*x, n) == b;
       }},
      {write(consents.at(2)),
       [](const Bytes& b) {
         const auto x = read_consent(b);
         return x && write(*x) == b;
       }},
      {write(consents),
       [=](const Bytes& b) {
         const auto x = read_consents(b, n);
         return x && write(*x) == b;
       }},
      {write(revealed), [=](const Bytes& b) {
         const auto x = read_revealed(b, n);
         return x && x->seed_shares.size() + x->key_shares.size() <= 2 * size_t(n);
       }}};
  Draws d(Rng(3));
  for (const auto& [bytes, reads] : kinds) {
    EXPECT_TRUE(reads(bytes));
    for (int k = 0; k < 3000; ++k) {
      Bytes bent = bytes;
      if (d.below(3) == 0) bent.resize(d.below(static_cast<int64_t>(bent.size()) + 9));
      for (int64_t m = d.below(4); m > 0 && !bent.empty(); --m)
        bent[d.below(static_cast<int64_t>(bent.size()))] = d.word() & 255;
      reads(bent);  // and is not read past its end (asan)
    }
    Bytes longer = bytes;
    longer.push_back(0);
    EXPECT_FALSE(reads(longer));
  }
  EXPECT_EQ(read_revealed(write(revealed), n)->key_shares, revealed.key_shares);
  EXPECT_EQ(read_revealed(write(revealed), n)->seed_shares, revealed.seed_shares);
  // A number that nobody has, one twice, and out of order.
  for (const auto& who : std::vector<std::vector<uint32_t>>{{5}, {1, 1}, {2, 1}, {0xFFFFFFFF}}) {
    Bytes b;
    for (uint32_t a : who) {
      for (int i = 0; i < 4; ++i) b.push_back(static_cast<uint8_t>(a >> 8 * i));
      b.insert(b.end(), 64, 7);
    }
    EXPECT_FALSE(read_consents(b, n)) << who.back();
  }
}

TEST(Shamir, ThresholdSharesGiveTheKeyAndFewerGiveAnother) {
  const Key secret = key_of(77);
  const auto shares = split_key(secret, 10, 7, key_of(78));
  for (uint64_t seed = 0; seed < 30; ++seed) {
    std::map<int64_t, Share> some;
    for (int64_t i : Draws(Rng(seed)).choose(10, 7)) some[i] = shares[i];
    EXPECT_EQ(join_key(some, 7), secret);
    some.erase(some.begin());
    EXPECT_NE(join_key(some, 6), secret);
  }
}

TEST(Shamir, FewerSharesSayNothing) {
  // Two shares of three: their values are as uniform for one secret as for another.
  std::vector<uint64_t> first, second;
  for (uint64_t i = 0; i < 20000; ++i) {
    first.push_back(split_key(Key{}, 3, 3, key_of(i))[1][0]);
    second.push_back(split_key(key_of(5), 3, 3, key_of(i + 50000))[1][0]);
  }
  EXPECT_LT(std::abs(chi_squared(first, 61)), 5);
  EXPECT_LT(std::abs(chi_squared(second, 61)), 5);
}

}  // namespace
}  // namespace symma::secure
