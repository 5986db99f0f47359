#include "symma/tasks/rollout.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "symma/core/parallel.h"

namespace symma {
namespace {

// Index of the largest allowed; the first of equals.
int64_t best(const float* logits, const bool* mask, int64_t n) {
  int64_t at = -1;
  for (int64_t i = 0; i < n; ++i) {
    if (mask[i] && (at < 0 || logits[i] > logits[at])) at = i;
  }
  return at;
}

int64_t any(const bool* mask, int64_t n, Draws& d) {
  int64_t allowed = 0;
  for (int64_t i = 0; i < n; ++i) allowed += mask[i];
  int64_t left = d.below(allowed);
  for (int64_t i = 0; i < n; ++i) {
    if (mask[i] && left-- == 0) return i;
  }
  TORCH_CHECK(false, "no action is allowed");
}

// An action drawn from the softmax over allowed ones, and its log probability.
int64_t draw(const float* logits, const bool* mask, int64_t n, Draws& d, float& log_p) {
  const float top = logits[best(logits, mask, n)];
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += mask[i] ? std::exp(static_cast<double>(logits[i] - top)) : 0;
  double left = d.uniform() * sum;
  int64_t at = -1;
  for (int64_t i = 0; i < n; ++i) {
    if (!mask[i]) continue;
    at = i;
    left -= std::exp(static_cast<double>(logits[i] - top));
    if (left < 0) break;
  }
  log_p = static_cast<float>(logits[at] - top - std::log(sum));
  return at;
}

// n numbers from independent normals, or their means; and the log density. Diverged networks give NaN, which
// counts as 0.
float set_numbers(const float* outputs, int64_t n, bool sample, Draws& d, float* action) {
  double log_p = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double log_std = std::max<double>(outputs[n + i], kLeastLogStd), z = sample ? d.normal() : 0;
    const double x = outputs[i] + std::exp(log_std) * z;
    action[i] = std::isfinite(x) ? static_cast<float>(x) : 0;
    log_p -= log_std + 0.5 * z * z + kHalfLog2Pi;
  }
  return static_cast<float>(log_p);
}

}  // namespace

Tensor for_world(const EnvSpec& spec, const Tensor& action, bool squash) {
  if (!squash || !spec.continuous) return action;
  Tensor out = action.contiguous().clone();
  const auto n = static_cast<int64_t>(spec.action_low.size());
  float* x = out.data_ptr<float>();
  for (int64_t i = 0; i < out.numel(); ++i) {
    const double low = spec.action_low[i % n], high = spec.action_high[i % n];
    x[i] = static_cast<float>(low + (high - low) * 0.5 * (std::tanh(static_cast<double>(x[i])) + 1));
  }
  return out;
}

std::array<Tensor*, 14> every_tensor(Rollout& o) {
  return {&o.input, &o.mask,   &o.action, &o.log_p, &o.reward,  &o.alive,  &o.terminated,
          &o.team,  &o.earned, &o.length, &o.going, &o.present, &o.taught, &o.memory};
}

Rollouts::Rollouts(std::vector<std::unique_ptr<Env>> worlds, const TeamNet& net, const Players& players,
                   Behaviour behaviour, std::vector<Rng> keys, bool remembers, Tensor memory)
    : worlds_(std::move(worlds)),
      net_(net),
      players_(players),
      behaviour_(std::move(behaviour)),
      keys_(std::move(keys)),
      remembers_(remembers),
      memory_(std::move(memory)) {
  const EnvSpec& spec = worlds_[0]->spec();
  r_ = static_cast<int64_t>(worlds_.size()), e_ = spec.copies, a_ = spec.agents, d_ = spec.obs;
  c_ = players.context.defined() ? players.context.size(1) : 0;
  n_ = spec.actions, limit_ = spec.limit, index_ = players.index ? a_ : 0;
  in_ = d_ + c_ + index_ + (players.feedback ? n_ + 2 + (players.recall ? d_ + c_ : 0) : 0);
  TORCH_CHECK(!spec.continuous || behaviour_.epsilon.empty(), "numbers are not drawn evenly");
  scripted_.resize(a_);
  for (int64_t p : behaviour_.scripted) scripted_[p] = behaviour_.script != nullptr;
  frames_.resize(r_), actions_.resize(r_), going_.resize(r_);
  now_ = at::zeros({r_, e_, a_, in_}, at::kFloat);
  team_ = at::zeros({r_, e_}, at::kFloat);
  earned_ = at::zeros({r_, e_, a_}, at::kFloat);
  length_ = at::zeros({r_, e_}, at::kFloat);
  parallel_for(r_, 1, [&](int64_t w, int64_t) {
    worlds_[w]->reset(keys_[w].split("world"), frames_[w]);
    actions_[w] = actions_of({e_, a_});
    const float* from = frames_[w].obs.data_ptr<float>();
    float* to = now_.data_ptr<float>() + w * e_ * a_ * in_;
    for (int64_t i = 0; i < e_; ++i) {
      going_[w].push_back(i);
      for (int64_t p = 0; p < a_; ++p, to += in_, from += d_) see(w, p, from, to);
    }
  });
}

bool Rollouts::over() const {
  return step_ >= limit_ ||
         std::all_of(going_.begin(), going_.end(), [](const auto& g) { return g.empty(); });
}

// An agent's action: one int64, or n floats.
Tensor Rollouts::actions_of(std::vector<int64_t> sizes) const {
  const bool numbers = worlds_[0]->spec().continuous;
  if (numbers) sizes.push_back(n_);
  return at::zeros(sizes, numbers ? at::kFloat : at::kLong);
}

// What a network sees and remembers, [R, ...] and [rows of theta, ...].
Tensor Rollouts::by_net(const Tensor& x, int64_t nets) const {
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes[0] = nets, sizes[1] = x.size(0) * x.size(1) / nets;
  return x.reshape(sizes);
}

Tensor Rollouts::by_world(const Tensor& x) const {
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes[0] = r_, sizes[1] = x.size(0) * x.size(1) / r_;
  return x.reshape(sizes);
}

// Room for a fragment of t steps, and what is seen as it begins.
void Rollouts::begin(Rollout& out, int64_t t) const {
  const bool leaving = worlds_[0]->spec().leaving;
  out.input = at::zeros({r_, e_, t + 1, a_, in_}, at::kFloat);
  out.mask = at::ones({r_, e_, t + 1, a_, n_}, at::kBool);
  out.action = actions_of({r_, e_, t, a_});
  out.log_p = at::zeros({r_, e_, t, a_}, at::kFloat);
  out.reward = at::zeros({r_, e_, t, a_}, at::kFloat);
  out.alive = at::zeros({r_, e_, t}, at::kFloat);
  out.terminated = at::zeros({r_, e_, t}, at::kFloat);
  if (leaving) out.present = at::zeros({r_, e_, t + 1, a_}, at::kFloat);
  if (players_.teacher) out.taught = actions_of({r_, e_, t, a_});
  if (memory_.defined()) out.memory = memory_;
  parallel_for(r_, 1, [&](int64_t w, int64_t) {
    for (int64_t i : going_[w]) {
      const int64_t at = (w * e_ + i) * (t + 1);
      std::memcpy(out.input.data_ptr<float>() + at * a_ * in_,
                  now_.data_ptr<float>() + (w * e_ + i) * a_ * in_, a_ * in_ * sizeof(float));
      std::memcpy(out.mask.data_ptr<bool>() + at * a_ * n_, frames_[w].mask.data_ptr<bool>() + i * a_ * n_,
                  a_ * n_);
      for (int64_t p = 0; leaving && p < a_; ++p)
        out.present.data_ptr<float>()[at * a_ + p] = frames_[w].present.data_ptr<bool>()[i * a_ + p] ? 1 : 0;
    }
  });
}

// What a player is told of its world, what it sees, and who it is.
void Rollouts::see(int64_t w, int64_t p, const float* from, float* to) const {
  if (c_ > 0) std::memcpy(to, players_.context.data_ptr<float>() + w * c_, c_ * sizeof(float));
  std::memcpy(to + c_, from, d_ * sizeof(float));
  if (players_.index) to[d_ + c_ + p] = 1;
}

// Writes what copy i of row w sees after `s` steps of the fragment; `over` where that is its episode's last.
void Rollouts::look(int64_t w, int64_t i, int64_t s, bool over, Rollout& out) const {
  const int64_t t = out.alive.size(2), at = (w * e_ + i) * (t + 1) + s;
  float* to = out.input.data_ptr<float>() + at * a_ * in_;
  const float* from = frames_[w].obs.data_ptr<float>() + i * a_ * d_;
  for (int64_t p = 0; p < a_; ++p, to += in_, from += d_) {
    see(w, p, from, to);
    if (!players_.feedback) continue;
    float* told = to + d_ + c_ + index_;
    const int64_t before = ((w * e_ + i) * t + s - 1) * a_ + p;
    if (out.action.dim() == 5)
      std::memcpy(told, out.action.data_ptr<float>() + before * n_, n_ * sizeof(float));
    else
      told[out.action.data_ptr<int64_t>()[before]] = 1;
    told[n_] = out.reward.data_ptr<float>()[before];
    told[n_ + 1] = over ? 1 : 0;
    if (players_.recall) std::memcpy(told + n_ + 2, to - a_ * in_, (d_ + c_) * sizeof(float));
  }
  std::memcpy(out.mask.data_ptr<bool>() + at * a_ * n_, frames_[w].mask.data_ptr<bool>() + i * a_ * n_,
              a_ * n_);
  for (int64_t p = 0; out.present.defined() && p < a_; ++p)
    out.present.data_ptr<float>()[at * a_ + p] = frames_[w].present.data_ptr<bool>()[i * a_ + p] ? 1 : 0;
}

// Row w's actions at step `s` of the fragment, from its networks' outputs [R, slots, A, width].
void Rollouts::act(int64_t w, int64_t s, const Tensor& outputs, bool packed, Rollout& out) {
  const int64_t slots = outputs.size(1), width = outputs.size(3), t = out.alive.size(2);
  Draws draws(keys_[w].split("act", step_));
  const Tensor& act = actions_[w];
  const float* said = outputs.data_ptr<float>();
  const bool* masks = frames_[w].mask.data_ptr<bool>();
  const bool* present = out.present.defined() ? frames_[w].present.data_ptr<bool>() : nullptr;
  const bool continuous = act.dim() == 3;
  float* log_ps = out.log_p.data_ptr<float>();
  float* numbers = continuous ? act.data_ptr<float>() : nullptr;
  const bool sample = behaviour_.pick == Behaviour::Pick::kSample;
  Tensor script;
  if (!behaviour_.scripted.empty())
    script = symma::scripted(*behaviour_.script, *worlds_[w], frames_[w], keys_[w].split("script", step_))
                 .contiguous();
  for (size_t g = 0; g < going_[w].size(); ++g) {
    const int64_t i = going_[w][g], slot = packed ? static_cast<int64_t>(g) : i;
    for (int64_t p = 0; p < a_; ++p) {
      const float* logits = said + ((w * slots + slot) * a_ + p) * width;
      const bool* mask = masks + (i * a_ + p) * n_;
      float& log_p = log_ps[((w * e_ + i) * t + s) * a_ + p];
      const bool gone = present && !present[i * a_ + p];
      if (scripted_[p]) {
        const int64_t at = i * a_ + p;
        if (continuous)
          std::memcpy(numbers + at * n_, script.data_ptr<float>() + at * n_, n_ * sizeof(float));
        else
          act.data_ptr<int64_t>()[at] = script.data_ptr<int64_t>()[at];
        continue;
      }
      if (continuous) {
        if (gone)
          std::fill_n(numbers + (i * a_ + p) * n_, n_, 0.F);
        else
          log_p = set_numbers(logits, n_, sample, draws, numbers + (i * a_ + p) * n_);
        continue;
      }
      int64_t& chosen = act.data_ptr<int64_t>()[i * a_ + p];
      // Diverged networks give NaN, with which no comparison holds: the first allowed action is taken.
      if (gone)
        chosen = 0;
      else if (!behaviour_.epsilon.empty() && draws.uniform() < behaviour_.epsilon[w])
        chosen = any(mask, n_, draws);
      else if (sample)
        chosen = draw(logits, mask, n_, draws, log_p);
      else
        chosen = best(logits, mask, n_);
    }
  }
}

// Row w's world takes the step, and what came of it is written down.
void Rollouts::move(int64_t w, int64_t s, Rollout& out) {
  const EnvSpec& spec = worlds_[w]->spec();
  const int64_t t = out.alive.size(2);
  const Tensor& act = actions_[w];
  const int64_t bytes = act.nbytes() / e_;  // of all players' actions in one copy
  if (players_.teacher) {
    const Tensor taught =
        scripted(*players_.teacher, *worlds_[w], frames_[w], keys_[w].split("teacher", step_)).contiguous();
    for (int64_t i : going_[w])
      std::memcpy(static_cast<char*>(out.taught.data_ptr()) + ((w * e_ + i) * t + s) * bytes,
                  static_cast<const char*>(taught.data_ptr()) + i * bytes, bytes);
  }
  // A script's numbers are the world's own.
  Tensor told = for_world(spec, act, players_.squash);
  for (int64_t p = 0; players_.squash && p < a_; ++p)
    if (scripted_[p]) told.select(1, p).copy_(act.select(1, p));
  worlds_[w]->step(told, frames_[w]);
  const float* reward = frames_[w].reward.data_ptr<float>();
  const bool *ends = frames_[w].terminated.data_ptr<bool>(), *cuts = frames_[w].truncated.data_ptr<bool>();
  float *rewards = out.reward.data_ptr<float>(), *earned = earned_.data_ptr<float>(),
        *teams = team_.data_ptr<float>(), *alive = out.alive.data_ptr<float>(),
        *terminated = out.terminated.data_ptr<float>();
  const float* present = out.present.defined() ? out.present.data_ptr<float>() : nullptr;
  char* done = static_cast<char*>(out.action.data_ptr());
  const char* chosen = static_cast<const char*>(act.data_ptr());
  std::vector<int64_t> left;
  for (int64_t i : going_[w]) {
    const int64_t at = (w * e_ + i) * t + s;
    float team = 0;
    for (int64_t p = 0; p < a_; ++p) team += scripted_[p] ? 0 : reward[i * a_ + p];
    if (spec.common_reward) team = reward[i * a_];
    teams[w * e_ + i] += team;
    std::memcpy(done + at * bytes, chosen + i * bytes, bytes);
    for (int64_t p = 0; p < a_; ++p) {
      const float there = present ? present[((w * e_ + i) * (t + 1) + s) * a_ + p] : 1;
      // What a script earns is handed to nobody: it is no part of what the others are to learn.
      const float own = scripted_[p] ? 0 : reward[i * a_ + p];
      rewards[at * a_ + p] = there * (players_.own_reward ? own : team);
      earned[(w * e_ + i) * a_ + p] += there * reward[i * a_ + p];
    }
    alive[at] = 1;
    length_.data_ptr<float>()[w * e_ + i] += 1;
    const bool over = ends[i] || cuts[i];
    terminated[at] = ends[i] ? 1 : 0;
    look(w, i, s + 1, over, out);
    if (!over) left.push_back(i);
    if (over || s + 1 == t)
      std::memcpy(now_.data_ptr<float>() + (w * e_ + i) * a_ * in_,
                  out.input.data_ptr<float>() + ((w * e_ + i) * (t + 1) + s + 1) * a_ * in_,
                  a_ * in_ * sizeof(float));
  }
  going_[w] = std::move(left);
}

Rollout Rollouts::next(int64_t steps, const Tensor& theta) {
  at::NoGradGuard no_grad;
  TORCH_CHECK(steps > 0, "a fragment of ", steps, " steps");
  const EnvSpec& spec = worlds_[0]->spec();
  const int64_t t = std::min(steps, limit_ - step_), nets = theta.size(0),
                width = spec.continuous ? 2 * n_ : n_;  // of a network's output
  TORCH_CHECK(!over(), "every episode has ended");
  TORCH_CHECK(r_ % nets == 0 || (nets % r_ == 0 && e_ % (nets / r_) == 0), nets, " rows for ", r_,
              " worlds of ", e_);
  Rollout out;
  begin(out, t);
  Tensor memory = memory_.defined() ? by_net(memory_, nets) : Tensor();
  for (int64_t s = 0; s < t; ++s) {
    int64_t most = 0, all = 0;
    for (const auto& g : going_) {
      most = std::max<int64_t>(most, static_cast<int64_t>(g.size()));
      all += static_cast<int64_t>(g.size());
    }
    if (most == 0) break;
    // A network without memory is asked about episodes that go on alone, packed to the front of each row.
    const bool packed = !net_.recurrent() && nets <= r_;
    Tensor x = packed ? at::zeros({r_, most, a_, in_}, at::kFloat) : out.input.select(2, s);
    for (int64_t w = 0; packed && w < r_; ++w) {
      float* to = x.data_ptr<float>() + w * most * a_ * in_;
      for (int64_t i : going_[w]) {
        std::memcpy(to, out.input.data_ptr<float>() + ((w * e_ + i) * (t + 1) + s) * a_ * in_,
                    a_ * in_ * sizeof(float));
        to += a_ * in_;
      }
    }
    const Tensor before = memory;
    const Tensor outputs = by_world(net_.act(theta, by_net(x, nets), memory)).to(at::kFloat).contiguous();
    // [R, L, A, n]. Who has ended keeps what it remembers.
    if (remembers_ && all < r_ * e_) {
      const Tensor on = at::zeros({r_, e_, 1, 1}, at::kBool);
      for (int64_t w = 0; w < r_; ++w) {
        for (int64_t i : going_[w]) on.data_ptr<bool>()[w * e_ + i] = true;
      }
      memory = at::where(by_net(on, nets), memory, before);
    }
    TORCH_CHECK(outputs.size(3) == width, "the network has ", outputs.size(3), " outputs; ", width,
                " are asked");
    parallel_for(r_, 1, [&](int64_t w, int64_t) {
      act(w, s, outputs, packed, out);
      move(w, s, out);
    });
    ++step_;
  }
  if (memory.defined()) memory_ = by_world(memory);
  out.going = at::zeros({r_, e_}, at::kFloat);
  for (int64_t w = 0; w < r_; ++w) {
    for (int64_t i : going_[w]) out.going.data_ptr<float>()[w * e_ + i] = 1;
  }
  out.team = team_.clone(), out.earned = earned_.clone(), out.length = length_.clone();
  return out;
}

Tensor Rollouts::memory(const Tensor& theta) const {
  at::NoGradGuard no_grad;
  TORCH_CHECK(over() && remembers_, "memory is asked for at the end, by who said so at the start");
  Tensor memory = by_net(memory_, theta.size(0));
  net_.act(theta, by_net(now_, theta.size(0)), memory);
  return by_world(memory);
}

Tensor Rollout::team_reward(bool own_reward) const {
  if (own_reward) return reward.sum(3);
  if (!present.defined()) return reward.select(3, 0);
  const Tensor there = present.narrow(2, 0, reward.size(2));
  return reward.sum(3) / there.sum(3).clamp_min(1);  // each who is there was handed the same
}

namespace {

Tensor box(const Tensor& x) {
  return (x - x.detach()).exp();
}

// [T]
Tensor discounts(double gamma, const Tensor& reward) {
  return at::pow(gamma, at::arange(reward.size(2), reward.options()));
}

}  // namespace

Tensor dice(const Tensor& log_p, const Tensor& reward, const Tensor& alive, double gamma) {
  const int64_t e = reward.size(1);
  const Tensor paid = reward * alive * discounts(gamma, reward), l = log_p * alive;
  Tensor value = (box(l.cumsum(2)) * paid).sum(2);  // [R, E]
  if (e > 1) {
    const Tensor to_go = paid.flip(2).cumsum(2).flip(2);  // [R, E, T], discounted from the start
    const Tensor others = (to_go.sum(1, true) - to_go) / static_cast<double>(e - 1);
    value = value + ((1 - box(l)) * others * alive).sum(2);
  }
  return -value.mean(1);
}

Tensor dice(const Tensor& log_p, const Tensor& reward, const Tensor& alive, double gamma,
            const Tensor& baseline) {
  const Tensor weight = discounts(gamma, reward) * alive, l = log_p * alive, so_far = l.cumsum(2);
  Tensor value = (box(so_far) * reward * weight).sum(2);  // [R, E]
  if (baseline.defined()) value = value + ((box(so_far - l) - box(so_far)) * baseline * weight).sum(2);
  return -value.mean(1);
}

Tensor masked_log_softmax(const Tensor& logits, const Tensor& mask) {
  return at::log_softmax(logits.masked_fill(mask.logical_not(), -1e9), -1);
}

namespace {

// Means and log deviations, [..., n] each.
std::pair<Tensor, Tensor> normals(const Tensor& outputs) {
  const int64_t n = outputs.size(-1) / 2;
  return {outputs.narrow(-1, 0, n), outputs.narrow(-1, n, n).clamp_min(kLeastLogStd)};
}

}  // namespace

Tensor log_probability(const Tensor& outputs, const Tensor& mask, const Tensor& action) {
  if (action.scalar_type() == at::kLong)
    return masked_log_softmax(outputs, mask).gather(-1, action.unsqueeze(-1)).squeeze(-1);
  const auto [mean, log_std] = normals(outputs);
  const Tensor z = (action.to(outputs.scalar_type()) - mean) * (-log_std).exp();
  return -(log_std + 0.5 * z.square() + kHalfLog2Pi).sum(-1);
}

Tensor divergence(const Tensor& before, const Tensor& outputs, const Tensor& mask, bool continuous) {
  if (!continuous) {
    const Tensor p = masked_log_softmax(before, mask), q = masked_log_softmax(outputs, mask);
    return (p.exp() * (p - q)).sum(-1);
  }
  const auto [mean_p, log_p] = normals(before);
  const auto [mean_q, log_q] = normals(outputs);
  const Tensor shrink = (-2 * log_q).exp();
  return (log_q - log_p + 0.5 * ((2 * log_p).exp() + (mean_p - mean_q).square()) * shrink - 0.5).sum(-1);
}

}  // namespace symma
