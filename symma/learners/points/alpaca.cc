// A Bayesian last layer over learned features, its prior and its noise learned with them. Harrison et al.
// 2018, arXiv:1807.08912 (ALPaCA).
//
//   W ~ MN(W_0, S, N),  y = W^T z + e,  e ~ N(0, N)              section 3.1; N is diagonal here
//   W | support ~ MN(W_k, S_k, N),   S_k = (Z^T Z + S^-1)^-1,   W_k = S_k (Z^T Y + S^-1 W_0)      eq. 8 and 9
//   y | z, support ~ N(W_k^T z, (1 + z^T S_k z) N)                eq. 10
//
// and what is learned by is the query's log likelihood under the last line. The paper's prior is a factor of
// S^-1; here it is one of S = A A^T, A lower triangular, so that a weight which is the same in all tasks has
// a plain 0, and the solution is ridge regression on Z A with penalty 1. W_0 is the row's head, whose bias is
// the weight of one more feature, 1: a row that has not adapted predicts by the prior's mean.
//
// Classes, of which the paper has none: labels are one-hot vectors with the same prior and noise, and a
// class's probability goes as its vector's density under N(W_k^T z, N), so logits are linear in z. The head
// of a row is kept in logits.
//
// A row is [model, A (by rows, the diagonal's logarithms), log of N's square roots (one for all classes)];
// agents share all of it.
#include <algorithm>
#include <cmath>

#include "symma/learners/points/ridge.h"

namespace symma {
namespace {

// A of one row [D, D], lower triangular; the zeros above the diagonal are never written.
class PriorFactor {
 public:
  explicit PriorFactor(int64_t d) : memory_(3 * d * RidgeRow::Matrix::padded(d)) {
    a = {d, d, RidgeRow::Matrix::padded(d), memory_.data()};
    turned_ = {d, d, a.ld, a[d]};
    slope_ = {d, d, a.ld, turned_[d]};
  }
  static PriorFactor& of_thread(int64_t d) {
    thread_local std::unique_ptr<PriorFactor> kept;
    if (!kept || kept->a.rows != d) kept = std::make_unique<PriorFactor>(d);
    return *kept;
  }

  // From what a row has of it: the lower triangle by rows, or the diagonal alone; the diagonal's logarithms.
  void set(const double* entries, bool full) {
    for (int64_t i = 0; i < a.rows; ++i) {
      if (full) {
        std::copy_n(entries, i, a[i]);
        entries += i;
      } else {
        std::fill_n(a[i], i, 0.0);
      }
      a[i][i] = std::exp(*entries++);
    }
  }
  // Brings dL/dS of S = Z A into dL/dZ and the slope of the entries.
  void back(RidgeRow& of, double* entries, bool full) {
    transpose(a, turned_);
    multiply(of.ds, turned_, of.dz, Into::kAdd);
    multiply_transposed(of.z, of.ds, slope_, Into::kSet);
    for (int64_t i = 0; i < a.rows; ++i) {
      if (full) entries = std::copy_n(slope_[i], i, entries);
      *entries++ = slope_[i][i] * a[i][i];
    }
  }

  RidgeRow::Matrix a;

 private:
  std::vector<double> memory_;
  RidgeRow::Matrix turned_, slope_;
};

class Alpaca : public SolvedHead {
 public:
  struct Options {
    double spread = 1, noise = 0.3;
    std::string prior = "full";
    OuterOptions outer;
    void fields(Fields& f) {
      f.add("spread", spread,
            "standard deviation of the last layer's weights, in those of the noise; where learning of it "
            "begins")
          .above(0);
      f.add("noise", noise, "standard deviation of a target about its mean; where learning of it begins")
          .above(0);
      f.add("prior", prior, "whether weights of the last layer go together from task to task")
          .one_of({"full", "diagonal"});
      outer.fields(f);
    }
  };

  Alpaca(const Options& o, const LearnerSetting& setting) : SolvedHead("alpaca", o.outer, setting), o_(o) {}

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    const int64_t d = regression_.inputs();
    const Tensor diagonal = at::full({d}, std::log(o_.spread), at::kDouble);
    const Tensor a = full() ? at::diag(diagonal).masked_select(at::ones({d, d}, at::kBool).tril()) : diagonal;
    return start(keys, type, at::cat({a, at::full({noises()}, std::log(o_.noise), at::kDouble)}));
  }

 private:
  struct Posterior {
    Tensor mean;   // [b, D, C] double; for classes in logits
    Tensor a;      // [b, D, D] double: the prior's factor
    Ridge narrow;  // what the support says in the coordinates of `a`
  };

  bool full() const { return o_.prior == "full"; }
  int64_t noises() const { return regression_.classes() ? 1 : regression_.outputs(); }

  Tensor factor(const Tensor& rows) const {
    const int64_t d = regression_.inputs(), entries = full() ? d * (d + 1) / 2 : d;
    const Tensor flat = rows.narrow(1, model_size(), entries).to(at::kDouble);
    if (!full()) return at::diag_embed(flat.exp());
    const Tensor where = at::ones({d, d}, at::TensorOptions(rows.device()).dtype(at::kBool)).tril();
    const Tensor places = where.flatten().nonzero().squeeze(1);  // [entries]
    const Tensor a =
        at::zeros({rows.size(0), d * d}, flat.options()).index_copy(1, places, flat).view({-1, d, d});
    return a.tril(-1) + at::diag_embed(a.diagonal(0, 1, 2).exp());
  }

  Tensor log_noise(const Tensor& rows) const {  // [b, 1, C or 1] double
    return rows.narrow(1, rows.size(1) - noises(), noises()).to(at::kDouble).unsqueeze(1);
  }

  Posterior posterior(const Tensor& rows, const SupervisedBatch& points) const {
    const Tensor z = regression_.features(rows, points, Stage::kSupport), a = factor(rows);
    const Tensor weight = regression_.root_weight(points, rows);
    Tensor y = regression_.targets(points, Stage::kSupport, rows), prior = regression_.head(rows);
    // From a density to logits: |y - m|^2 / (2 N) leaves y m / N.
    const Tensor logits = regression_.classes() ? (-2 * log_noise(rows)).exp() : Tensor();
    if (logits.defined()) prior = prior / logits;
    y = y - at::bmm(z, prior);
    Ridge narrow(at::bmm(z * weight, a));
    Tensor mean = prior + at::bmm(a, narrow.weights(y * weight));
    if (logits.defined()) mean = mean * logits;
    return {mean, a, std::move(narrow)};
  }

  Tensor solution(const Tensor& rows, const SupervisedBatch& points) const override {
    return posterior(rows, points).mean;
  }

  // Minus the mean log likelihood.
  Tensor query_loss(const Tensor& rows, const SupervisedBatch& points) const override {
    const Posterior of = posterior(rows, points);
    const Tensor z = regression_.features(rows, points, Stage::kQuery), mean = at::bmm(z, of.mean),
                 counts = points.weight(Stage::kQuery);
    if (regression_.classes())
      return supervised_loss(Kind::kClassification, mean, points.y(Stage::kQuery).to(rows.device()), counts);
    const Tensor log_variance =
        2 * log_noise(rows) + (1 + of.narrow.spread(at::bmm(z, of.a))).log().unsqueeze(2);  // [b, K, C]
    const Tensor off = (regression_.targets(points, Stage::kQuery, rows) - mean).square();
    const Tensor each = 0.5 * (std::log(2 * M_PI) + log_variance + off * (-log_variance).exp()).sum(2);
    return weighted_mean(each, counts);
  }

  double row_loss(RidgeRow& of, const Targets& targets, const double* head, const double* more, double* dhead,
                  double* dmore) const override {
    const int64_t d = of.inputs(), c = of.outputs(), kq = of.query(), entries = full() ? d * (d + 1) / 2 : d;
    const bool classes = regression_.classes();
    const double* log_noise = more + entries;
    const double logits = classes ? std::exp(-2 * log_noise[0]) : 1;
    pull_to_head(of, head, logits);
    PriorFactor& prior = PriorFactor::of_thread(d);
    prior.set(more, full());
    multiply(of.z, prior.a, of.s, Into::kSet);
    of.solve(!classes);
    double dlogits = 0, loss = classes ? class_loss(of, targets, logits, dlogits) : 0;
    for (int64_t k = 0; !classes && k < kq; ++k) {
      double *p = of.output[k], slope = 0;
      const double share = targets.share[k];
      const double spread = of.spread[0][k];
      for (int64_t j = 0; j < c; ++j) {
        const double log_variance = 2 * log_noise[j] + std::log(spread),
                     off = targets.numbers[k * c + j] - p[j], precision = std::exp(-log_variance);
        loss += share * 0.5 * (std::log(2 * M_PI) + log_variance + off * off * precision);
        const double of_log = share * 0.5 * (1 - off * off * precision);
        dmore[entries + j] += 2 * of_log;
        slope += of_log / spread;
        p[j] = -share * off * precision;
      }
      of.spread[0][k] = slope;
    }
    of.back();
    pull_back(of, logits, dhead, dlogits);
    if (classes) dmore[entries] = -2 * logits * dlogits;
    prior.back(of, dmore, full());
    return loss;
  }

  Options o_;
};

SYMMA_REGISTER(Learner, "alpaca", Alpaca,
               "a Bayesian last layer on learned features, with a learned prior and noise",
               "Harrison et al. 2018, arXiv:1807.08912");

}  // namespace
}  // namespace symma
