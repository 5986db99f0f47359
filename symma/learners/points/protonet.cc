// Prototypical networks: a class is the mean of its examples' features; a query goes to the nearest. Snell et
// al. 2017, arXiv:1703.05175.
//
// The nearest mean by squared Euclidean distance is a linear head: -|f - c|^2 = 2 c.f - |c|^2 + a term that
// all classes share (section 2.3). So adapting sets the head of the row, and everything else treats it like
// any other row.
#include "symma/learners/batch_norm.h"
#include "symma/learners/needs.h"
#include "symma/learners/outer.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

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
    const Tensor nobody = (count.squeeze(2) == 0).to(rows.options()) * 1e9;
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
