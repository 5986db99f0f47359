// Repeated games: values of strategies whose play is known, of worlds that are played, and by enumeration;
// who meets whom; and what a person can get wrong.
#include "symma/tasks/games.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "symma/core/parallel.h"
#include "symma/nn/kernels/mlp.h"
#include "symma/tasks/control.h"

namespace symma {
namespace {

const Tensor kDilemma = at::tensor({-1., -1., -3., 0., 0., -3., -2., -2.}, at::kDouble).view({4, 2});

// A policy by its probability of the first of two actions in "not played yet", CC, CD, DC, DD: [1, 5, 2].
Tensor policy(std::vector<double> p) {
  const Tensor first = at::tensor(p, at::kDouble).view({1, 5, 1});
  return at::cat({first, 1 - first}, 2);
}

TEST(Repeated, ValuesOfStrategiesWhosePlayIsKnown) {
  const double g = 0.96;
  const RepeatedGame game{2, kDilemma, g};
  const Tensor tit = policy({1, 1, 0, 1, 0}), defect = policy({0, 0, 0, 0, 0}),
               any = policy({.5, .5, .5, .5, .5}), cooperate = policy({1, 1, 1, 1, 1});
  const auto expect = [&](const Tensor& a, const Tensor& b, double mine, double its) {
    const Tensor v = exact_values(game, a.log(), b.log());
    EXPECT_NEAR(v[0][0].item<double>(), mine, 1e-9);
    EXPECT_NEAR(v[0][1].item<double>(), its, 1e-9);
  };
  expect(tit, tit, -1 / (1 - g), -1 / (1 - g));
  expect(defect, defect, -2 / (1 - g), -2 / (1 - g));
  expect(defect, cooperate, 0, -3 / (1 - g));
  expect(any, any, -1.5 / (1 - g), -1.5 / (1 - g));
  expect(tit, defect, -3 - 2 * g / (1 - g), -2 * g / (1 - g));
  // Tit for tat against its opposite goes CC?, CD, DD, DC and round again: payoffs -1, -3, -2, 0.
  const Tensor opposite = policy({1, 0, 1, 0, 1});
  const double lap = 1 - std::pow(g, 4);
  expect(tit, opposite, (-1 - 3 * g - 2 * g * g) / lap, (-1 - 2 * g * g - 3 * g * g * g) / lap);
}

// As the world plays it: the same table of logits, asked by its observations.
TEST(Repeated, ValuesAreWhatTheWorldPays) {
  for (const std::string game : {"prisoners_dilemma", "rock_paper_scissors"}) {
    const Json world{{"kind", "matrix_game"}, {"game", game}, {"memory", 1}, {"limit", 60}};
    const Json settings{{"world", world}, {"gamma", 0.8}};
    const auto games = make<TaskFamilyRegistry>("games", settings, int64_t{1});
    const auto model = make<ModelRegistry>("tabular", {}, games->spec().shape);
    Json as_world = settings;
    as_world["own_reward"] = true, as_world["player_index"] = false;
    const auto control = make<TaskFamilyRegistry>("control", as_world, int64_t{1});
    const std::vector<int64_t> one{0};
    const auto batch = control->sample(*model, asks_for(one, Rng(3)), Split::kTrain);
    const auto& tasks = dynamic_cast<const ControlBatch&>(*batch);
    const Tensor both = model->init(split_keys(Rng(4), "row", 2));
    const int64_t e = 4000;
    const Rollout o = tasks.roll_out(TeamNet(*model, 2, false), both.view({1, -1}), e, {}, Rng(5));
    const Tensor discount = at::pow(0.8, at::arange(60, at::kDouble)).view({1, 60, 1});
    const Tensor paid = (o.reward[0].to(at::kDouble) * discount).sum(1);  // [E, 2]
    auto setup = std::make_shared<GameBatch::Setup>();
    const Tensor pay =
        game == "prisoners_dilemma"
            ? kDilemma
            : at::tensor({0., 0., -1., 1., 1., -1., 1., -1., 0., 0., -1., 1., -1., 1., 1., -1., 0., 0.},
                         at::kDouble)
                  .view({9, 2});
    const RepeatedGame g{games->spec().shape.out, pay, 0.8};
    const auto said = [&](int64_t i) {
      const Tensor eye = at::eye(g.states()).unsqueeze(0);
      return at::softmax(model->forward(both.slice(0, i, i + 1), eye, Mode::kEval), 2).to(at::kDouble);
    };
    const Tensor v = exact_values(g, said(0).log(), said(1).log());
    for (int64_t i = 0; i < 2; ++i) {
      const Tensor x = paid.select(1, i);
      const double se = x.std().item<double>() / std::sqrt(static_cast<double>(e));
      EXPECT_NEAR(x.mean().item<double>(), v[0][i].item<double>(), 4 * se) << game;
      EXPECT_LT(se, 0.05);
    }
    // And from the family's own rounds.
    const std::vector<Rng> keys{Rng(6)};
    const Rounds rounds = play_rounds(g, said(0), said(1), e, 60, keys);
    const Tensor sampled = sampled_values(g, said(0).log(), said(1).log(), rounds);
    EXPECT_LE((sampled - v).abs().max().item<double>(), 0.2) << game;
  }
}

// theta [1, 10]: both players' logits of the first action.
std::pair<Tensor, Tensor> tables(const Tensor& theta) {
  const auto of = [&](int64_t from) {
    const Tensor p = theta.narrow(1, from, 5).sigmoid().unsqueeze(2);
    return at::cat({p, 1 - p}, 2);
  };
  return {of(0), of(5)};
}

TEST(Repeated, DerivativesOfExactValuesAreThoseOfDifferences) {
  const RepeatedGame game{2, kDilemma, 0.96};
  const Tensor theta = normal(Rng(1), {1, 10}, at::kDouble);
  const auto value = [&](const Tensor& at) {
    const auto [own, rival] = tables(at);
    return exact_values(game, own.log(), rival.log())[0][1];
  };
  const Tensor at = leaf(theta);
  const Tensor g = row_gradient(value(at).view({1}), at, true);
  const Tensor v = normal(Rng(2), {1, 10}, at::kDouble);
  const Tensor hv = row_gradient((g * v).sum().view({1}), at, false);
  const double h = 1e-4;
  EXPECT_NEAR((g * v).sum().item<double>(),
              ((value(theta + h * v) - value(theta - h * v)) / (2 * h)).item<double>(), 1e-5);
  const auto slope = [&](const Tensor& from) {
    const Tensor x = leaf(from);
    return row_gradient(value(x).view({1}), x, false);
  };
  EXPECT_LE((hv - (slope(theta + h * v) - slope(theta - h * v)) / (2 * h)).abs().max().item<double>(), 1e-5);
}

// The one operation against plain tensors' operations, to the second derivatives, of two and of three
// actions.
TEST(Repeated, ExactValuesAreThoseOfTheCompositePath) {
  for (const int64_t n : {2, 3}) {
    const int64_t states = 1 + n * n, b = 5;
    const RepeatedGame game{n, normal(Rng(3), {n * n, 2}, at::kDouble), 0.9};
    const Tensor at = leaf(normal(Rng(1), {b, 2 * states * n}, at::kDouble));
    const Tensor g = normal(Rng(4), {b, 2}, at::kDouble), v = normal(Rng(5), at.sizes(), at::kDouble);
    const auto derivatives = [&] {
      const auto half = [&](int64_t which) {
        return at.narrow(1, which * states * n, states * n).view({b, states, n});
      };
      const Tensor values = exact_values(game, half(0), half(1));
      const Tensor first = row_gradient((values * g).sum(1), at, true);
      const Tensor second = row_gradient((first * v).sum(1), at, true);
      return std::tuple(values.detach(), first.detach(), second);
    };
    const auto [values, first, second] = derivatives();
    EXPECT_THROW(row_gradient(second.sum(1), at, false), c10::Error) << "a third derivative";
    set_threads(1);  // CompositePath holds for one thread
    {
      const CompositePath composite;
      const auto [plain, plain_first, plain_second] = derivatives();
      EXPECT_LE((values - plain).abs().max().item<double>(), 1e-12) << n;
      EXPECT_LE((first - plain_first).abs().max().item<double>(), 1e-12) << n;
      EXPECT_LE((second - plain_second).abs().max().item<double>(), 1e-11) << n;
      EXPECT_FALSE(second.equal(plain_second)) << "one way was taken twice";
    }
    set_threads(0);
  }
}

// Every play of T rounds once.
Rounds all_plays(int64_t t) {
  const int64_t plays = int64_t{1} << (2 * t);
  Rounds r{at::empty({plays, 1, t}, at::kLong), at::empty({plays, 1, t}, at::kLong),
           at::empty({plays, 1, t, 2}, at::kDouble), Tensor()};
  for (int64_t k = 0; k < plays; ++k) {
    int64_t mine = 0, its = 0;
    for (int64_t s = 0; s < t; ++s) {
      const int64_t i = k >> (2 * s) & 1, j = k >> (2 * s + 1) & 1, at = k * t + s;
      r.own.data_ptr<int64_t>()[at] = 2 * mine + i;
      r.rival.data_ptr<int64_t>()[at] = 2 * its + j;
      r.reward.view({-1, 2})[at].copy_(kDilemma[2 * i + j]);
      mine = 1 + 2 * i + j, its = 1 + 2 * j + i;
    }
  }
  return r;
}

void expect_equal_to_second_order(const Tensor& y, const Tensor& z, const Tensor& x, double tolerance) {
  EXPECT_NEAR(y.item<double>(), z.item<double>(), tolerance);
  const Tensor g = row_gradient(y.view({1}), x, true), f = row_gradient(z.view({1}), x, true);
  EXPECT_LE((g - f).abs().max().item<double>(), tolerance);
  EXPECT_GT(f.abs().max().item<double>(), 0.01);
  for (int64_t i = 0; i < x.size(1); ++i) {
    const Tensor a = row_gradient(g[0][i].view({1}), x, true), b = row_gradient(f[0][i].view({1}), x, true);
    EXPECT_LE((a - b).abs().max().item<double>(), tolerance) << "row " << i << " of the Hessian";
  }
}

// Episodes in the mean are all plays, each weighed by its probability. The value of T rounds is the
// probability of each play, as a function of both policies, times what it pays; that of rounds without end is
// the same but for gamma^T.
TEST(Repeated, DiceHasTheExactFirstAndSecondDerivatives) {
  const int64_t t = 5;
  const Rounds r = all_plays(t);
  const int64_t plays = r.own.size(0);
  for (const double gamma : {0.96, 0.03}) {
    const RepeatedGame game{2, kDilemma, gamma};
    const Tensor at = leaf(normal(Rng(1), {1, 10}, at::kDouble));
    const auto [own, rival] = tables(at);
    const Tensor l = own.log().expand({plays, 5, 2}), m = rival.log().expand({plays, 5, 2});
    const auto of = [&](const Tensor& table, const Tensor& index) {
      return table.reshape({plays, 10}).gather(1, index.view({plays, t})).sum(1);
    };
    const Tensor probability = (of(l, r.own) + of(m, r.rival)).exp();  // [plays]
    EXPECT_NEAR(probability.sum().item<double>(), 1, 1e-12);
    const Tensor discount = at::pow(gamma, at::arange(t, at::kDouble)).view({1, t, 1});
    const Tensor paid = (r.reward.squeeze(1) * discount).sum(1);  // [plays, 2]
    const Tensor dice = (probability.detach().unsqueeze(1) * sampled_values(game, l, m, r)).sum(0),
                 finite = (probability.unsqueeze(1) * paid).sum(0),
                 endless = exact_values(game, own.log(), rival.log())[0];
    for (int64_t who = 0; who < 2; ++who) {
      expect_equal_to_second_order(dice[who], finite[who], at, 1e-10);
      if (gamma < 0.1) expect_equal_to_second_order(endless[who], finite[who], at, 3e-7);
      if (gamma < 0.1) continue;
      // The mixed derivatives, by which a player changes its rival's step, are there.
      const Tensor g = row_gradient(finite[who].view({1}), at, true).narrow(1, 0, 5).sum();
      EXPECT_GT(row_gradient(g.view({1}), at, true).narrow(1, 5, 5).abs().max().item<double>(), 0.01);
    }
  }
}

TEST(Repeated, TheBaselineMovesNoMeanAndMakesGradientsQuieter) {
  const RepeatedGame game{2, kDilemma, 0.9};
  const Tensor at = leaf(normal(Rng(1), {1, 10}, at::kDouble));
  const auto both = tables(at);
  const Tensor &own = both.first, &rival = both.second;
  const Tensor truth = row_gradient(exact_values(game, own.log(), rival.log()).select(1, 0), at, true);
  std::vector<Tensor> with, without;
  for (uint64_t i = 0; i < 100; ++i) {
    const std::vector<Rng> keys{Rng(100 + i)};
    Rounds r = play_rounds(game, own, rival, 16, 120, keys);
    const auto gradient = [&] {
      return row_gradient(sampled_values(game, own.log(), rival.log(), r).select(1, 0), at, true).detach();
    };
    with.push_back(gradient());
    r.baseline = Tensor();
    without.push_back(gradient());
  }
  const Tensor a = at::cat(with), b = at::cat(without);
  EXPECT_TRUE(((a.mean(0) - truth[0]).abs() <= 4 * a.std(0) / 10 + 1e-4).all().item<bool>())
      << a.mean(0) << truth << a.std(0) / 10;
  EXPECT_LT(a.std(0).square().sum().item<double>(), 0.2 * b.std(0).square().sum().item<double>());
}

struct Made {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<TaskBatch> draw(std::vector<int64_t> agents, uint64_t key,
                                  Split split = Split::kTrain) const {
    return family->sample(*model, asks_for(agents, Rng(key)), split);
  }
};

Made made(Json settings, const std::string& model = "tabular") {
  Made m;
  m.family = make<TaskFamilyRegistry>("games", settings, int64_t{4});
  m.model = make<ModelRegistry>(model, {}, m.family->spec().shape);
  return m;
}

const GameBatch& games(const TaskBatch& b) {
  return dynamic_cast<const GameBatch&>(b);
}

// Rivals' probabilities by state: [B, S, n].
Tensor personas(const Made& m, const TaskBatch& b) {
  const int64_t p = m.model->layout().size(), n = m.family->spec().shape.out;
  const Tensor match = games(b).matches(m.model->init(split_keys(Rng(1), "row", b.size())));
  return at::softmax(match.narrow(1, p, match.size(1) - p).view({b.size(), 1 + n * n, n}), 2);
}

TEST(Games, PersonasFavourOneActionAndSplitsShareNone) {
  for (const std::string game : {"prisoners_dilemma", "rock_paper_scissors"}) {
    const Made m =
        made({{"world", {{"kind", "matrix_game"}, {"game", game}}}, {"personas", 5}, {"held_out", 5}});
    const int64_t n = m.family->spec().shape.out;
    std::set<std::vector<float>> seen[3];
    const Split splits[] = {Split::kTrain, Split::kValidation, Split::kTest};
    for (int i = 0; i < 3; ++i) {
      const Tensor p = personas(m, *m.draw(std::vector<int64_t>(300, 0), 7, splits[i]));  // [300, S, n]
      // Some action has a probability above 1/n in every state, and each action is someone's.
      const Tensor liked = (p >= 1 / static_cast<double>(n) - 1e-5).all(1);  // [300, n]
      EXPECT_TRUE(liked.any(1).all().item<bool>());
      EXPECT_TRUE(liked.any(0).all().item<bool>());
      for (int64_t b = 0; b < 300; ++b) {
        const Tensor row = p[b].contiguous().view(-1);
        seen[i].insert({row.data_ptr<float>(), row.data_ptr<float>() + row.numel()});
      }
      EXPECT_EQ(seen[i].size(), static_cast<size_t>(5 * n)) << game;
    }
    for (const auto& one : seen[0]) EXPECT_FALSE(seen[1].contains(one) || seen[2].contains(one));
    for (const auto& one : seen[1]) EXPECT_FALSE(seen[2].contains(one));
  }
}

TEST(Games, AFavouriteIsEvenlySpreadAndTheSeedOfAnExperimentDoesNotMoveIt) {
  const Made m = made({{"personas", 400}});
  const Tensor p = personas(m, *m.draw(std::vector<int64_t>(400, 0), 7)).select(2, 0);  // of cooperating
  const Tensor kind = (p > 0.5).sum(1);
  EXPECT_TRUE((kind == 0).logical_or(kind == 5).all().item<bool>());
  const Tensor above = (p - 0.5).abs();  // U(0, 1/2)
  EXPECT_NEAR(above.mean().item<double>(), 0.25, 4 * 0.144 / std::sqrt(2000.));
  EXPECT_NEAR(above.square().mean().item<double>(), 1. / 12, 0.01);
  // Three personas are the same three for every key of a run.
  const Made few = made({{"personas", 1}, {"held_out", 1}});
  const Tensor a = personas(few, *few.draw(std::vector<int64_t>(20, 0), 1)),
               b = personas(few, *few.draw(std::vector<int64_t>(20, 0), 2));
  EXPECT_EQ(std::get<0>(at::unique_dim(at::cat({a, b}), 0)).size(0), 2);
  const Made other = made({{"personas", 1}, {"held_out", 1}, {"population", 2}});
  EXPECT_EQ(std::get<0>(
                at::unique_dim(at::cat({a, personas(other, *other.draw(std::vector<int64_t>(20, 0), 1))}), 0))
                .size(0),
            4);
}

TEST(Games, ASliceIsTheSameMatches) {
  for (const std::string value : {"exact", "sampled"}) {
    const Made m = made({{"value", value}, {"copies", 4}, {"rounds", 6}});
    const auto batch = m.draw({0, 1, 2, 3}, 3);
    const Tensor theta = m.model->init(split_keys(Rng(4), "row", 4));
    set_threads(1);
    const Tensor whole = batch->loss(theta, Stage::kQuery, Rng(1));
    set_threads(2);
    EXPECT_TRUE(whole.equal(batch->loss(theta, Stage::kQuery, Rng(1))));
    set_threads(0);
    const Tensor part = batch->slice(1, 3)->loss(theta.slice(0, 1, 3), Stage::kQuery, Rng(1));
    EXPECT_LE((part - whole.slice(0, 1, 3)).abs().max().item<double>(), 1e-5);
    EXPECT_EQ(batch->score(theta, Rng(1)).at("return").size(0), 4);
  }
}

TEST(Games, AgentsOfTheFleetMeetInPairs) {
  const Made m = made({{"rivals", "fleet"}});
  const std::vector<int64_t> agents{0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3};
  const auto batch = m.draw(agents, 3);
  const int64_t b = batch->size(), p = m.model->layout().size();
  const Tensor theta = m.model->init(split_keys(Rng(4), "row", b));
  const Tensor rival = games(*batch).matches(theta).narrow(1, p, p);
  std::set<std::pair<int64_t, int64_t>> met;
  for (int64_t i = 0; i < b; ++i) {
    const int64_t j = (theta == rival[i]).all(1).nonzero()[0][0].item<int64_t>();
    EXPECT_NE(agents[i], agents[j]);
    EXPECT_TRUE(rival[j].equal(theta[i]));
    met.insert({agents[i], agents[j]});
  }
  EXPECT_GT(met.size(), 4u);  // not the same pairs each time
  // What one gets is what its rival loses sight of: both sides of a match agree.
  const Tensor both = games(*batch).losses(games(*batch).matches(theta), Stage::kQuery, Rng(1));
  for (int64_t i = 0; i < b; ++i) {
    const int64_t j = (theta == rival[i]).all(1).nonzero()[0][0].item<int64_t>();
    EXPECT_NEAR(both[i][0].item<double>(), both[j][1].item<double>(), 1e-4);
  }
  // One that is left over plays itself.
  const auto odd = m.draw({0, 1, 2}, 3);
  const Tensor three = m.model->init(split_keys(Rng(4), "row", 3));
  const Tensor its = games(*odd).matches(three).narrow(1, p, p);
  EXPECT_EQ((its == three).all(1).sum().item<int64_t>(), 1);
  // No gradient goes back into a rival.
  const Tensor at = leaf(three);
  EXPECT_EQ(
      row_gradient(games(*odd).matches(at).narrow(1, p, p).sum(1), at, false).abs().max().item<double>(), 0);
}

TEST(Games, BadInputIsOneClearError) {
  const auto says = [](Json settings, const std::string& model, const std::string& words) {
    try {
      const Made m = made(settings, model);
      m.draw({0}, 1);
    } catch (const UserError& e) {
      EXPECT_NE(std::string(e.what()).find(words), std::string::npos) << e.what();
      return;
    }
    ADD_FAILURE() << "no error of " << words;
  };
  says({{"world", {{"kind", "foraging"}}}}, "tabular", "no matrix game");
  says(Json::object(), "gru", "this model remembers");
  says({{"value", "guessed"}}, "tabular", "value");
  const Made m = made({{"rivals", "fleet"}});
  const auto part = m.draw({0, 1}, 1)->slice(0, 1);
  EXPECT_THROW(part->loss(m.model->init(split_keys(Rng(1), "row", 1)), Stage::kQuery, Rng(1)), UserError);
}

}  // namespace
}  // namespace symma
