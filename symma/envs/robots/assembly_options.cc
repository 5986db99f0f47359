#include "symma/envs/robots/assembly_options.h"

#include <fmt/format.h>

#include <algorithm>

#include "symma/core/errors.h"
#include "symma/envs/ranges.h"

namespace symma {
namespace {

// First and last number of the shops to train with and to test with. Where none are told, made-up ones to
// train with, and to test with those of the file: all, or those that come after the ones trained with, or
// before.
std::vector<int64_t> train_shops(const AssemblyOptions& o) {
  return o.train.empty() ? std::vector<int64_t>{0, 0} : o.train;
}
std::vector<int64_t> test_shops(const AssemblyOptions& o, const std::vector<Shop>& shops) {
  const auto count = std::ssize(shops);
  if (!o.test.empty()) return o.test;
  if (o.file.empty()) return {0, 0};
  const auto train = train_shops(o);
  if (train.back() < count) return {train.back() + 1, count};
  return {1, train.front() > 1 ? train.front() - 1 : count};
}

std::array<double, 2> as_range(const std::vector<int64_t>& shops) {
  return {static_cast<double>(shops.front()), static_cast<double>(shops.back())};
}

}  // namespace

AssemblySizes assembly_sizes(const AssemblyOptions& o, const std::vector<Shop>& shops) {
  AssemblySizes s{o.jobs, o.machines, o.routes == "any" ? o.operations : std::min(o.operations, o.machines)};
  // Where no shop is made up, those of the file say how large the world is.
  if (!shops.empty() && train_shops(o)[0] > 0 && test_shops(o, shops)[0] > 0) s = {1, 1, 1};
  for (const Shop& shop : shops) {
    s.jobs = std::max(s.jobs, shop.jobs), s.machines = std::max(s.machines, shop.machines);
    s.operations = std::max(s.operations, shop.operations);
  }
  return s;
}

Shops assembly_shops(const AssemblyOptions& o) {
  if (o.durations.size() != 2 || o.durations[0] > o.durations[1])
    throw UserError("[task.world] durations", "are not the shortest and the longest",
                    "write for example [1, 6]");
  return o.file.empty() ? std::make_shared<const std::vector<Shop>>() : read_shops(o.file);
}

EnvSpec assembly_spec(const AssemblyOptions& o, int64_t copies, const std::vector<Shop>& shops) {
  for (const auto* told : {&o.train, &o.test}) {
    if (told->empty()) continue;
    const std::string place = std::string("[task.world] ") + (told == &o.train ? "train" : "test");
    if (told->size() != 2 || (*told)[0] > (*told)[1])
      throw UserError(place, "is not the first and the last number of some shops",
                      "write for example [1, 5]");
    if ((*told)[1] > static_cast<int64_t>(shops.size()))
      throw UserError(
          place, fmt::format("shop {} is not there", (*told)[1]),
          shops.empty() ? "set file, or leave it out" : fmt::format("{} has 1 to {}", o.file, shops.size()));
  }
  keep_apart(train_shops(o), test_shops(o, shops), 1, "shop");
  const AssemblySizes size = assembly_sizes(o, shops);
  if (size.jobs > kMostShopSide || size.machines > kMostShopSide)
    throw UserError("[task.world] file", fmt::format("{} jobs and {} machines", size.jobs, size.machines),
                    fmt::format("at most {} of each are played", kMostShopSide));
  EnvSpec s;
  s.name = "assembly";
  s.variant = fmt::format("Jumanji 1.1.2 JobShop, {} jobs, {} machines{}, clock {}, reward {}{}", size.jobs,
                          size.machines, o.file.empty() ? "" : ", own shops", o.clock, o.reward,
                          o.wait ? "" : ", no waiting") +
              (o.wear == "ratio" ? "" : ", wear " + o.wear);
  s.copies = copies;
  s.agents = size.machines;
  const int64_t choices = o.choices ? o.choices : size.jobs;
  s.obs = kSeenOfMachine + kSeenOfJob * choices;
  s.actions = choices + 1;
  s.common_reward = true;
  for (int64_t m = 0; m < s.agents; ++m) s.agent_names.push_back(fmt::format("machine_{}", m));
  for (int64_t k = 0; k < choices; ++k)
    s.action_names.push_back(fmt::format("{}_{}", o.choices ? "waiting" : "job", k));
  s.action_names.emplace_back("wait");
  return s;
}

std::vector<TaskParameter> assembly_parameters(const AssemblyOptions& o, const std::vector<Shop>& shops) {
  const AssemblySizes size = assembly_sizes(o, shops);
  const auto number = [](int64_t x) { return static_cast<double>(x); };
  const auto train = as_range(train_shops(o)), test = as_range(test_shops(o, shops));
  const double last = number(size.machines - 1);
  std::vector<TaskParameter> out{{"shop",
                                  "its number in the file; 0: a new one every episode",
                                  train[0],
                                  true,
                                  train,
                                  test,
                                  test,
                                  {0, number(static_cast<int64_t>(shops.size()))}},
                                 {"jobs",
                                  "of a made-up shop",
                                  number(o.jobs),
                                  true,
                                  {number(std::min<int64_t>(6, o.jobs)), number(o.jobs)},
                                  {number(std::min<int64_t>(6, o.jobs)), number(o.jobs)},
                                  {number(o.jobs), number(o.jobs)},
                                  {1, number(size.jobs)}},
                                 {"machines",
                                  "of a made-up shop",
                                  number(o.machines),
                                  true,
                                  {number(std::min<int64_t>(5, o.machines)), number(o.machines)},
                                  {number(std::min<int64_t>(5, o.machines)), number(o.machines)},
                                  {number(o.machines), number(o.machines)},
                                  {1, number(size.machines)}},
                                 {"order",
                                  "another order of each job's operations, by number; 0: as they are",
                                  0,
                                  true,
                                  {1, 100000},
                                  {100001, 200000},
                                  {200001, 300000},
                                  {0, 1e15}},
                                 {"broken",
                                  "the machine that stands still for a while; -1: none",
                                  -1,
                                  true,
                                  {0, last},
                                  {0, last},
                                  {0, last},
                                  {-1, last}},
                                 {"fails_at",
                                  "when, as a share of the lower bound",
                                  0.25,
                                  false,
                                  {0, 0.5},
                                  {0, 0.5},
                                  {0.5, 1},
                                  {0, 100}},
                                 {"fails_for",
                                  "how long, as a share of the lower bound",
                                  0.2,
                                  false,
                                  {0.1, 0.3},
                                  {0.1, 0.3},
                                  {0.3, 0.6},
                                  {0, 100}}};
  for (int64_t m = 0; m < size.machines; ++m)
    out.push_back({fmt::format("wear_{}", m),
                   "what durations on this machine are multiplied by",
                   1,
                   false,
                   {0.5, 2},
                   {0.5, 2},
                   {2, 3},
                   {0.01, 100}});
  return out;
}

}  // namespace symma
