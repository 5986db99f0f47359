// Secure sums equal plain sums with agents gone at every stage; single messages look like noise.
#include "symma/exchange/secure.h"

#include <gtest/gtest.h>

#include <cmath>

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

struct Round {
  Adverts adverts;
  Agents sharing, survivors;
  std::map<int64_t, Sealed> inbox;
  Sealed masked;
  std::map<int64_t, Revealed> revealed;
  Result<std::vector<uint64_t>> sum;
};

// The protocol with agents gone before each of its four messages.
Round run(const Setting& s, const std::vector<std::vector<uint64_t>>& x, const std::array<Agents, 4>& gone,
          uint64_t seed) {
  Round r;
  std::vector<Agent> agents;
  for (int64_t a = 0; a < s.agents; ++a) agents.emplace_back(s, a, key_of(1000 * seed + a));
  const auto here = [&](int64_t a, int stage) {
    for (int i = 0; i <= stage; ++i)
      if (gone[i].count(a)) return false;
    return true;
  };
  for (int64_t a = 0; a < s.agents; ++a)
    if (here(a, 0)) r.adverts[a] = agents[a].advertise();
  for (int64_t a = 0; a < s.agents; ++a) {
    if (!here(a, 1)) continue;
    const auto sealed = agents[a].share(r.adverts);
    EXPECT_TRUE(sealed.ok()) << sealed.fault;
    for (const auto& [to, bytes] : sealed.value) r.inbox[to][a] = bytes;
    r.sharing.insert(a);
  }
  for (int64_t a = 0; a < s.agents; ++a) {
    if (!here(a, 2)) continue;
    const auto masked = agents[a].mask(r.adverts, r.sharing, x[a]);
    EXPECT_TRUE(masked.ok()) << masked.fault;
    r.masked[a] = masked.value;
    r.survivors.insert(a);
  }
  for (int64_t a = 0; a < s.agents; ++a) {
    if (!here(a, 3)) continue;
    const auto revealed = agents[a].reveal(r.adverts, r.sharing, r.survivors, r.inbox[a]);
    if (revealed.ok()) r.revealed[a] = revealed.value;
  }
  r.sum = unmask(s, r.adverts, r.sharing, r.masked, r.revealed);
  return r;
}

TEST(SecureSum, IsExactWithAThirdGoneAtAnyStage) {
  for (int bits : {20, 32, 61, 64})
    for (uint64_t seed = 0; seed < 12; ++seed) {
      const int64_t n = 3 + static_cast<int64_t>(seed) % 4 * 3;
      const Setting s{n, Setting::two_thirds(n), 37, bits, seed};
      const auto x = inputs(s, seed);
      std::array<Agents, 4> gone;
      Draws d(Rng(seed).split("gone"));
      for (int64_t a : d.choose(n, n - s.threshold)) gone[seed < 4 ? seed : d.below(4)].insert(a);
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
  const Round r = run(s, x, {Agents{}, Agents{2}, Agents{4, 5}, Agents{}}, 7);
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

// Chi-squared of the highest byte of each number against uniform: mean 255, deviation sqrt(510).
double chi_squared(const std::vector<uint64_t>& numbers, int bits) {
  std::vector<double> counts(256, 0);
  for (uint64_t x : numbers) ++counts[x >> (bits - 8)];
  const double expected = static_cast<double>(numbers.size()) / 256;
  double sum = 0;
  for (double c : counts) sum += (c - expected) * (c - expected) / expected;
  return (sum - 255) / std::sqrt(510.);
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

TEST(SecureSum, EachMaskIsNeeded) {
  // Once all shares of seeds are known, a message is still masked pairwise: subtracting the self-mask alone
  // leaves noise.
  const Setting s{4, 3, 40000, 32, 4};
  const std::vector<std::vector<uint64_t>> x(4, std::vector<uint64_t>(s.size, 5));
  const Round r = run(s, x, {}, 21);
  ASSERT_TRUE(r.sum.ok());
  // A server that pretends agents 1..3 dropped out, to lay agent 0 bare, meets with a refusal.
  const Agent one(s, 1, key_of(1000 * 21 + 1));
  EXPECT_FALSE(one.reveal(r.adverts, r.sharing, {0}, r.inbox.at(1)).ok());
  // What agents do reveal never has both shares of one peer.
  for (const auto& [a, revealed] : r.revealed)
    for (const auto& [v, share] : revealed.seed_shares) EXPECT_EQ(revealed.key_shares.count(v), 0u);
  // A sum in which one vector is missing, though its agent shared, cannot be opened with the shares that were
  // revealed.
  Sealed fewer = r.masked;
  fewer.erase(2);
  EXPECT_FALSE(unmask(s, r.adverts, r.sharing, fewer, r.revealed).ok());
}

TEST(SecureSum, TooFewAgentsOrWrongMessagesAreFaults) {
  const Setting s{6, 4, 10, 32, 5};
  const auto x = inputs(s, 5);
  EXPECT_FALSE(run(s, x, {Agents{}, Agents{}, Agents{}, Agents{0, 1, 2}}, 31).sum.ok());
  Round r = run(s, x, {}, 32);
  const Agent one(s, 1, key_of(32001));
  auto inbox = r.inbox.at(1);
  inbox[3][5] ^= 1;
  EXPECT_NE(one.reveal(r.adverts, r.sharing, r.survivors, inbox).fault.find("agent 3"), std::string::npos);
  inbox.erase(3);
  EXPECT_FALSE(one.reveal(r.adverts, r.sharing, r.survivors, inbox).ok());
  auto wrong = r.revealed;
  wrong.begin()->second.seed_shares[2][0] ^= 1;
  EXPECT_NE(unmask(s, r.adverts, r.sharing, r.masked, wrong).fault.find("agent 2"), std::string::npos);
  auto cut = r.masked;
  cut[4].pop_back();
  EXPECT_NE(unmask(s, r.adverts, r.sharing, cut, r.revealed).fault.find("agent 4"), std::string::npos);
  Adverts low = r.adverts;
  low[2].mask_key = Key{};
  EXPECT_NE(one.mask(low, r.sharing, x[1]).fault.find("agent 2"), std::string::npos);
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
