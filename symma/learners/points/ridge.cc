#include "symma/learners/points/ridge.h"

#include <algorithm>
#include <limits>

#include "symma/learners/fused.h"
#include "symma/learners/needs.h"
#include "symma/learners/points/softmax.h"

namespace symma {
namespace {

// The lower factor of x x^T + I over the last two dimensions.
Tensor factor_of(const Tensor& x) {
  const Tensor square = at::bmm(x, x.transpose(1, 2)) + at::eye(x.size(1), x.options());
  const auto [l, info] = at::linalg_cholesky_ex(square);
  const Tensor fault =
      at::zeros({square.size(0), 1, 1}, x.options())
          .masked_fill(info.ne(0).view({-1, 1, 1}), std::numeric_limits<double>::quiet_NaN());
  return l + fault;
}

// So many points are solved for by the loops of ridge_row.h also where inputs are fewer: starting a tensor's
// operations would take longer.
constexpr int64_t kFewPoints = 32;

// Looked at before the model's head is.
const LearnerSetting& that_fits(const std::string& learner, const LearnerSetting& setting) {
  need(setting, learner, {Need::kPoints, Need::kFeatures});
  return setting;
}

}  // namespace

Ridge::Ridge(const Tensor& z) : z_(z.to(at::kDouble)), dual_(z.size(1) < z.size(2)) {
  factor_ = factor_of(dual_ ? z_ : z_.transpose(1, 2));
}

Tensor Ridge::weights(const Tensor& r) const {
  const Tensor zt = z_.transpose(1, 2), y = r.to(at::kDouble);
  return dual_ ? at::bmm(zt, at::cholesky_solve(y, factor_)) : at::cholesky_solve(at::bmm(zt, y), factor_);
}

Tensor Ridge::spread(const Tensor& v) const {
  const Tensor vt = v.to(at::kDouble).transpose(1, 2);  // [B, D, Q]
  const auto length = [&](const Tensor& t) {
    return at::linalg_solve_triangular(factor_, t, /*upper=*/false).square().sum(1);
  };
  return dual_ ? (vt.square().sum(1) - length(at::bmm(z_, vt))).clamp_min(0) : length(vt);
}

HeadRegression::HeadRegression(const LearnerSetting& s)
    : model_(s.model),
      features_(s.model.layout().at("head.weight").shape[0]),
      out_(s.spec.shape.out),
      classes_(s.spec.kind == Kind::kClassification) {}

Tensor HeadRegression::features(const Tensor& rows, const SupervisedBatch& points, Stage stage) const {
  const Tensor f = model_
                       .features(rows.narrow(1, 0, model_.layout().size()),
                                 points.x(stage).to(rows.options()), points.mode())
                       .to(at::kDouble);
  return at::cat({f, at::ones({f.size(0), f.size(1), 1}, f.options())}, 2);
}

Tensor HeadRegression::targets(const SupervisedBatch& points, Stage stage, const Tensor& like) const {
  const Tensor y = points.y(stage).to(like.device());
  return (classes_ ? at::one_hot(y, out_) : y).to(at::kDouble);
}

Tensor HeadRegression::root_weight(const SupervisedBatch& points, const Tensor& like) const {
  const Tensor w = points.weight(Stage::kSupport);
  return w.defined() ? w.to(like.device(), at::kDouble).sqrt().unsqueeze(2)
                     : at::ones({1, 1, 1}, at::TensorOptions(like.device()).dtype(at::kDouble));
}

Tensor HeadRegression::head(const Tensor& rows) const {
  const auto& w = model_.layout().at("head.weight");
  return rows.narrow(1, w.offset, inputs() * out_).reshape({rows.size(0), inputs(), out_}).to(at::kDouble);
}

Tensor HeadRegression::with_head(const Tensor& rows, const Tensor& weights) const {
  const int64_t body = model_.layout().at("head.weight").offset;
  return at::cat({rows.narrow(1, 0, body), weights.flatten(1).to(rows.options())}, 1);
}

SolvedHead::SolvedHead(const std::string& name, const OuterOptions& outer, const LearnerSetting& setting)
    : regression_(that_fits(name, setting)),
      name_(name),
      outer_(outer),
      model_(setting.model),
      guard_(setting.guard) {}

State SolvedHead::start(std::span<const Rng> keys, at::ScalarType type, const Tensor& more) const {
  const Tensor theta = model_.init(split_each(keys, "model")).to(type);
  State state = State::of(at::cat({theta, more.to(type).expand({theta.size(0), more.size(0)})}, 1));
  outer_init(outer_, state);
  return state;
}

Scores SolvedHead::step(State& state, const TaskBatch& batch, Rng rng) const {
  return outer_update(outer_, model_, guard_, state, batch, rng,
                      [&](const Tensor& rows, const TaskBatch& tasks, Rng) {
                        const auto& points = need<SupervisedBatch>(tasks, name_);
                        if (const auto by_hand = by_rows(rows, points)) return *by_hand;
                        const Tensor at = leaf(rows);
                        const Tensor loss = query_loss(at, points);
                        return Gradients{row_gradient(loss, at, false), loss.detach().to(rows.options())};
                      });
}

std::optional<Gradients> SolvedHead::by_rows(const Tensor& rows, const SupervisedBatch& points) const {
  if (!kernel_applies(model_, rows, points)) return std::nullopt;
  const int64_t ks = points.x(Stage::kSupport).size(1), d = regression_.inputs(), c = regression_.outputs();
  if (ks >= d && ks > kFewPoints) return std::nullopt;
  const bool classes = regression_.classes();
  const Tensor y = points.y(Stage::kSupport).to(classes ? at::kLong : at::kDouble).contiguous(),
               targets = points.y(Stage::kQuery).to(classes ? at::kLong : at::kDouble).contiguous();
  if (classes) check_labels(y, c), check_labels(targets, c);
  const int64_t kq = targets.size(1), p = model_size(), m = rows.size(1) - p, body = p - d * c;
  const Tensor given = rows.detach().narrow(1, body, d * c + m).to(at::kDouble).contiguous();
  const auto* numbers = classes ? nullptr : y.data_ptr<double>();
  const auto* labels = classes ? y.data_ptr<int64_t>() : nullptr;
  // A point of the support that counts w stands in its equation by sqrt(w).
  const Tensor root = points.weight(Stage::kSupport).defined()
                          ? points.weight(Stage::kSupport).to(at::kDouble).sqrt().contiguous()
                          : Tensor(),
               share = points.shares(Stage::kQuery, at::kDouble);
  return through_features(model_, rows, points, [&](const auto& row) {
    RidgeRow& of = RidgeRow::of_thread(ks, kq, d, c);
    const double* roots = root.defined() ? root.data_ptr<double>() + row.row * ks : nullptr;
    const auto weigh = [&](const RidgeRow::Matrix& of_points) {
      for (int64_t k = 0; roots && k < ks; ++k) {
        for (int64_t j = 0; j < of_points.columns; ++j) of_points[k][j] *= roots[k];
      }
    };
    for (int64_t k = 0; k < ks + kq; ++k) {
      std::copy_n(row.f + k * row.ld, d - 1, of.z[k]);
      of.z[k][d - 1] = 1;
    }
    for (int64_t k = 0; k < ks; ++k) {
      for (int64_t j = 0; j < c; ++j)
        of.y[k][j] = classes ? (labels[row.row * ks + k] == j ? 1 : 0) : numbers[(row.row * ks + k) * c + j];
    }
    weigh(of.z), weigh(of.y);
    const Targets judged{classes ? nullptr : targets.data_ptr<double>() + row.row * kq * c,
                         classes ? targets.data_ptr<int64_t>() + row.row * kq : nullptr,
                         share.data_ptr<double>() + row.row * kq};
    const double* mine = given.data_ptr<double>() + row.row * (d * c + m);
    std::vector<double> gradient(d * c + m, 0.0);
    const double loss = row_loss(of, judged, mine, mine + d * c, gradient.data(), gradient.data() + d * c);
    weigh(of.dz);
    for (int64_t k = 0; k < ks + kq; ++k) std::copy_n(of.dz[k], d - 1, row.d + k * row.ld);
    std::copy(gradient.begin(), gradient.end(), row.gradient + body);
    return loss;
  });
}

void SolvedHead::pull_to_head(RidgeRow& of, const double* head, double factor) {
  for (int64_t i = 0; i < of.inputs(); ++i) {
    for (int64_t j = 0; j < of.outputs(); ++j) of.prior[i][j] = *head++ / factor;
  }
}

void SolvedHead::pull_back(const RidgeRow& of, double factor, double* dhead, double& dfactor) {
  for (int64_t i = 0; i < of.inputs(); ++i) {
    for (int64_t j = 0; j < of.outputs(); ++j) {
      *dhead++ = of.dprior[i][j] / factor;
      dfactor -= of.dprior[i][j] * of.prior[i][j] / factor;
    }
  }
}

double SolvedHead::class_loss(RidgeRow& of, const Targets& targets, double factor, double& dfactor) {
  const int64_t c = of.outputs();
  std::vector<double> output(c);
  double loss = 0;
  for (int64_t k = 0; k < of.query(); ++k) {
    double* p = of.output[k];
    const double share = targets.share[k];
    for (int64_t j = 0; j < c; ++j) output[j] = p[j], p[j] *= factor;
    loss += share * cross_entropy_slope(c, p, targets.labels[k], share);
    for (int64_t j = 0; j < c; ++j) dfactor += p[j] * output[j], p[j] *= factor;
  }
  return loss;
}

std::vector<Tensor> SolvedHead::adapt(const State& state, const TaskBatch& batch,
                                      std::span<const int64_t> steps, Rng) const {
  at::NoGradGuard no_grad;
  const Tensor rows = hand_out(state.theta, batch.size());
  const Tensor set = regression_.with_head(rows, solution(rows, need<SupervisedBatch>(batch, name_)));
  return walk(rows.narrow(1, 0, model_size()), steps, [&](const Tensor&, int64_t) { return set; });
}

}  // namespace symma
