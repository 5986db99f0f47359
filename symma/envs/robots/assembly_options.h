// How large an assembly world is, and which tasks it has: read from its options and its shops.
#pragma once

#include <memory>
#include <vector>

#include "symma/envs/copies.h"
#include "symma/envs/robots/assembly_shop.h"

namespace symma {

constexpr int64_t kMostShopSide = 100;  // jobs and machines of the world
constexpr int64_t kSeenOfMachine = 6,
                  kSeenOfJob = 8;  // numbers that are seen of a machine itself, and of a job

struct AssemblyOptions : CopyOptions {
  std::string file, routes = "any", clock = "unit", reward = "time", wear = "ratio";
  int64_t jobs = 20, machines = 10, operations = 8, joins = 0, choices = 0;
  std::vector<int64_t> durations{1, 6}, train, test;
  bool wait = true;
  AssemblyOptions() { limit = 200; }
  void fields(Fields& f) {
    f.add("file", file, "job shops in their usual text form; none: they are made up");
    f.add("train", train, "first and last number of the shops to train with; 0: made up").at_least(0);
    f.add("test", test,
          "the same for testing, none of them in train; none: those of the file that train leaves")
        .at_least(0);
    f.add("jobs", jobs, "of made-up shops").at_least(1).at_most(kMostShopSide);
    f.add("machines", machines, "of made-up shops").at_least(1).at_most(kMostShopSide);
    f.add("operations", operations, "of a job, at most").at_least(1).at_most(kMostShopSide);
    f.add("durations", durations, "the shortest and the longest").at_least(1).at_most(10000);
    f.add("routes", routes,
          "machines of a job: any, and so many operations; or each at most once (the classic kind)")
        .one_of({"any", "permutation"});
    f.add("joins", joins, "made-up jobs that are put together from two others").at_least(0);
    f.add("choices", choices,
          "a machine chooses among so many waiting jobs, those with most work left, in this order; 0: among "
          "all, by number")
        .at_least(0)
        .at_most(kMostShopSide);
    f.add("wait", wait, "a machine may wait though it has work");
    f.add("wear", wear,
          "how long a machine's last operation took beside what was planned: is seen; is hidden; or is what "
          "durations are expected by, so that plans are made anew from a machine's first part on")
        .one_of({"ratio", "hidden", "replanned"})
        .of_what_is_seen();
    f.add("clock", clock, "a step is a unit of time, or lasts until there is something to decide")
        .one_of({"unit", "event"});
    f.add("reward", reward, "minus the time, or the same in hundredths of the optimum")
        .one_of({"time", "gap"});
    CopyOptions::fields(f);
  }
};

using Shops = std::shared_ptr<const std::vector<Shop>>;

// The most that any shop of the world has.
struct AssemblySizes {
  int64_t jobs, machines, operations;
};

// Throw UserError for options that do not go together.
Shops assembly_shops(const AssemblyOptions&);
AssemblySizes assembly_sizes(const AssemblyOptions&, const std::vector<Shop>&);
EnvSpec assembly_spec(const AssemblyOptions&, int64_t copies, const std::vector<Shop>&);
// Shop, jobs, machines, order, broken, fails_at, fails_for, and the wear of each machine.
std::vector<TaskParameter> assembly_parameters(const AssemblyOptions&, const std::vector<Shop>&);

}  // namespace symma
