#include "symma/learners/teams/replay.h"

#include <cstring>

namespace symma {
namespace {

// What is kept of an episode; who was there too, where players leave.
std::vector<std::pair<std::string, Tensor Rollout::*>> parts(const State& state) {
  std::vector<std::pair<std::string, Tensor Rollout::*>> out{
      {"replay.input", &Rollout::input},   {"replay.mask", &Rollout::mask},
      {"replay.action", &Rollout::action}, {"replay.reward", &Rollout::reward},
      {"replay.alive", &Rollout::alive},   {"replay.end", &Rollout::terminated}};
  if (state.own.contains("replay.present")) out.emplace_back("replay.present", &Rollout::present);
  return out;
}

}  // namespace

void replay_init(State& state, int64_t n, int64_t c, const TeamShape& s) {
  const int64_t t = s.limit, a = s.players;
  const auto add = [&](const char* name, std::vector<int64_t> sizes, at::ScalarType type) {
    state.own[name] = at::zeros(sizes, type);
  };
  add("replay.input", {n, c, t + 1, a, s.input}, at::kFloat);
  add("replay.mask", {n, c, t + 1, a, s.actions}, at::kBool);
  add("replay.action", {n, c, t, a}, at::kLong);
  add("replay.reward", {n, c, t, a}, at::kFloat);
  add("replay.alive", {n, c, t}, at::kFloat);
  add("replay.end", {n, c, t}, at::kFloat);
  if (s.leaving) add("replay.present", {n, c, t + 1, a}, at::kFloat);
  add("replay.count", {n}, at::kLong);
}

void replay_add(State& state, const Rollout& o) {
  Tensor& count = state.own.at("replay.count");
  const int64_t n = o.alive.size(0), l = o.alive.size(1);
  const Tensor counts = count.cpu().contiguous();
  const int64_t* before = counts.data_ptr<int64_t>();
  for (const auto& [name, member] : parts(state)) {
    Tensor& kept = state.own.at(name);
    if (!sole_owner(kept)) kept = kept.contiguous().clone();
    const int64_t c = kept.size(1), size = kept[0][0].numel() * kept.element_size();
    const Tensor from = (o.*member).to(kept.scalar_type()).contiguous();
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t e = 0; e < l; ++e) {
        std::memcpy(static_cast<char*>(kept.data_ptr()) + (i * c + (before[i] + e) % c) * size,
                    static_cast<const char*>(from.data_ptr()) + (i * l + e) * size, size);
      }
    }
  }
  count = count + l;
}

std::string replay_fault(const State& state) {
  const auto within = [&](const char* name, double low, double high) {
    const Tensor& t = state.own.at(name);
    return t.numel() == 0 || t.ge(low).logical_and(t.le(high)).all().item<bool>();
  };
  const auto actions = static_cast<double>(state.own.at("replay.mask").size(-1));
  if (!within("replay.count", 0, 1e15)) return "counts a negative number of episodes";
  if (!within("replay.action", 0, actions - 1)) return "holds an action that the world has not";
  if (!within("replay.alive", 0, 1) || !within("replay.end", 0, 1)) return "holds episodes that are none";
  return "";
}

int64_t replay_size(const State& state, int64_t place) {
  return std::min(state.own.at("replay.count")[place].item<int64_t>(), state.own.at("replay.alive").size(1));
}

Rollout replay_draw(const State& state, int64_t episodes, const std::vector<Rng>& keys) {
  const int64_t n = state.theta.size(0), c = state.own.at("replay.alive").size(1);
  Tensor place = at::empty({n, episodes}, at::kLong);
  for (int64_t i = 0; i < n; ++i) {
    const auto chosen = Draws(keys[i]).choose(replay_size(state, i), episodes);
    for (int64_t e = 0; e < episodes; ++e) place.data_ptr<int64_t>()[i * episodes + e] = i * c + chosen[e];
  }
  const Tensor flat = place.view(-1);
  const Tensor alive = state.own.at("replay.alive").flatten(0, 1).index_select(0, flat);
  const int64_t longest = std::max<int64_t>(1, alive.sum(1).max().item<int64_t>());
  Rollout out;
  for (const auto& [name, member] : parts(state)) {
    const Tensor all = state.own.at(name).flatten(0, 1);  // [N C, T or T + 1, ...]
    const int64_t steps = all.size(1) - alive.size(1) + longest;
    const Tensor some = all.narrow(1, 0, steps).index_select(0, flat);
    std::vector<int64_t> sizes = some.sizes().vec();
    sizes[0] = episodes;
    sizes.insert(sizes.begin(), n);
    out.*member = some.view(sizes);
  }
  return out;
}

}  // namespace symma
