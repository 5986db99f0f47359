#include "symma/learners/teams/teams.h"

#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

#include "symma/learners/needs.h"
#include "symma/learners/rows.h"

namespace symma {

void TeamOptions::fields(Fields& f) {
  f.add("share_parameters", share_parameters, "one network for all players, rather than one for each");
  f.add("standardise_rewards", standardise_rewards, "rewards less their running mean, over their deviation");
  f.add("limit_ends", limit_ends, "take the step limit for an end of the world, as older code does");
  f.add("gamma", gamma, "discount").above(0).at_most(1);
  f.add("lr", lr, "step size of Adam").at_least(0);
  f.add("adam_eps", adam_eps, "Adam's guard against division by zero").above(0);
  f.add("clip_norm", clip_norm, "longest gradient of a network; 0: no limit").at_least(0);
  f.add("target_update", target_update,
        "how the target network follows: a share at every update where at most 1, else all the way every so "
        "many")
      .above(0);
}

TeamShape::TeamShape(const LearnerSetting& setting, const std::string& learner, bool sets) {
  need(setting, learner, {Need::kWorlds});
  if (!sets) need(setting, learner, {Need::kChoices});
  const TaskSpec& s = setting.spec;
  players = s.players, seen = s.seen, input = s.shape.in[0], actions = s.shape.out, limit = s.limit,
  copies = s.copies, leaving = s.leaving, scripted = s.scripted;
}

Tensor TeamShape::learning(const Tensor& present) const {
  if (scripted.empty()) return present;
  Tensor own = at::ones({players}, at::kFloat);
  for (int64_t p : scripted) own[p] = 0;
  return present.defined() ? present * own : own;
}

Tensor TeamShape::learning(const Rollout& o) const {
  return learning(o.present.defined() ? o.present.narrow(2, 0, o.alive.size(2)) : Tensor());
}

Rollout by_agent(Rollout o, int64_t agents) {
  for (Tensor* t : every_tensor(o)) {
    if (!t->defined()) continue;
    std::vector<int64_t> sizes = t->sizes().vec();
    sizes[1] *= sizes[0] / agents;
    sizes[0] = agents;
    *t = t->reshape(sizes);
  }
  return o;
}

Tensor clip_gradients(const Tensor& grad, double most) {
  if (most <= 0) return grad;
  return grad * (most / grad.norm(2, 1, true).clamp_min(most));
}

Tensor follow(const Tensor& target, const Tensor& now, double update, const Tensor& calls) {
  if (update <= 1) return at::lerp(target, now, update);
  const Tensor due = at::remainder(calls, static_cast<int64_t>(update)).eq(0).unsqueeze(1).to(now.device());
  return at::where(due, now, target);
}

Tensor standardise(State& state, const Tensor& reward, const Tensor& alive, const Tensor& there) {
  const int64_t r = reward.size(0);
  Tensor& kept = state.own.at("reward");
  kept = kept.to(at::kDouble).clone();
  Tensor out = at::zeros_like(reward);
  Tensor counts = alive.unsqueeze(3).expand_as(reward).to(at::kFloat);
  if (there.defined()) counts = counts * there;
  const int64_t points = reward[0].numel();
  const Tensor x = reward.to(at::kFloat).contiguous(), on = counts.contiguous();
  for (int64_t i = 0; i < r; ++i) {
    const float* from = x.data_ptr<float>() + i * points;
    const float* live = on.data_ptr<float>() + i * points;
    double n = 0, sum = 0, squares = 0;
    for (int64_t k = 0; k < points; ++k) {
      if (live[k] > 0) n += 1, sum += from[k];
    }
    const double mean = n > 0 ? sum / n : 0;
    for (int64_t k = 0; k < points; ++k) {
      if (live[k] > 0) squares += (from[k] - mean) * (from[k] - mean);
    }
    double* k = kept.data_ptr<double>() + 3 * i;
    const double all = k[0] + n, apart = mean - k[1];
    if (all > 0) {
      k[2] += squares + apart * apart * k[0] * n / all;
      k[1] += apart * n / all;
      k[0] = all;
    }
    const double deviation = std::sqrt(k[2] / std::max(1.0, k[0])) + 1e-5;
    out[i].copy_((reward[i] - k[1]) / deviation);
  }
  return out * counts.to(out.scalar_type());
}

Points points_of(const Tensor& alive) {
  const int64_t r = alive.size(0), n = alive.size(1) * alive.size(2);
  const Tensor a = alive.to(at::kFloat).contiguous();
  const float* live = a.data_ptr<float>();
  std::vector<int64_t> count(r);
  for (int64_t i = 0; i < r; ++i) {
    for (int64_t j = 0; j < n; ++j) count[i] += live[i * n + j] > 0;
  }
  const int64_t m = std::max<int64_t>(1, *std::max_element(count.begin(), count.end()));
  Points out{at::zeros({r, m}, at::kLong), at::zeros({r, m}, at::kFloat)};
  for (int64_t i = 0; i < r; ++i) {
    int64_t* place = out.place.data_ptr<int64_t>() + i * m;
    for (int64_t j = 0; j < n; ++j) {
      if (live[i * n + j] > 0) *place++ = j;
    }
    std::fill_n(out.weight.data_ptr<float>() + i * m, count[i], 1.F);
  }
  return out;
}

Tensor take(const Tensor& x, const Points& p) {
  const int64_t r = x.size(0), m = p.place.size(1), n = x.size(1) * x.size(2);
  std::vector<int64_t> sizes{r, m, 1};
  for (int64_t i = 3; i < x.dim(); ++i) sizes.push_back(x.size(i));
  const Tensor flat = x.reshape({r * n, -1});
  const Tensor at_row = p.place + at::arange(r, at::kLong).unsqueeze(1) * n;
  return flat.index_select(0, at_row.view(-1)).view(sizes);
}

Tensor put(const Tensor& y, const Points& p, int64_t l, int64_t t) {
  const int64_t r = y.size(0), m = y.size(1), a = y.size(3);
  Tensor out = at::zeros({r, l * t, a}, y.options());
  const Tensor true_y = y.reshape({r, m, a}) * p.weight.unsqueeze(2).to(y.scalar_type());
  out.scatter_add_(1, p.place.unsqueeze(2).expand({r, m, a}), true_y);
  return out.view({r, l, t, a});
}

Tensor seen(const Tensor& alive) {
  return at::constant_pad_nd(alive, {1, 0}, 1);
}

Tensor central_state(const Tensor& input, int64_t seen) {
  const auto s = input.sizes();
  return input.narrow(4, 0, seen).reshape({s[0], s[1], s[2], s[3] * seen});
}

Tensor central_input(const Tensor& input, int64_t seen) {
  const auto s = input.sizes();
  const int64_t a = s[3], all = a * seen;
  const Tensor state = central_state(input, seen).unsqueeze(3).expand({s[0], s[1], s[2], a, all});
  return at::cat({state, at::eye(a, input.options()).expand({s[0], s[1], s[2], a, a})}, 4);
}

Tensor n_step_returns(const Tensor& reward, const Tensor& alive, const Tensor& terminated,
                      const Tensor& value, double gamma, int64_t n, bool limit_ends, const Tensor& going) {
  const int64_t episodes = reward.size(0) * reward.size(1), t = reward.size(2), a = reward.size(3);
  const Tensor rs = reward.to(at::kDouble).contiguous(), vs = value.to(at::kDouble).contiguous(),
               on = alive.to(at::kDouble).contiguous(), ends = terminated.to(at::kDouble).contiguous(),
               more = going.defined() ? going.to(at::kFloat).contiguous() : going;
  Tensor out = at::zeros_like(rs);
  for (int64_t e = 0; e < episodes; ++e) {
    const double *r = rs.data_ptr<double>() + e * t * a, *v = vs.data_ptr<double>() + e * (t + 1) * a,
                 *live = on.data_ptr<double>() + e * t, *end = ends.data_ptr<double>() + e * t;
    int64_t length = 0;
    while (length < t && live[length] > 0) ++length;
    const bool goes_on = more.defined() && more.data_ptr<float>()[e] > 0;
    const bool bootstraps = length > 0 && end[length - 1] == 0 && (!limit_ends || goes_on);
    for (int64_t s = 0; s < length; ++s) {
      const int64_t until = std::min(s + n, length);
      for (int64_t p = 0; p < a; ++p) {
        double sum = until < length || bootstraps ? v[until * a + p] : 0;
        for (int64_t k = until; k-- > s;) sum = r[k * a + p] + gamma * sum;
        out.data_ptr<double>()[(e * t + s) * a + p] = sum;
      }
    }
  }
  return out.to(reward.scalar_type());
}

Tensor lambda_returns(const Tensor& reward, const Tensor& alive, const Tensor& terminated,
                      const Tensor& value, double gamma, double lambda, bool limit_ends,
                      const Tensor& going) {
  const auto doubles = [](const Tensor& x) { return x.to(at::kDouble); };
  const int64_t t = reward.size(2);
  const Tensor r = doubles(reward), v = doubles(value), live = doubles(alive).unsqueeze(3),
               ends = doubles(terminated).unsqueeze(3);
  // What the last step led to counts as for n-step returns.
  const Tensor more = going.defined() ? doubles(going) : at::zeros({r.size(0), r.size(1)}, r.options());
  Tensor out = at::zeros_like(r), sum = at::zeros_like(r.select(2, 0));
  for (int64_t s = t; s-- > 0;) {
    const Tensor on = live.select(2, s), next = v.select(2, s + 1);
    const Tensor last = s + 1 < t ? 1 - live.select(2, s + 1) : at::ones_like(on);
    Tensor led = next * (1 - ends.select(2, s));
    if (limit_ends) led = led * more.unsqueeze(2);
    const Tensor after = at::where(last > 0, led, (1 - lambda) * next + lambda * sum);
    sum = (r.select(2, s) + gamma * after) * on;
    out.select(2, s).copy_(sum);
  }
  return out.to(reward.scalar_type());
}

void FragmentOptions::fields(Fields& f) {
  f.add("rollout_length", rollout_length,
        "steps after which players learn in the midst of their episodes, so that memory is that of so many "
        "steps; 0: they learn when episodes have ended")
      .at_least(0);
}

Scores learn_by_fragments(State& state, Rollouts play, int64_t steps,
                          const std::function<TeamRows(const State&)>& rows, const Learning& learn,
                          Rollout* last) {
  at::NoGradGuard no_grad;
  const int64_t n = state.size();
  Scores out;
  Tensor taken = at::zeros({n}, at::kDouble);
  Rollout o;
  while (!play.over()) {
    const TeamRows hands = rows(state);
    o = {};  // two fragments are never held at once
    o = by_agent(play.next(steps, hands.rows), n);
    const Tensor now = o.alive.sum({1, 2}, false, at::kDouble);
    state.own["env_steps"] = state.own.at("env_steps") + now;
    taken = taken + now;
    std::vector<int64_t> ready;
    for (int64_t i = 0; i < n; ++i)
      if (now.data_ptr<double>()[i] > 0) ready.push_back(i);
    Scores part;
    if (static_cast<int64_t>(ready.size()) == n) {
      part = learn(state, o, hands.beside);
    } else {
      const Tensor which = at::tensor(ready, at::kLong);
      Rollout theirs = o;
      for (Tensor* t : every_tensor(theirs))
        if (t->defined()) *t = t->index_select(0, which);
      State some = state.rows(ready);
      part = learn(some, theirs, hands.beside.defined() ? hands.beside.index_select(0, which) : Tensor());
      state.put(ready, some);
      for (auto& [name, t] : part) t = at::zeros({n}, t.options()).index_copy(0, which, t);
    }
    // The mean over steps: the first fragment's is its own, to the last bit.
    const Tensor share = now / taken.clamp_min(1);
    for (const auto& [name, t] : part) {
      const Tensor before = out.contains(name) ? out.at(name) : at::zeros_like(t);
      out[name] = at::where(share.eq(1), t, before + (t - before) * share.to(t.scalar_type()));
    }
  }
  out["return"] = o.team.mean(1);
  if (last) *last = std::move(o);
  return out;
}

namespace {

// What a step gains, and its slope in log p(action).
struct Gain {
  double value, slope;
};
Gain gain_of(double log_p, double old, double advantage, double clip) {
  if (clip <= 0) return {advantage * log_p, advantage};
  const double q = std::exp(log_p - old), held = std::clamp(q, 1 - clip, 1 + clip);
  return {std::min(q * advantage, held * advantage), q * advantage <= held * advantage ? q * advantage : 0};
}

// The same loss of players who set numbers.
PolicyLoss numbers_loss(const Tensor& outputs, const Tensor& action, const Tensor& log_p_old,
                        const Tensor& advantage, const Tensor& weight, double clip, double entropy) {
  const int64_t r = outputs.size(0), points = outputs.size(1) * outputs.size(2) * outputs.size(3),
                n = outputs.size(4) / 2;
  const Tensor z = outputs.detach().contiguous();
  const auto as_outputs = [&](const Tensor& x) { return x.to(z.scalar_type()).contiguous(); };
  const Tensor act = as_outputs(action), old = as_outputs(log_p_old), adv = as_outputs(advantage),
               w = as_outputs(weight);
  PolicyLoss out{at::zeros({r}, z.options()), at::zeros_like(z), at::zeros({r}, z.options())};
  AT_DISPATCH_FLOATING_TYPES(z.scalar_type(), "numbers_loss", [&] {
    std::vector<double> apart(n);  // (action - mean) / deviation
    for (int64_t i = 0; i < r; ++i) {
      const scalar_t* weights = w.data_ptr<scalar_t>() + i * points;
      double total = 0, loss = 0, entropies = 0;
      for (int64_t k = 0; k < points; ++k) total += weights[k];
      for (int64_t k = 0; k < points; ++k) {
        const double share = weights[k] / std::max(total, 1.0);
        if (share == 0) continue;
        const int64_t at = i * points + k;
        const scalar_t *mean = z.data_ptr<scalar_t>() + at * 2 * n, *log_std = mean + n,
                       *set = act.data_ptr<scalar_t>() + at * n;
        scalar_t* g = out.grad.template data_ptr<scalar_t>() + at * 2 * n;
        double log_p = 0, h = 0;
        for (int64_t j = 0; j < n; ++j) {
          const double l = std::max<double>(log_std[j], kLeastLogStd);
          apart[j] = (set[j] - mean[j]) * std::exp(-l);
          log_p -= l + 0.5 * apart[j] * apart[j] + kHalfLog2Pi;
          h += l + 0.5 + kHalfLog2Pi;
        }
        const Gain gain = gain_of(log_p, old.data_ptr<scalar_t>()[at], adv.data_ptr<scalar_t>()[at], clip);
        loss -= share * (gain.value + entropy * h);
        entropies += share * h;
        for (int64_t j = 0; j < n; ++j) {
          const double l = std::max<double>(log_std[j], kLeastLogStd);
          g[j] = static_cast<scalar_t>(-share * gain.slope * apart[j] * std::exp(-l));
          // A deviation at its least moves no further down.
          if (log_std[j] >= kLeastLogStd)
            g[n + j] = static_cast<scalar_t>(-share * (gain.slope * (apart[j] * apart[j] - 1) + entropy));
        }
      }
      out.loss.template data_ptr<scalar_t>()[i] = static_cast<scalar_t>(loss);
      out.entropy.template data_ptr<scalar_t>()[i] = static_cast<scalar_t>(entropies);
    }
  });
  return out;
}

}  // namespace

PolicyLoss policy_loss(const Tensor& logits, const Tensor& mask, const Tensor& action,
                       const Tensor& log_p_old, const Tensor& advantage, const Tensor& weight, double clip,
                       double entropy) {
  if (action.scalar_type() != at::kLong)
    return numbers_loss(logits, action, log_p_old, advantage, weight, clip, entropy);
  const int64_t r = logits.size(0), points = logits.size(1) * logits.size(2), a = logits.size(3),
                n = logits.size(4);
  const Tensor z = logits.detach().contiguous(), ok = mask.contiguous(), act = action.contiguous(),
               old = log_p_old.to(z.scalar_type()).contiguous(),
               adv = advantage.to(z.scalar_type()).contiguous(), w = weight.to(z.scalar_type()).contiguous();
  PolicyLoss out{at::zeros({r}, z.options()), at::zeros_like(z), at::zeros({r}, z.options())};
  AT_DISPATCH_FLOATING_TYPES(z.scalar_type(), "policy_loss", [&] {
    std::vector<double> p(n), log_p(n);
    for (int64_t i = 0; i < r; ++i) {
      const scalar_t* weights = w.data_ptr<scalar_t>() + i * points * a;
      double total = 0, loss = 0, entropies = 0;
      for (int64_t k = 0; k < points * a; ++k) total += weights[k];
      for (int64_t k = 0; k < points * a; ++k) {
        const double share = weights[k] / std::max(total, 1.0);
        if (share == 0) continue;
        const int64_t at = i * points * a + k;
        const scalar_t* x = z.data_ptr<scalar_t>() + at * n;
        const bool* allowed = ok.data_ptr<bool>() + at * n;
        scalar_t* g = out.grad.template data_ptr<scalar_t>() + at * n;
        double top = -std::numeric_limits<double>::infinity(), sum = 0, h = 0;
        for (int64_t j = 0; j < n; ++j) top = allowed[j] ? std::max<double>(top, x[j]) : top;
        for (int64_t j = 0; j < n; ++j) sum += p[j] = allowed[j] ? std::exp(x[j] - top) : 0;
        const double log_sum = std::log(sum);
        for (int64_t j = 0; j < n; ++j) {
          p[j] /= sum;
          log_p[j] = allowed[j] ? x[j] - top - log_sum : 0;
          h -= p[j] * log_p[j];
        }
        const int64_t chosen = act.data_ptr<int64_t>()[at];
        const auto [value, slope] =
            gain_of(log_p[chosen], old.data_ptr<scalar_t>()[at], adv.data_ptr<scalar_t>()[at], clip);
        loss -= share * (value + entropy * h);
        entropies += share * h;
        for (int64_t j = 0; j < n; ++j) {
          if (!allowed[j]) continue;
          g[j] = static_cast<scalar_t>(
              share * (-slope * ((j == chosen ? 1 : 0) - p[j]) + entropy * p[j] * (log_p[j] + h)));
        }
      }
      out.loss.template data_ptr<scalar_t>()[i] = static_cast<scalar_t>(loss);
      out.entropy.template data_ptr<scalar_t>()[i] = static_cast<scalar_t>(entropies);
    }
  });
  return out;
}

Tensor pull_back(const std::vector<Tensor>& outputs, const std::vector<Tensor>& grads, const Tensor& theta) {
  return torch::autograd::grad(outputs, {theta}, grads)[0];
}

std::vector<Tensor> adapt_by_steps(const Learner& learner, const State& state, const TaskBatch& batch,
                                   std::span<const int64_t> steps, int64_t columns, Rng rng) {
  const int64_t b = batch.size();
  // Each task goes its own way from here: its row is its own in memory too.
  const auto own_of = [&](const Tensor& t) { return hand_out(t, b).contiguous(); };
  State own{own_of(state.id), own_of(state.theta), own_of(state.steps), {}};
  const bool moves = !steps.empty() && steps.back() > 0;
  for (const auto& [name, t] : state.own) {
    if (moves) own.own[name] = own_of(t);
  }
  return walk(own.theta.narrow(1, 0, columns).contiguous(), steps, [&](const Tensor&, int64_t k) {
    learner.step(own, batch, rng.split("step", k));
    return own.theta.narrow(1, 0, columns).contiguous();
  });
}

}  // namespace symma
