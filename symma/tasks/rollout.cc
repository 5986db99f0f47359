#include "symma/tasks/rollout.h"

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

Rollout roll_out(const std::vector<std::unique_ptr<Env>>& worlds, const TeamNet& net, const Tensor& theta,
                 const Players& players, const Behaviour& behaviour, const std::vector<Rng>& keys,
                 Tensor* carried) {
  at::NoGradGuard no_grad;
  const EnvSpec& spec = worlds[0]->spec();
  const int64_t r = static_cast<int64_t>(worlds.size()), e = spec.copies, t = spec.limit, a = spec.agents,
                d = spec.obs, n = spec.actions, index = players.index ? a : 0,
                in = d + index + (players.feedback ? n + 2 + (players.recall ? d : 0) : 0),
                nets = theta.size(0);
  TORCH_CHECK(r % nets == 0 || (nets % r == 0 && e % (nets / r) == 0), nets, " rows for ", r, " worlds of ",
              e);
  Rollout out;
  out.input = at::zeros({r, e, t + 1, a, in}, at::kFloat);
  out.mask = at::ones({r, e, t + 1, a, n}, at::kBool);
  TORCH_CHECK(!spec.continuous || behaviour.epsilon.empty(), "numbers are not drawn evenly");
  // An agent's action: one int64, or n floats.
  const auto actions_of = [&](std::vector<int64_t> sizes) {
    if (spec.continuous) sizes.push_back(n);
    return at::zeros(sizes, spec.continuous ? at::kFloat : at::kLong);
  };
  const int64_t width = spec.continuous ? 2 * n : n;  // of a network's output
  out.action = actions_of({r, e, t, a});
  out.log_p = at::zeros({r, e, t, a}, at::kFloat);
  out.reward = at::zeros({r, e, t, a}, at::kFloat);
  out.alive = at::zeros({r, e, t}, at::kFloat);
  out.terminated = at::zeros({r, e, t}, at::kFloat);
  out.team = at::zeros({r, e}, at::kFloat);
  out.earned = at::zeros({r, e, a}, at::kFloat);
  std::vector<Frame> frames(r);
  std::vector<Tensor> actions(r);
  std::vector<std::vector<int64_t>> going(r);  // the copies whose episodes go on
  // Writes what copy i of row w sees at step s; `over` where that is the last of its episode.
  const auto look = [&](int64_t w, int64_t i, int64_t s, bool over) {
    float* to = out.input.data_ptr<float>() + ((w * e + i) * (t + 1) + s) * a * in;
    const float* from = frames[w].obs.data_ptr<float>() + i * a * d;
    for (int64_t p = 0; p < a; ++p, to += in, from += d) {
      std::memcpy(to, from, d * sizeof(float));
      if (players.index) to[d + p] = 1;
      if (!players.feedback || s == 0) continue;
      float* told = to + d + index;
      const int64_t before = ((w * e + i) * t + s - 1) * a + p;
      if (spec.continuous)
        std::memcpy(told, out.action.data_ptr<float>() + before * n, n * sizeof(float));
      else
        told[out.action.data_ptr<int64_t>()[before]] = 1;
      told[n] = out.reward.data_ptr<float>()[before];
      told[n + 1] = over ? 1 : 0;
      if (players.recall) std::memcpy(told + n + 2, to - a * in, d * sizeof(float));
    }
    std::memcpy(out.mask.data_ptr<bool>() + ((w * e + i) * (t + 1) + s) * a * n,
                frames[w].mask.data_ptr<bool>() + i * a * n, a * n);
  };
  parallel_for(r, 1, [&](int64_t w, int64_t) {
    worlds[w]->reset(keys[w].split("world"), frames[w]);
    actions[w] = actions_of({e, a});
    for (int64_t i = 0; i < e; ++i) {
      going[w].push_back(i);
      look(w, i, 0, false);
    }
  });
  // What a network sees and remembers, [R, ...] and [rows of theta, ...].
  const auto by_net = [&](const Tensor& x) {
    std::vector<int64_t> sizes = x.sizes().vec();
    sizes[0] = nets, sizes[1] = x.size(0) * x.size(1) / nets;
    return x.reshape(sizes);
  };
  const auto by_world = [&](const Tensor& x) {
    std::vector<int64_t> sizes = x.sizes().vec();
    sizes[0] = r, sizes[1] = x.size(0) * x.size(1) / r;
    return x.reshape(sizes);
  };
  Tensor memory = carried && carried->defined() ? by_net(*carried) : Tensor();
  for (int64_t s = 0; s < t; ++s) {
    int64_t most = 0, all = 0;
    for (const auto& g : going) {
      most = std::max<int64_t>(most, static_cast<int64_t>(g.size()));
      all += static_cast<int64_t>(g.size());
    }
    if (most == 0) break;
    // A network without memory is asked about episodes that go on alone, packed to the front of each row.
    const bool packed = !net.recurrent() && nets <= r;
    Tensor x = packed ? at::zeros({r, most, a, in}, at::kFloat) : out.input.select(2, s);
    for (int64_t w = 0; packed && w < r; ++w) {
      float* to = x.data_ptr<float>() + w * most * a * in;
      for (int64_t i : going[w]) {
        std::memcpy(to, out.input.data_ptr<float>() + ((w * e + i) * (t + 1) + s) * a * in,
                    a * in * sizeof(float));
        to += a * in;
      }
    }
    const Tensor before = memory;
    const Tensor outputs = by_world(net.act(theta, by_net(x), memory)).to(at::kFloat).contiguous();
    // [R, L, A, n]. Who has ended keeps what it remembers.
    if (carried && all < r * e) {
      const Tensor on = at::zeros({r, e, 1, 1}, at::kBool);
      for (int64_t w = 0; w < r; ++w) {
        for (int64_t i : going[w]) on.data_ptr<bool>()[w * e + i] = true;
      }
      memory = at::where(by_net(on), memory, before);
    }
    TORCH_CHECK(outputs.size(3) == width, "the network has ", outputs.size(3), " outputs; ", width,
                " are asked");
    const int64_t slots = outputs.size(1);
    parallel_for(r, 1, [&](int64_t w, int64_t) {
      Draws draws(keys[w].split("act", s));
      const Tensor& act = actions[w];
      const float* said = outputs.data_ptr<float>();
      const bool* masks = frames[w].mask.data_ptr<bool>();
      float* log_ps = out.log_p.data_ptr<float>();
      float* numbers = spec.continuous ? act.data_ptr<float>() : nullptr;
      const bool sample = behaviour.pick == Behaviour::Pick::kSample;
      for (size_t g = 0; g < going[w].size(); ++g) {
        const int64_t i = going[w][g], slot = packed ? static_cast<int64_t>(g) : i;
        for (int64_t p = 0; p < a; ++p) {
          const float* logits = said + ((w * slots + slot) * a + p) * width;
          const bool* mask = masks + (i * a + p) * n;
          float& log_p = log_ps[((w * e + i) * t + s) * a + p];
          if (spec.continuous) {
            log_p = set_numbers(logits, n, sample, draws, numbers + (i * a + p) * n);
            continue;
          }
          int64_t& chosen = act.data_ptr<int64_t>()[i * a + p];
          // Diverged networks give NaN, with which no comparison holds: the first allowed action is taken.
          if (!behaviour.epsilon.empty() && draws.uniform() < behaviour.epsilon[w])
            chosen = any(mask, n, draws);
          else if (behaviour.pick == Behaviour::Pick::kSample)
            chosen = draw(logits, mask, n, draws, log_p);
          else
            chosen = best(logits, mask, n);
        }
      }
      worlds[w]->step(act, frames[w]);
      const int64_t bytes = act.nbytes() / e;  // of all players' actions in one copy
      const float* reward = frames[w].reward.data_ptr<float>();
      const bool *ends = frames[w].terminated.data_ptr<bool>(), *cuts = frames[w].truncated.data_ptr<bool>();
      float *rewards = out.reward.data_ptr<float>(), *earned = out.earned.data_ptr<float>(),
            *teams = out.team.data_ptr<float>(), *alive = out.alive.data_ptr<float>(),
            *terminated = out.terminated.data_ptr<float>();
      char* done = static_cast<char*>(out.action.data_ptr());
      const char* chosen = static_cast<const char*>(act.data_ptr());
      std::vector<int64_t> left;
      for (int64_t i : going[w]) {
        const int64_t at = (w * e + i) * t + s;
        float team = 0;
        for (int64_t p = 0; p < a; ++p) team += reward[i * a + p];
        if (spec.common_reward) team = reward[i * a];
        teams[w * e + i] += team;
        std::memcpy(done + at * bytes, chosen + i * bytes, bytes);
        for (int64_t p = 0; p < a; ++p) {
          rewards[at * a + p] = players.own_reward ? reward[i * a + p] : team;
          earned[(w * e + i) * a + p] += reward[i * a + p];
        }
        alive[at] = 1;
        const bool over = ends[i] || cuts[i];
        terminated[at] = ends[i] ? 1 : 0;
        look(w, i, s + 1, over);
        if (!over) left.push_back(i);
      }
      going[w] = std::move(left);
    });
  }
  if (carried) {
    const Tensor last = out.alive.sum(2).to(at::kLong).view({r, e, 1, 1, 1}).expand({r, e, 1, a, in});
    net.act(theta, by_net(out.input.gather(2, last).squeeze(2)), memory);
    *carried = by_world(memory);
  }
  return out;
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
