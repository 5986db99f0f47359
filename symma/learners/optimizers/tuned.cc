// Optimisers made by hand, with rates chosen on the training tasks: what a learned one must beat. Every
// setting of a grid works on every training task, and the one whose mean logarithm of the last loss is least
// is used.
//
//   sgd: u = -lr g;   momentum: m = mu m + g, u = -lr m;   nesterov: u = -lr (g + mu m) (Sutskever et al.
//   2013) rmsprop: v = .99 v + .01 g^2, u = -lr g / (sqrt(v) + eps);   adam: Kingma & Ba 2015, beta1 = mu
//
// Two that see secants, s the last step and y what it did to the gradient, and begin with u = -lr g:
//
//   bb: u = -(|s y| / |y|^2) g, the shorter step of Barzilai & Borwein 1988;   abbmin (Frassoldati, Zanni &
//   Zanghirati 2008): u = -(|s|^2 / |s y|) g where cos(s, y)^2 > mu, else with the least of the last six
//   shorter steps. Made for quadratics
#include <cmath>

#include "symma/core/parallel.h"
#include "symma/learners/needs.h"
#include "symma/learners/optimizers/start.h"

namespace symma {
namespace {

class Tuned : public Learner {
 public:
  struct Options {
    std::string optimizer = "adam";
    std::vector<double> rates{3e-3, 0.01, 0.03, 0.1, 0.3}, momenta{0.9};
    int64_t steps = 100;
    double beta2 = 0.999;
    Start start;
    void fields(Fields& f) {
      f.add("optimizer", optimizer, "on a task")
          .one_of({"adam", "rmsprop", "nesterov", "momentum", "sgd", "bb", "abbmin"});
      f.add("rates", rates, "step sizes to choose from").above(0);
      f.add("momenta", momenta,
            "decays of the running gradient to choose from; adam's beta1, abbmin's threshold")
          .at_least(0)
          .below(1);
      f.add("beta2", beta2, "adam's decay of the running square").at_least(0).below(1);
      f.add("steps", steps, "steps on a training task, after which the loss counts").at_least(1);
      start.fields(f);
    }
  };

  Tuned(const Options& o, const LearnerSetting& setting) : o_(o), model_(setting.model) {
    need(setting, "tuned", {Need::kNoRunning});
    const bool uses = o.optimizer != "sgd" && o.optimizer != "rmsprop" && o.optimizer != "bb";
    for (double rate : o.rates) {
      for (double mu : uses ? o.momenta : std::vector<double>{0}) grid_.push_back({rate, mu});
    }
    if (grid_.empty())
      throw UserError("[learner] rates, momenta", "leave nothing to choose from", "name some");
  }

  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    const auto agents = static_cast<int64_t>(keys.size()), k = static_cast<int64_t>(grid_.size());
    return State::of(model_.init(split_each(keys, "model")).to(type),
                     {{"score", at::zeros({agents, k}, at::kDouble)}});
  }

  // "loss" is the mean logarithm of the last loss with the setting chosen so far; "rate" and "momentum" are
  // it.
  Scores step(State& state, const TaskBatch& batch, Rng rng) const override {
    return in_blocks(state, model_, batch,
                     [&](State& block, const TaskBatch& tasks) { return tried(block, tasks, rng); });
  }

  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng rng) const override {
    return descend(o_.start.rows(model_, state, batch, rng.split("start")), batch, steps, choice(state), rng);
  }

 private:
  Scores tried(State& state, const TaskBatch& batch, Rng rng) const {
    const int64_t n = state.size(), b = batch.size();
    const Tensor start = o_.start.rows(model_, state, batch, rng.split("start"));
    std::vector<Tensor> scores(grid_.size());
    const std::vector<int64_t> last{o_.steps};
    parallel_for(static_cast<int64_t>(grid_.size()), 1, [&](int64_t k, int64_t) {
      const Tensor rows = descend(start, batch, last, std::vector<size_t>(n, k), rng)[0];
      at::NoGradGuard no_grad;
      const Tensor loss = batch.loss(rows, Stage::kSupport, rng.split("score")).to(at::kDouble);
      scores[k] = loss.nan_to_num(INFINITY, INFINITY).clamp_min(1e-30).log().view({n, b / n}).mean(1);
    });
    const Tensor now = at::stack(scores, 1);  // [N, K]
    state.own["score"] = state.own.at("score") + now.to(state.own.at("score").options());
    state.steps = state.steps + 1;
    Tensor loss = at::empty({n}, at::kDouble), rate = at::empty_like(loss), momentum = at::empty_like(loss);
    const auto chosen = choice(state);
    for (int64_t i = 0; i < n; ++i) {
      const auto [lr, mu] = grid_[chosen[i]];
      loss[i] = now[i][static_cast<int64_t>(chosen[i])], rate[i] = lr, momentum[i] = mu;
    }
    return {{"loss", loss}, {"rate", rate}, {"momentum", momentum}};
  }

  struct Setting {
    double rate, momentum;
  };

  // Each agent's best setting.
  std::vector<size_t> choice(const State& state) const {
    const Tensor best = state.own.at("score").argmin(1).to(at::kCPU).contiguous();
    const int64_t* k = best.data_ptr<int64_t>();
    return {k, k + best.numel()};
  }

  // Rows after each of `steps`, agent i's tasks with setting chosen[i].
  std::vector<Tensor> descend(const Tensor& start, const TaskBatch& batch, std::span<const int64_t> steps,
                              const std::vector<size_t>& chosen, Rng rng) const {
    const auto n = static_cast<int64_t>(chosen.size());
    Tensor lr = at::empty({n, 1}, start.options()), mu = at::empty({n, 1}, start.options());
    for (int64_t i = 0; i < n; ++i) lr[i] = grid_[chosen[i]].rate, mu[i] = grid_[chosen[i]].momentum;
    lr = hand_out(lr, batch.size()), mu = hand_out(mu, batch.size());  // [B, 1]
    Memory memory{at::zeros_like(start), at::zeros_like(start), {}};
    return walk(start.detach(), steps, [&](const Tensor& rows, int64_t k) {
      at::AutoGradMode on(true);
      const Tensor at = leaf(rows);
      const Tensor g = row_gradient(
          batch.loss(at, Stage::kSupport, rng.split("step", static_cast<uint64_t>(k))), at, false);
      return rows + move(g, memory, lr, mu, static_cast<double>(k + 1));
    });
  }

  struct Memory {
    Tensor m, v;               // [B, P]: running means; of secants, the last gradient and step
    std::vector<Tensor> past;  // [B, 1]: shorter steps
  };

  Tensor move(const Tensor& g, Memory& k, const Tensor& lr, const Tensor& mu, double t) const {
    constexpr double kEps = 1e-8;
    Tensor &m = k.m, &v = k.v;
    if (o_.optimizer == "sgd") return -lr * g;
    if (o_.optimizer == "rmsprop") {
      v = 0.99 * v + 0.01 * g.square();
      return -lr * g / (v.sqrt() + kEps);
    }
    if (o_.optimizer == "adam") {
      m = mu * m + (1 - mu) * g;
      v = o_.beta2 * v + (1 - o_.beta2) * g.square();
      return -lr * (m / (1 - at::pow(mu, t)) / ((v / (1 - std::pow(o_.beta2, t))).sqrt() + kEps));
    }
    if (o_.optimizer == "bb" || o_.optimizer == "abbmin") {
      const Tensor length = t > 1 ? secant(g - m, v, k.past, mu) : lr;
      m = g;
      v = -length * g;
      return v;
    }
    m = mu * m + g;
    return -lr * (o_.optimizer == "nesterov" ? g + mu * m : m);
  }

  // The length of a step, [B, 1]; once nothing changes any more, 0.
  Tensor secant(const Tensor& y, const Tensor& s, std::vector<Tensor>& past, const Tensor& threshold) const {
    constexpr size_t kPast = 6;
    const auto dot = [](const Tensor& a, const Tensor& b) { return (a * b).sum(1, true); };
    const Tensor sy = dot(s, y).abs(), brief = (sy / dot(y, y)).nan_to_num(0.0, 0.0, 0.0),
                 wide = (dot(s, s) / sy).nan_to_num(0.0, 0.0, 0.0);
    if (o_.optimizer == "bb") return brief;
    past.push_back(brief);
    if (past.size() > kPast) past.erase(past.begin());
    return at::where(brief > threshold * wide, wide, at::stack(past).amin(0));
  }

  Options o_;
  const Model& model_;
  std::vector<Setting> grid_;
};

SYMMA_REGISTER(
    Learner, "tuned", Tuned, "optimisers made by hand, with rates chosen on the training tasks",
    "Kingma & Ba 2015, arXiv:1412.6980; Sutskever et al. 2013; the rivals of Andrychowicz et al. 2016");

}  // namespace
}  // namespace symma
