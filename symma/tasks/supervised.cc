#include "symma/tasks/supervised.h"

#include "symma/core/errors.h"

namespace symma {
namespace {

constexpr Tensor Episodes::*kFields[] = {
    &Episodes::support_x,      &Episodes::support_y,    &Episodes::query_x,       &Episodes::query_y,
    &Episodes::support_weight, &Episodes::query_weight, &Episodes::support_class, &Episodes::query_class,
    &Episodes::curve_x,        &Episodes::curve_y};

Tensor cut(const Tensor& t, int64_t begin, int64_t end) {
  return t.defined() ? t.slice(0, begin, end) : t;
}

// Expected calibration error: how far the mean confidence of the chosen class and the share of right choices
// are apart, over ten bins of confidence by their weight [B]. Guo et al. 2017, arXiv:1706.04599.
Tensor calibration_error(const Tensor& logits /*[B,K,n]*/, const Tensor& right /*[B,K]*/,
                         const Tensor& weight /*[B,K], or undefined*/) {
  const auto [confidence, chosen] = at::softmax(logits.to(at::kDouble), 2).max(2);
  Tensor off = confidence - right.to(at::kDouble);
  if (weight.defined()) {
    const Tensor w = weight.to(off.options());
    off = off * w / w.sum(1, true);
  } else {
    off = off / static_cast<double>(off.size(1));
  }
  const Tensor bin = (confidence * 10).nan_to_num(0).to(at::kLong).clamp(0, 9);
  return at::zeros({off.size(0), 10}, off.options()).scatter_add(1, bin, off).abs().sum(1);
}

}  // namespace

Tensor weighted_mean(const Tensor& each, const Tensor& weight) {
  if (!weight.defined()) return each.mean(1);
  const Tensor w = weight.to(each.options());
  return (each * w).sum(1) / w.sum(1);
}

Tensor supervised_loss(Kind kind, const Tensor& output, const Tensor& target, const Tensor& weight) {
  if (!weight.defined()) {
    if (kind == Kind::kRegression) return (output - target).square().mean(at::IntArrayRef{1, 2});
    return -at::log_softmax(output, 2).gather(2, target.unsqueeze(2)).mean(at::IntArrayRef{1, 2});
  }
  const Tensor each = kind == Kind::kRegression
                          ? (output - target).square().mean(2)
                          : -at::log_softmax(output, 2).gather(2, target.unsqueeze(2)).squeeze(2);  // [B, K]
  return weighted_mean(each, weight);
}

SupervisedBatch::SupervisedBatch(const Model& model, Kind kind, Episodes data, Mode mode)
    : model_(model), kind_(kind), data_(std::move(data)), mode_(mode) {}

int64_t SupervisedBatch::size() const {
  return data_.support_x.size(0);
}

std::unique_ptr<TaskBatch> SupervisedBatch::slice(int64_t begin, int64_t end) const {
  Episodes part;
  for (const auto field : kFields) part.*field = cut(data_.*field, begin, end);
  if (!data_.titles.empty()) part.titles.assign(data_.titles.begin() + begin, data_.titles.begin() + end);
  if (!data_.names.empty()) part.names.assign(data_.names.begin() + begin, data_.names.begin() + end);
  if (!data_.keys.empty()) part.keys.assign(data_.keys.begin() + begin, data_.keys.begin() + end);
  return std::make_unique<SupervisedBatch>(model_, kind_, std::move(part), mode_);
}

TensorDict SupervisedBatch::pack(Stage stage) const {
  TensorDict out{{"x", x(stage)}, {"y", y(stage)}};
  if (weight(stage).defined()) out["weight"] = weight(stage);
  return out;
}

std::unique_ptr<TaskBatch> SupervisedBatch::unpack(const TensorDict& tasks) const {
  Episodes e;
  e.support_x = e.query_x = tasks.at("x");
  e.support_y = e.query_y = tasks.at("y");
  if (const auto it = tasks.find("weight"); it != tasks.end()) e.support_weight = e.query_weight = it->second;
  return std::make_unique<SupervisedBatch>(model_, kind_, std::move(e), mode_);
}

std::unique_ptr<TaskBatch> carried_to(const Tensor& rows, std::unique_ptr<TaskBatch> batch) {
  const auto* points = rows.is_cpu() ? nullptr : dynamic_cast<const SupervisedBatch*>(batch.get());
  if (!points) return batch;
  return points->on(rows.device());
}

std::unique_ptr<SupervisedBatch> SupervisedBatch::on(at::Device device) const {
  Episodes there = data_;
  for (const auto field : kFields)
    if ((there.*field).defined()) there.*field = (there.*field).to(device);
  return std::make_unique<SupervisedBatch>(model_, kind_, std::move(there), mode_);
}

Tensor SupervisedBatch::shares(Stage stage, at::ScalarType type) const {
  const Tensor counts = weight(stage), w = counts.defined() ? counts : at::ones(x(stage).sizes().slice(0, 2));
  const Tensor as = w.to(type);
  return (as / as.sum(1, true)).contiguous();
}

std::unique_ptr<SupervisedBatch> SupervisedBatch::apart() const {
  if (data_.support_weight.defined())
    throw UserError("[privacy] unit", "is the example, and examples have weights",
                    "protect tasks or agents, or leave [task] weight out");
  if (data_.query_weight.defined())
    throw UserError("[privacy] unit", "is the example, and some tasks have fewer of them than others",
                    "protect tasks or agents, or lower [task] queries to what the smallest group has");
  // [B, Ks, ...] and [B, Kq, ...] to [B (Ks + Kq), 1, ...].
  const auto points = [](const Tensor& support, const Tensor& query) {
    if (!support.defined()) return support;
    return at::cat({support, query}, 1).flatten(0, 1).unsqueeze(1);
  };
  Episodes e;
  e.support_x = e.query_x = points(data_.support_x, data_.query_x);
  e.support_y = e.query_y = points(data_.support_y, data_.query_y);
  e.support_class = e.query_class = points(data_.support_class, data_.query_class);
  return std::make_unique<SupervisedBatch>(model_, kind_, std::move(e), mode_);
}

std::unique_ptr<SupervisedBatch> SupervisedBatch::joined(int64_t together) const {
  const int64_t b = size() / together;
  const auto of = [&](const Tensor& t) {  // [B, K, ...] to [b, together K, ...]
    if (!t.defined()) return t;
    std::vector<int64_t> sizes = t.sizes().vec();
    sizes[0] = b, sizes[1] *= together;
    return t.reshape(sizes);
  };
  // Points of tasks with weights count as they did among those of their own task.
  const auto weights = [&](Stage stage) {
    return weight(stage).defined() ? of(shares(stage, at::kDouble)) : Tensor();
  };
  Episodes e;
  e.support_x = of(data_.support_x), e.support_y = of(data_.support_y);
  e.query_x = of(data_.query_x), e.query_y = of(data_.query_y);
  e.support_weight = weights(Stage::kSupport), e.query_weight = weights(Stage::kQuery);
  e.support_class = of(data_.support_class), e.query_class = of(data_.query_class);
  return std::make_unique<SupervisedBatch>(model_, kind_, std::move(e), mode_);
}

std::unique_ptr<SupervisedBatch> SupervisedBatch::flipped(const std::vector<int64_t>& tasks) const {
  Episodes e = data_;
  const auto flip = [&](Tensor& labels, int64_t classes) {
    if (!labels.defined()) return;
    labels = labels.clone();
    for (int64_t b : tasks) {
      Tensor of = labels[b];
      of.neg_();
      if (classes > 0) of.add_(classes - 1);
    }
  };
  const bool numbers = kind_ == Kind::kRegression;
  const auto highest = [](const Tensor& a, const Tensor& b) {
    return a.defined() ? std::max(a.max().item<int64_t>(), b.max().item<int64_t>()) + 1 : 0;
  };
  const int64_t ways = numbers ? 0 : highest(data_.support_y, data_.query_y),
                classes = highest(data_.support_class, data_.query_class);
  flip(e.query_y, ways);
  flip(e.support_class, classes);
  flip(e.query_class, classes);
  return std::make_unique<SupervisedBatch>(model_, kind_, std::move(e), mode_);
}

Tensor SupervisedBatch::predict(const Tensor& theta, const Tensor& x) const {
  return model_.forward(theta, x.to(theta.options()), mode_);
}

Tensor SupervisedBatch::loss(const Tensor& theta, Stage stage, Rng) const {
  const Tensor target =
      kind_ == Kind::kRegression ? y(stage).to(theta.options()) : y(stage).to(theta.device());
  return supervised_loss(kind_, predict(theta, x(stage)), target, weight(stage));
}

Scores SupervisedBatch::score(const Tensor& theta, Rng rng) const {
  at::NoGradGuard no_grad;
  const Tensor output = predict(theta, data_.query_x);
  if (kind_ == Kind::kRegression)
    return {{"mse", supervised_loss(kind_, output, data_.query_y.to(theta.options()), data_.query_weight)}};
  const Tensor y = data_.query_y.to(theta.device());
  // A row of NaN has no largest logit; argmax would still name one, and might be right by chance.
  const Tensor right = (output.argmax(2) == y).logical_and(output.isfinite().all(2));
  const Tensor hits = right.to(theta.scalar_type()), &weight = data_.query_weight;
  return {{"accuracy", weighted_mean(hits, weight)},
          {"calibration_error", calibration_error(output, right, weight).to(theta.scalar_type())},
          {"loss", supervised_loss(kind_, output, y, weight)},
          {"support_loss", loss(theta, Stage::kSupport, rng)}};
}

}  // namespace symma
