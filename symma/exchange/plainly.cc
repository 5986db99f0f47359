// Plain mixing, in the rows' own type: theta <- W theta, and nothing else.
#include <algorithm>

#include "symma/exchange/messages.h"

namespace symma {
namespace {

// The rows of here and of the halo, in order of id, [n + h, Q], and the places of those who did not come.
struct Table {
  Tensor rows;
  std::vector<int64_t> missing;
};

Table table_of(const Exchange& x, ExchangeState& s, const Tensor& theta, Transport& elsewhere) {
  const Reach& r = *s.reach;
  const Tensor local = theta.to(at::kCPU).contiguous();
  Table out{at::empty({r.rows(), theta.size(1)}, local.options()), {}};
  const int64_t n = local.size(0), first = n > 0 ? r.own.front() : 0;
  // A stretch of agents is copied as it lies.
  if (n > 0 && r.own.back() - first == n - 1)
    out.rows.narrow(0, first, n).copy_(local);
  else
    out.rows.index_copy_(0, at::tensor(r.own, at::kLong), local);
  const auto heard = hear(x, s, Letter::Kind::kSaid, r.halo, theta.size(1), {}, elsewhere);
  for (size_t k = 0; k < heard.size(); ++k) {
    const Tensor to = out.rows[r.heard[k]];
    if (heard[k].row.defined()) {
      to.copy_(heard[k].row);
    } else {
      to.zero_();
      out.missing.push_back(r.heard[k]);
    }
  }
  return out;
}

Bytes letter_of(const Tensor& row, at::ScalarType type) {
  return pack({.form = Form::kWhole, .row = row}, type);
}

}  // namespace

Tensor plainly_among_neighbours(const Exchange& x, ExchangeState& s, const Tensor& theta,
                                Transport* elsewhere) {
  const Reach& r = *s.reach;
  const int64_t message = s.row_bits(theta.size(1));
  if (r.whole()) {
    for (int64_t& bits : s.bits) bits += message;
    return mix(x, theta);
  }
  for (const Near& n : r.near) s.bits[n.in ^ 1] += message;
  for (const auto& [i, to] : r.outward)
    elsewhere->send({r.ids[i], to, s.rounds + 1, Letter::Kind::kSaid, letter_of(theta[i], s.type)});
  const Table table = table_of(x, s, theta, *elsewhere);
  if (table.missing.empty()) return mix(r.weights, table.rows).to(theta.device());
  // The weight of a row that did not come stays with the node's own.
  Neighbours weights = r.weights;
  for (size_t i = 0; i < r.ids.size(); ++i) {
    double* own = nullptr;
    double more = 0;
    for (int64_t e = weights.begin[i]; e < weights.begin[i + 1]; ++e) {
      if (weights.column[e] == r.own[i]) own = &weights.weight[e];
      if (std::find(table.missing.begin(), table.missing.end(), weights.column[e]) == table.missing.end())
        continue;
      more += std::exchange(weights.weight[e], 0.0);
    }
    *own += more;
  }
  return mix(weights, table.rows).to(theta.device());
}

Tensor plainly_at_server(const Exchange& x, ExchangeState& s, const Tensor& theta, Transport* elsewhere) {
  const Reach& r = *s.reach;
  const int64_t message = s.row_bits(theta.size(1)), n = theta.size(0);
  for (int64_t id : r.ids) s.bits[2 * id] += message;
  if (r.server)
    for (int64_t id = 0; id < r.agents; ++id) s.bits[2 * id + 1] += message;
  if (r.whole()) return mix(x, theta);
  if (!r.server) {
    for (int64_t i = 0; i < n; ++i)
      elsewhere->send({r.ids[i], {r.agents}, s.rounds + 1, Letter::Kind::kSaid, letter_of(theta[i], s.type)});
    const Heard answer = hear(x, s, Letter::Kind::kAnswer, r.halo, theta.size(1), {}, *elsewhere)[0];
    if (!answer.row.defined()) return theta;
    return answer.row.to(theta.options()).unsqueeze(0).repeat({n, 1});
  }
  const Table table = table_of(x, s, theta, *elsewhere);
  Tensor rows = table.rows;
  if (!table.missing.empty()) {
    std::vector<int64_t> there;
    for (int64_t id = 0; id < r.agents; ++id)
      if (std::find(table.missing.begin(), table.missing.end(), id) == table.missing.end())
        there.push_back(id);
    rows = rows.index_select(0, at::tensor(there, at::kLong));
  }
  const Tensor mean = rows.mean(0, true);
  elsewhere->send({r.agents, r.halo, s.rounds + 1, Letter::Kind::kAnswer, letter_of(mean[0], s.type)});
  return mean.expand({n, theta.size(1)}).contiguous().to(theta.device());
}

}  // namespace symma
