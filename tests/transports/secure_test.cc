// Secure sums whose agents live in other processes than the server: with processes killed before each message
// of the protocol the sum is exact or there is none; and a server's process that keeps all it hears learns
// nothing of a single row. In threads with letters by hand, and in processes over ZeroMQ that are really
// killed.
#include <gtest/gtest.h>

#include <ATen/Parallel.h>

#include <atomic>
#include <csignal>
#include <set>
#include <thread>
#include <tuple>

#include "cli/program.h"
#include "exchange/uniform.h"
#include "fleet/fleets.h"
#include "symma/exchange/messages.h"
#include "symma/exchange/secure_wire.h"
#include "symma/transports/envelope.h"
#include "symma/transports/hall.h"
#include "symma/transports/zmq.h"
#include "transports/ports.h"

namespace symma {
namespace {

using Kind = Letter::Kind;
using Parts = std::vector<std::vector<int64_t>>;
using secure::Agents;

const Parts kParts{{0, 1}, {2, 3}, {4, 5}};
constexpr int64_t kAgents = 6, kRounds = 4, kWhen = 2;  // processes are killed in the exchange of this number
const std::vector<Kind> kUp{Kind::kKnown,  Kind::kAdvert,  Kind::kShares,
                            Kind::kMasked, Kind::kConsent, Kind::kReveal};
const Agents kAll{0, 1, 2, 3, 4, 5}, kFour{0, 1, 2, 3};

Experiment secure_fleet(const char* more = "{}") {
  Json sections = Json::parse(more);
  sections["agents"] = kAgents;
  sections["exchange"]["topology"] = "star";
  sections["server"]["secure"] = true;
  Experiment e = fleet(sections);
  e.exchange.letters_may_be_lost = true;
  return e;
}

Tensor start(int64_t columns) {
  return normal(Rng(3), {1, columns}).repeat({kAgents, 1});
}
Tensor step(int64_t round, int64_t columns) {
  return 0.01 * normal(Rng(11).split("round", static_cast<uint64_t>(round)), {kAgents, columns});
}

// What all have after each exchange, by plain sums of whole numbers of the rows of those named; of nobody
// where there is no sum.
std::vector<Tensor> plainly(const std::vector<Agents>& sums, int64_t columns) {
  const secure::FixedPoint fixed{.range = 8, .precision = 24};
  const int bits = fixed.bits(kAgents);
  Tensor rows = start(columns), server = rows.to(at::kDouble).mean(0);
  std::vector<Tensor> out;
  for (size_t k = 0; k < sums.size(); ++k) {
    rows = rows + step(static_cast<int64_t>(k), columns);
    std::vector<uint64_t> sum(columns, 0);
    for (int64_t a : sums[k]) {
      const auto x = fixed.encode(rows[a], kAgents);
      for (int64_t i = 0; i < columns; ++i) sum[i] = (sum[i] + x[i]) & secure::low_bits(bits);
    }
    if (!sums[k].empty()) server = fixed.decode(sum, kAgents) / static_cast<double>(sums[k].size());
    rows = server.to(at::kFloat).unsqueeze(0).repeat({kAgents, 1});
    out.push_back(rows[0]);
  }
  return out;
}

struct Gone {};

// Letters of one that dies before the message of this kind of its first agent, or of its second.
class Dies final : public Transport {
 public:
  Dies(Transport& letters, Kind kind, int64_t nth, std::function<void()> die)
      : letters_(letters), kind_(kind), nth_(nth), die_(std::move(die)) {}
  Roster roster() override { return letters_.roster(); }
  void send(Letter letter) override {
    if (letter.round == kWhen && letter.kind == kind_ && nth_-- == 0) die_();
    letters_.send(std::move(letter));
  }
  Post collect(Kind kind, int64_t round, std::span<const int64_t> from) override {
    return letters_.collect(kind, round, from);
  }

 private:
  Transport& letters_;
  Kind kind_;
  int64_t nth_;
  std::function<void()> die_;
};

// Letters of one that forgets nothing that it hears.
class Keeps final : public Transport {
 public:
  Keeps(Transport& letters, std::vector<Letter>& heard) : letters_(letters), heard_(heard) {}
  Roster roster() override { return letters_.roster(); }
  void send(Letter letter) override { letters_.send(std::move(letter)); }
  Post collect(Kind kind, int64_t round, std::span<const int64_t> from) override {
    Post post = letters_.collect(kind, round, from);
    heard_.insert(heard_.end(), post.came.begin(), post.came.end());
    return post;
  }

 private:
  Transport& letters_;
  std::vector<Letter>& heard_;
};

// One process's part: its first row after each exchange.
std::vector<Tensor> part_of_fleet(const Experiment& e, const std::vector<int64_t>& ids, int64_t columns,
                                  Transport& letters) {
  const Tensor all = start(columns), mine = at::tensor(ids, at::kLong);
  ExchangeState state = part_of(e.exchange, exchange_start(e.exchange, all), ids);
  Tensor rows = all.index_select(0, mine);
  std::vector<Tensor> out;
  for (int64_t k = 0; k < kRounds; ++k) {
    rows = exchange(e.exchange, state, rows + step(k, columns).index_select(0, mine), e.exchange_key(),
                    &letters);
    for (int64_t i = 1; i < rows.size(0); ++i) EXPECT_TRUE(rows[i].equal(rows[0]));
    out.push_back(rows[0]);
  }
  return out;
}

// In threads; `wrap` gives a part other letters.
struct Threads {
  Hall hall{kParts, 60};
  std::vector<std::vector<Tensor>> ended{kParts.size()};
  void run(const Experiment& e, int64_t columns,
           const std::function<std::unique_ptr<Transport>(size_t part, Transport&)>& wrap) {
    std::vector<std::thread> threads;
    for (size_t p = 0; p < kParts.size(); ++p)
      threads.emplace_back([&, p] {
        at::set_num_threads(1);
        const auto seat = hall.seat(p);
        const auto mine = wrap(p, *seat);
        try {
          ended[p] = part_of_fleet(e, kParts[p], columns, mine ? *mine : *seat);
        } catch (const Gone&) {
          hall.leave(p);
        }
      });
    for (auto& t : threads) t.join();
  }
};

void expect_rows(const std::vector<Tensor>& is, const std::vector<Tensor>& right, const std::string& where) {
  ASSERT_EQ(is.size(), right.size()) << where;
  for (size_t k = 0; k < right.size(); ++k) EXPECT_TRUE(is[k].equal(right[k])) << where << ", exchange " << k;
}

// Whose vectors are in the sum when two of six are killed before the message of this kind of the first of
// them, or of the second.
Agents in_sum(Kind kind, int64_t nth) {
  if (kind == Kind::kConsent || kind == Kind::kReveal) return kAll;
  return kind == Kind::kMasked && nth == 1 ? Agents{0, 1, 2, 3, 4} : kFour;
}

TEST(SecureParts, AThirdKilledAtAnyStageGivesTheExactSum) {
  const Experiment e = secure_fleet();
  for (const Kind kind : kUp)
    for (const int64_t nth : {0, 1}) {
      Threads threads;
      threads.run(e, 37, [&](size_t part, Transport& seat) {
        return part == 2 ? std::make_unique<Dies>(seat, kind, nth, [] { throw Gone{}; }) : nullptr;
      });
      const auto right = plainly({kAll, in_sum(kind, nth), kFour, kFour}, 37);
      const std::string where =
          "kind " + std::to_string(static_cast<int>(kind)) + ", agent " + std::to_string(nth);
      for (const size_t p : {0, 1}) expect_rows(threads.ended[p], right, where);
    }
}

TEST(SecureParts, MoreThanAThirdKilledGivesNone) {
  const Experiment e = secure_fleet();
  for (const Kind kind : kUp) {
    Threads threads;
    threads.run(e, 37, [&](size_t part, Transport& seat) {
      return part > 0 ? std::make_unique<Dies>(seat, kind, 0, [] { throw Gone{}; }) : nullptr;
    });
    expect_rows(threads.ended[0], plainly({kAll, {}, {}, {}}, 37), std::to_string(static_cast<int>(kind)));
  }
}

// Of one agent a letter does not come, of the exchange kWhen and one kind. And nobody says a thing twice to a
// process: it would hear the one or the other.
class Misses final : public Transport {
 public:
  Misses(Transport& letters, Kind kind, int64_t of) : letters_(letters), kind_(kind), of_(of) {}
  Roster roster() override { return letters_.roster(); }
  void send(Letter letter) override {
    std::set<size_t> parts;
    for (int64_t to : letter.to) parts.insert(to == kAgents ? 0 : static_cast<size_t>(to / 2));
    for (size_t p : parts)
      EXPECT_TRUE(said_.emplace(letter.kind, letter.round, letter.from, p).second)
          << "kind " << static_cast<int>(letter.kind) << " from " << letter.from << " to part " << p;
    letters_.send(std::move(letter));
  }
  Post collect(Kind kind, int64_t round, std::span<const int64_t> from) override {
    Post post = letters_.collect(kind, round, from);
    if (kind == kind_ && round == kWhen &&
        std::erase_if(post.came, [&](const Letter& l) { return l.from == of_; }))
      post.missing.push_back(of_);
    return post;
  }

 private:
  Transport& letters_;
  const Kind kind_;
  const int64_t of_;
  std::set<std::tuple<Kind, int64_t, int64_t, size_t>> said_;
};

// A letter of one agent is lost, while those of another that lives with it come. On the old code the server
// said two things then to their process, whose other agent fell out of the sum or not, now this and now that.
TEST(SecureParts, ALetterOfOneThatDoesNotComeCostsItAlone) {
  const Experiment e = secure_fleet();
  for (const Kind kind : kUp) {
    const bool in_it = kind == Kind::kConsent || kind == Kind::kReveal;
    const auto right = plainly({kAll, in_it ? kAll : Agents{0, 1, 2, 3, 4}, kAll, kAll}, 37);
    for (int k = 0; k < 10; ++k) {
      Threads threads;
      threads.run(e, 37, [&](size_t part, Transport& seat) {
        return std::make_unique<Misses>(seat, part == 0 ? kind : Kind::kScene, 5);
      });
      for (const size_t p : {0, 1, 2})
        expect_rows(threads.ended[p], right, "kind " + std::to_string(static_cast<int>(kind)));
    }
  }
}

// An agent's process that sends the server garbage, of any stage.
class Garbles final : public Transport {
 public:
  Garbles(Transport& letters, Rng rng) : letters_(letters), draws_(rng) {}
  Roster roster() override { return letters_.roster(); }
  void send(Letter letter) override {
    if (letter.kind >= Kind::kKnown && !letter.bytes.empty() && draws_.uniform() < 0.5) {
      const int64_t size = static_cast<int64_t>(letter.bytes.size());
      switch (draws_.below(4)) {
        case 0:
          letter.bytes.resize(draws_.below(size));
          break;
        case 1:
          letter.bytes.resize(size + 1 + draws_.below(200));
          break;
        default:
          for (int64_t n = 1 + draws_.below(8); n > 0; --n)
            letter.bytes[draws_.below(size)] = static_cast<uint8_t>(draws_.word());
      }
    }
    letters_.send(std::move(letter));
  }
  Post collect(Kind kind, int64_t round, std::span<const int64_t> from) override {
    return letters_.collect(kind, round, from);
  }

 private:
  Transport& letters_;
  Draws draws_;
};

TEST(SecureParts, GarbageCostsItsSenderAlone) {
  const Experiment e = secure_fleet();
  const int64_t columns = 5;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Threads threads;
    threads.run(e, columns, [&](size_t part, Transport& seat) {
      return part == 2 ? std::make_unique<Garbles>(seat, Rng(seed)) : nullptr;
    });
    // Each exchange is the exact sum of the four others and some of the two, or none; a vector that was bent
    // moves it, but by what it holds alone.
    for (const size_t p : {0, 1}) {
      ASSERT_EQ(threads.ended[p].size(), static_cast<size_t>(kRounds));
      for (const Tensor& row : threads.ended[p]) EXPECT_LT(row.abs().max().item<double>(), 8 * kAgents);
    }
    expect_rows(threads.ended[0], threads.ended[1], "seed " + std::to_string(seed));
  }
}

// What a server's process with agents 0 and 1 can make of all that it has heard in one exchange: with the
// shares that were revealed, and those that its own agents hold, it takes off the self-masks of all who
// stayed and the masks of all who dropped out; and those that its own agents know. `e` has its keys from the
// seed, so that the test knows these, too.
struct Made {
  std::map<int64_t, std::vector<uint64_t>> bare;  // of agents elsewhere
  int bits = 0;
};
Made made_of(const Experiment& e, const std::vector<Letter>& heard, int64_t exchange, int64_t columns) {
  const secure::FixedPoint fixed{.range = 8, .precision = 24};
  Made out;
  out.bits = fixed.bits(kAgents);
  const auto round = static_cast<uint64_t>(exchange - 1);
  const secure::Setting setting{kAgents, 4, columns, out.bits, round, 4};
  const auto root = Noise::of_seed(e.exchange_key().split("period", round).split("secure")).key();
  const auto secret = [&](int64_t own, const char* what) {
    return secure::derive(secure::derive(root, "agent", static_cast<uint64_t>(own)), what);
  };
  using Shares = std::map<int64_t, std::map<int64_t, secure::Share>>;  // by whose they are, then by holder
  Shares seeds, keys, told_seeds, told_keys;
  std::map<int64_t, secure::Advert> adverts;
  for (const Letter& l : heard) {
    if (l.round != exchange) continue;
    EXPECT_TRUE(std::find(kUp.begin(), kUp.end(), l.kind) != kUp.end()) << static_cast<int>(l.kind);
    if (l.kind == Kind::kAdvert) adverts[l.from] = secure::read_advert(l.bytes).value().keys;
    if (l.kind == Kind::kMasked && !l.bytes.empty())
      out.bare[l.from] = secure::unpack(setting, l.bytes).value;
    if (l.kind == Kind::kShares) {
      const secure::Sealed shares = secure::read_shares(l.bytes, kAgents).value();
      for (const int64_t own : {0, 1}) {
        secure::Key key;
        secure::Shares both;
        EXPECT_TRUE(
            secure::agree(secret(own, "seal"), adverts.at(l.from).seal_key, "seal", round, l.from, own, key));
        EXPECT_TRUE(secure::open(shares.at(own), key, both));
        seeds[l.from][own] = both.seed, keys[l.from][own] = both.key;
      }
    }
    if (l.kind == Kind::kReveal) {
      const auto r = secure::read_revealed(l.bytes, kAgents).value();
      for (const auto& [of, share] : r.seed_shares) seeds[of][l.from] = told_seeds[of][l.from] = share;
      for (const auto& [of, share] : r.key_shares) keys[of][l.from] = told_keys[of][l.from] = share;
    }
  }
  for (const auto& [of, shares] : told_keys) EXPECT_FALSE(told_seeds.contains(of)) << "both shares of " << of;
  const auto take_off = [&](std::vector<uint64_t>& numbers, int64_t u, int64_t v, const secure::Key& theirs) {
    secure::Key key;
    EXPECT_TRUE(secure::mask_key(theirs, adverts.at(u).mask_key, round, u, v, key));
    secure::add_stream(key, u < v, numbers);
  };
  for (auto& [u, numbers] : out.bare) {
    if (seeds[u].size() >= 4)
      secure::add_stream(secure::derive(secure::join_key(seeds[u], 4), "stream"), true, numbers);
    for (const int64_t own : {0, 1}) take_off(numbers, u, own, secret(own, "mask"));
    for (const auto& [v, shares] : keys)
      if (v != u && shares.size() >= 4) take_off(numbers, u, v, secure::join_key(shares, 4));
    for (uint64_t& x : numbers) x &= secure::low_bits(out.bits);
  }
  return out;
}

bool contains(const Bytes& all, const Bytes& part) {
  return std::search(all.begin(), all.end(), part.begin(), part.end()) != all.end();
}

// The rows of one exchange: nothing that was heard holds one, and no sum of some of those elsewhere can be
// made of it but that of all who stayed.
void expect_nothing_single(const Experiment& e, const std::vector<Letter>& heard, int64_t exchange,
                           const Tensor& rows, const Agents& stayed) {
  const int64_t columns = rows.size(1);
  const secure::FixedPoint fixed{.range = 8, .precision = 24};
  for (int64_t a = 2; a < kAgents; ++a) {
    BitWriter whole;
    const auto numbers = fixed.encode(rows[a], kAgents);
    for (int64_t i = 0; i < 8; ++i) whole.put(numbers[i], fixed.bits(kAgents));
    const Bytes as_numbers = whole.take(), as_float = bytes_of_row(rows[a].narrow(0, 0, 4), at::kFloat),
                as_double = bytes_of_row(rows[a].narrow(0, 0, 4), at::kDouble);
    for (const Letter& l : heard)
      EXPECT_FALSE(contains(l.bytes, as_numbers) || contains(l.bytes, as_float) ||
                   contains(l.bytes, as_double));
  }
  const Made m = made_of(e, heard, exchange, columns);
  std::vector<int64_t> elsewhere;
  for (const auto& [u, numbers] : m.bare) elsewhere.push_back(u);
  Agents others = stayed;
  others.erase(0), others.erase(1);
  ASSERT_EQ(Agents(elsewhere.begin(), elsewhere.end()), others);
  const size_t all = (size_t{1} << elsewhere.size()) - 1;
  for (size_t some = 1; some <= all; ++some) {
    std::vector<uint64_t> sum(columns, 0), plain(columns, 0);
    for (size_t k = 0; k < elsewhere.size(); ++k) {
      if ((some >> k & 1) == 0) continue;
      const auto x = fixed.encode(rows[elsewhere[k]], kAgents);
      for (int64_t i = 0; i < columns; ++i) sum[i] += m.bare.at(elsewhere[k])[i], plain[i] += x[i];
    }
    for (auto* v : {&sum, &plain})
      for (uint64_t& x : *v) x &= secure::low_bits(m.bits);
    EXPECT_GT(chi_squared(plain, m.bits), 100) << "the test can tell";
    if (some == all) {
      EXPECT_EQ(sum, plain) << "and takes off all that can be taken off";
    } else {
      EXPECT_LT(std::abs(chi_squared(sum, m.bits)), 5) << some;
    }
  }
}

TEST(SecureParts, TheServersMemoryHoldsNothingSingle) {
  const Experiment e = secure_fleet(R"({"privacy": {"noise_key": "seed"}})");
  const int64_t columns = 20000;
  Threads threads;
  std::vector<Letter> heard;
  threads.run(e, columns, [&](size_t part, Transport& seat) {
    return part == 0 ? std::make_unique<Keeps>(seat, heard) : nullptr;
  });
  const auto after = plainly({kAll, kAll, kAll, kAll}, columns);
  for (const auto& ended : threads.ended) expect_rows(ended, after, "a whole fleet");
  Tensor rows = start(columns) + step(0, columns);
  for (int64_t k = 1; k <= kRounds; ++k) {
    expect_nothing_single(e, heard, k, rows, kAll);
    if (k < kRounds) rows = after[k - 1].unsqueeze(0) + step(k, columns);
  }
}

// ---- In processes of their own, which are really killed. A child is this program again.

constexpr int64_t kColumns = 4000;
constexpr const char* kChild = "SYMMA_SECURE_CHILD";

TEST(Child, IsStartedByTheTestsBelow) {
  const char* words = std::getenv(kChild);
  if (words == nullptr) GTEST_SKIP() << "is started by the tests below";
  std::istringstream in(words);
  int64_t place = 0, port = 0;
  int kind = 0;
  in >> place >> port >> kind;
  at::set_num_threads(1);
  const auto lines =
      meet({place, kParts, "127.0.0.1", port, "a secret of this test alone, for its processes", 1, 60});
  std::vector<Letter> heard;
  Keeps keeps(*lines, heard);
  Dies dies(keeps, static_cast<Kind>(kind), kind > 0 ? 0 : -1, [] { ::raise(SIGKILL); });
  const Experiment e = secure_fleet(R"({"privacy": {"noise_key": "seed"}})");
  const Tensor rows = at::stack(part_of_fleet(e, kParts[place], kColumns, dies));
  program::spill("./rows-" + std::to_string(place),
                 std::string(static_cast<const char*>(rows.data_ptr()), rows.nbytes()));
  Bytes letters;
  for (const Letter& l : heard) put_letter(letters, l);
  const Bytes message = sealed(place, 0, letters);
  program::spill("./heard-" + std::to_string(place), std::string(message.begin(), message.end()));
}

class SecureProcess : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Stages, SecureProcess, testing::ValuesIn(kUp));

std::unique_ptr<program::Process> child(const program::TempDir& at, int64_t place, int64_t port, int kind) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  return std::make_unique<program::Process>(
      program::Words{"env", fmt::format("{}={} {} {}", kChild, place, port, kind), self,
                     "--gtest_filter=Child.*"},
      at.path());
}

std::vector<Tensor> rows_of(const program::TempDir& at, int64_t place) {
  const std::string bytes = program::slurp(at / ("rows-" + std::to_string(place)));
  EXPECT_EQ(bytes.size(), kRounds * kColumns * sizeof(float));
  std::vector<Tensor> out;
  for (int64_t k = 0; k < kRounds && bytes.size() == kRounds * kColumns * sizeof(float); ++k) {
    out.push_back(at::empty({kColumns}, at::kFloat));
    std::memcpy(out.back().data_ptr(), bytes.data() + k * kColumns * sizeof(float), kColumns * sizeof(float));
  }
  return out;
}

// A third of the agents is killed before the message of this stage: the sum is exact, then and later, and the
// server's process has heard nothing single.
TEST_P(SecureProcess, KilledGivesTheExactSumAndTheServerNothingSingle) {
  program::TempDir at;
  const int64_t where = free_port();
  std::vector<std::unique_ptr<program::Process>> all;
  for (int64_t p = 0; p < 3; ++p)
    all.push_back(child(at, p, where, p == 2 ? static_cast<int>(GetParam()) : 0));
  EXPECT_EQ(all[2]->wait().signal, SIGKILL);
  for (int64_t p = 0; p < 2; ++p) {
    const auto r = all[p]->wait();
    EXPECT_EQ(r.code, 0) << r.out << r.err;
  }
  const std::vector<Agents> stayed{kAll, in_sum(GetParam(), 0), kFour, kFour};
  const auto right = plainly(stayed, kColumns);
  for (const int64_t p : {0, 1}) expect_rows(rows_of(at, p), right, "process " + std::to_string(p));
  const std::string bytes = program::slurp(at / "heard-0");
  const auto opened = open({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, 3, kAgents + 1);
  ASSERT_TRUE(opened);
  const Experiment e = secure_fleet(R"({"privacy": {"noise_key": "seed"}})");
  Tensor rows = start(kColumns) + step(0, kColumns);
  for (int64_t k = 1; k <= kRounds; ++k) {
    expect_nothing_single(e, opened->letters, k, rows, stayed[k - 1]);
    if (k < kRounds) rows = right[k - 1].unsqueeze(0) + step(k, kColumns);
  }
}

// More than a third: none.
TEST_P(SecureProcess, TwoKilledGiveNone) {
  program::TempDir at;
  const int64_t where = free_port();
  std::vector<std::unique_ptr<program::Process>> all;
  for (int64_t p = 0; p < 3; ++p)
    all.push_back(child(at, p, where, p > 0 ? static_cast<int>(GetParam()) : 0));
  for (const int64_t p : {1, 2}) EXPECT_EQ(all[p]->wait().signal, SIGKILL);
  const auto r = all[0]->wait();
  EXPECT_EQ(r.code, 0) << r.out << r.err;
  expect_rows(rows_of(at, 0), plainly({kAll, {}, {}, {}}, kColumns), "the server");
}

}  // namespace
}  // namespace symma
