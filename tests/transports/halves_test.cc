// Parts of a fleet that exchange by letters are the whole fleet, bit for bit: every way to exchange, in two
// and three parts, whose agents do not even stand side by side.
#include <gtest/gtest.h>

#include <ATen/Parallel.h>

#include <thread>

#include "fleet/fleets.h"
#include "fleet/ways.h"
#include "symma/transports/hall.h"

namespace symma {
namespace {

using Parts = std::vector<std::vector<int64_t>>;

// What each of five agents does between two exchanges.
Tensor step(int64_t round, at::ScalarType type) {
  return 0.3 * normal(Rng(11).split("round", static_cast<uint64_t>(round)), {5, 31}, type);
}

struct Ended {
  Tensor rows;
  ExchangeState state;
};

Ended whole(const Experiment& e, const Tensor& start, int64_t rounds) {
  Ended out{start, exchange_start(e.exchange, start)};
  for (int64_t k = 0; k < rounds; ++k)
    out.rows = exchange(e.exchange, out.state, out.rows + step(k, start.scalar_type()), e.exchange_key());
  return out;
}

Ended in_parts(const Experiment& e, const Tensor& start, int64_t rounds, const Parts& parts) {
  Hall hall(parts, 20);
  const ExchangeState all = exchange_start(e.exchange, start);
  std::vector<ExchangeState> states;
  for (const auto& ids : parts) states.push_back(part_of(e.exchange, all, ids));
  std::vector<Tensor> ended(parts.size());
  std::vector<std::thread> threads;
  for (size_t p = 0; p < parts.size(); ++p) {
    threads.emplace_back([&, p] {
      at::set_num_threads(1);
      const auto seat = hall.seat(p);
      const Tensor mine = at::tensor(parts[p], at::kLong);
      Tensor rows = start.index_select(0, mine);
      for (int64_t k = 0; k < rounds; ++k)
        rows = exchange(e.exchange, states[p], rows + step(k, start.scalar_type()).index_select(0, mine),
                        e.exchange_key(), seat.get());
      ended[p] = rows;
    });
  }
  for (auto& t : threads) t.join();
  Ended out{at::empty_like(start), join(e.exchange, states)};
  for (size_t p = 0; p < parts.size(); ++p)
    out.rows.index_copy_(0, at::tensor(parts[p], at::kLong), ended[p]);
  return out;
}

class EveryWay : public testing::TestWithParam<Json> {};
INSTANTIATE_TEST_SUITE_P(Registry, EveryWay, testing::ValuesIn(every_way()));

TEST_P(EveryWay, InPartsIsTheWhole) {
  const Experiment e = fleet(GetParam());
  std::vector<Parts> cuts{{{1, 2}, {0, 3}, {4}}};
  // Three with the server would leave one beside them where a message is lost, whose row a sum is then not
  // to give away.
  cuts.push_back(e.exchange.server.secure ? Parts{{0, 2}, {1, 3, 4}} : Parts{{0, 2, 4}, {1, 3}});
  for (const auto type : {at::kFloat, at::kDouble}) {
    const Tensor start = normal(Rng(3), {1, 31}, type).repeat({5, 1});
    const Ended one = whole(e, start, 6);
    for (const Parts& parts : cuts) {
      const Ended many = in_parts(e, start, 6, parts);
      EXPECT_TRUE(same(one.rows, many.rows)) << type << " " << parts.size();
      EXPECT_EQ(one.state.bits, many.state.bits);
      expect_same(kept(one.state), kept(many.state));
    }
  }
}

// A part goes on where a whole fleet stopped, and the other way round.
TEST_P(EveryWay, PartsGoOnWhereTheWholeStopped) {
  const Experiment e = fleet(GetParam());
  const Tensor start = normal(Rng(3), {1, 31}).repeat({5, 1});
  const ExchangeState middle = whole(e, start, 3).state;
  std::vector<ExchangeState> parts;
  for (const auto& ids : Parts{{0, 2, 4}, {1, 3}}) parts.push_back(part_of(e.exchange, middle, ids));
  const ExchangeState again = join(e.exchange, parts);
  EXPECT_EQ(again.bits, middle.bits);
  expect_same(kept(again), kept(middle));
}

// What is known of an agent is held as it travels: whoever missed something hears it again, whole, to the
// bit.
TEST(Known, IsOfTheFleetsType) {
  for (const char* way :
       {R"({"exchange": {"topology": "full"}, "compression": {"kind": "top_k", "gamma": 0.5}})",
        R"({"exchange": {"topology": "full", "payload": "updates"}, "privacy": {"unit": "agent"},
            "compression": {"kind": "random_k", "gamma": 0.5}, "faults": {"lost": 0.5}})",
        R"({"exchange": {"topology": "star"}, "compression": {"kind": "top_k"}})"}) {
    const Experiment e = fleet(Json::parse(way));
    const ExchangeState end = whole(e, normal(Rng(3), {1, 31}).repeat({5, 1}), 6).state;
    for (const Tensor& known : {end.sender.known, end.server.known}) {
      if (!known.defined()) continue;
      EXPECT_TRUE(known.any().item<bool>());
      EXPECT_TRUE(known.equal(known.to(at::kFloat).to(at::kDouble))) << way;
    }
  }
}

}  // namespace
}  // namespace symma
