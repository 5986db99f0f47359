#include "symma/fleet/placement.h"

#include <fmt/format.h>

#include <charconv>

#include "symma/core/errors.h"

namespace symma {
namespace {

// Ports that no launcher uses for itself: by the job, so that two jobs on one machine do not meet.
int64_t port_of(uint64_t job) {
  return 20000 + static_cast<int64_t>(job % 20000);
}

uint64_t hash_of(const std::string& s) {
  uint64_t h = 1469598103934665603u;  // FNV-1a
  for (const unsigned char c : s) h = (h ^ c) * 1099511628211u;
  return h;
}

int64_t whole_number(const std::string& name, const char* text) {
  int64_t value = 0;
  const std::string s = text;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
  if (error != std::errc() || end != s.data() + s.size() || value < 0)
    throw UserError(name, "is \"" + s + "\"", "launchers set it to a whole number");
  return value;
}

}  // namespace

std::string first_host(const std::string& list) {
  const size_t bracket = list.find('['), comma = list.find(',');
  if (bracket == std::string::npos || comma < bracket) return list.substr(0, comma);
  const size_t end = list.find_first_of(",-]", bracket);
  if (end == std::string::npos) return list;
  const size_t close = list.find(']', bracket);
  const size_t next = close == std::string::npos ? std::string::npos : list.find(',', close);
  const std::string tail = close == std::string::npos
                               ? ""
                               : list.substr(close + 1, next == std::string::npos ? next : next - close - 1);
  return list.substr(0, bracket) + list.substr(bracket + 1, end - bracket - 1) + tail;
}

std::optional<Launch> launched(const Variables& variable) {
  struct Names {
    const char *by, *place, *places;
  };
  // The innermost launcher first: torchrun may have been started by srun.
  constexpr Names kLaunchers[] = {{"symma", "SYMMA_PLACE", "SYMMA_PLACES"},
                                  {"torchrun", "RANK", "WORLD_SIZE"},
                                  {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                  {"PMI", "PMI_RANK", "PMI_SIZE"},
                                  {"PMIx", "PMIX_RANK", "PMIX_SIZE"},
                                  // Of a step: a batch script itself is one process, whatever its job has.
                                  {"Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}};
  const auto text = [&](const char* name) {
    const char* value = variable(name);
    return std::string(value == nullptr ? "" : value);
  };
  for (const Names& names : kLaunchers) {
    const char *place = variable(names.place), *places = variable(names.places);
    if (place == nullptr || places == nullptr) continue;
    Launch out;
    out.by = names.by;
    out.place = whole_number(names.place, place);
    out.places = whole_number(names.places, places);
    if (out.place >= out.places)
      throw UserError(names.place, fmt::format("is {} of {}", out.place, out.places),
                      fmt::format("processes are numbered 0 to {}", out.places - 1));
    if (out.places == 1) return {};
    const std::string by = names.by;
    if (by == "symma") {
      out.port = whole_number("SYMMA_PORT", variable("SYMMA_PORT") ? variable("SYMMA_PORT") : "0");
      out.secret = text("SYMMA_SECRET");
    } else if (by == "torchrun") {
      // At MASTER_PORT itself torchrun's own store may listen.
      out.host = text("MASTER_ADDR");
      const std::string port = text("MASTER_PORT"), job = text("TORCHELASTIC_RUN_ID");
      out.port = port_of(hash_of(port + " " + job));
    } else if (by == "Slurm") {
      out.host = first_host(text("SLURM_STEP_NODELIST"));
      if (out.host.empty()) out.host = first_host(text("SLURM_JOB_NODELIST"));
      out.port = port_of(hash_of(text("SLURM_JOB_ID") + "." + text("SLURM_STEP_ID")));
    } else {
      const std::string job = text("PMIX_NAMESPACE") + text("OMPI_MCA_ess_base_jobid") + text("PMI_JOBID") +
                              text("HYDI_CONTROL_FD");
      out.port = port_of(hash_of(job));
      const std::string local = text("OMPI_COMM_WORLD_LOCAL_SIZE");
      if (!local.empty() && whole_number("OMPI_COMM_WORLD_LOCAL_SIZE", local.c_str()) < out.places)
        out.host = "?";  // Open MPI does not say where its first process is
    }
    return out;
  }
  return {};
}

std::vector<std::vector<int64_t>> shares_of(int64_t agents, int64_t block, int64_t places) {
  if (places > agents)
    throw UserError("processes", fmt::format("{} for {} agent{}", places, agents, agents == 1 ? "" : "s"),
                    fmt::format("start at most {}", agents));
  const int64_t blocks = (agents + block - 1) / block, size = blocks >= places ? block : 1,
                units = (agents + size - 1) / size;
  std::vector<std::vector<int64_t>> out(places);
  for (int64_t p = 0; p < places; ++p) {
    const int64_t begin = p * units / places * size, end = std::min(agents, (p + 1) * units / places * size);
    for (int64_t a = begin; a < end; ++a) out[p].push_back(a);
  }
  return out;
}

}  // namespace symma
