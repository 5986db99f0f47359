// Learners among learners: gradients through a rival's step against finite differences, against MAML's where
// rivals stand still, and what is known of the prisoner's dilemma.
#include "symma/learners/games/matches.h"

#include <gtest/gtest.h>

#include "symma/core/parallel.h"

namespace symma {
namespace {

const std::vector<std::string> kLearners{"naive", "lola", "meta_pg", "meta_mapg"};

struct Made {
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<TaskBatch> draw(std::vector<int64_t> agents, uint64_t key) const {
    return family->sample(*model, asks_for(agents, Rng(key)), Split::kTrain);
  }
  std::unique_ptr<Learner> learner(const std::string& kind, Json settings) const {
    return make<LearnerRegistry>(kind, settings, LearnerSetting{*model, family->spec()});
  }
  Tensor start(int64_t rows, uint64_t key = 4) const {
    return model->init(split_keys(Rng(key), "row", rows)).to(at::kDouble);
  }
};

Made made(Json settings = Json::object(), const std::string& model = "tabular",
          Json of_model = Json::object()) {
  Made m;
  m.family = make<TaskFamilyRegistry>("games", settings, int64_t{2});
  m.model = make<ModelRegistry>(model, of_model, m.family->spec().shape);
  return m;
}

const GameBatch& games(const TaskBatch& b) {
  return dynamic_cast<const GameBatch&>(b);
}

// What `step` moves against: rows before less rows after, with a plain outer step of 1.
Tensor meta_gradient(const Made& m, const std::string& kind, Json settings, const TaskBatch& batch,
                     const Tensor& rows) {
  settings["optimizer"] = "sgd", settings["meta_lr"] = 1;
  State s = State::of(rows);
  m.learner(kind, settings)->step(s, batch, Rng(9));
  return rows - s.theta;
}

// d f / d rows by central differences, for f [B] of which each depends on its own row.
Tensor differences(const Tensor& rows, const std::function<Tensor(const Tensor&)>& f, double h = 1e-5) {
  Tensor out = at::empty_like(rows);
  for (int64_t c = 0; c < rows.size(1); ++c) {
    Tensor up = rows.clone(), down = rows.clone();
    up.select(1, c) += h, down.select(1, c) -= h;
    out.select(1, c).copy_((f(up) - f(down)) / (2 * h));
  }
  return out;
}

// Each one's own gradient in a match [b, P + R], by differences of exact losses.
Tensor own_by_differences(const GameBatch& g, const Tensor& match) {
  const int64_t p = g.player();
  const auto of = [&](int64_t who) {
    return differences(match,
                       [&](const Tensor& x) { return g.losses(x, Stage::kQuery, Rng(1)).select(1, who); });
  };
  return at::cat({of(0).narrow(1, 0, p), of(1).narrow(1, p, match.size(1) - p)}, 1);
}

Tensor with_player(const Tensor& match, const Tensor& player) {
  return at::cat({player, match.narrow(1, player.size(1), match.size(1) - player.size(1))}, 1);
}

TEST(Matches, NaiveIsThePlayersOwnGradient) {
  for (const std::string rivals : {"personas", "random", "fleet"}) {
    const Made m = made({{"rivals", rivals}});
    const auto batch = m.draw({0, 1}, 3);
    const Tensor rows = m.start(2), match = games(*batch).matches(rows);
    const Tensor g = meta_gradient(m, "naive", {}, *batch, rows);
    const Tensor expected = differences(rows, [&](const Tensor& x) {
      return games(*batch).losses(with_player(match, x), Stage::kQuery, Rng(1)).select(1, 0);
    });
    EXPECT_LE((g - expected).abs().max().item<double>(), 1e-6) << rivals;
    EXPECT_GT(g.abs().max().item<double>(), 1e-2);
  }
}

// The rival's gradient inside is itself by differences, so nothing here is from autograd.
TEST(Matches, LolaIsTheGradientThroughTheRivalsStep) {
  for (const int64_t lookaheads : {1, 2}) {
    const Made m = made({{"rivals", "random"}, {"gamma", 0.8}});
    const auto batch = m.draw({0, 1}, 3);
    const GameBatch& g = games(*batch);
    const Tensor rows = m.start(2), match = g.matches(rows);
    const int64_t p = g.player();
    const auto after = [&](const Tensor& x) {
      Tensor at = with_player(match, x);
      for (int64_t k = 0; k < lookaheads; ++k) {
        const Tensor step = own_by_differences(g, at);
        at = at::cat({at.narrow(1, 0, p), at.narrow(1, p, p) - 0.7 * step.narrow(1, p, p)}, 1);
      }
      return g.losses(at, Stage::kQuery, Rng(1)).select(1, 0);
    };
    const Tensor found =
        meta_gradient(m, "lola", {{"lookaheads", lookaheads}, {"lookahead_lr", 0.7}}, *batch, rows);
    EXPECT_LE((found - differences(rows, after, 1e-3)).abs().max().item<double>(), 1e-4);
    const Tensor naive = meta_gradient(m, "naive", {}, *batch, rows);
    EXPECT_GT((found - naive).abs().max().item<double>(), 1e-2);
    EXPECT_TRUE(naive.equal(meta_gradient(m, "lola", {{"lookaheads", 0}}, *batch, rows)));
  }
}

TEST(Matches, TheTaylorFormIsTheFirstOrderInTheRivalsStep) {
  const Made m = made({{"rivals", "random"}, {"gamma", 0.8}});
  const auto batch = m.draw({0, 1}, 3);
  const Tensor rows = m.start(2);
  const auto of = [&](const char* form, double lr) {
    return meta_gradient(m, "lola", {{"form", form}, {"lookahead_lr", lr}}, *batch, rows);
  };
  // The lookahead's first order is -eta d/dx [dL/dy . dL'/dy]. The form holds dL/dy where it was, so what is
  // between the two is -eta d/dx [dL/dy . stop(dL'/dy)], but for the order of eta^2.
  const GameBatch& g = games(*batch);
  const Tensor match = g.matches(rows);
  const int64_t p = g.player();
  const Tensor fixed = own_by_differences(g, match).narrow(1, p, p);  // dL'/dy
  const double eta = 1e-4;
  const auto cross = [&](const Tensor& x) {
    const Tensor at = leaf(with_player(match, x));
    const Tensor dl =
        row_gradient(g.losses(at, Stage::kQuery, Rng(1)).select(1, 0), at, false).narrow(1, p, p);
    return (dl * fixed).sum(1);
  };
  const Tensor expected = -eta * differences(rows, cross);
  const Tensor gap = of("lookahead", eta) - of("taylor", eta);
  EXPECT_LE((gap - expected).abs().max().item<double>(), 0.02 * expected.abs().max().item<double>());
  EXPECT_GT(expected.abs().max().item<double>(), 1e-2 * eta);
  EXPECT_THROW(m.learner("lola", {{"form", "taylor"}, {"lookaheads", 2}}), UserError);
}

TEST(Matches, AChainsGradientGoesThroughAllStepsOrOwnStepsAlone) {
  for (const std::string rivals : {"personas", "random"}) {
    const Made m = made({{"rivals", rivals}, {"gamma", 0.8}});
    const auto batch = m.draw({0, 1}, 3);
    const GameBatch& g = games(*batch);
    const Tensor rows = m.start(2), match = g.matches(rows);
    const int64_t p = g.player(), r = match.size(1) - p;
    const Json settings{{"inner_steps", 3}, {"inner_lr", 0.2}, {"rival_lr", 0.5}};
    const Tensor rate = at::cat({at::full({p}, 0.2, at::kDouble), at::full({r}, 0.5, at::kDouble)});
    std::vector<Tensor> path;  // where the rival stands after each step from `rows`
    const auto chain = [&](const Tensor& x, bool follow) {
      Tensor at = with_player(match, x), sum = at::zeros({2}, at::kDouble);
      for (int64_t k = 0; k < 3; ++k) {
        at = at - rate * own_by_differences(g, at);
        if (follow) at = at::cat({at.narrow(1, 0, p), path[k]}, 1);
        sum = sum + g.losses(at, Stage::kQuery, Rng(1)).select(1, 0) / 3;
        if (static_cast<int64_t>(path.size()) == k) path.push_back(at.narrow(1, p, r));
      }
      return sum;
    };
    chain(rows, false);
    const Tensor all = meta_gradient(m, "meta_mapg", settings, *batch, rows),
                 own = meta_gradient(m, "meta_pg", settings, *batch, rows);
    EXPECT_LE((all - differences(
                         rows, [&](const Tensor& x) { return chain(x, false); }, 1e-3))
                  .abs()
                  .max()
                  .item<double>(),
              2e-4)
        << rivals;
    EXPECT_LE((own - differences(
                         rows, [&](const Tensor& x) { return chain(x, true); }, 1e-3))
                  .abs()
                  .max()
                  .item<double>(),
              2e-4)
        << rivals;
    EXPECT_GT((all - own).abs().max().item<double>(), 1e-2);
    // adapt goes the same way.
    const std::vector<int64_t> steps{0, 1, 3};
    const auto went = m.learner("meta_mapg", settings)->adapt(State::of(rows), *batch, steps, Rng(1));
    EXPECT_TRUE(went[0].equal(match));
    EXPECT_LE((went[1].narrow(1, p, r) - path[0]).abs().max().item<double>(), 1e-6);
    EXPECT_LE((went[2].narrow(1, p, r) - path[2]).abs().max().item<double>(), 1e-6);
  }
}

TEST(Matches, AmongRivalsThatStandStillAChainIsMaml) {
  for (const std::string value : {"exact", "sampled"}) {
    const Made m = made({{"value", value}, {"copies", 6}, {"rounds", 5}, {"gamma", 0.8}});
    const auto batch = m.draw({0, 0, 1, 1}, 3);
    const Tensor rows = m.start(2);
    const Json chain{{"inner_steps", 1}, {"inner_lr", 0.3}, {"rival_lr", 0}};
    const Tensor pg = meta_gradient(m, "meta_pg", chain, *batch, rows);
    EXPECT_TRUE(pg.equal(meta_gradient(m, "meta_mapg", chain, *batch, rows)));
    if (value == "exact") {
      EXPECT_LE((pg - meta_gradient(m, "maml", {{"inner_steps", 1}, {"inner_lr", 0.3}}, *batch, rows))
                    .abs()
                    .max()
                    .item<double>(),
                1e-9);
    }
  }
}

TEST(Matches, SampledLookaheadsHaveTheExactOnesMean) {
  Json settings{{"rivals", "random"}, {"gamma", 0.8}, {"rounds", 40}, {"copies", 400}, {"value", "sampled"}};
  const Made sampled = made(settings);
  settings["value"] = "exact";
  const Made exact = made(settings);
  // As many tasks with the same key would be other tasks: one match, met with many keys.
  const auto a = sampled.draw({0}, 3), b = exact.draw({0}, 3);
  const Tensor rows = exact.start(1);
  const Json lola{{"lookahead_lr", 2}, {"optimizer", "sgd"}, {"meta_lr", 1}};
  const Tensor truth = meta_gradient(exact, "lola", lola, *b, rows),
               naive = meta_gradient(exact, "naive", {}, *b, rows);
  std::vector<Tensor> draws;
  for (uint64_t i = 0; i < 60; ++i) {
    State s = State::of(rows);
    sampled.learner("lola", lola)->step(s, *a, Rng(100 + i));
    draws.push_back(rows - s.theta);
  }
  const Tensor x = at::cat(draws);
  const Tensor se = x.std(0) / std::sqrt(60.);
  // Biased by the curvature of the loss over the noise of the step, which 400 episodes make small.
  EXPECT_TRUE(((x.mean(0) - truth[0]).abs() <= 4 * se + 0.01).all().item<bool>()) << x.mean(0) << truth << se;
  EXPECT_GT(((truth - naive)[0].abs() / (4 * se + 0.01)).max().item<double>(), 2);
}

class EachOne : public testing::TestWithParam<std::string> {};

TEST_P(EachOne, IsTheSameOnAnyNumberOfThreadsAndInPieces) {
  for (const std::string rivals : {"personas", "fleet"}) {
    const Made m = made({{"rivals", rivals}, {"value", "sampled"}, {"copies", 300}, {"rounds", 150}});
    const std::vector<int64_t> agents{0, 0, 0, 1, 1, 1};  // pieces of two
    Json settings{{"meta_lr", 0.1}};
    if (GetParam() != "lola") settings["inner_steps"] = 2;
    const auto learner = m.learner(GetParam(), settings);
    const auto run = [&](int threads) {
      set_threads(threads);
      State s = learner->init(split_keys(Rng(1), "agent", 2), at::kFloat);
      for (int i = 0; i < 2; ++i) learner->step(s, *m.draw(agents, 10 + i), Rng(20 + i));
      return s;
    };
    const State a = run(1), b = run(2);
    set_threads(0);
    EXPECT_TRUE(a.theta.equal(b.theta));
    EXPECT_TRUE(a.steps.eq(2).all().item<bool>());
    EXPECT_TRUE(a.theta.isfinite().all().item<bool>());
  }
}

TEST_P(EachOne, AnAgentOfTheFleetLearnsAsAgainstAFixedRowOfItsRival) {
  const Made m = made({{"rivals", "fleet"}});
  const auto batch = m.draw({0, 1}, 3);
  const Tensor rows = m.start(2);
  const Tensor g = meta_gradient(m, GetParam(), {}, *batch, rows);
  const auto setup = std::make_shared<GameBatch::Setup>(games(*batch).setup());
  const GameBatch fixed(*m.model, setup, {Rng(1), Rng(2)},
                        {.rows = rows.flip(0), .partner = {}, .tables = false});
  EXPECT_LE((g - meta_gradient(m, GetParam(), {}, fixed, rows)).abs().max().item<double>(), 1e-9);
}

TEST_P(EachOne, RefusesTasksWithoutRivals) {
  const auto family = make<TaskFamilyRegistry>("blobs", {}, int64_t{1});
  const auto model = make<ModelRegistry>("mlp", {}, family->spec().shape);
  EXPECT_THROW(make<LearnerRegistry>(GetParam(), {}, LearnerSetting{*model, family->spec()}), UserError);
}

INSTANTIATE_TEST_SUITE_P(Learners, EachOne, testing::ValuesIn(kLearners),
                         [](const auto& info) { return info.param; });

// Foerster et al. 2018, table 3: -1.06 a round for exact LOLA, -1.98 for naive learners.
TEST(Lola, CooperatesWhereNaiveLearnersDefect) {
  const Made m = made({{"rivals", "random"}});
  const std::vector<int64_t> matches(20, 0), steps{100};
  const auto batch = m.draw(matches, 3);
  const auto ends = [&](int64_t lookaheads) {
    const auto learner = m.learner("lola", {{"form", "taylor"}, {"lookaheads", lookaheads}});
    const auto rows = learner->adapt(State::of(m.start(20)), *batch, steps, Rng(1));
    return batch->score(rows[0], Rng(1)).at("return").mean().item<double>();
  };
  EXPECT_GT(ends(1), -1.2);
  EXPECT_LT(ends(0), -1.8);
}

}  // namespace
}  // namespace symma
