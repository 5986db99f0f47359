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

#include "symma/learners/points/ridge.h"

namespace symma {
namespace {

class R2d2 : public SolvedHead {
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

  R2d2(const Options& o, const LearnerSetting& setting) : SolvedHead("r2d2", o.outer, setting), o_(o) {}

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    std::vector<double> more{std::log(o_.ridge)};
    if (regression_.classes()) more.push_back(std::log(o_.factor));
    return start(keys, type, at::tensor(more, at::kDouble));
  }

 private:
  Tensor query_loss(const Tensor& rows, const SupervisedBatch& points) const override {
    const Tensor output = at::bmm(regression_.features(rows, points, Stage::kQuery), solution(rows, points));
    const Tensor y = points.y(Stage::kQuery).to(rows.device());
    return supervised_loss(points.kind(), output, regression_.classes() ? y : y.to(at::kDouble),
                           points.weight(Stage::kQuery));
  }

  Tensor solution(const Tensor& rows, const SupervisedBatch& points) const override {
    const int64_t p = model_size();
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
    Tensor w = Ridge(z * (root * weight)).weights(y * weight) * root;
    if (prior.defined()) w = w + prior;
    return factor.defined() ? w * factor : w;
  }

  double row_loss(RidgeRow& of, const Targets& targets, const double* head, const double* more, double* dhead,
                  double* dmore) const override {
    const int64_t d = of.inputs(), c = of.outputs(), kq = of.query(), points = of.support() + kq;
    const bool classes = regression_.classes(), start = o_.towards == "start";
    const double root = std::exp(-0.5 * more[0]), factor = classes ? std::exp(more[1]) : 1;
    const std::vector<double> zero(start ? 0 : d * c);
    pull_to_head(of, start ? head : zero.data(), factor);
    for (int64_t k = 0; k < points; ++k) {
      for (int64_t i = 0; i < d; ++i) of.s[k][i] = root * of.z[k][i];
    }
    of.solve(false);
    double of_factor = 0, of_root = 0, loss = classes ? class_loss(of, targets, factor, of_factor) : 0;
    for (int64_t k = 0; !classes && k < kq; ++k) {
      const double share = targets.share[k] / static_cast<double>(c);
      for (int64_t j = 0; j < c; ++j) {
        double& p = of.output[k][j];
        const double off = p - targets.numbers[k * c + j];
        loss += share * off * off;
        p = 2 * share * off;
      }
    }
    of.back();
    if (start) pull_back(of, factor, dhead, of_factor);
    for (int64_t k = 0; k < points; ++k) {
      for (int64_t i = 0; i < d; ++i) {
        of.dz[k][i] += root * of.ds[k][i];
        of_root += of.ds[k][i] * of.z[k][i];
      }
    }
    dmore[0] = -0.5 * root * of_root;
    if (classes) dmore[1] = factor * of_factor;
    return loss;
  }

  Options o_;
};

SYMMA_REGISTER(Learner, "r2d2", R2d2, "solves for the last layer by ridge regression on learned features",
               "Bertinetto et al. 2019, arXiv:1805.08136");

}  // namespace
}  // namespace symma
