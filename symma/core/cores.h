// How many processors this process may use.
#pragma once

#include <string>

namespace symma {

// Those that its affinity allows (taskset, Slurm's --cpus-per-task, docker's --cpuset-cpus), and no more than
// the quota of its control groups pays for (docker's --cpus, Kubernetes' limits), rounded up. At least 1.
int usable_cores();

// The quota of the groups named in a /proc/self/cgroup, of version 2 or 1, and of all groups above them, as
// the tree under `root` (/sys/fs/cgroup) has it: processors, or infinity where there is none.
double quota_of(const std::string& proc_cgroup, const std::string& root);

}  // namespace symma
