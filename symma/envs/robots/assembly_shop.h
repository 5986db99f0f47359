// Job shops: which machine each operation of each job is for, and for how long.
//
// Files have the form that job shops are passed around in: a line "jobs machines", then a line a job of pairs
// "machine duration", machines from 0. A name may stand before the two, and the best known makespan after
// them; "#" begins a comment; further shops follow in the same file. "join J K I" after the jobs' lines says
// that operation K of job J also waits until all of job I is made (all from 0), so parts are put together.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "symma/core/rng.h"

namespace symma {

struct Shop {
  struct Join {
    int64_t job, operation, part;  // this operation of `job` waits for the whole of job `part`
  };
  std::string name;
  int64_t jobs = 0, machines = 0, operations = 0;  // operations: of the job that has most, K
  int64_t optimum = 0;                             // makespan; 0: not known
  std::vector<int32_t> count;                      // [jobs] operations of each
  std::vector<int32_t> machine, duration;          // [jobs, K]; -1 and 0 beyond a job's last
  std::vector<Join> joins;

  // The longest of what a machine has to do and what a job's chain takes, with joins: no makespan is less.
  int64_t lower_bound() const;
};

// How shops are made up.
struct ShopKind {
  int64_t jobs, machines, operations;
  int64_t shortest, longest;  // durations, drawn evenly
  bool permutation;           // a job meets no machine twice, and has as many operations as can be; or
                              // machines and numbers of operations are drawn, as in Jumanji's JobShop
  int64_t joins;              // jobs that are each put together from two others
};

Shop make_shop(const ShopKind&, Rng);

// The joins of a made-up shop: the last jobs wait for the first ones, two and two.
std::vector<Shop::Join> made_joins(int64_t jobs, int64_t joins);

// All shops of a file; what was read is shared while somebody holds it. Throws UserError with the line:
// numbers that are missing or no numbers, machines that are not there, joins that go round in a circle.
std::shared_ptr<const std::vector<Shop>> read_shops(const std::string& path);

}  // namespace symma
