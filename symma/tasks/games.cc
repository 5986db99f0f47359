// A matrix game as a distribution over rivals.
//
// Personas are tables that favour one action: in each state its probability is even over (1/n, 1), and the
// others share what is left. Those of training, validation and test are different ones. In the prisoner's
// dilemma they are the cooperators and defectors of Kim et al. 2021, arXiv:2011.00382, in rock-paper-scissors
// the players of rock, of paper and of scissors. Out of distribution are tables whose logits are N(0, 1).
//
// Rivals may also be drawn as the model starts, or be the other agents of the fleet: agents of a
// block (nn/model.h) are paired anew for each of a round's tasks; one that is left over, or alone, plays a
// copy of itself.
#include "symma/tasks/games.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "symma/nn/recurrent.h"
#include "symma/tasks/has_directions.h"

namespace symma {

void GameOptions::fields(Fields& f) {
  f.add("world", world, "the game, as a table; its payoffs alone are used");
  f.add("poker", poker, "a game of cards, in place of world: both seats are played, each half the time")
      .one_of({"none", "kuhn", "leduc"});
  f.add("value", value, "values are solved for, or estimated from episodes (DiCE)")
      .one_of({"exact", "sampled"});
  f.add("rivals", rivals,
        "who plays: personas, the model as it starts, or the other agents of the fleet; at poker also who "
        "plays evenly, and what counterfactual regret minimisation comes to")
      .one_of({"personas", "random", "fleet", "uniform", "cfr"});
  f.add("test_rivals", test_rivals, "the same, when judged")
      .one_of({"alike", "personas", "random", "fleet", "uniform", "cfr"});
  f.add("cfr_rounds", cfr_rounds, "rounds of counterfactual regret minimisation, of the rival \"cfr\"")
      .at_least(1);
  f.add("gamma", gamma, "discount of later rounds").above(0).below(1);
  f.add("rounds", rounds, "rounds of an episode, for sampled values").at_least(1);
  f.add("copies", copies, "episodes of a match that are played together, for sampled values").at_least(2);
  f.add("personas", personas, "of each kind, to train with").at_least(1);
  f.add("held_out", held_out, "of each kind, for validation; and as many for the test").at_least(1);
  f.add("population", population, "key of the personas, the same for every seed of the experiment")
      .at_least(0);
}

namespace {

// Every pair of actions is played once.
RepeatedGame payoffs(const GameOptions& o) {
  if (o.poker != "none") return {.actions = 2, .pay = {}, .gamma = o.gamma};
  if (o.world.kind() != "matrix_game")
    throw UserError("[task] world", "\"" + o.world.kind() + "\" is no matrix game",
                    "set kind = \"matrix_game\", or [task] kind = \"control\"");
  const int64_t n = o.world.build(1)->spec().actions;
  const auto world = o.world.build(n * n);
  Frame frame;
  world->reset(Rng(0), frame);
  Tensor actions = at::empty({n * n, 2}, at::kLong);
  for (int64_t i = 0; i < n * n; ++i)
    actions.data_ptr<int64_t>()[2 * i] = i / n, actions.data_ptr<int64_t>()[2 * i + 1] = i % n;
  world->step(actions, frame);
  return {n, frame.reward.to(at::kDouble), o.gamma};
}

std::shared_ptr<const Hands> hands_of(const GameOptions& o) {
  for (const auto& [key, who] : {std::pair{"rivals", &o.rivals}, {"test_rivals", &o.test_rivals}}) {
    if (o.poker == "none" && (*who == "uniform" || *who == "cfr"))
      throw UserError(std::string("[task] ") + key, "\"" + *who + "\" plays poker alone",
                      "set poker = \"kuhn\" or \"leduc\"");
  }
  if (o.poker == "none") return nullptr;
  if (o.value == "sampled")
    throw UserError("[task] value", "\"sampled\" is of repeated matrix games", "set value = \"exact\"");
  return std::make_shared<const Hands>(o.poker == "kuhn" ? kuhn() : leduc());
}

// A policy as logits [S n].
Tensor logits_of(const Tensor& policy) {
  return policy.clamp_min(1e-30).log().to(at::kFloat).flatten();
}

// A table of logits [S n] that favours an action in every state.
Tensor persona(int64_t states, int64_t n, int64_t favourite, Rng rng) {
  Draws d(rng);
  Tensor out = at::empty({states * n}, at::kFloat);
  float* logits = out.data_ptr<float>();
  for (int64_t s = 0; s < states; ++s) {
    const double liked = d.uniform(1 / static_cast<double>(n), 1);
    std::vector<double> rest(n, 0);
    double sum = 0;
    for (int64_t a = 0; a < n; ++a) {
      if (a != favourite) sum += rest[a] = -std::log(1 - d.uniform());
    }
    for (int64_t a = 0; a < n; ++a) {
      const double p = a == favourite ? liked : (1 - liked) * rest[a] / sum;
      logits[s * n + a] = static_cast<float>(std::log(std::max(p, 1e-6)));
    }
  }
  return out;
}

class Games : public TaskFamily, public HasDirections {
 public:
  using Options = GameOptions;

  Games(const Options& o, int64_t /*agents*/)
      : setup_(std::make_shared<GameBatch::Setup>(GameBatch::Setup{o, payoffs(o), hands_of(o)})) {
    if (o.rivals == "cfr" || o.test_rivals == "cfr") solved_ = logits_of(cfr(*setup_->hands, o.cfr_rounds));
  }

  TaskSpec spec() const override {
    return {.shape = {{setup_->states()}, setup_->actions()},
            .kind = Kind::kGame,
            .metric = setup_->hands ? "nash_conv" : "return",
            .higher_is_better = !setup_->hands,
            .labels = false,
            .hands = setup_->hands != nullptr};
  }

  // What a rival earns is bad in some games and good in others.
  std::map<std::string, bool> directions() const override { return {{"return", true}, {"nash_conv", false}}; }

  std::unique_ptr<TaskBatch> sample(const Model& model, std::span<const Ask> asks,
                                    Split split) const override {
    std::vector<Rng> keys;
    keys.reserve(asks.size());
    for (const Ask& ask : asks) keys.push_back(ask.key.split(split_name(split)));
    const bool judged = split != Split::kTrain && setup_->options.test_rivals != "alike";
    const std::string& who = judged ? setup_->options.test_rivals : setup_->options.rivals;
    GameBatch::Rivals rivals;
    if (who == "fleet") {
      rivals.partner = paired(asks, keys, block_size(model));
    } else {
      rivals.tables = who != "random";
      const auto b = static_cast<int64_t>(keys.size()), size = setup_->states() * setup_->actions();
      if (who == "uniform") {
        rivals.rows = at::zeros({b, size});
      } else if (who == "cfr") {
        rivals.rows = solved_.expand({b, size}).contiguous();
      } else if (who == "random") {
        rivals.rows = model.init(split_each(keys, "rival"));
      } else {
        std::vector<Tensor> rows;
        rows.reserve(keys.size());
        for (const Rng& key : keys) rows.push_back(met(split, key));
        rivals.rows = at::stack(rows);
      }
    }
    return std::make_unique<GameBatch>(model, setup_, std::move(keys), std::move(rivals));
  }

 private:
  // The persona of a task, [S n].
  Tensor met(Split split, Rng key) const {
    const int64_t states = setup_->states(), actions = setup_->actions();
    if (split == Split::kOod) return normal(key.split("rival"), {states * actions});
    const GameOptions& o = setup_->options;
    Draws d(key.split("persona"));
    const int64_t kind = d.below(actions), i = d.below(split == Split::kTrain ? o.personas : o.held_out);
    return persona(
        states, actions, kind,
        Rng(o.population).split("personas").split(split_name(split)).split("kind", kind).split("number", i));
  }

  // Who plays whom: place i meets place partner[i]. The t-th tasks of the agents of a block are shuffled and
  // paired: within it, for other blocks may be in other processes.
  static Tensor paired(std::span<const Ask> asks, const std::vector<Rng>& keys, int64_t block) {
    std::map<int64_t, int64_t> count;
    std::map<std::pair<int64_t, int64_t>, std::vector<int64_t>> tables;  // places, by block and t
    for (size_t i = 0; i < asks.size(); ++i) {
      const int64_t a = asks[i].agent;
      tables[{a / block, count[a]++}].push_back(static_cast<int64_t>(i));
    }
    Tensor out = at::arange(static_cast<int64_t>(asks.size()), at::kLong);
    int64_t* partner = out.data_ptr<int64_t>();
    for (const auto& [table, places] : tables) {
      const auto order =
          Draws(keys[places[0]].split("pairs")).permutation(static_cast<int64_t>(places.size()));
      for (size_t k = 0; k + 1 < order.size(); k += 2) {
        const int64_t i = places[order[k]], j = places[order[k + 1]];
        partner[i] = j, partner[j] = i;
      }
    }
    return out;
  }

  std::shared_ptr<const GameBatch::Setup> setup_;
  Tensor solved_;  // [S n] logits of the rival "cfr"
};

SYMMA_REGISTER(TaskFamily, "games", Games, "a repeated matrix game against rivals who learn too",
               "Foerster et al. 2018, arXiv:1709.04326; Kim et al. 2021, arXiv:2011.00382");

}  // namespace

GameBatch::GameBatch(const Model& model, std::shared_ptr<const Setup> setup, std::vector<Rng> keys,
                     Rivals rivals)
    : model_(model), setup_(std::move(setup)), keys_(std::move(keys)), rivals_(std::move(rivals)) {
  if (dynamic_cast<const Recurrent*>(&model))
    throw UserError("[model] kind", "this model remembers, and players of \"games\" see the last round alone",
                    "use \"tabular\" or \"mlp\"");
}

std::unique_ptr<TaskBatch> GameBatch::slice(int64_t begin, int64_t end) const {
  Rivals part{.rows = {}, .partner = {}, .tables = rivals_.tables};
  if (rivals_.rows.defined()) part.rows = rivals_.rows.slice(0, begin, end);
  return std::make_unique<GameBatch>(
      model_, setup_, std::vector<Rng>(keys_.begin() + begin, keys_.begin() + end), std::move(part));
}

Tensor GameBatch::matches(const Tensor& theta) const {
  if (theta.size(1) > player()) return theta;
  if (rivals_.rows.defined()) return at::cat({theta, rivals_.rows.to(theta.options())}, 1);
  if (!rivals_.partner.defined())
    throw UserError("[task] rivals",
                    "\"fleet\" pairs agents, and this learner takes their tasks a piece at a time",
                    "use \"naive\", \"lola\", \"meta_pg\" or \"meta_mapg\", or fewer tasks");
  return at::cat({theta, theta.detach().index_select(0, rivals_.partner.to(theta.device()))}, 1);
}

Tensor GameBatch::log_policy(const Tensor& logits) const {
  if (!setup_->hands && logits.size(2) == 2) {  // as libtorch's log_softmax, which takes two at a time slowly
    const Tensor ahead = logits.select(2, 0) - logits.select(2, 1);
    return at::log_sigmoid(at::stack({ahead, -ahead}, 2));
  }
  if (!setup_->hands) return at::log_softmax(logits, 2);
  return at::log_softmax(logits.masked_fill(setup_->hands->legal.logical_not().to(logits.device()), -1e9), 2);
}

Tensor GameBatch::logits(const Tensor& rows) const {
  const int64_t s = setup_->states();
  return model_.forward(rows, at::eye(s, rows.options()).expand({rows.size(0), s, s}), Mode::kTrain);
}

Tensor GameBatch::policy(const Tensor& rows) const {
  return log_policy(logits(rows));
}

std::pair<Tensor, Tensor> GameBatch::sides(const Tensor& matches) const {
  const int64_t b = matches.size(0), p = player();
  const Tensor rival = matches.narrow(1, p, matches.size(1) - p);
  return {logits(matches.narrow(1, 0, p)),
          rivals_.tables ? rival.reshape({b, setup_->states(), setup_->actions()}) : logits(rival)};
}

Tensor GameBatch::hand(const Tensor& own, const Tensor& rival) const {
  return (values(*setup_->hands, own, rival) - values(*setup_->hands, rival, own)) / 2;
}

Tensor GameBatch::losses(const Tensor& matches, Stage stage, Rng rng) const {
  auto [own, rival] = sides(matches);
  const GameOptions& o = setup_->options;
  if (exact()) return -exact_values(setup_->game, own, rival);
  own = log_policy(own), rival = log_policy(rival);
  if (setup_->hands) {
    const Tensor mine = hand(own, rival);
    return at::stack({-mine, mine}, 1);
  }
  const Rng here = rng.split(stage == Stage::kSupport ? "support" : "query");
  std::vector<Rng> keys;
  // The task's key and the caller's: a match in a slice draws as it does in the whole.
  for (const Rng& key : keys_) keys.push_back(here.split("task", key.key()));
  const Rounds rounds = play_rounds(setup_->game, own.exp(), rival.exp(), o.copies, o.rounds, keys);
  return -sampled_values(setup_->game, own, rival, rounds);
}

Scores GameBatch::score(const Tensor& theta, Rng) const {
  at::NoGradGuard no_grad;
  auto [own, rival] = sides(matches(theta).to(at::kDouble));
  if (setup_->hands) {
    own = log_policy(own), rival = log_policy(rival);
    std::vector<double> open;
    for (int64_t b = 0; b < own.size(0); ++b) open.push_back(nash_conv(*setup_->hands, own[b].exp()));
    const Tensor won = hand(own, rival);  // what one wins the other loses
    return {{"nash_conv", at::tensor(open, at::kDouble)}, {"return", won}, {"rival_return", -won}};
  }
  const Tensor v = exact_values(setup_->game, own, rival) * (1 - setup_->game.gamma);
  return {{"return", v.select(1, 0)}, {"rival_return", v.select(1, 1)}};
}

int64_t GameBatch::piece() const {
  const GameOptions& o = setup_->options;
  if (setup_->hands) return o.poker == "kuhn" ? 256 : 8;
  if (exact()) return 256;
  return std::clamp<int64_t>((int64_t{1} << 17) / (o.copies * o.rounds), 1, 256);
}

}  // namespace symma
