// The last layer of a task by ridge regression on learned features, and the features learned through the
// solution. Bertinetto et al. 2019, arXiv:1805.08136 (R2-D2).
//
//   W = argmin |Z W - Y|^2 + lambda |W - W_0|^2 = W_0 + (Z^T Z + lambda I)^-1 Z^T (Y - Z W_0)     eq. 4 and 5
//
// Labels are one-hot vectors, and what is predicted of them becomes logits by a learned factor (eq. 6). The
// paper's learned shift is left out: one number added to all logits changes no probability. W_0 is 0 there;
// towards = "start" has the row's own head in its place, which is then learned as well: what few examples
// say little of stays as it is for all tasks. The head's bias is the weight of one more feature, which is 1.
//
// A row is [model, log lambda, log factor (for classes)]; agents share all of it.
#include <cmath>

#include "symma/learners/needs.h"
#include "symma/learners/outer.h"
#include "symma/learners/points/ridge.h"

namespace symma {
namespace {

class R2d2 : public Learner, public Guarded {
 public:
  struct Options {
    double ridge = 1, factor = 10;
    std::string towards = "zero";
    OuterOptions outer;
    void fields(Fields& f) {
      f.add("ridge", ridge, "penalty on the weights of the last layer; where learning of it begins").above(0);
      f.add("factor", factor, "from what is predicted of labels to logits; where learning of it begins")
          .above(0);
      f.add("towards", towards,
            "what the penalty pulls the last layer to: zero, or the row's own, which is then learned too")
          .one_of({"zero", "start"});
      outer.fields(f);
    }
  };

  R2d2(const Options& o, const LearnerSetting& setting)
      : o_(o), model_(setting.model), guard_(setting.guard), regression_(setting) {
    need(setting, "r2d2", {Need::kPoints, Need::kFeatures});
  }

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    const Tensor theta = model_.init(split_each(keys, "model")).to(type);
    std::vector<double> more{std::log(o_.ridge)};
    if (regression_.classes()) more.push_back(std::log(o_.factor));
    const auto n = static_cast<int64_t>(keys.size()), extra = static_cast<int64_t>(more.size());
    State state = State::of(at::cat({theta, at::tensor(more, at::kDouble).to(type).expand({n, extra})}, 1));
    outer_init(o_.outer, state);
    return state;
  }

  Scores step(State& state, const TaskBatch& batch, Rng rng) const override {
    return outer_update(
        o_.outer, model_, guard_, state, batch, rng, [&](const Tensor& rows, const TaskBatch& tasks, Rng) {
          const auto& points = need<SupervisedBatch>(tasks, "r2d2");
          const Tensor at = leaf(rows);
          const Tensor output =
              at::bmm(regression_.features(at, points, Stage::kQuery), solution(at, points));
          const Tensor y = points.y(Stage::kQuery).to(at.device());
          const Tensor loss =
              supervised_loss(points.kind(), output, regression_.classes() ? y : y.to(at::kDouble),
                              points.weight(Stage::kQuery));
          return Gradients{row_gradient(loss, at, false), loss.detach().to(rows.options())};
        });
  }

  // There is nothing to descend: one step solves for the head, and further steps change nothing.
  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng) const override {
    at::NoGradGuard no_grad;
    const Tensor rows = hand_out(state.theta, batch.size());
    const Tensor set = regression_.with_head(rows, solution(rows, need<SupervisedBatch>(batch, "r2d2")));
    std::vector<Tensor> out;
    for (const int64_t s : steps) out.push_back(s == 0 ? rows.narrow(1, 0, model_.layout().size()) : set);
    return out;
  }

  bool guards_examples() const override { return false; }

 private:
  // The last layer that the support makes, times the factor to logits: [b, D, C] double.
  Tensor solution(const Tensor& rows, const SupervisedBatch& points) const {
    const int64_t p = model_.layout().size();
    const auto extra = [&](int64_t i) { return rows.narrow(1, p + i, 1).to(at::kDouble).unsqueeze(2); };
    const Tensor factor = regression_.classes() ? extra(1).exp() : Tensor();
    const Tensor z = regression_.features(rows, points, Stage::kSupport);
    Tensor y = regression_.targets(points, Stage::kSupport, rows), prior;
    if (o_.towards == "start") {
      // The row's head gives logits, as the solution does.
      prior = factor.defined() ? regression_.head(rows) / factor : regression_.head(rows);
      y = y - at::bmm(z, prior);
    }
    const Tensor root = (-0.5 * extra(0)).exp(), weight = regression_.root_weight(points, rows);
    const Tensor count = weight.defined() ? root * weight : root;
    Tensor w = Ridge(z * count).weights(y * (weight.defined() ? weight : at::ones_like(root))) * root;
    if (prior.defined()) w = w + prior;
    return factor.defined() ? w * factor : w;
  }

  Options o_;
  const Model& model_;
  Guard guard_;
  HeadRegression regression_;
};

SYMMA_REGISTER(Learner, "r2d2", R2d2, "solves for the last layer by ridge regression on learned features",
               "Bertinetto et al. 2019, arXiv:1805.08136");

}  // namespace
}  // namespace symma
