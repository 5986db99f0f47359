// Prototypical networks: a class is the mean of its examples' features; a query goes to the nearest. Snell et
// al. 2017, arXiv:1703.05175.
//
// The nearest mean by squared Euclidean distance is a linear head: -|f - c|^2 = 2 c.f - |c|^2 + a term that
// all classes share (section 2.3). So adapting sets the head of the row, and everything else treats it like
// any other row.
#include <algorithm>

#include "symma/learners/batch_norm.h"
#include "symma/learners/fused.h"
#include "symma/learners/needs.h"
#include "symma/learners/outer.h"
#include "symma/learners/points/row_matrix.h"
#include "symma/learners/points/softmax.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

constexpr double kNobody = 1e9;  // from the logit of a class that has no examples

class Protonet : public Learner {
 public:
  struct Options {
    OuterOptions outer;
    void fields(Fields& f) { outer.fields(f); }
  };

  Protonet(const Options& options, const LearnerSetting& setting)
      : o_(options), model_(setting.model), ways_(setting.spec.shape.out) {
    need(setting, "protonet", {Need::kClasses, Need::kFeatures});
  }

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    State state = State::of(model_.init(split_each(keys, "model")).to(type));
    outer_init(o_.outer, state);
    return state;
  }

  Scores step(State& state, const TaskBatch& batch, Rng rng) const override {
    return outer_update(
        o_.outer, model_, {}, state, batch, rng, [&](const Tensor& rows, const TaskBatch& tasks, Rng) {
          const SupervisedBatch& points = need<SupervisedBatch>(tasks, "protonet");
          if (const auto by_hand = by_rows(rows, points)) return *by_hand;
          const Tensor at = leaf(rows);
          const Tensor f = model_.features(at, points.x(Stage::kQuery).to(at.options()), points.mode());
          const auto [weight, bias] = head(at, points);
          const Tensor loss =
              supervised_loss(Kind::kClassification, at::baddbmm(bias.unsqueeze(1), f, weight),
                              points.y(Stage::kQuery).to(at.device()), points.weight(Stage::kQuery));
          return Gradients{row_gradient(loss, at, false), loss.detach()};
        });
  }

  // There is nothing to descend: one step sets the prototypes, and further steps change nothing.
  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng) const override {
    at::NoGradGuard no_grad;
    const Tensor rows = hand_out(state.theta, batch.size());
    const auto [weight, bias] = head(rows, need<SupervisedBatch>(batch, "protonet"));
    const int64_t body = model_.layout().at("head.weight").offset;
    const Tensor set = at::cat({rows.narrow(1, 0, body), weight.flatten(1), bias}, 1);
    return walk(rows, steps, [&](const Tensor&, int64_t) { return set; });
  }

 private:
  // Where a kernel gives the features: the same by plain loops, for most tasks are small.
  std::optional<Gradients> by_rows(const Tensor& rows, const SupervisedBatch& points) const {
    if (!kernel_applies(model_, rows, points)) return std::nullopt;
    const auto y = [&](Stage stage) { return points.y(stage).to(at::kLong).contiguous(); };
    const Tensor support = y(Stage::kSupport), query = y(Stage::kQuery);
    check_labels(support, ways_), check_labels(query, ways_);
    const int64_t ks = support.size(1), kq = query.size(1), n = model_.layout().at("head.weight").shape[0];
    const Tensor weight = points.weight(Stage::kSupport).defined()
                              ? points.weight(Stage::kSupport).to(rows.scalar_type()).contiguous()
                              : at::ones({rows.size(0), ks}, rows.options()),
                 share = points.shares(Stage::kQuery, rows.scalar_type());
    return through_features(model_, rows, points, [&]<class T>(const FeatureRow<T>& row) {
      const auto of = [&](const Tensor& labels, const Tensor& counts, int64_t k) {
        return Labels<T>{k, labels.data_ptr<int64_t>() + row.row * k, counts.data_ptr<T>() + row.row * k};
      };
      return row_loss(row, n, of(support, weight, ks), of(query, share, kq));
    });
  }

  // The labels of one task's points, and what each counts.
  template <class T>
  struct Labels {
    int64_t size;
    const int64_t* label;
    const T* weight;
  };

  // The query loss of one task, and its slope in the features.
  template <class T>
  T row_loss(const FeatureRow<T>& row, int64_t n, const Labels<T>& support, const Labels<T>& query) const {
    RowMatrix<T> c, ct, dc, f, d, z, total, square, count;  // c: prototypes
    const RowMatrixSize<T> all[] = {{&c, ways_, n},      {&ct, n, ways_},     {&dc, ways_, n},
                                    {&f, query.size, n}, {&d, query.size, n}, {&z, query.size, ways_},
                                    {&total, 1, ways_},  {&square, 1, ways_}, {&count, 1, ways_}};
    thread_local std::vector<T> memory;
    lay_out(all, memory);
    for (int64_t k = 0; k < support.size; ++k) {
      const T *from = row.f + k * row.ld, weight = support.weight[k];
      T* to = c[support.label[k]];
      count[0][support.label[k]] += weight;
      for (int64_t i = 0; i < n; ++i) to[i] += weight * from[i];
    }
    for (int64_t w = 0; w < ways_; ++w) {
      for (int64_t i = 0; i < n; ++i) {
        if (count[0][w] != 0) c[w][i] /= count[0][w];
        square[0][w] += c[w][i] * c[w][i];
      }
    }
    for (int64_t k = 0; k < query.size; ++k) std::copy_n(row.f + (support.size + k) * row.ld, n, f[k]);
    transpose(c, ct);
    multiply(f, ct, z, Into::kSet);
    T loss = 0;
    for (int64_t k = 0; k < query.size; ++k) {
      T* of = z[k];
      for (int64_t w = 0; w < ways_; ++w)
        of[w] = 2 * of[w] - square[0][w] - (count[0][w] == 0 ? static_cast<T>(kNobody) : 0);
      const T share = query.weight[k];
      loss += share * cross_entropy_slope(ways_, of, query.label[k], share);
      for (int64_t w = 0; w < ways_; ++w) total[0][w] += of[w] *= 2;
    }
    multiply(z, c, d, Into::kSet);
    multiply_transposed(z, f, dc, Into::kSet);
    for (int64_t k = 0; k < query.size; ++k) std::copy_n(d[k], n, row.d + (support.size + k) * row.ld);
    for (int64_t k = 0; k < support.size; ++k) {
      T* to = row.d + k * row.ld;
      const int64_t w = support.label[k];
      if (count[0][w] == 0) continue;
      const T weight = support.weight[k] / count[0][w];
      for (int64_t i = 0; i < n; ++i) to[i] = (dc[w][i] - total[0][w] * c[w][i]) * weight;
    }
    return loss;
  }

  // The head that prototypes make: weight [b, F, ways], bias [b, ways]. A class without examples is never
  // nearest.
  std::pair<Tensor, Tensor> head(const Tensor& rows, const SupervisedBatch& points) const {
    const Tensor f = model_.features(rows, points.x(Stage::kSupport).to(rows.options()), points.mode());
    Tensor member =
        at::one_hot(points.y(Stage::kSupport).to(rows.device()), ways_).to(rows.options()).transpose(1, 2);
    if (const Tensor weight = points.weight(Stage::kSupport); weight.defined())
      member = member * weight.to(rows.options()).unsqueeze(1);
    const Tensor count = member.sum(2, true);
    const Tensor prototypes = at::bmm(member, f) / count.masked_fill(count == 0, 1);
    const Tensor nobody = (count.squeeze(2) == 0).to(rows.options()) * kNobody;
    return {2 * prototypes.transpose(1, 2), -prototypes.square().sum(2) - nobody};
  }

  Options o_;
  const Model& model_;
  int64_t ways_;
};

SYMMA_REGISTER(Learner, "protonet", Protonet, "classifies by the nearest mean of learned features",
               "Snell et al. 2017, arXiv:1703.05175");

}  // namespace
}  // namespace symma
