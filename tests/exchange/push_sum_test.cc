// Push-sum keeps the mean of all rows, whatever becomes of messages, and leads all agents to it.
#include <gtest/gtest.h>

#include <ATen/Parallel.h>

#include <chrono>
#include <thread>

#include "symma/exchange/exchange.h"
#include "symma/transports/free_running.h"
#include "symma/transports/hall.h"

namespace symma {
namespace {

constexpr int64_t kAgents = 6, kColumns = 5;

Exchange on_a_graph(const std::string& strategy, const FaultOptions& faults = {}) {
  Exchange x;
  x.options.strategy = strategy;
  x.faults = faults;
  const Json edges{{0, 1}, {0, 2}, {1, 2}, {2, 3}, {2, 4}, {3, 4}, {4, 5}};  // degrees of 1 to 4
  x.graph = make<TopologyRegistry>("edges", {{"edges", edges}})->build(kAgents, Rng(1));
  x.weights = neighbours(x.graph);
  return x;
}

Tensor drawn() {
  return normal(Rng(3), {kAgents, kColumns}, at::kDouble);
}

// The mass of all agents, and of what is under way: [Q + 1].
Tensor all_mass(const ExchangeState& s, const Tensor& rows) {
  const Tensor own = at::cat({rows * s.push.weight, s.push.weight}, 1).sum(0);
  return own + s.push.pushed.sum(0) - s.push.taken.sum(0);
}

TEST(PushSum, NeitherMakesNorLosesMass) {
  FaultOptions faults;
  faults.lost = 0.3, faults.late = 0.3, faults.doubled = 0.2, faults.reordered = 0.5;
  const Exchange x = on_a_graph("push-sum", faults);
  Tensor rows = drawn();
  ExchangeState s = exchange_start(x, rows);
  const Tensor begun = all_mass(s, rows);
  EXPECT_TRUE(begun.narrow(0, 0, kColumns).allclose(rows.sum(0), 1e-12, 1e-12));
  for (int k = 0; k < 300; ++k) {
    rows = exchange(x, s, rows, Rng(4));
    ASSERT_LE((all_mass(s, rows) - begun).abs().max().item<double>(), 1e-10) << k;
    ASSERT_GT(s.push.weight.min().item<double>(), 0) << k;
  }
}

// What a lost message would have brought the next one brings: all end at the mean that they began with. Plain
// mixing agrees, too, and somewhere else.
TEST(PushSum, LeadsToTheMeanThoughMessagesAreLost) {
  FaultOptions faults;
  faults.lost = 0.3;
  const auto away = [&](const std::string& strategy) {
    const Exchange x = on_a_graph(strategy, faults);
    Tensor rows = drawn();
    const Tensor mean = rows.mean(0);
    ExchangeState s = exchange_start(x, rows);
    for (int k = 0; k < 600; ++k) rows = exchange(x, s, rows, Rng(4));
    EXPECT_LT(disagreement(rows), 1e-12) << strategy;
    return (rows - mean).abs().max().item<double>();
  };
  EXPECT_LT(away("push-sum"), 1e-6);
  EXPECT_GT(away("adapt-then-combine"), 1e-3);
}

// Without faults: mass <- A mass, where agent j keeps, and gives each neighbour, 1 / (degree + 1) of its own.
TEST(PushSum, IsItsMatrix) {
  const Exchange x = on_a_graph("push-sum");
  Tensor a = at::eye(kAgents, at::kDouble);
  for (const auto& [i, j] : x.graph.edges) a[i][j] = 1, a[j][i] = 1;
  a = a / a.sum(0, true);
  Tensor rows = drawn(), mass = at::cat({rows, at::ones({kAgents, 1}, at::kDouble)}, 1);
  ExchangeState s = exchange_start(x, rows);
  for (int k = 0; k < 20; ++k) {
    // An agent's own step moves its row by as much, whatever its weight.
    const Tensor step = 0.1 * normal(Rng(7).split("step", k), rows.sizes(), at::kDouble);
    rows = exchange(x, s, rows + step, Rng(4));
    const Tensor weight = mass.narrow(1, kColumns, 1);
    mass = a.mm(at::cat({mass.narrow(1, 0, kColumns) + step * weight, weight}, 1));
    const Tensor right = mass.narrow(1, 0, kColumns) / mass.narrow(1, kColumns, 1);
    ASSERT_LE((rows - right).abs().max().item<double>(), 1e-12) << k;
  }
}

// A neighbour that is gone gets nothing after the first time: it would drain those who stay.
TEST(PushSum, NobodyIsDrainedByOneWhoIsGone) {
  const Exchange x = on_a_graph("push-sum");
  const std::vector<std::vector<int64_t>> parts{{0, 1, 2}, {3, 4, 5}};
  Hall hall(parts, 5);
  hall.leave(1);
  const Tensor start = drawn();
  ExchangeState s = part_of(x, exchange_start(x, start), parts[0]);
  Tensor rows = start.narrow(0, 0, 3);
  const auto seat = hall.seat(0);
  for (int k = 0; k < 2000; ++k) rows = exchange(x, s, rows, Rng(4), seat.get());
  EXPECT_TRUE(rows.isfinite().all().item<bool>());
  EXPECT_GT(s.push.weight.min().item<double>(), 0.3);
  EXPECT_LT(disagreement(rows), 1e-20);
}

// Two parts, of which the second says and the first hears.
struct Pair {
  explicit Pair(double patience)
      : hall({{0}, {1}}, patience),
        first(hall.seat(0)),
        second(hall.seat(1)),
        free(*first, dynamic_cast<Newest&>(*first), 5) {}
  void say(int64_t round) { second->send({1, {0}, round, Letter::Kind::kSaid, Bytes(8)}); }
  // Of what is heard in this round; -1 where it is nothing.
  int64_t heard(int64_t round) {
    const int64_t from = 1;
    const Post post = free.collect(Letter::Kind::kSaid, round, {&from, 1});
    return post.came.empty() ? -1 : post.came[0].round;
  }
  Hall hall;
  std::unique_ptr<Transport> first, second;
  FreeRunning free;
};

TEST(FreeRunning, TakesTheNewestThatIsNotTooOld) {
  Pair pair(0.1);
  EXPECT_EQ(pair.heard(1), -1);  // nothing yet, and nothing too old
  for (const int64_t round : {1, 2, 3}) pair.say(round);
  EXPECT_EQ(pair.heard(2), 3);
  EXPECT_EQ(pair.heard(3), 3);  // it stays
  EXPECT_EQ(pair.heard(8), 3);
  EXPECT_EQ(pair.heard(9), -1);  // too old, and patience is over
}

TEST(FreeRunning, WaitsForWhatIsTooOld) {
  Pair pair(60);
  pair.say(3);
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    pair.say(7);
  });
  EXPECT_EQ(pair.heard(9), 7);
  later.join();
}

// Parts that go at speeds of their own lose no mass, and agree.
TEST(FreeRunning, KeepsTheMeanAtAnySpeed) {
  const Exchange x = on_a_graph("push-sum");
  const std::vector<std::vector<int64_t>> parts{{0, 1}, {2, 3}, {4, 5}};
  Hall hall(parts, 20);
  const Tensor start = drawn();
  const ExchangeState all = exchange_start(x, start);
  std::vector<ExchangeState> states;
  states.reserve(parts.size());
  for (const auto& ids : parts) states.push_back(part_of(x, all, ids));
  std::vector<Tensor> ended(parts.size());
  std::vector<std::thread> threads;
  for (size_t p = 0; p < parts.size(); ++p)
    threads.emplace_back([&, p] {
      at::set_num_threads(1);
      const auto seat = hall.seat(p);
      FreeRunning free(*seat, dynamic_cast<Newest&>(*seat), 8);
      Tensor rows = start.index_select(0, at::tensor(parts[p], at::kLong));
      for (int k = 0; k < 400; ++k) {
        if (k % 50 == static_cast<int>(7 * p)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        rows = exchange(x, states[p], rows, Rng(4), &free);
      }
      ended[p] = rows;
    });
  for (auto& t : threads) t.join();
  const Tensor rows = at::cat(ended);
  const ExchangeState s = join(x, states);
  EXPECT_LE((all_mass(s, rows) - all_mass(all, start)).abs().max().item<double>(), 1e-10);
  EXPECT_LT(disagreement(rows), 1e-6);
  EXPECT_LT((rows - start.mean(0)).abs().max().item<double>(), 1e-4);
}

}  // namespace
}  // namespace symma
