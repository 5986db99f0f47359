#include "symma/learners/teams/value_based.h"

#include <fmt/format.h>

#include "symma/core/errors.h"
#include "symma/learners/adam.h"
#include "symma/learners/needs.h"
#include "symma/learners/rows.h"

namespace symma {
namespace {

// Which of the states that were seen begin a step. What a step leads to is the state after it.
struct Steps {
  Points seen;    // [R, M1]: places in [L (T + 1)]
  Tensor begin;   // [R, M]: numbers of seen states
  Tensor place;   // [R, M]: places in [L T]
  Tensor weight;  // [R, M], sums to 1
};

Steps steps_of(const Tensor& alive /*[R,L,T]*/, bool packed) {
  const int64_t r = alive.size(0), l = alive.size(1), t = alive.size(2);
  const Points of = points_of(alive);
  Steps out;
  out.place = of.place;
  out.weight = of.weight / of.weight.sum(1, true).clamp_min(1);
  const Tensor episode = at::div(of.place, t, "floor");
  if (packed) {
    // An episode of k steps has k + 1 states, so each episode before shifts by one.
    out.seen = points_of(seen(alive));
    const Tensor lengths = alive.sum(2).to(at::kLong) + 1;  // [R, L]
    const Tensor starts = lengths.cumsum(1) - lengths;      // [R, L]
    out.begin = starts.gather(1, episode) + (of.place - episode * t);
  } else {
    out.seen = {at::arange(l * (t + 1), at::kLong).expand({r, l * (t + 1)}), at::ones({r, l * (t + 1)})};
    out.begin = of.place + episode;
  }
  return out;
}

// Rows of x [R, M1, ...] at `at` [R, M].
Tensor pick(const Tensor& x, const Tensor& at) {
  const int64_t r = x.size(0), m = x.size(1);
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes[1] = at.size(1);
  const Tensor place = (at + at::arange(r, at::kLong).unsqueeze(1) * m).view(-1);
  return x.flatten(0, 1).index_select(0, place).view(sizes);
}

// 1 where a step ended the world, or is the last before the limit and that counts too. [R, L, T]
Tensor ends(const Rollout& o, bool limit_ends) {
  if (!limit_ends) return o.terminated;
  const Tensor next = at::constant_pad_nd(o.alive.narrow(2, 1, o.alive.size(2) - 1), {0, 1}, 0);
  return o.alive * (1 - next);
}

}  // namespace

void ValueOptions::fields(Fields& f) {
  f.add("epsilon_start", epsilon_start, "how often players act at random, at first").at_least(0).at_most(1);
  f.add("epsilon_end", epsilon_end, "and in the end").at_least(0).at_most(1);
  f.add("temperature", temperature,
        "where it is above 0, players draw actions from the softmax of values over it, and networks say "
        "values "
        "over it: judge with [task] greedy = false")
      .at_least(0);
  f.add("epsilon_steps", epsilon_steps, "steps of the world in which it falls").at_least(1);
  f.add("td_lambda", td_lambda, "how far targets look past the next step along what was played")
      .at_least(0)
      .at_most(1);
  f.add("hysteresis", hysteresis, "weight of errors that lower a value, where those that raise it weigh 1")
      .at_least(0)
      .at_most(1);
  f.add("buffer", buffer, "episodes that are kept").at_least(1);
  f.add("batch", batch, "episodes an update").at_least(1);
  f.add("updates", updates, "updates a round; 0: as many as episodes are played").at_least(0);
  team.fields(f);
}

Tensor Transitions::goal(const Tensor& reward, const Tensor& next) const {
  const Tensor discount = reward.dim() == 3 ? going.unsqueeze(2) : going;
  if (lambda == 0) return reward + discount * next;
  const int64_t r = reward.size(0), m = reward.size(1), k = reward.numel() / (r * m);
  const auto doubles = [](const Tensor& x) { return x.to(at::kDouble).contiguous(); };
  const Tensor paid = doubles(reward), value = doubles(next), g = doubles(going), on = follows.contiguous();
  Tensor out = at::empty_like(paid);
  for (int64_t at = r * m; at-- > 0;) {
    const bool more = on.data_ptr<bool>()[at];
    for (int64_t i = at * k; i < (at + 1) * k; ++i) {
      double* to = out.data_ptr<double>() + i;
      const double v = value.data_ptr<double>()[i], after = more ? (1 - lambda) * v + lambda * to[k] : v;
      *to = paid.data_ptr<double>()[i] + g.data_ptr<double>()[at] * after;
    }
  }
  return out.view(reward.sizes()).to(reward.scalar_type());
}

Tensor Transitions::square(const Tensor& value, const Tensor& target) const {
  const Tensor apart = value - target, square = apart.square();
  return hysteresis == 1 ? square
                         : square * at::where(apart.detach() > 0, hysteresis, 1.0).to(square.scalar_type());
}

Tensor Transitions::squared_error(const Tensor& value, const Tensor& target) const {
  return (square(value, target) * weight).sum(1);
}

int64_t Networks::add(const std::vector<int64_t>& hidden, int64_t in, int64_t out) {
  models_.push_back(make<ModelRegistry>("mlp", Json{{"hidden", hidden}}, ModelShape{{in}, out}));
  offsets_.push_back(columns_);
  columns_ += models_.back()->layout().size();
  return static_cast<int64_t>(models_.size()) - 1;
}

Tensor Networks::init(std::span<const Rng> keys) const {
  std::vector<Tensor> parts;
  for (size_t i = 0; i < models_.size(); ++i)
    parts.push_back(models_[i]->init(split_each(keys, "network", i)));
  return at::cat(parts, 1);
}

Tensor Networks::forward(int64_t number, const Tensor& row, const Tensor& x) const {
  const Model& m = *models_[number];
  return m.forward(row.narrow(1, offsets_[number], m.layout().size()), x.to(row.scalar_type()), Mode::kTrain);
}

ValueBased::ValueBased(const ValueOptions& options, const LearnerSetting& setting,
                       std::unique_ptr<Mixing> mixing, const std::string& name)
    : o_(options),
      model_(setting.model),
      shape_(setting, name),
      net_(setting.model, shape_.players, o_.team.share_parameters),
      mixing_(std::move(mixing)),
      name_(name) {
  if (o_.buffer < o_.batch)
    throw UserError(
        "[learner] buffer",
        fmt::format("{} episodes are kept, and an update is of {}: there would be none", o_.buffer, o_.batch),
        "set batch to as many or fewer, or keep more");
}

// theta is [players' networks, mixing]; the target is the same.
State ValueBased::init(std::span<const Rng> keys, at::ScalarType type) const {
  Tensor theta = net_.init(split_each(keys, "model"));
  if (mixing_->columns() > 0) theta = at::cat({theta, mixing_->init(split_each(keys, "mixing"))}, 1);
  State s = State::of(theta.to(type));
  const int64_t agents = s.size();
  adam_init(s);
  s.own["target"] = s.theta.clone();
  s.own["reward"] = at::zeros({agents, 3}, at::kDouble);
  s.own["env_steps"] = at::zeros({agents}, at::kDouble);
  s.own["updates"] = at::zeros({agents}, at::kLong);
  replay_init(s, agents, o_.buffer, shape_);
  return s;
}

Scores ValueBased::step(State& state, const TaskBatch& batch, Rng rng) const {
  return in_blocks(state, model_, batch,
                   [&](State& block, const TaskBatch& tasks) { return update(block, tasks, rng); });
}

Scores ValueBased::update(State& state, const TaskBatch& batch, Rng rng) const {
  const ControlBatch& worlds = need<ControlBatch>(batch, name_);
  const int64_t n = state.theta.size(0), tasks = batch.size() / n;
  at::NoGradGuard no_grad;
  Behaviour how{o_.temperature > 0 ? Behaviour::Pick::kSample : Behaviour::Pick::kGreedy, {}};
  const Tensor steps = state.own.at("env_steps").to(at::kDouble).contiguous();
  for (int64_t b = 0; b < batch.size(); ++b) {
    const double part =
        std::min(1.0, steps.data_ptr<double>()[b / tasks] / static_cast<double>(o_.epsilon_steps));
    how.epsilon.push_back(o_.epsilon_start + part * (o_.epsilon_end - o_.epsilon_start));
  }
  const Tensor rows = state.theta.narrow(1, 0, net_.columns()).contiguous();
  Rollout o = by_agent(worlds.roll_out(net_, tasks == 1 ? rows : rows.repeat_interleave(tasks, 0),
                                       shape_.copies, how, rng.split("play")),
                       n);
  state.own["env_steps"] = steps + o.alive.sum({1, 2}, false, at::kDouble);
  if (o_.team.standardise_rewards)  // counts; rewards are kept as they are
    standardise(state, o.reward, o.alive, shape_.learning(o));
  replay_add(state, o);
  const int64_t updates = o_.updates > 0 ? o_.updates : tasks * shape_.copies;
  Tensor loss = at::zeros({n}, state.theta.options());
  // Those who have played enough learn; agents may have joined at different times.
  std::vector<int64_t> ready;
  for (int64_t i = 0; i < n; ++i)
    if (replay_size(state, i) >= o_.batch) ready.push_back(i);
  const bool all = static_cast<int64_t>(ready.size()) == n;
  State some;
  if (!all) some = state.rows(ready);
  State& part = all ? state : some;
  Tensor of_part;
  for (int64_t u = 0; u < updates && !ready.empty(); ++u) {
    std::vector<Rng> keys;
    keys.reserve(ready.size());
    for (int64_t i : ready) keys.push_back(rng.split("draw", u).split("task", worlds.key(i * tasks).key()));
    of_part = learn(part, keys, worlds.options().own_reward);
  }
  if (!all) state.put(ready, some);
  if (of_part.defined()) loss = loss.index_copy(0, at::tensor(ready, at::kLong), of_part);
  if (dynamic_cast<const HasInputStatistics*>(&model_)) {
    const int64_t t = o.alive.size(2), p = net_.columns();
    const Tensor there = shape_.learning(o);
    Tensor weight = o.alive.unsqueeze(3).expand_as(o.reward);
    if (there.defined()) weight = weight * there;
    const Tensor now = net_.count(state.theta.narrow(1, 0, p), o.input.narrow(2, 0, t), weight);
    const auto with = [&](const Tensor& row, const Tensor& own) {
      return at::cat({own, row.narrow(1, p, row.size(1) - p)}, 1);
    };
    Tensor& target = state.own.at("target");
    target = with(target, net_.with_statistics(target.narrow(1, 0, p), now));
    state.theta = with(state.theta, now);
  }
  state.steps = state.steps + 1;
  return {{"loss", loss}, {"return", o.team.mean(1)}};
}

Tensor ValueBased::learn(State& state, const std::vector<Rng>& keys, bool apart) const {
  const Rollout o = replay_draw(state, o_.batch, keys);
  const int64_t n = state.theta.size(0), p = net_.columns(), q = mixing_->columns();
  const auto type = state.theta.scalar_type();
  const bool packed = !net_.recurrent();
  const Steps steps = steps_of(o.alive, packed);
  const Tensor seen_input = take(o.input, steps.seen);  // [N, M1, 1, A, I]
  const Tensor x = packed ? seen_input : o.input;
  const auto values = [&](const Tensor& theta) {
    return net_.forward(theta.narrow(1, 0, p), x)
        .reshape({n, -1, shape_.players, shape_.actions});  // [N, M1, A, n]
  };
  Tensor reward = o.reward;
  if (o_.team.standardise_rewards) {
    const Tensor kept = state.own.at("reward");  // [N, 3]
    const auto column = [&](const Tensor& c) { return c.view({n, 1, 1, 1}).to(reward.scalar_type()); };
    const Tensor deviation = (kept.select(1, 2) / kept.select(1, 0).clamp_min(1)).sqrt() + 1e-5;
    reward = (reward - column(kept.select(1, 1))) / column(deviation);
  }
  if (o_.temperature > 0) reward = reward / o_.temperature;
  const Points at_step{steps.place, {}};
  const Tensor mask = take(o.mask, steps.seen).squeeze(2),
               state_seen = central_state(seen_input, shape_.seen).squeeze(2);
  const Tensor after = steps.begin + 1;

  at::AutoGradMode with_grad(true);
  const Tensor theta = leaf(state.theta);
  const Tensor online = values(theta);
  Transitions s;
  s.values = pick(online, steps.begin);
  s.mask = pick(mask, steps.begin);
  s.action = take(o.action, at_step).squeeze(2);
  {
    at::NoGradGuard no_grad;
    s.next_action = pick(online.detach().masked_fill(mask.logical_not(), -1e9), after).argmax(3);
    s.next_value =
        pick(values(state.own.at("target")), after).gather(3, s.next_action.unsqueeze(3)).squeeze(3);
  }
  s.state = pick(state_seen, steps.begin).to(type);
  s.next_state = pick(state_seen, after).to(type);
  s.reward = take(reward, at_step).squeeze(2).to(type);
  s.going =
      (o_.team.gamma * (1 - take(ends(o, o_.team.limit_ends).unsqueeze(3), at_step).view({n, -1}))).to(type);
  s.weight = steps.weight.to(type);
  const Tensor there =
      shape_.learning(o.present.defined() ? take(o.present, steps.seen).squeeze(2) : Tensor());
  if (there.defined()) {  // of each state that was seen, [N, M1, A]
    const Tensor all = there.to(type).expand({n, steps.seen.place.size(1), shape_.players});
    s.learning = pick(all, steps.begin);
    s.next_value = s.next_value * pick(all, after);
    s.reward = s.reward * s.learning;
  }
  s.lambda = o_.td_lambda;
  s.hysteresis = o_.hysteresis;
  s.apart = apart;
  if (s.lambda > 0) {
    // Padding repeats place 0, which is the next of none.
    const Tensor next = at::constant_pad_nd(steps.place.narrow(1, 1, steps.place.size(1) - 1), {0, 1}, -1);
    const int64_t t = o.alive.size(2);
    s.follows = next.eq(steps.place + 1).logical_and(at::remainder(next, t).ne(0));
  }
  const Tensor loss = mixing_->loss(s, theta.narrow(1, p, q), state.own.at("target").narrow(1, p, q));
  const Tensor grad = row_gradient(loss, theta, false);
  at::NoGradGuard no_grad;
  adam_step(state, clip_gradients(grad, o_.team.clip_norm), std::vector<double>(n, o_.team.lr),
            {.eps = o_.team.adam_eps});
  Tensor& calls = state.own.at("updates");
  calls = calls + 1;
  Tensor& target = state.own.at("target");
  target = follow(target, state.theta, o_.team.target_update, calls);
  return loss.detach();
}

std::vector<Tensor> ValueBased::adapt(const State& state, const TaskBatch& batch,
                                      std::span<const int64_t> steps, Rng rng) const {
  return adapt_by_steps(*this, state, batch, steps, net_.columns(), rng);
}

}  // namespace symma
