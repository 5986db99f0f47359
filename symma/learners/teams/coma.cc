// Counterfactual multi-agent policy gradients: a player's advantage is what its action is worth, less what
// its other actions would have been worth while all others do as they did. Foerster et al. 2018,
// arXiv:1705.08926.
//
//   A_i = Q_i(s, u) - sum_a p_i(a) Q_i(s, (a, u_-i))
//
// The critic says Q_i for all of player i's actions at once, from what all players see, what the others do,
// and i. The step limit counts as an end: what the others would do after it is not known to a critic of
// actions. Nor is it known at the end of a fragment (`rollout_length`), so the last step of one is worth what
// the critic says of what was done in it, and is not learned from.
#include "symma/learners/adam.h"
#include "symma/learners/rows.h"
#include "symma/learners/teams/teams.h"

namespace symma {
namespace {

class Coma : public Learner {
 public:
  struct Options {
    TeamOptions team;
    FragmentOptions fragments;
    int64_t n_step = 5;
    double entropy = 0.01;
    std::vector<int64_t> critic_hidden{64, 64};
    Options() { team.limit_ends = true; }
    void fields(Fields& f) {
      f.add("n_step", n_step, "rewards counted before the critic's value").at_least(1);
      f.add("entropy", entropy, "weight of the policy's entropy").at_least(0);
      f.add("critic_hidden", critic_hidden, "width of each hidden layer of the critic").at_least(1);
      team.fields(f);
      fragments.fields(f);
    }
  };

  Coma(const Options& o, const LearnerSetting& setting)
      : o_(o),
        model_(setting.model),
        shape_(setting, "coma"),
        actor_(setting.model, shape_.players, o.team.share_parameters),
        critic_model_(make<ModelRegistry>(
            "mlp", Json{{"hidden", o.critic_hidden}},
            ModelShape{{shape_.state() + shape_.players * (1 + shape_.actions)}, shape_.actions})),
        critic_(*critic_model_, shape_.players, o.team.share_parameters) {
    if (!o.team.limit_ends)
      throw UserError("[learner] limit_ends", "is false",
                      "coma takes the step limit for an end: leave it true");
    if (o.fragments.rollout_length == 1)
      throw UserError("[learner] rollout_length", "is 1",
                      "coma learns from all steps of a fragment but its last: set 2 or more");
  }

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    State s = State::of(
        at::cat({actor_.init(split_each(keys, "model")), critic_.init(split_each(keys, "critic"))}, 1)
            .to(type));
    const int64_t agents = s.size();
    adam_init(s);
    s.own["target"] = s.theta.narrow(1, actor_.columns(), critic_.columns()).clone();
    s.own["reward"] = at::zeros({agents, 3}, at::kDouble);
    s.own["env_steps"] = at::zeros({agents}, at::kDouble);
    return s;
  }

  Scores step(State& state, const TaskBatch& batch, Rng rng) const override {
    return in_blocks(state, model_, batch,
                     [&](State& block, const TaskBatch& tasks) { return update(block, tasks, rng); });
  }

  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng rng) const override {
    return adapt_by_steps(*this, state, batch, steps, actor_.columns(), rng);
  }

 private:
  Scores update(State& state, const TaskBatch& batch, Rng rng) const {
    const ControlBatch& worlds = need<ControlBatch>(batch, "coma");
    const int64_t tasks = batch.size() / state.theta.size(0);
    at::NoGradGuard no_grad;
    Scores out = learn_by_fragments(
        state, worlds.rollouts(actor_, shape_.copies, {}, rng.split("play")),
        o_.fragments.steps(shape_.limit),
        [&](const State& now) -> TeamRows {
          const Tensor actors = now.theta.narrow(1, 0, actor_.columns()).contiguous();
          return {tasks == 1 ? actors : actors.repeat_interleave(tasks, 0), {}};
        },
        [&](State& now, const Rollout& o, const Tensor&) { return learn(now, o); });
    state.steps = state.steps + 1;
    return out;
  }

  // One update from a fragment of episodes.
  Scores learn(State& state, const Rollout& o) const {
    const int64_t n = state.theta.size(0), a = actor_.columns(), c = critic_.columns(), l = o.alive.size(1),
                  t = o.alive.size(2);
    const Tensor there = shape_.learning(o);
    const Tensor reward =
        o_.team.standardise_rewards ? standardise(state, o.reward, o.alive, there) : o.reward;

    const bool packed = !actor_.recurrent();
    const Tensor input = o.input.narrow(2, 0, t);
    // The steps that were taken, and those of them that are learned from.
    const Points taken = points_of(o.alive);
    const bool goes_on = o.going.any().item<bool>();
    Tensor learned = o.alive;
    if (goes_on) {
      learned = learned.clone();
      learned.select(2, t - 1).mul_(1 - o.going);
    }
    const Points steps = points_of(learned);
    const Tensor done = take(o.action, taken), done_x = critic_input(take(input, taken), done);
    // Returns from the target's values of what was done.
    const Tensor worth =
        critic_.forward(state.own.at("target"), done_x).gather(4, done.unsqueeze(4)).squeeze(4);
    Tensor value = at::constant_pad_nd(put(worth, taken, l, t), {0, 0, 0, 1});  // [N, L, T + 1, A]
    if (o.present.defined()) value = value * o.present.to(value.scalar_type());
    const Tensor target = take(
        n_step_returns(reward, learned, o.terminated, value, o_.team.gamma, o_.n_step, true, o.going), steps);
    const Tensor action = take(o.action, steps), mask = take(o.mask.narrow(2, 0, t), steps);
    const Tensor critic_x = goes_on ? critic_input(take(input, steps), action) : done_x;  // [N, M, 1, A, C]
    Tensor weight = steps.weight.unsqueeze(2).unsqueeze(3).expand_as(action);
    if (o.present.defined()) weight = weight * take(o.present.narrow(2, 0, t), steps);
    const Tensor own = shape_.learning(Tensor());
    if (own.defined()) weight = weight * own;
    const Tensor share =
        (weight / weight.sum({1, 2, 3}, true).clamp_min(1)).to(state.theta.scalar_type());  // [N, M, 1, A]

    at::AutoGradMode with_grad(true);
    const Tensor theta = leaf(state.theta);
    const Tensor all = actor_.forward(theta.narrow(1, 0, a), packed ? take(input, steps) : input, o.memory);
    const Tensor logits = packed ? all : take(all, steps);
    const Tensor q = critic_.forward(theta.narrow(1, a, c), critic_x);  // [N, M, 1, A, n]
    const Tensor chosen = q.gather(4, action.unsqueeze(4)).squeeze(4);
    const Tensor p = masked_log_softmax(logits.detach(), mask).exp();
    const Tensor advantage = chosen.detach() - (p * q.detach()).sum(4);
    const PolicyLoss policy =
        policy_loss(logits, mask, action, at::zeros_like(advantage), advantage, weight, 0, o_.entropy);
    const Tensor apart = chosen.detach() - target;
    const Tensor grad = pull_back({logits, chosen}, {policy.grad, 2 * share * apart}, theta);
    adam_step(state,
              at::cat({clip_gradients(grad.narrow(1, 0, a), o_.team.clip_norm),
                       clip_gradients(grad.narrow(1, a, c), o_.team.clip_norm)},
                      1),
              std::vector<double>(n, o_.team.lr), {.eps = o_.team.adam_eps});
    Tensor& kept = state.own.at("target");
    kept = follow(kept, state.theta.narrow(1, a, c), o_.team.target_update, state.own.at("adam.t"));
    return {{"loss", policy.loss + (share * apart.square()).sum({1, 2, 3})}};
  }

  // [R, L, S, A, A D + A n + A]: what all see, what the others do (zeros for the player itself), who asks.
  Tensor critic_input(const Tensor& input, const Tensor& action /*[R,L,S,A]*/) const {
    const auto s = input.sizes();
    const int64_t a = s[3];
    const Tensor acts =
        at::one_hot(action, shape_.actions).to(input.scalar_type()).unsqueeze(3);  // [R, L, S, 1, A, n]
    const Tensor others = acts * (1 - at::eye(a, input.options())).view({a, a, 1});
    return at::cat({central_input(input, shape_.seen), others.flatten(4)}, 4);
  }

  Options o_;
  const Model& model_;
  TeamShape shape_;
  TeamNet actor_;
  std::unique_ptr<Model> critic_model_;
  TeamNet critic_;
};

SYMMA_REGISTER(Learner, "coma", Coma, "actor-critic of a team with a counterfactual baseline",
               "Foerster et al. 2018, arXiv:1705.08926");

}  // namespace
}  // namespace symma
