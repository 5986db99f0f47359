#include "symma/eval/rules.h"

#include <ATen/ops/_linalg_solve_ex.h>
#include <ATen/ops/linalg_pinv.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>

#include "symma/core/numbers.h"
#include "symma/eval/statistics.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

constexpr int64_t kTogether = 50, kTrainTasks = 500, kValidationTasks = 200;
constexpr size_t kMostAgents = 20;  // whose own tasks are looked at
constexpr std::array kPenalties{0.1, 1.0, 10.0, 100.0, 1000.0};

// The points of some tasks in double, each input a vector.
struct Points {
  Tensor x, y, qx, qy;         // [B, Ks, d], [B, Ks, 1], [B, Kq, d], [B, Kq, 1]
  Tensor x_weight, qx_weight;  // [B, Ks], [B, Kq]: what each counts
};

Points points_of(const SupervisedBatch& b) {
  const Episodes& e = b.data();
  const auto real = [](const Tensor& t) { return t.to(at::kCPU, at::kDouble); };
  const auto counts = [&](const Tensor& weight, const Tensor& x) {
    return weight.defined() ? real(weight) : at::ones(x.sizes().slice(0, 2), at::kDouble);
  };
  return {real(e.support_x).flatten(2),
          real(e.support_y),
          real(e.query_x).flatten(2),
          real(e.query_y),
          counts(e.support_weight, e.support_x),
          counts(e.query_weight, e.query_x)};
}

// f(batch) on every task of `asks`, a few at a time.
void each(const TaskFamily& family, const Model& model, Split split, std::span<const Ask> asks,
          const std::function<void(const SupervisedBatch&)>& f) {
  for (size_t at = 0; at < asks.size(); at += kTogether) {
    const auto batch =
        family.sample(model, asks.subspan(at, std::min<size_t>(kTogether, asks.size() - at)), split);
    f(dynamic_cast<const SupervisedBatch&>(*batch));
  }
}

Tensor with_one(const Tensor& x) {
  return at::cat({x, at::ones({x.size(0), x.size(1), 1}, x.options())}, 2);
}

// The loss of predictions [B, Kq, 1]: [B].
Tensor squares(const Points& p, const Tensor& predicted) {
  return ((predicted - p.qy).square().squeeze(2) * p.qx_weight).sum(1) / p.qx_weight.sum(1);
}

// Over a task's support, as its points count: [B, 1, d].
Tensor mean_of(const Points& p, const Tensor& values /*[B, Ks, d]*/) {
  return (values * p.x_weight.unsqueeze(2)).sum(1, true) / p.x_weight.sum(1).view({-1, 1, 1});
}

// The solution of a x = b for symmetric a, [B, n, n] or [n, n]. Beside numbers of 1e9 a penalty is lost, and
// a may be singular: then the least of those that come nearest.
Tensor solved(const Tensor& a, const Tensor& b) {
  const auto [x, lu, pivots, info] = at::_linalg_solve_ex(a, b);
  const Tensor failed = info.ne(0).view({-1});
  if (!failed.any().item<bool>()) return x;
  const Tensor all = a.view({-1, a.size(-2), a.size(-1)}), to = b.view({-1, b.size(-2), b.size(-1)});
  Tensor out = x.clone().view(to.sizes());
  const Tensor which = failed.nonzero().squeeze(1);
  for (int64_t k = 0; k < which.numel(); ++k) {
    const auto i = which[k].item<int64_t>();
    const bool finite = all[i].isfinite().all().item<bool>();
    out[i].copy_(finite ? at::mm(at::linalg_pinv(all[i], 1e-15, /*hermitian=*/true), to[i])
                        : at::full_like(to[i], std::numeric_limits<double>::quiet_NaN()));
  }
  return out.view(b.sizes());
}

// Ridge regression of y on x, in the dual form, since a support has few points: predictions at qx. Weights
// are beside their mean, so that a penalty means the same whatever their unit.
Tensor ridge(const Tensor& at_x, const Tensor& at_y, const Tensor& weight, const Tensor& qx, double penalty) {
  const Tensor root = (weight / weight.mean(1, true)).sqrt().unsqueeze(2), x = at_x * root, y = at_y * root;
  const Tensor kernel = at::bmm(x, x.transpose(1, 2)), eye = at::eye(x.size(1), x.options());
  return at::bmm(at::bmm(qx, x.transpose(1, 2)), solved(kernel + penalty * eye, y));
}

class LinearRules {
 public:
  LinearRules(const TaskFamily& family, const Model& model, Rng rng) {
    const auto asks = [&](int64_t n, const char* what) {
      return asks_for(std::vector<int64_t>(static_cast<size_t>(n), kEveryone), rng.split(what));
    };
    Tensor gram, moment;
    each(family, model, Split::kTrain, asks(kTrainTasks, "train"), [&](const SupervisedBatch& b) {
      const Points p = points_of(b);
      const Tensor x = with_one(at::cat({p.x, p.qx}, 1)).flatten(0, 1),
                   y = at::cat({p.y, p.qy}, 1).flatten(0, 1);
      const Tensor w = at::cat({p.x_weight, p.qx_weight}, 1).flatten().unsqueeze(1);
      const Tensor g = at::mm((x * w).t(), x), m = at::mm((x * w).t(), y);
      gram = gram.defined() ? gram + g : g;
      moment = moment.defined() ? moment + m : m;
    });
    pooled_ = solved(gram + at::eye(gram.size(0), gram.options()), moment);
    // Penalties are settings, so validation tasks choose them.
    std::map<double, double> own, added;
    each(family, model, Split::kValidation, asks(kValidationTasks, "validation"),
         [&](const SupervisedBatch& b) {
           const Points p = points_of(b);
           for (const double penalty : kPenalties) {
             own[penalty] += squares(p, of_support(p, penalty)).sum().item<double>();
             added[penalty] += squares(p, of_both(p, penalty)).sum().item<double>();
           }
         });
    const auto best = [](const std::map<double, double>& loss) {
      return std::min_element(loss.begin(), loss.end(), [](auto& a, auto& b) { return a.second < b.second; })
          ->first;
    };
    own_penalty_ = best(own), added_penalty_ = best(added);
  }

  std::map<std::string, Tensor> losses(const Points& p) const {
    const Tensor mean = mean_of(p, p.y), last = p.y.narrow(1, p.y.size(1) - 1, 1);
    return {{"support_mean", squares(p, mean.expand_as(p.qy))},
            {"last_value", squares(p, last.expand_as(p.qy))},
            {"pooled_ridge", squares(p, pooled(p.qx))},
            {"support_ridge", squares(p, of_support(p, own_penalty_))},
            {"both_added", squares(p, of_both(p, added_penalty_))}};
  }

 private:
  Tensor pooled(const Tensor& x) const { return at::matmul(with_one(x), pooled_); }
  // The mean is not penalised: a task's level is its own.
  static Tensor of_support(const Points& p, double penalty) {
    const Tensor x0 = mean_of(p, p.x), y0 = mean_of(p, p.y);
    return y0 + ridge(p.x - x0, p.y - y0, p.x_weight, p.qx - x0, penalty);
  }
  // Here it is: with few rows what the pooled rule leaves says little about the level.
  Tensor of_both(const Points& p, double penalty) const {
    return pooled(p.qx) + ridge(with_one(p.x), p.y - pooled(p.x), p.x_weight, with_one(p.qx), penalty);
  }

  Tensor pooled_;  // [d + 1, 1]
  double own_penalty_ = 1, added_penalty_ = 1;
};

std::map<std::string, Tensor> hits(const Points& p) {
  const auto right = [&](const Tensor& label /*[B, Kq]*/) {
    return ((label == p.qy).to(at::kDouble) * p.qx_weight).sum(1) / p.qx_weight.sum(1);
  };
  const Tensor nearest = at::cdist(p.qx, p.x).argmin(2);
  const Tensor counts =  // [B, Ks]: what those that share a point's class count together
      ((p.y.unsqueeze(2) == p.y.unsqueeze(1)) * p.x_weight.unsqueeze(1)).sum(2);
  const Tensor majority = p.y.gather(1, counts.argmax(1, true));
  return {{"support_majority", right(majority.expand_as(p.qy))},
          {"nearest_neighbour", right(p.y.gather(1, nearest))}};
}

}  // namespace

Json simple_rules(const TaskFamily& family, const Model& model, Split split,
                  const std::vector<int64_t>& whose, int64_t tasks, Rng rng) {
  const TaskSpec spec = family.spec();
  const bool numbers = spec.kind == Kind::kRegression;
  if (whose.size() > kMostAgents || (!numbers && spec.kind != Kind::kClassification) ||
      (numbers && spec.shape.out != 1))
    return nullptr;
  const auto asks_of = [&](int64_t agent) {
    return asks_for(std::vector<int64_t>(static_cast<size_t>(tasks), agent), rng.split("tasks"));
  };
  const std::vector<Ask> one{{whose[0], rng.split("one")}};
  const auto first = family.sample(model, one, split);
  if (!dynamic_cast<const SupervisedBatch*>(first.get())) return nullptr;
  at::NoGradGuard no_grad;
  std::optional<LinearRules> linear;
  if (numbers) linear.emplace(family, model, rng.split("rules"));
  std::map<std::string, std::vector<double>> found;  // by task, mean over `whose`
  std::vector<std::vector<std::string>> names;       // what each task is made of, as the scores' are
  for (const int64_t agent : whose) {
    std::map<std::string, std::vector<double>> own;
    std::vector<std::string>& called = names.emplace_back();
    each(family, model, split, asks_of(agent), [&](const SupervisedBatch& b) {
      const Points p = points_of(b);
      const auto some = b.names();
      called.insert(called.end(), some.begin(), some.end());
      for (const auto& [name, score] : numbers ? linear->losses(p) : hits(p)) {
        const Tensor s = score.contiguous();
        own[name].insert(own[name].end(), s.data_ptr<double>(), s.data_ptr<double>() + s.numel());
      }
    });
    for (const auto& [name, scores] : own) {
      auto& sum = found[name];
      sum.resize(scores.size());
      for (size_t t = 0; t < scores.size(); ++t) sum[t] += scores[t] / static_cast<double>(whose.size());
    }
  }
  const Groups groups = groups_together(names);
  Json out = Json::object();
  for (const char* name : {"support_mean", "last_value", "pooled_ridge", "support_ridge", "both_added",
                           "support_majority", "nearest_neighbour"}) {
    const auto it = found.find(name);
    if (it == found.end()) continue;
    const Summary s = summarise(it->second, spec.higher_is_better, groups);
    out[name] = {{"mean", number(s.mean)}, {"ci95", number(s.ci95)}};
  }
  return out;
}

}  // namespace symma
