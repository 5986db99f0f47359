// RL^2: the learning algorithm is what a recurrent policy does with its memory. Duan et al. 2016,
// arXiv:1611.02779; Wang et al. 2016, arXiv:1611.05763.
//
// The policy sees what it did last, what that earned and whether the episode is over ([task] feedback), and
// keeps its memory through all `episodes` of a trial, which is one task. It learns to earn the most in whole
// trials: advantages reach from episode to episode, by the clipped objective of Schulman et al. 2017,
// arXiv:1707.06347, with a recurrent critic that sees the same.
//
//   delta_t = r_t + gamma V_{t+1} - V_t,   A_t = delta_t + gamma lambda A_{t+1},   t = 1 ... all of a trial
//
// Adapting by k steps is playing k episodes. No weight moves: what was learned is in the row's `memory`, so
// the rows that are handed back can be judged as all others are.
#include <algorithm>
#include <cmath>

#include "symma/core/parallel.h"
#include "symma/learners/adam.h"
#include "symma/learners/needs.h"
#include "symma/learners/rows.h"
#include "symma/learners/teams/teams.h"

namespace symma {
namespace {

// Trials of a piece of work. It does not depend on the threads, so neither do sums over pieces.
constexpr int64_t kTrialsAtOnce = 128;

// Whole trials, one after another: N agents, L trials, S steps, A players. Where an episode ends, the network
// takes one more look, at which nothing is done.
struct Trials {
  Tensor input, mask, action;       // [N, L, S, A, ...]
  Tensor log_p, advantage, target;  // [N, L, S, A]
  Tensor acted;                     // [N, L, S]: 1 for a step at which something was done
  Trials part(int64_t begin, int64_t end) const {
    const auto cut = [&](const Tensor& x) { return x.slice(1, begin, end); };
    return {cut(input), cut(mask), cut(action), cut(log_p), cut(advantage), cut(target), cut(acted)};
  }
};

class Rl2 : public Learner {
 public:
  struct Options {
    int64_t episodes = 2, epochs = 4, minibatches = 4, critic_hidden = 64, critic_span = 0, halve_every = 0;
    bool standardise_rewards = false;
    double lr = 1e-3, clip = 0.2, entropy = 0.01, gamma = 0.99, gae_lambda = 0.95, clip_norm = 1;
    void fields(Fields& f) {
      f.add("episodes", episodes, "episodes of a trial, through which the memory is kept").at_least(1);
      f.add("epochs", epochs, "times that each batch of trials is learned from").at_least(1);
      f.add("minibatches", minibatches, "updates in each of them").at_least(1);
      f.add("lr", lr, "step size of Adam").at_least(0);
      f.add("halve_every", halve_every, "rounds in which the step size falls smoothly to a half; 0: it stays")
          .at_least(0);
      f.add("clip", clip, "how far the ratio of new to old probabilities counts").above(0).below(1);
      f.add("entropy", entropy, "weight of the policy's entropy").at_least(0);
      f.add("gamma", gamma, "discount, through the whole trial").above(0).at_most(1);
      f.add("gae_lambda", gae_lambda, "of generalised advantages").at_least(0).at_most(1);
      f.add("clip_norm", clip_norm, "longest gradient of a network; 0: no limit").at_least(0);
      f.add("critic_hidden", critic_hidden, "width of the critic's memory").at_least(1);
      f.add("critic_span", critic_span, "span of the critic's memory, as the model's").at_least(0);
      f.add("standardise_rewards", standardise_rewards,
            "learn from rewards less their mean and over their deviation so far; for trials of one length");
    }
  };

  Rl2(const Options& o, const LearnerSetting& setting)
      : o_(o),
        spec_(checked(setting)),
        model_(setting.model),
        critic_model_(make<ModelRegistry>("gru", Json{{"hidden", o.critic_hidden}, {"span", o.critic_span}},
                                          ModelShape{setting.spec.shape.in, 1})),
        actor_(setting.model, spec_.players, true),
        critic_(*critic_model_, spec_.players, true) {}

  // theta is [actor, critic].
  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    State s = State::of(
        at::cat({actor_.init(split_each(keys, "model")), critic_.init(split_each(keys, "critic"))}, 1)
            .to(type));
    const int64_t agents = s.size();
    adam_init(s);
    if (o_.standardise_rewards) s.own["reward"] = at::zeros({agents, 3}, at::kDouble);
    s.own["env_steps"] = at::zeros({agents}, at::kDouble);
    return s;
  }

  Scores step(State& state, const TaskBatch& batch, Rng rng) const override {
    return in_blocks(state, model_, batch,
                     [&](State& block, const TaskBatch& tasks) { return update(block, tasks, rng); });
  }

  // Each player of a row has a network of its own in the result where there are several, as their memories
  // differ.
  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng rng) const override {
    const ControlBatch& worlds = worlds_of(batch);
    at::NoGradGuard no_grad;
    const int64_t b = batch.size(), p = actor_.columns(), players = spec_.players;
    const Tensor actors = state.theta.narrow(1, 0, p);
    const auto& place = model_.layout().at("memory");
    Tensor memory;  // [B, 1, A, H]
    const Tensor start = hand_out(actors, b).unsqueeze(1).repeat({1, players, 1}).view({b, players * p});
    return walk(start, steps, [&](const Tensor&, int64_t k) {
      worlds.roll_out(actor_, actors, 1, {}, rng.split("episode", k), &memory);
      Tensor rows = start.clone();
      if (memory.defined())
        rows.view({b, players, p}).narrow(2, place.offset, place.size()).copy_(memory.squeeze(1));
      return rows;
    });
  }

 private:
  Scores update(State& state, const TaskBatch& batch, Rng rng) const {
    const ControlBatch& worlds = worlds_of(batch);
    const int64_t n = state.size(), a = actor_.columns(), c = critic_.columns();
    at::NoGradGuard no_grad;
    const Tensor actors = state.theta.narrow(1, 0, a);
    std::vector<Rollout> episodes;
    Tensor memory;
    for (int64_t k = 0; k < o_.episodes; ++k) {
      episodes.push_back(
          by_agent(worlds.roll_out(actor_, actors, spec_.copies, {}, rng.split("episode", k), &memory), n));
      state.own["env_steps"] = state.own["env_steps"] + episodes.back().alive.sum({1, 2}, false, at::kDouble);
    }
    Trials all = one_after_another(episodes);
    if (o_.standardise_rewards) all.advantage = standardise(state, all.advantage, all.acted);
    std::vector<double> lr(n, o_.lr);
    const std::vector<int64_t> steps = whole_numbers(state.steps);
    for (int64_t i = 0; i < n && o_.halve_every > 0; ++i)
      lr[i] *= std::exp2(-static_cast<double>(steps[i]) / static_cast<double>(o_.halve_every));
    const int64_t l = all.input.size(1), pieces = (l + kTrialsAtOnce - 1) / kTrialsAtOnce;
    const Tensor value = at::empty(all.log_p.sizes(), state.theta.options());
    parallel_for(l, kTrialsAtOnce, [&](int64_t begin, int64_t end) {
      at::NoGradGuard quiet;
      value.slice(1, begin, end)
          .copy_(critic_.forward(state.theta.narrow(1, a, c), all.input.slice(1, begin, end)).squeeze(4));
    });
    advantages(all, value.to(at::kFloat).contiguous());

    const int64_t each = (l + o_.minibatches - 1) / o_.minibatches;
    for (int64_t epoch = 0; epoch < o_.epochs; ++epoch) {
      for (int64_t from = 0; from < l; from += each) {
        const Trials some = all.part(from, std::min(l, from + each));
        const int64_t trials = some.input.size(1);
        const Tensor share = 1 / (some.acted.sum({1, 2}).clamp_min(1) * static_cast<double>(spec_.players));
        std::vector<Tensor> grads(pieces);
        parallel_for(trials, kTrialsAtOnce, [&](int64_t begin, int64_t end) {
          grads[begin / kTrialsAtOnce] = gradient(state.theta, some.part(begin, end), share);
        });
        Tensor grad = grads[0];
        for (int64_t i = 1; i < pieces && grads[i].defined(); ++i) grad = grad + grads[i];
        adam_step(state,
                  at::cat({clip_gradients(grad.narrow(1, 0, a), o_.clip_norm),
                           clip_gradients(grad.narrow(1, a, c), o_.clip_norm)},
                          1),
                  lr);
      }
    }
    state.steps = state.steps + 1;
    const Tensor last = episodes.back().team.mean(1);
    Tensor earned = at::zeros_like(last);
    for (const Rollout& o : episodes) earned = earned + o.team.mean(1);
    return {{"loss", -last},
            {"return", last},
            {"return_before", episodes.front().team.mean(1)},
            {"return_trial", earned}};
  }

  static const TaskSpec& checked(const LearnerSetting& setting) {
    need(setting, "rl2",
         {Need::kWorlds, Need::kWholeTeams, Need::kAllPlayers, Need::kMemory, Need::kFeedback});
    return setting.spec;
  }

  static const ControlBatch& worlds_of(const TaskBatch& batch) { return need<ControlBatch>(batch, "rl2"); }

  // Trials without the gaps that episodes leave which ended early.
  Trials one_after_another(const std::vector<Rollout>& episodes) const {
    const auto k = static_cast<int64_t>(episodes.size());
    const Rollout& first = episodes[0];
    const int64_t n = first.alive.size(0), l = first.alive.size(1), t = first.alive.size(2);
    // Place s of a trial is place from[s] of its episodes end to end, each t + 1 long; -1 past its end.
    std::vector<std::vector<int64_t>> places(n * l);
    std::vector<Tensor> lengths;
    lengths.reserve(episodes.size());
    for (const Rollout& o : episodes) lengths.push_back(o.alive.sum(2).to(at::kLong).contiguous());
    int64_t longest = 0;
    for (int64_t i = 0; i < n * l; ++i) {
      for (int64_t e = 0; e < k; ++e) {
        const int64_t length = lengths[e].data_ptr<int64_t>()[i];
        for (int64_t s = 0; s <= length; ++s) places[i].push_back(e * (t + 1) + s);
      }
      longest = std::max<int64_t>(longest, static_cast<int64_t>(places[i].size()));
    }
    const Tensor from = at::zeros({n * l, longest}, at::kLong), acted = at::zeros({n, l, longest});
    for (int64_t i = 0; i < n * l; ++i) {
      int64_t* to = from.data_ptr<int64_t>() + i * longest;
      float* on = acted.data_ptr<float>() + i * longest;
      const auto& p = places[i];
      std::copy(p.begin(), p.end(), to);
      // The look before the beginning of an episode, and a trial's last, are no steps.
      for (size_t s = 0; s + 1 < p.size(); ++s) on[s] = p[s + 1] % (t + 1) != 0 ? 1 : 0;
      // Places past the end show the trial's last look again; nobody reads what the network says there.
      std::fill(to + p.size(), to + longest, p.back());
    }
    const Tensor at_row = from + at::arange(n * l, at::kLong).unsqueeze(1) * (k * (t + 1));
    const auto joined = [&](const auto& member) {
      std::vector<Tensor> parts;
      for (const Rollout& o : episodes) {
        const Tensor x = o.*member;
        std::vector<int64_t> pad(2 * (x.dim() - 3), 0);
        pad.insert(pad.end(), {0, t + 1 - x.size(2)});
        parts.push_back(at::constant_pad_nd(x, pad));
      }
      const Tensor all = at::cat(parts, 2);
      std::vector<int64_t> sizes = all.sizes().vec();
      const Tensor flat = all.reshape({n * l * k * (t + 1), -1});
      sizes[2] = longest;
      return flat.index_select(0, at_row.view(-1)).view(sizes);
    };
    return {joined(&Rollout::input),
            joined(&Rollout::mask),
            joined(&Rollout::action),
            joined(&Rollout::log_p),
            joined(&Rollout::reward),
            {},
            acted};
  }

  // From rewards, which stand in the advantages' place, and values.
  void advantages(Trials& all, const Tensor& value /*[N,L,S,A]*/) const {
    const auto sizes = all.advantage.sizes();
    const int64_t trials = sizes[0] * sizes[1], s = sizes[2], a = sizes[3];
    const Tensor reward = all.advantage.contiguous(), gain = at::zeros_like(reward),
                 target = at::zeros_like(reward);
    const float *on = all.acted.data_ptr<float>(), *r = reward.data_ptr<float>(),
                *v = value.data_ptr<float>();
    for (int64_t i = 0; i < trials; ++i) {
      for (int64_t p = 0; p < a; ++p) {
        double next = 0, sum = 0;  // nothing comes after a trial
        for (int64_t k = s; k-- > 0;) {
          if (on[i * s + k] == 0) continue;
          const int64_t at = (i * s + k) * a + p;
          sum = r[at] + o_.gamma * next - v[at] + o_.gamma * o_.gae_lambda * sum;
          next = v[at];
          gain.data_ptr<float>()[at] = static_cast<float>(sum);
          target.data_ptr<float>()[at] = static_cast<float>(sum + v[at]);
        }
      }
    }
    const Tensor weight = all.acted.unsqueeze(3);
    const Tensor count = (weight.sum({1, 2, 3}, true) * static_cast<double>(a)).clamp_min(1);
    const Tensor apart = (gain - gain.sum({1, 2, 3}, true) / count) * weight;
    all.advantage = apart / ((apart.square().sum({1, 2, 3}, true) / count).sqrt() + 1e-8);
    all.target = target;
  }

  // Of what is to be lessened, each step and player weighing `share` of its agent's: [N, P].
  Tensor gradient(const Tensor& rows, const Trials& some, const Tensor& share /*[N]*/) const {
    at::AutoGradMode with_grad(true);
    const int64_t a = actor_.columns(), c = critic_.columns();
    const Tensor theta = leaf(rows);
    const Tensor outputs = actor_.forward(theta.narrow(1, 0, a), some.input);
    const Tensor value = critic_.forward(theta.narrow(1, a, c), some.input).squeeze(4);
    const Tensor weight = (some.acted * share.view({-1, 1, 1})).unsqueeze(3).expand(some.log_p.sizes());
    const PolicyLoss policy =
        policy_loss(outputs, some.mask, some.action, some.log_p, some.advantage, weight, o_.clip, o_.entropy);
    const Tensor apart = value.detach() - some.target;
    return pull_back({outputs, value}, {policy.grad, (weight * apart).to(value.scalar_type())}, theta);
  }

  Options o_;
  TaskSpec spec_;
  const Model& model_;
  std::unique_ptr<Model> critic_model_;
  TeamNet actor_, critic_;
};

SYMMA_REGISTER(Learner, "rl2", Rl2, "a policy that learns by what it remembers, through several episodes",
               "Duan et al. 2016, arXiv:1611.02779");

}  // namespace
}  // namespace symma
