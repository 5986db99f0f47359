#include "symma/envs/copies.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>

#include "symma/core/parallel.h"

namespace symma {
namespace {

// A piece of work is this many copies: enough to be worth a thread's while, and the same for any number of
// threads.
constexpr int64_t kGrain = 64;
template <class Action>
constexpr bool kNumbers = std::is_same_v<Action, float>;  // an agent sets n numbers

constexpr int64_t kHeader = 10;  // steps, episodes, terminated, truncated, three words of either key

std::string sizes(const Tensor& t) {
  return fmt::format("[{}]", fmt::join(t.sizes().vec(), ", "));
}

// A 64-bit key is more than a double holds, so it travels as three numbers of at most 24 bits.
void carry(Cargo& cargo, Rng& rng) {
  uint64_t words[3];
  for (int i = 0; i < 3; ++i) words[i] = rng.key() >> (24 * i) & 0xffffff;
  for (int i = 0; i < 3; ++i) cargo(words[i], {"a word of a random stream", 0, i < 2 ? 0xffffff : 0xffff});
  rng = Rng(words[0] | words[1] << 24 | words[2] << 48);
}

}  // namespace

void Cargo::refuse(const Bounds& bounds, bool whole) const {
  throw UserError(place_, fmt::format("{} is {:.17g} in what was saved", bounds.what, *at_),
                  fmt::format("{}{:.17g} to {:.17g} would be right", whole ? "a whole number from " : "",
                              bounds.low, bounds.high));
}

template <class Action>
CopiesOf<Action>::CopiesOf(EnvSpec spec, const CopyOptions& options, std::vector<TaskParameter> parameters,
                           int64_t world_size)
    : spec_(std::move(spec)),
      first_(options.first_copy),
      auto_reset_(options.auto_reset),
      world_size_(world_size),
      parameters_(std::move(parameters)) {
  spec_.limit = options.limit;
  spec_.state = spec_.agents * spec_.obs;
  if (spec_.agent_obs.empty()) spec_.agent_obs.assign(spec_.agents, spec_.obs);
  if (spec_.agent_actions.empty()) spec_.agent_actions.assign(spec_.agents, spec_.actions);
  if (spec_.agent_names.empty()) {
    for (int64_t a = 0; a < spec_.agents; ++a) spec_.agent_names.push_back(fmt::format("agent_{}", a));
  }
  spec_.continuous = kNumbers<Action>;
  if (spec_.obs_shape.empty()) spec_.obs_shape = {spec_.obs};
  TORCH_CHECK(std::accumulate(spec_.obs_shape.begin(), spec_.obs_shape.end(), int64_t{1},
                              std::multiplies<>()) == spec_.obs,
              spec_.name, ": the sizes of an observation make its numbers");
  if (kNumbers<Action>) {
    const size_t n = spec_.agents * spec_.actions;
    if (spec_.action_low.empty()) spec_.action_low.assign(n, -std::numeric_limits<double>::infinity());
    if (spec_.action_high.empty()) spec_.action_high.assign(n, std::numeric_limits<double>::infinity());
    TORCH_CHECK(spec_.action_low.size() == n && spec_.action_high.size() == n, spec_.name,
                ": every number has bounds");
    for (size_t i = 0; i < n; ++i) {
      TORCH_CHECK(spec_.action_low[i] < spec_.action_high[i], spec_.name, ": a bound below its other");
      bounded_ = bounded_ || std::isfinite(spec_.action_low[i]) || std::isfinite(spec_.action_high[i]);
    }
  }
  TORCH_CHECK(static_cast<int64_t>(spec_.action_names.size()) == spec_.actions, spec_.name,
              ": every action has a name");
  numbers_ = kNumbers<Action> ? spec_.actions : 1;
  if (kNumbers<Action> && options.levels > 0) space_levels(options.levels);
  if (spec_.copies < 1)
    throw UserError(spec_.name, fmt::format("has {} copies", spec_.copies), "ask for 1 or more");
  for (int64_t e = 0; e < spec_.copies; ++e) {
    for (const TaskParameter& p : parameters_) tasks_.push_back(p.value);
  }
  next_tasks_ = tasks_;
  clocks_.resize(spec_.copies);
}

template <class Action>
void CopiesOf<Action>::space_levels(int64_t levels) {
  constexpr double kMost = 4096;
  const int64_t a = spec_.agents, m = numbers_;
  const std::string at = spec_.name + ", levels";
  if (levels == 1) throw UserError(at, "is 1", "2 or more are a choice; 0 leaves numbers to be set");
  if (std::pow(static_cast<double>(levels), static_cast<double>(m)) > kMost) {
    throw UserError(at, fmt::format("{} of each of {} numbers are more than {} choices", levels, m, kMost),
                    "take fewer");
  }
  const auto power = [&](int64_t k) {
    int64_t out = 1;
    while (k-- > 0) out *= levels;
    return out;
  };
  const int64_t n = power(m);
  spec_.choices.assign(a * n * m, 0);
  bool alike = true;
  for (int64_t i = 0; i < a; ++i) {
    const int64_t own = spec_.agent_actions[i];
    for (int64_t j = 0; j < own; ++j) {
      const double low = spec_.action_low[i * m + j], high = spec_.action_high[i * m + j];
      if (!std::isfinite(low) || !std::isfinite(high)) {
        throw UserError(at, fmt::format("{} has no bounds to space levels between", spec_.action_names[j]),
                        "leave it at 0");
      }
      alike = alike && low == spec_.action_low[j] && high == spec_.action_high[j];
      for (int64_t k = 0; k < power(own); ++k) {
        const int64_t level = k / power(own - 1 - j) % levels;  // the first number changes last
        spec_.choices[(i * n + k) * m + j] = static_cast<float>(
            low + (high - low) * static_cast<double>(level) / static_cast<double>(levels - 1));
      }
    }
    spec_.agent_actions[i] = power(own);
  }
  std::vector<std::string> names;
  for (int64_t k = 0; k < n; ++k) {
    std::string name;
    for (int64_t j = 0; j < m; ++j) {
      const int64_t level = k / power(m - 1 - j) % levels;
      name += name.empty() ? "" : ", ";
      name += alike ? fmt::format("{} {:.3g}", spec_.action_names[j], spec_.choices[k * m + j])
                    : fmt::format("{} level {}", spec_.action_names[j], level);
    }
    names.push_back(name);
  }
  spec_.action_names = names;
  spec_.actions = n;
  spec_.numbers = m;
  spec_.variant += fmt::format(", {} levels", levels);
  spec_.continuous = bounded_ = false;
  spec_.action_low.clear(), spec_.action_high.clear();
}

template <class Action>
template <class Visit>
void CopiesOf<Action>::each_who_acts(const Frame& frame, const Visit& visit) const {
  const int64_t a = spec_.agents;
  const bool* present = spec_.leaving ? frame.present.data_ptr<bool>() : nullptr;
  for (int64_t e = 0; e < spec_.copies; ++e) {
    if (clocks_[e].terminated || clocks_[e].truncated) continue;
    for (int64_t p = 0; p < a; ++p)
      if (!present || present[e * a + p]) visit(e, p);
  }
}

template <class Action>
Tensor CopiesOf<Action>::looked_up(const Tensor& choices, const Frame& frame) const {
  const int64_t a = spec_.agents, n = spec_.actions, m = numbers_;
  Tensor out = at::zeros({spec_.copies, a, m}, at::kFloat);
  const int64_t* chosen = choices.data_ptr<int64_t>();
  float* to = out.data_ptr<float>();
  each_who_acts(frame, [&](int64_t e, int64_t p) {
    const int64_t i = e * a + p;
    std::copy_n(&spec_.choices[(p * n + chosen[i]) * m], m, to + i * m);
  });
  return out;
}

template <class Action>
std::string CopiesOf<Action>::place(int64_t copy) const {
  return fmt::format("{}, copy {}", spec_.name, copy);
}

template <class Action>
void CopiesOf<Action>::check_frame(const Frame& frame) const {
  const int64_t e = spec_.copies, a = spec_.agents;
  if (!frame.obs.defined() || !frame.mask.defined() ||
      frame.obs.sizes() != at::IntArrayRef({e, a, spec_.obs}) ||
      frame.mask.sizes() != at::IntArrayRef({e, a, spec_.actions}) ||
      frame.present.defined() != spec_.leaving) {
    throw UserError(spec_.name, "the frame belongs to another world",
                    "pass the frame that this world's reset filled");
  }
}

template <class Action>
void CopiesOf<Action>::start(int64_t copy) {
  Clock& c = clocks_[copy];
  const size_t k = parameters_.size();
  std::copy_n(next_tasks_.begin() + copy * k, k, tasks_.begin() + copy * k);
  c.episode = c.stream.split("episode", c.episodes++);
  c.steps = 0;
  c.terminated = c.truncated = false;
  begin(copy, c.episode);
}

template <class Action>
typename CopiesOf<Action>::Shown CopiesOf<Action>::shown(const Frame& frame) const {
  return {frame.obs.data_ptr<float>(), frame.mask.data_ptr<bool>(),
          spec_.leaving ? frame.present.data_ptr<bool>() : nullptr};
}

template <class Action>
bool CopiesOf<Action>::attended(int64_t copy, const Shown& to) const {
  if (!to.present) return true;
  bool* present = to.present + copy * spec_.agents;
  std::fill_n(present, spec_.agents, true);
  attend(copy, present);
  return std::any_of(present, present + spec_.agents, [](bool there) { return there; });
}

template <class Action>
void CopiesOf<Action>::show(int64_t copy, const Shown& to) const {
  observe(copy, to.obs + copy * spec_.state, to.mask + copy * spec_.agents * spec_.actions);
}

template <class Action>
void CopiesOf<Action>::reset(Rng rng, Frame& frame) {
  if (frame.obs.defined())
    check_frame(frame);
  else
    allocate(spec_, frame);
  const Shown to = shown(frame);
  parallel_for(spec_.copies, kGrain, [&](int64_t first, int64_t last) {
    for (int64_t e = first; e < last; ++e) {
      clocks_[e] = Clock{.stream = rng.split("copy", first_ + e)};
      start(e);
      show(e, to);
      attended(e, to);
    }
  });
  frame.reward.zero_();
  frame.terminated.zero_();
  frame.truncated.zero_();
  started_ = true;
}

template <class Action>
void CopiesOf<Action>::reset(const Tensor& copies, Frame& frame) {
  if (!started_)
    throw UserError(spec_.name, "was asked for the next episode before its first one began",
                    "call reset with a random stream first");
  check_frame(frame);
  if (copies.scalar_type() != at::kBool || copies.sizes() != at::IntArrayRef({spec_.copies})) {
    throw UserError(spec_.name,
                    fmt::format("the copies to reset are {} of type {}", sizes(copies),
                                c10::toString(copies.scalar_type())),
                    fmt::format("[{}] bool would be right", spec_.copies));
  }
  const Tensor named = copies.cpu().contiguous();
  const bool* which = named.data_ptr<bool>();
  const Shown to = shown(frame);
  parallel_for(spec_.copies, kGrain, [&](int64_t first, int64_t last) {
    for (int64_t e = first; e < last; ++e) {
      if (!which[e]) continue;
      start(e);
      show(e, to);
      attended(e, to);
      std::fill_n(frame.reward.data_ptr<float>() + e * spec_.agents, spec_.agents, 0.F);
      frame.terminated.data_ptr<bool>()[e] = frame.truncated.data_ptr<bool>()[e] = false;
    }
  });
}

template <class Action>
void CopiesOf<Action>::check(const Tensor& actions, const Frame& frame) const {
  const int64_t a = spec_.agents;
  if (!started_)
    throw UserError(spec_.name, "was asked to step before its first episode began", "call reset first");
  check_frame(frame);
  if (actions.scalar_type() != (spec_.continuous ? at::kFloat : at::kLong)) {
    throw UserError(spec_.name, fmt::format("actions are of type {}", c10::toString(actions.scalar_type())),
                    spec_.continuous ? "actions are float32, the numbers that each agent sets"
                                     : "actions are int64, the number of one action for each agent");
  }
  const std::array<int64_t, 3> all{spec_.copies, a, spec_.actions};
  const at::IntArrayRef right(all.data(), spec_.continuous ? 3 : 2);
  if (actions.sizes() != right) {
    throw UserError(spec_.name, fmt::format("actions have sizes {}", sizes(actions)),
                    fmt::format("[{}] would be right", fmt::join(right, ", ")));
  }
  if (!actions.device().is_cpu()) {
    throw UserError(spec_.name, "actions are on " + actions.device().str(),
                    "worlds run on the CPU: pass actions.cpu()");
  }
}

template <class Action>
void CopiesOf<Action>::check_numbers(const Tensor& actions, const Frame& frame) const {
  const int64_t a = spec_.agents, n = spec_.actions;
  const float* act = actions.data_ptr<float>();
  each_who_acts(frame, [&](int64_t e, int64_t p) {
    const float* own = act + (e * a + p) * n;
    for (int64_t k = 0; k < n; ++k)
      if (!std::isfinite(own[k])) refuse_number(e, p, k, own[k]);
  });
}

template <class Action>
void CopiesOf<Action>::refuse_number(int64_t copy, int64_t agent, int64_t which, float told) const {
  throw UserError(place(copy) + ", " + spec_.agent_names[agent],
                  fmt::format("{} is {}", spec_.action_names[which], told), "give a finite number");
}

template <class Action>
void CopiesOf<Action>::check_choices(const Tensor& actions, const Frame& frame) const {
  const int64_t a = spec_.agents, n = spec_.actions;
  const int64_t* act = actions.data_ptr<int64_t>();
  const bool* mask = frame.mask.data_ptr<bool>();
  each_who_acts(frame, [&](int64_t e, int64_t p) {
    const int64_t i = e * a + p, chosen = act[i];
    if (chosen < 0 || chosen >= n || !mask[i * n + chosen]) refuse_choice(e, p, chosen, mask + i * n);
  });
}

template <class Action>
void CopiesOf<Action>::refuse_choice(int64_t copy, int64_t agent, int64_t chosen, const bool* may) const {
  const int64_t n = spec_.actions;
  std::string allowed;
  for (int64_t k = 0; k < n; ++k) {
    if (may[k] && allowed.size() < 60) allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", k);
  }
  throw UserError(place(copy) + ", " + spec_.agent_names[agent],
                  chosen < 0 || chosen >= n
                      ? fmt::format("action {} is outside 0..{}", chosen, n - 1)
                      : fmt::format("action {} ({}) is masked", chosen, spec_.action_names[chosen]),
                  "allowed now: " + allowed);
}

template <class Action>
Tensor CopiesOf<Action>::within(const Tensor& actions, const Frame& frame) const {
  if (!bounded_ && !spec_.leaving) return actions;
  Tensor out = actions.clone();
  const int64_t a = spec_.agents, n = numbers_;
  Action* act = out.data_ptr<Action>();
  for (int64_t e = 0; bounded_ && e < spec_.copies; ++e) {
    Action* own = act + e * a * n;
    for (int64_t k = 0; k < a * n; ++k)
      own[k] = std::clamp(own[k], static_cast<Action>(spec_.action_low[k]),
                          static_cast<Action>(spec_.action_high[k]));
  }
  if (!spec_.leaving) return out;
  const bool* present = frame.present.data_ptr<bool>();
  for (int64_t i = 0; i < spec_.copies * a; ++i) {
    if (!present[i]) std::fill_n(act + i * n, n, Action{0});
  }
  return out;
}

template <class Action>
void CopiesOf<Action>::step(const Tensor& given, Frame& frame) {
  check(given, frame);
  const Tensor told = given.contiguous();
  Tensor actions;
  if (spec_.continuous) {
    check_numbers(told, frame);
    actions = within(told, frame);
  } else {
    check_choices(told, frame);
    actions = kNumbers<Action> ? looked_up(told, frame) : within(told, frame);
  }
  const int64_t a = spec_.agents, each = a * numbers_;
  const Action* act = actions.data_ptr<Action>();
  const Shown to = shown(frame);
  bool* final_present = spec_.leaving ? frame.final_present.data_ptr<bool>() : nullptr;
  float* final_obs = frame.final_obs.data_ptr<float>();
  float* reward = frame.reward.data_ptr<float>();
  bool* terminated = frame.terminated.data_ptr<bool>();
  bool* truncated = frame.truncated.data_ptr<bool>();
  parallel_for(spec_.copies, kGrain, [&](int64_t first, int64_t last) {
    std::memset(reward + first * a, 0, (last - first) * a * sizeof(float));
    for (int64_t e = first; e < last; ++e) {
      Clock& c = clocks_[e];
      if (c.terminated || c.truncated) continue;
      bool ended = advance(e, act + e * each, c.steps, c.episode, reward + e * a);
      ++c.steps;
      if (to.present) {
        for (int64_t i = e * a; i < (e + 1) * a && !spec_.common_reward; ++i) {
          if (!to.present[i]) reward[i] = 0;
        }
        if (!attended(e, to)) ended = true;
      }
      const bool cut = !ended && c.steps >= spec_.limit;
      terminated[e] = ended;
      truncated[e] = cut;
      show(e, to);
      if (!ended && !cut) continue;
      if (to.present) std::memcpy(final_present + e * a, to.present + e * a, a);
      std::memcpy(final_obs + e * spec_.state, to.obs + e * spec_.state, spec_.state * sizeof(float));
      if (auto_reset_) {
        start(e);
        show(e, to);
        attended(e, to);
      } else {
        c.terminated = ended;
        c.truncated = cut;
      }
    }
  });
}

template <class Action>
void CopiesOf<Action>::set_tasks(const Tensor& tasks) {
  const auto k = static_cast<int64_t>(parameters_.size());
  if (tasks.scalar_type() != at::kDouble || tasks.sizes() != at::IntArrayRef({spec_.copies, k})) {
    throw UserError(spec_.name,
                    fmt::format("tasks are {} of type {}", sizes(tasks), c10::toString(tasks.scalar_type())),
                    fmt::format("[{}, {}] float64 would be right", spec_.copies, k));
  }
  const Tensor t = tasks.cpu().contiguous();
  const double* p = t.data_ptr<double>();
  for (int64_t e = 0; e < spec_.copies; ++e) check_whole_task(p + e * k, place(e));
  next_tasks_.assign(p, p + spec_.copies * k);
}

template <class Action>
void CopiesOf<Action>::check_whole_task(const double* task, const std::string& place) const {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const TaskParameter& p = parameters_[i];
    const auto no = [&](const std::string& right) {
      throw UserError(place + ", " + p.name, fmt::format("is {:g}", task[i]), right);
    };
    const double x = task[i], low = p.whole ? std::max(p.may[0], -kMostCounted) : p.may[0],
                 high = p.whole ? std::min(p.may[1], kMostCounted) : p.may[1];
    if (!std::isfinite(x)) no("give a finite number");
    if (p.whole && x != std::floor(x)) no("give a whole number");
    if (x <= high && (p.above ? x > low : x >= low)) continue;
    no(fmt::format("{}{:g} {} {:g} would be right", p.above ? "above " : "", low,
                   p.above ? "and at most" : "to", high));
  }
  check_task(task, place);
}

template <class Action>
Tensor CopiesOf<Action>::save(int64_t copy) const {
  TORCH_CHECK(copy >= 0 && copy < spec_.copies, spec_.name, ": copy ", copy, " of ", spec_.copies);
  const auto k = static_cast<int64_t>(parameters_.size());
  Tensor out = at::zeros({kHeader + 2 * k + world_size_}, at::kDouble);
  Cargo cargo = Cargo::out(out.data_ptr<double>());
  const_cast<CopiesOf&>(*this).load(copy, cargo);  // a cargo that is not loading only reads
  TORCH_CHECK(cargo.at() == out.data_ptr<double>() + out.numel(), spec_.name,
              ": visit handles another number of values");
  return out;
}

template <class Action>
void CopiesOf<Action>::load(int64_t copy, Cargo& cargo) {
  const auto k = static_cast<int64_t>(parameters_.size());
  const double most = std::numeric_limits<double>::max();
  Clock& c = clocks_[copy];
  cargo(c.steps, {"the number of steps", 0, spec_.limit}),
      cargo(c.episodes, {"the number of episodes", 0, kMostCounted});
  cargo(c.terminated), cargo(c.truncated);
  carry(cargo, c.stream), carry(cargo, c.episode);
  // What a task may be is said by its parameters, here as in set_tasks.
  cargo(&tasks_[copy * k], k, {"a number of the task", -most, most});
  cargo(&next_tasks_[copy * k], k, {"a number of the next task", -most, most});
  if (cargo.loading()) {
    if (c.terminated && c.truncated)
      throw UserError(place(copy), "a saved episode ended by itself and was cut off too", "it can't be both");
    if (!ended(copy) && c.steps >= spec_.limit)
      throw UserError(place(copy), fmt::format("a saved episode goes on after {} steps", c.steps),
                      fmt::format("it ends with step {}", spec_.limit));
    if (ended(copy) && auto_reset_)
      throw UserError(place(copy), "a saved episode has ended, and this world starts the next at once",
                      "restore it where auto_reset is false");
    check_whole_task(&tasks_[copy * k], place(copy)), check_whole_task(&next_tasks_[copy * k], place(copy));
  }
  visit(copy, cargo);
}

template <class Action>
void CopiesOf<Action>::restore(int64_t copy, const Tensor& saved, Frame& frame) {
  TORCH_CHECK(copy >= 0 && copy < spec_.copies, spec_.name, ": copy ", copy, " of ", spec_.copies);
  if (!started_)
    throw UserError(spec_.name, "was asked to restore before its first episode began", "call reset first");
  check_frame(frame);
  const auto k = static_cast<int64_t>(parameters_.size());
  if (saved.scalar_type() != at::kDouble ||
      saved.sizes() != at::IntArrayRef({kHeader + 2 * k + world_size_})) {
    throw UserError(place(copy), fmt::format("the saved state has sizes {}", sizes(saved)),
                    fmt::format("[{}] float64 would be right", kHeader + 2 * k + world_size_));
  }
  Tensor s = saved.cpu().contiguous().clone(), own = save(copy);
  try {
    Cargo cargo = Cargo::in(s.data_ptr<double>(), place(copy));
    load(copy, cargo);
  } catch (...) {
    Cargo back = Cargo::back(own.data_ptr<double>());
    load(copy, back);
    throw;
  }
  const Clock& c = clocks_[copy];
  const Shown to = shown(frame);
  show(copy, to);
  attended(copy, to);
  frame.reward[copy].zero_();
  frame.terminated[copy].fill_(c.terminated);
  frame.truncated[copy].fill_(c.truncated);
}

template class CopiesOf<int64_t>;
template class CopiesOf<float>;

}  // namespace symma
