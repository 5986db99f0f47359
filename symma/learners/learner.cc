#include "symma/learners/learner.h"

#include <cstring>

namespace symma {
namespace {

Tensor index_of(const std::vector<int64_t>& places) {
  return at::tensor(places, at::kLong);
}

Tensor some(const Tensor& t, const Tensor& index) {
  return t.index_select(0, index.to(t.device()));
}

// Writes rows [places, ...] into `whole`: a round that few of a large fleet take part in is not to copy the
// others' rows.
void put_rows(Tensor& whole, const std::vector<int64_t>& places, const Tensor& rows) {
  if (!whole.is_cpu()) {
    whole = whole.index_copy(0, index_of(places).to(whole.device()), rows);
    return;
  }
  if (whole.numel() == 0) return;
  if (!sole_owner(whole)) whole = whole.clone(at::MemoryFormat::Contiguous);
  const Tensor from = rows.to(whole.options()).contiguous();
  const size_t bytes = whole.nbytes() / static_cast<size_t>(whole.size(0));
  auto* to = static_cast<std::byte*>(whole.data_ptr());
  for (size_t k = 0; k < places.size(); ++k)
    std::memcpy(to + static_cast<size_t>(places[k]) * bytes,
                static_cast<const std::byte*>(from.data_ptr()) + k * bytes, bytes);
}

}  // namespace

State State::of(Tensor theta, TensorDict own) {
  const int64_t n = theta.size(0);
  return {at::arange(n, at::kLong), std::move(theta), at::zeros({n}, at::kLong), std::move(own)};
}

State State::rows(int64_t begin, int64_t end) const {
  State out{id.slice(0, begin, end), theta.slice(0, begin, end), steps.slice(0, begin, end), {}};
  for (const auto& [name, t] : own) out.own[name] = t.slice(0, begin, end);
  return out;
}

State State::rows(const std::vector<int64_t>& places) const {
  const Tensor index = index_of(places);
  State out{some(id, index), some(theta, index), some(steps, index), {}};
  for (const auto& [name, t] : own) out.own[name] = some(t, index);
  return out;
}

void State::put(const std::vector<int64_t>& places, const State& part) {
  put_rows(theta, places, part.theta);
  put_rows(steps, places, part.steps);
  for (const auto& [name, t] : part.own) {
    Tensor& whole = own[name];
    // What learners keep of tasks is there once one of them has begun; zeros are one that is over.
    if (!whole.defined()) {
      std::vector<int64_t> sizes = t.sizes().vec();
      sizes[0] = size();
      whole = at::zeros(sizes, t.options());
    }
    put_rows(whole, places, t);
  }
}

State State::on(at::Device device) const {
  State out{id, theta.to(device), steps, {}};
  for (const auto& [name, t] : own) out.own[name] = t.to(device);
  return out;
}

State State::join(const std::vector<State>& parts) {
  if (parts.size() == 1) return parts[0];
  const auto cat = [&](auto&& of) {
    std::vector<Tensor> all;
    all.reserve(parts.size());
    for (const State& part : parts) all.push_back(of(part));
    return at::cat(all, 0);
  };
  State out{cat([](const State& s) { return s.id; }),
            cat([](const State& s) { return s.theta; }),
            cat([](const State& s) { return s.steps; }),
            {}};
  for (const auto& [name, t] : parts[0].own)
    out.own[name] = cat([&, key = name](const State& s) { return s.own.at(key); });
  return out;
}

}  // namespace symma
