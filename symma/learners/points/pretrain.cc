// Transfer learning: train on all tasks pooled, then fine-tune on the new one. Finn et al. 2017, section 5.1
// (the pretrained baseline for regression); Chen et al. 2019, arXiv:1904.04232 (Baseline, for classification:
// one classifier over all training classes, thrown away and replaced by a new head on a new task).
//
// For classification a row is [model, classifier], the classifier [F, classes] and [classes]; agents share
// both.
#include "symma/learners/batch_norm.h"
#include "symma/learners/descends.h"
#include "symma/learners/fused.h"
#include "symma/learners/needs.h"
#include "symma/learners/outer.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

class Pretrain : public Learner, public Guarded, public Descends {
 public:
  struct Options {
    double inner_lr = 0.01, later_lr = 0;
    std::string inner_optimizer = "sgd";
    OuterOptions outer;
    void fields(Fields& f) {
      f.add("inner_lr", inner_lr, "step size of fine-tuning").above(0);
      f.add("later_lr", later_lr, "the same after the first step; 0: as the first").at_least(0);
      f.add("inner_optimizer", inner_optimizer, "of fine-tuning").one_of({"adam", "sgd"});
      outer.fields(f);
    }
  };

  Pretrain(const Options& options, const LearnerSetting& setting)
      : o_(options),
        model_(setting.model),
        guard_(setting.guard),
        classes_(setting.spec.classes),
        features_(setting.model.layout().at("head.weight").shape[0]) {
    // Its classifier of all classes stands in the head's place.
    if (classes_ > 0) need(setting, "pretrain", {Need::kFeatures});
  }

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    State state = State::of(model_.init(split_each(keys, "model")).to(type));
    if (classes_ > 0) {
      const double bound = 1 / std::sqrt(static_cast<double>(features_));
      std::vector<Tensor> rows;
      for (const Rng& key : keys)
        rows.push_back(uniform(key.split("classifier"), {features_ * classes_}, -bound, bound));
      // The head starts at zero and stays so while training: on a new task all classes begin alike.
      const auto& head = model_.layout().at("head.weight");
      state.theta.slice(1, head.offset, model_.layout().size()).zero_();
      state.theta =
          at::cat({state.theta, at::stack(rows).to(type), at::zeros({state.size(), classes_}, type)}, 1);
    }
    outer_init(o_.outer, state);
    return state;
  }

  Scores step(State& state, const TaskBatch& batch, Rng rng) const override {
    // Where examples are protected, each makes a task of its own, and its gradient is a row.
    const auto singles = guard_.examples ? need<SupervisedBatch>(batch, "pretrain").apart() : nullptr;
    const TaskBatch& units = singles ? *singles : batch;
    const auto g = classes_ == 0
                       ? pooled_gradient(state, model_, units, rng, guard_)
                       : gather(
                             state, units, pieces_of(state, model_, units.size()), rng,
                             [&](const Tensor& rows, const TaskBatch& tasks, Rng) {
                               const Tensor at = leaf(rows);
                               const Tensor loss = classify(at, need<SupervisedBatch>(tasks, "pretrain"));
                               return Gradients{row_gradient(loss, at, false), loss.detach()};
                             },
                             guard_);
    outer_step(o_.outer, state, g.grad);
    observe_statistics(model_, state, batch);
    return {{"loss", g.loss}};
  }

  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng rng) const override {
    const Descent how{.inner_lr = o_.inner_lr, .later_lr = o_.later_lr, .adam = o_.inner_optimizer == "adam"};
    return descend(model_, hand_out(state.theta.narrow(1, 0, model_.layout().size()), batch.size()), batch,
                   steps, how, rng);
  }

  bool guards_examples() const override { return true; }

  std::optional<DescentRule> descent(const State& state, int64_t) const override {
    if (o_.inner_optimizer != "sgd") return std::nullopt;
    return DescentRule{at::full({1}, o_.inner_lr, state.theta.scalar_type()), o_.later_lr};
  }

 private:
  // Cross-entropy over all training classes, of support and query points alike: [b].
  Tensor classify(const Tensor& rows, const SupervisedBatch& points) const {
    const Episodes& d = points.data();
    const int64_t p = model_.layout().size(), b = rows.size(0);
    const Tensor x = at::cat({d.support_x, d.query_x}, 1).to(rows.options());
    const Tensor y = at::cat({d.support_class, d.query_class}, 1).to(rows.device());
    const auto counted = [&](Stage stage) {
      const Tensor w = points.weight(stage);
      return w.defined() ? w : at::ones(points.y(stage).sizes(), at::kFloat);
    };
    const bool alike = !points.weight(Stage::kSupport).defined() && !points.weight(Stage::kQuery).defined();
    const Tensor counts = alike ? Tensor() : at::cat({counted(Stage::kSupport), counted(Stage::kQuery)}, 1);
    const Tensor weight = rows.narrow(1, p, features_ * classes_).reshape({b, features_, classes_});
    const Tensor bias = rows.narrow(1, p + features_ * classes_, classes_).unsqueeze(1);
    return supervised_loss(Kind::kClassification,
                           at::baddbmm(bias, model_.features(rows.narrow(1, 0, p), x, points.mode()), weight),
                           y, counts);
  }

  Options o_;
  const Model& model_;
  Guard guard_;
  int64_t classes_, features_;
};

SYMMA_REGISTER(Learner, "pretrain", Pretrain,
               "trains on all tasks pooled, then fine-tunes: transfer learning",
               "Finn et al. 2017, arXiv:1703.03400, section 5.1; Chen et al. 2019, arXiv:1904.04232");

}  // namespace
}  // namespace symma
