#include "symma/learners/games/matches.h"

#include "symma/core/errors.h"
#include "symma/learners/needs.h"

namespace symma {

Tensor own_gradients(const Tensor& losses, const Tensor& matches, int64_t player, bool create_graph) {
  const auto of = [&](int64_t who) {
    const Tensor loss = losses.select(1, who);
    return create_graph ? row_gradient(loss, matches, true)
                        : vector_jacobian(loss, matches, at::ones_like(loss));
  };
  return at::cat({of(0).narrow(1, 0, player), of(1).narrow(1, player, matches.size(1) - player)}, 1);
}

MatchLearner::MatchLearner(const OuterOptions& outer, const LearnerSetting& setting, const std::string& name)
    : outer_(outer), model_(setting.model), name_(name) {
  need(setting, name, {Need::kMatches});
}

State MatchLearner::init(std::span<const Rng> keys, at::ScalarType type) const {
  State state = State::of(model_.init(split_each(keys, "model")).to(type));
  outer_init(outer_, state);
  return state;
}

Scores MatchLearner::step(State& state, const TaskBatch& batch, Rng rng) const {
  const GameBatch& games = need<GameBatch>(batch, name_);
  const int64_t n = state.size(), p = games.player();
  // Rivals stand beside players before the work is cut into pieces, for a rival may be in another piece.
  State matches = State::of(games.matches(hand_out(state.theta, batch.size())));
  const auto pieces = pieces_of(state, model_, batch.size(), games.piece());
  const auto g =
      gather(matches, batch, pieces, rng, [&](const Tensor& rows, const TaskBatch& tasks, Rng own) {
        return gradient(rows, need<GameBatch>(tasks, name_), own);
      });
  const Scores now = games.score(matches.theta, rng);
  outer_step(outer_, state, by_agents(g.grad.narrow(1, 0, p), n));
  return {{"loss", by_agents(g.loss, n)},
          {"return", by_agents(now.at("return"), n)},
          {"rival_return", by_agents(now.at("rival_return"), n)}};
}

void ChainOptions::fields(Fields& f) {
  f.add("inner_steps", inner_steps, "updates of player and rival in the chain, while training").at_least(1);
  f.add("inner_lr", inner_lr, "step size of the player in the chain").above(0);
  f.add("rival_lr", rival_lr, "step size of its rival in the chain; 0: it stands still").at_least(0);
  outer.fields(f);
}

ChainLearner::ChainLearner(const ChainOptions& o, const LearnerSetting& setting, Sees sees,
                           const std::string& name)
    : MatchLearner(o.outer, setting, name), o_(o), sees_(sees) {}

Tensor ChainLearner::rates(const Tensor& matches, int64_t player) const {
  return at::cat({at::full({player}, o_.inner_lr, matches.options()),
                  at::full({matches.size(1) - player}, o_.rival_lr, matches.options())});
}

Gradients ChainLearner::gradient(const Tensor& matches, const GameBatch& games, Rng rng) const {
  const Tensor start = leaf(matches);
  const int64_t p = games.player(), r = matches.size(1) - p;
  if (sees_ == Sees::kNothing) {
    const Tensor loss = games.loss(start, Stage::kQuery, rng);
    return {row_gradient(loss, start, false), loss.detach()};
  }
  // One set of episodes a step: the loss that is judged is also what the next step is taken by.
  const Tensor rate = rates(matches, p);
  Tensor phi = start, losses = games.losses(phi, Stage::kSupport, rng.split("inner", 0)), sum;
  for (int64_t k = 1; k <= o_.inner_steps; ++k) {
    phi = phi - rate * own_gradients(losses, phi, p, true);
    if (sees_ == Sees::kOwnSteps) phi = at::cat({phi.narrow(1, 0, p), phi.narrow(1, p, r).detach()}, 1);
    losses = games.losses(phi, Stage::kSupport, rng.split("inner", k));
    sum = k == 1 ? losses.select(1, 0) : sum + losses.select(1, 0);
  }
  const Tensor loss = sum / static_cast<double>(o_.inner_steps);
  return {row_gradient(loss, start, false), loss.detach()};
}

std::vector<Tensor> ChainLearner::adapt(const State& state, const TaskBatch& batch,
                                        std::span<const int64_t> steps, Rng rng) const {
  const GameBatch& games = need<GameBatch>(batch, name());
  const Tensor start = games.matches(hand_out(state.theta, batch.size())).contiguous();
  const Tensor rate = rates(start, games.player());
  return walk(start, steps, [&](const Tensor& phi, int64_t k) {
    const Tensor at = leaf(phi);
    const Tensor losses = games.losses(at, Stage::kSupport, rng.split("inner", k));
    return at.detach() - rate * own_gradients(losses, at, games.player(), false);
  });
}

}  // namespace symma
