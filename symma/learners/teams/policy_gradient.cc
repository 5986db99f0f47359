#include "symma/learners/teams/policy_gradient.h"

#include "symma/learners/adam.h"
#include "symma/learners/rows.h"

namespace symma {

void PolicyGradientOptions::fields(Fields& f) {
  f.add("n_step", n_step, "rewards counted before the critic's value").at_least(1);
  f.add("gae_lambda", gae_lambda,
        "returns are those of generalised advantages with this lambda, rather than of n steps; 0: of n_step")
      .at_least(0)
      .at_most(1);
  f.add("standardise_advantages", standardise_advantages,
        "advantages less their mean and over their deviation, at each update");
  f.add("entropy", entropy, "weight of the policy's entropy").at_least(0);
  f.add("critic_hidden", critic_hidden, "width of each hidden layer of the critic").at_least(1);
  team.fields(f);
  pool.fields(f);
  fragments.fields(f);
}

namespace {

// A perceptron; normalised where the policy is.
std::unique_ptr<Model> make_critic(const Model& policy, const std::vector<int64_t>& hidden,
                                   const ModelShape& shape) {
  const Json plain{{"hidden", hidden}};
  if (!dynamic_cast<const HasInputStatistics*>(&policy)) return make<ModelRegistry>("mlp", plain, shape);
  return make<ModelRegistry>("normalised", Json{{"network", {{"kind", "mlp"}, {"hidden", hidden}}}}, shape);
}

// Less the weighted mean and over the deviation, of each agent's points: [N, L, S, A].
Tensor standardised_by(const Tensor& x, const Tensor& weight) {
  const Tensor total = weight.sum({1, 2, 3}, true).clamp_min(1),
               apart = x - (x * weight).sum({1, 2, 3}, true) / total;
  return apart / (((apart.square() * weight).sum({1, 2, 3}, true) / total).sqrt() + 1e-8);
}

}  // namespace

PolicyGradient::PolicyGradient(const PolicyGradientOptions& options, const LearnerSetting& setting,
                               bool central, const std::string& name)
    : o_(options),
      model_(setting.model),
      shape_(setting, name, true),
      actor_(setting.model, shape_.players, o_.team.share_parameters),
      critic_model_(make_critic(setting.model, o_.critic_hidden,
                                {{central ? shape_.state() + shape_.players : shape_.input}, 1})),
      critic_(*critic_model_, shape_.players, o_.team.share_parameters),
      pool_(o_.pool, shape_.players, actor_.columns(), o_.team.share_parameters),
      central_(central),
      name_(name) {}

Tensor PolicyGradient::critic_input(const Tensor& input) const {
  return central_ ? central_input(input, shape_.seen) : input;
}

// theta is [actor, critic]; the target is a critic.
State PolicyGradient::init(std::span<const Rng> keys, at::ScalarType type) const {
  State s =
      State::of(at::cat({actor_.init(split_each(keys, "model")), critic_.init(split_each(keys, "critic"))}, 1)
                    .to(type));
  const int64_t agents = s.size();
  adam_init(s);
  s.own["target"] = s.theta.narrow(1, actor_.columns(), critic_.columns()).clone();
  s.own["reward"] = at::zeros({agents, 3}, at::kDouble);
  s.own["env_steps"] = at::zeros({agents}, at::kDouble);
  pool_.init(s, agents);
  return s;
}

TeamRows PolicyGradient::cast(const State& state, const ControlBatch& worlds, Rng rng) const {
  const int64_t n = state.theta.size(0), b = worlds.size(), tasks = b / n, players = shape_.players;
  // The rows are handed out to tasks without a learner's piece: all is one batch.
  const Tensor actors = state.theta.narrow(1, 0, actor_.columns());
  if (!o_.pool.on()) {
    return {tasks == 1 ? actors : actors.repeat_interleave(tasks, 0),
            at::ones({1, 1, players}).expand({n, tasks * shape_.copies, players})};
  }
  std::vector<Rng> keys;
  for (int64_t i = 0; i < b; ++i) keys.push_back(rng.split("cast").split("task", worlds.key(i).key()));
  const Cast cast = pool_.cast(state, actors, keys);
  return {cast.rows, cast.learns.to(at::kFloat)
                         .view({b, 1, players})
                         .expand({b, shape_.copies, players})
                         .reshape({n, tasks * shape_.copies, players})};
}

Scores PolicyGradient::step(State& state, const TaskBatch& batch, Rng rng) const {
  return in_blocks(state, model_, batch,
                   [&](State& block, const TaskBatch& tasks) { return update(block, tasks, rng); });
}

Scores PolicyGradient::update(State& state, const TaskBatch& batch, Rng rng) const {
  const ControlBatch& worlds = need<ControlBatch>(batch, name_);
  const int64_t n = state.theta.size(0), tasks = batch.size() / n, a = actor_.columns();
  at::NoGradGuard no_grad;
  if (o_.pool.on()) {
    std::vector<Rng> keys;
    for (int64_t i = 0; i < n; ++i)
      keys.push_back(rng.split("offer").split("task", worlds.key(i * tasks).key()));
    pool_.offer(state, state.theta.narrow(1, 0, a), keys);
  }
  const TeamNet apart(model_, shape_.players, false);
  Rollout last;
  Scores out = learn_by_fragments(
      state, worlds.rollouts(o_.pool.on() ? apart : actor_, shape_.copies, {}, rng.split("play")),
      o_.fragments.steps(shape_.limit), [&](const State& now) { return cast(now, worlds, rng); },
      [&](State& now, const Rollout& o, const Tensor& learns) { return learn(now, o, learns); }, &last);
  state.steps = state.steps + 1;
  if (o_.pool.on()) {  // what those who learned earned, a player
    const Tensor learns = cast(state, worlds, rng).beside;
    out["earned"] = (last.earned * learns).sum({1, 2}) / learns.sum({1, 2}).clamp_min(1);
  }
  return out;
}

Scores PolicyGradient::learn(State& state, const Rollout& o, const Tensor& learns) const {
  const int64_t n = state.theta.size(0), a = actor_.columns(), c = critic_.columns(), l = o.alive.size(1),
                t = o.alive.size(2);
  const Tensor there = shape_.learning(o);
  const Tensor reward = o_.team.standardise_rewards ? standardise(state, o.reward, o.alive, there) : o.reward;

  // Values of every state that was seen, by the target; returns; and the steps to learn from.
  const Points all = points_of(seen(o.alive));
  Tensor value = put(critic_.forward(state.own.at("target"), critic_input(take(o.input, all))).squeeze(4),
                     all, l, t + 1);
  if (o.present.defined()) value = value * o.present.to(value.scalar_type());
  const Tensor returns = o_.gae_lambda > 0
                             ? lambda_returns(reward, o.alive, o.terminated, value, o_.team.gamma,
                                              o_.gae_lambda, o_.team.limit_ends, o.going)
                             : n_step_returns(reward, o.alive, o.terminated, value, o_.team.gamma, o_.n_step,
                                              o_.team.limit_ends, o.going);  // [N, L, T, A]
  // [N, L, T, A]: players who are there and follow the present row; undefined for all.
  Tensor who;
  if (o_.pool.on()) who = learns.unsqueeze(2).expand_as(o.log_p);
  if (there.defined()) who = (who.defined() ? who : at::ones_like(o.log_p)) * there;
  const bool packed = !actor_.recurrent();
  const Points steps = points_of(o.alive);
  const auto gather = [&](const Tensor& x) { return packed ? take(x, steps) : x; };
  const Tensor input = gather(o.input.narrow(2, 0, t)), mask = gather(o.mask.narrow(2, 0, t)),
               action = gather(o.action), old = gather(o.log_p), target = gather(returns),
               learning = who.defined() ? gather(who) : at::ones_like(old),
               weight =
                   (packed ? steps.weight.unsqueeze(2) : o.alive).unsqueeze(3) * learning;  // [N, L, S, A]
  const Tensor critic_x = critic_input(input);
  const Tensor share =
      (weight / weight.sum({1, 2, 3}, true).clamp_min(1)).to(state.theta.scalar_type());  // [N, L, S, A]
  Tensor loss, entropy;
  for (int64_t epoch = 0; epoch < o_.epochs; ++epoch) {
    at::AutoGradMode with_grad(true);
    const Tensor theta = leaf(state.theta);
    const Tensor logits = actor_.forward(theta.narrow(1, 0, a), input, o.memory);  // [N, L, S, A, n]
    const Tensor v = critic_.forward(theta.narrow(1, a, c), critic_x).squeeze(4);  // [N, L, S, A]
    const Tensor apart = v.detach() - target;
    const Tensor advantage = o_.standardise_advantages ? standardised_by(-apart, weight) : -apart;
    const PolicyLoss policy = policy_loss(logits, mask, action, old, advantage, weight, o_.clip, o_.entropy);
    const Tensor grad = pull_back({logits, v}, {policy.grad, 2 * share * apart}, theta);
    const Tensor clipped = at::cat({clip_gradients(grad.narrow(1, 0, a), o_.team.clip_norm),
                                    clip_gradients(grad.narrow(1, a, c), o_.team.clip_norm)},
                                   1);
    if (epoch == 0) loss = policy.loss + (share * apart.square()).sum({1, 2, 3}), entropy = policy.entropy;
    adam_step(state, clipped, std::vector<double>(n, o_.team.lr), {.eps = o_.team.adam_eps});
  }
  Tensor& kept = state.own.at("target");
  kept = follow(kept, state.theta.narrow(1, a, c), o_.team.target_update,
                at::div(state.own.at("adam.t"), o_.epochs, "floor"));
  count(state, input, critic_x, weight.expand_as(learning));
  return {{"loss", loss}, {"entropy", entropy}};
}

void PolicyGradient::count(State& state, const Tensor& input, const Tensor& critic_x,
                           const Tensor& weight) const {
  if (!dynamic_cast<const HasInputStatistics*>(&model_)) return;
  const int64_t a = actor_.columns(), c = critic_.columns();
  const Tensor critic = critic_.count(state.theta.narrow(1, a, c), critic_x, weight);
  // The target says values of the same inputs, so it has the same statistics.
  state.own.at("target") = critic_.with_statistics(state.own.at("target"), critic);
  state.theta = at::cat({actor_.count(state.theta.narrow(1, 0, a), input, weight), critic}, 1);
}

std::vector<Tensor> PolicyGradient::adapt(const State& state, const TaskBatch& batch,
                                          std::span<const int64_t> steps, Rng rng) const {
  return adapt_by_steps(*this, state, batch, steps, actor_.columns(), rng);
}

}  // namespace symma
