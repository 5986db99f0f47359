#include "symma/fleet/hidden_rows.h"

#include <fmt/format.h>

#include <filesystem>

#include "symma/core/errors.h"
#include "symma/exchange/secure.h"
#include "symma/learners/personal.h"

namespace symma {

void check_crowd(const Experiment& e, const std::vector<std::vector<int64_t>>& shares) {
  const Exchange& x = e.exchange;
  if (!x.server.secure || !x.graph.server) return;
  const int64_t n = e.fleet.agents, own = static_cast<int64_t>(shares[0].size()), crowd = own + 2,
                least = std::max(x.server.crowd, x.server.share == 1 ? secure::Setting::two_thirds(n) : 0);
  const std::string found =
      fmt::format("the server's process has {} agent{} of its own, so it may learn sums of {} rows at least",
                  own, own == 1 ? "" : "s", crowd);
  if (n < crowd) throw UserError("processes", found, "start more, or let more agents take part");
  if (x.privacy.distributed()) {
    size_t most = 0;
    for (const auto& share : shares) most = std::max(most, share.size());
    const int64_t few = secure::Setting::helpers(n);
    if (static_cast<int64_t>(most) > few)
      throw UserError(
          "processes",
          fmt::format("one of them knows {} agents' shares of the noise, and of {} agents that may "
                      "be {} at most",
                      most, n, few),
          few > 0 ? fmt::format("start {} at least", (n + few - 1) / few) : "let more agents take part");
    if (x.server.share < 1)
      throw UserError("server.share", "leaves open how many of those who take part one process has",
                      "set it to 1, or start one process");
  }
  // A sum that comes out in one process must come out in several.
  if ((x.server.share < 1 || x.faults.gaps()) && least < crowd)
    throw UserError("server.crowd", found, fmt::format("set it to {}, or start more processes", crowd));
}

Tensor rows_as_told(const Experiment& e, const RunState& own) {
  const Exchange& x = e.exchange;
  const Tensor row = own.learner.theta.slice(0, 0, 1);
  const Rng down =
      e.exchange_key().split("period", static_cast<uint64_t>(own.exchange.rounds - 1)).split("down");
  bool known = x.due(own.round - 1) && !x.combine_first();
  for (int64_t id = 0; known && x.server.share == 1 && id < e.fleet.agents; ++id)
    known = arrive(passage_of(x.faults, e.fleet.agents, id, down), {1, false, {}}, nullptr).number > 0;
  return (known ? row : at::full_like(row, std::nan(""))).repeat({e.fleet.agents, 1});
}

Json rows_to_begin_with(const RunState& own, size_t newcomers) {
  const Tensor& row = own.exchange.server.row;
  if (row.numel() != own.learner.theta.size(1)) return {};
  const double* at = row.data_ptr<double>();
  return std::vector<std::vector<double>>(newcomers, {at, at + row.numel()});
}

RunState part_shown(const Experiment& e, const RunOptions& options, const RunState& own,
                    const RunState& start, const std::string& file) {
  const std::string path = in(options, file.c_str());
  if (std::filesystem::exists(path)) return run_of(e, start, read_safetensors(path), path);
  RunState out = start;
  const Tensor told = own.exchange.server.row.unsqueeze(0).repeat({out.learner.size(), 1});
  out.learner.theta = with_said(out.learner.theta, told.to(out.learner.theta.scalar_type()));
  out.round = own.round;
  return out;
}

}  // namespace symma
