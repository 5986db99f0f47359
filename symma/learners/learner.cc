#include "symma/learners/learner.h"

namespace symma {
namespace {

Tensor index_of(const std::vector<int64_t>& places) {
  return at::tensor(places, at::kLong);
}

Tensor some(const Tensor& t, const Tensor& index) {
  return t.index_select(0, index.to(t.device()));
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
  const Tensor index = index_of(places);
  const auto set = [&](Tensor& whole, const Tensor& rows) {
    whole = whole.index_copy(0, index.to(whole.device()), rows);
  };
  set(theta, part.theta);
  set(steps, part.steps);
  for (const auto& [name, t] : part.own) {
    Tensor& whole = own[name];
    // What learners keep of tasks is there once one of them has begun; zeros are one that is over.
    if (!whole.defined()) {
      std::vector<int64_t> sizes = t.sizes().vec();
      sizes[0] = size();
      whole = at::zeros(sizes, t.options());
    }
    set(whole, t);
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
