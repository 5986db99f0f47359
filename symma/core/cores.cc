// Control groups: https://docs.kernel.org/admin-guide/cgroup-v2.html, "cpu.max"; version 1:
// https://docs.kernel.org/scheduler/sched-bwc.html.
#include "symma/core/cores.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>
#include <vector>

namespace symma {
namespace {

constexpr double kNone = std::numeric_limits<double>::infinity();

double share(double quota, double period) {
  return quota > 0 && period > 0 ? quota / period : kNone;
}

double quota_in(const std::string& folder) {
  double quota = 0, period = 0;
  if (std::ifstream in(folder + "/cpu.max"); in) {
    std::string most;
    in >> most >> period;
    std::istringstream(most) >> quota;  // "max" leaves 0
    return share(quota, period);
  }
  std::ifstream a(folder + "/cpu.cfs_quota_us"), b(folder + "/cpu.cfs_period_us");
  if (a >> quota && b >> period) return share(quota, period);  // -1: none
  return kNone;
}

// The group and those above it.
double least_in(const std::string& root, std::string group) {
  double least = kNone;
  for (;;) {
    while (group.ends_with('/')) group.pop_back();
    least = std::min(least, quota_in(root + group));
    const auto slash = group.rfind('/');
    if (slash == std::string::npos) return least;
    group.resize(slash);
  }
}

}  // namespace

double quota_of(const std::string& proc_cgroup, const std::string& root) {
  double least = kNone;
  std::istringstream in(proc_cgroup);
  for (std::string line; std::getline(in, line);) {
    // hierarchy:controllers:path
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string path = line.substr(second + 1);
    std::istringstream names(line.substr(first + 1, second - first - 1));
    if (second == first + 1) least = std::min(least, least_in(root, path));
    for (std::string name; std::getline(names, name, ',');) {
      if (name != "cpu") continue;
      for (const char* mount : {"/cpu", "/cpu,cpuacct"})
        least = std::min(least, least_in(root + mount, path));
    }
  }
  return least;
}

int usable_cores() {
  int allowed = 0;
  // The kernel refuses a mask smaller than its own.
  for (int most = 1024; most <= 1 << 20 && allowed == 0; most *= 2) {
    cpu_set_t* set = CPU_ALLOC(most);
    const size_t size = CPU_ALLOC_SIZE(most);
    if (set && ::sched_getaffinity(0, size, set) == 0) allowed = CPU_COUNT_S(size, set);
    CPU_FREE(set);
  }
  if (allowed <= 0) allowed = static_cast<int>(std::thread::hardware_concurrency());
  std::ifstream file("/proc/self/cgroup");
  std::ostringstream text;
  text << file.rdbuf();
  const double quota = quota_of(text.str(), "/sys/fs/cgroup");
  if (quota < allowed) allowed = static_cast<int>(std::ceil(quota - 1e-9));
  return std::max(1, allowed);
}

}  // namespace symma
