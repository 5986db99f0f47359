#include "symma/learners/optimizers/learned.h"

#include <filesystem>

#include "symma/core/errors.h"
#include "symma/core/parallel.h"
#include "symma/core/record.h"
#include "symma/core/safetensors.h"
#include "symma/learners/needs.h"

namespace symma {
namespace {

// Coordinates in a piece of parallel work: it and its memory stay in the cache, and operations are not too
// many.
constexpr int64_t kCoordinatesAtOnce = 1024;

// The numbers [P..] of a run's first row: its optimiser.
Tensor optimiser_of(const std::string& run, int64_t size) {
  const auto path = (std::filesystem::path(run) / "checkpoint.safetensors").string();
  const Safetensors file = read_safetensors(path);
  const auto theta = file.tensors.find("theta");
  const auto layout = file.metadata.find("layout");
  const std::string remedy = "name the folder of a run of the same learner, with its options for the network";
  if (theta == file.tensors.end() || layout == file.metadata.end())
    throw UserError("[learner] from", path + " is not the checkpoint of a run", remedy);
  int64_t p = 0;
  bool sound = theta->second.dim() == 2 && theta->second.size(0) > 0;
  const Json entries = parse_json(layout->second);
  for (const auto& entry : entries.is_array() ? entries : Json::array()) {
    int64_t n = 1;
    const Json shape = entry.is_object() ? entry.value("shape", Json()) : Json();
    sound = sound && shape.is_array();
    for (const auto& s : sound ? shape : Json::array()) {
      sound = sound && s.is_number_integer() && s.get<int64_t>() >= 0 &&
              !__builtin_mul_overflow(n, s.get<int64_t>(), &n);
    }
    sound = sound && !__builtin_add_overflow(p, n, &p);
  }
  if (!sound || !entries.is_array())
    throw UserError("[learner] from", path + " is not the checkpoint of a run", remedy);
  const int64_t there = theta->second.size(1) - p;
  if (there != size)
    throw UserError("[learner] from",
                    "the optimiser in " + path + " has " + std::to_string(there) + " numbers, this one has " +
                        std::to_string(size),
                    remedy);
  return theta->second[0].slice(0, p).clone();
}

// The loss [b] at rows [b, P] and its gradient, with history where `exact`. What is not finite counts as
// flat, or as very steep: a rule can then stay finite whatever it meets.
std::pair<Tensor, Tensor> measure(const TaskBatch& tasks, const Tensor& rows, bool exact, Rng rng) {
  at::AutoGradMode on(true);
  const Tensor at = exact ? rows : leaf(rows);
  const Tensor loss = tasks.loss(at, Stage::kSupport, rng);
  const Tensor gradient = row_gradient(loss, at, exact).nan_to_num(0.0, 1e10, -1e10).clamp(-1e10, 1e10);
  return {exact ? loss : loss.detach(), gradient};
}

Tensor beside(const Tensor& mask /*[N,T]*/, const Tensor& t /*[N,T,...]*/) {
  std::vector<int64_t> shape(t.dim(), 1);
  shape[0] = mask.size(0), shape[1] = mask.size(1);
  return mask.view(shape);
}

}  // namespace

// On the way: rows and what the rule remembers of them.
struct LearnedOptimizer::Flight {
  Tensor rows;    // [b, P]
  Tensor memory;  // [G, M, R P], b = G R
  Tensor age;     // [b]
};

struct LearnedOptimizer::Landing {
  Flight end;
  Tensor value;     // [b]: the mean objective of the way
  Tensor gradient;  // [G, Q], of the sum over rows; undefined where none was asked for
};

LearnedOptimizer::LearnedOptimizer(LearnedOptions o, std::unique_ptr<UpdateRule> rule,
                                   const LearnerSetting& setting)
    : o_(std::move(o)), rule_(std::move(rule)), model_(setting.model), outputs_(setting.spec.shape.out) {
  need(setting, "a learned optimiser", {Need::kKept, Need::kNoRunning});
  if (o_.steps % o_.unroll != 0)
    throw UserError("[learner] steps",
                    std::to_string(o_.steps) + " is no multiple of unroll, " + std::to_string(o_.unroll),
                    "let tasks end where a truncation does");
  for (const auto& e : model_.layout().entries()) {
    if (!e.buffer) continue;
    if (!mask_.defined()) mask_ = at::ones({model_.layout().size()});
    mask_.narrow(0, e.offset, e.size()).zero_();
  }
  if (!o_.from.empty()) phi_ = optimiser_of(o_.from, rule_->layout().size());
}

State LearnedOptimizer::init(std::span<const Rng> keys, at::ScalarType type) const {
  const auto agents = static_cast<int64_t>(keys.size());
  const Tensor phi = phi_.defined() ? phi_.to(at::kFloat).expand({agents, phi_.size(0)})
                                    : rule_->init(split_each(keys, "rule"));
  State state = State::of(at::cat({model_.init(split_each(keys, "model")), phi}, 1).to(type));
  outer_init(o_.outer, state);
  return state;
}

// Tasks that are over give way to those of `fresh`. At an agent's beginning ends are spread over the rounds,
// so that every round sees all ages.
void LearnedOptimizer::renew(State& state, const TaskBatch& fresh, Rng rng) const {
  const auto* portable = dynamic_cast<const Portable*>(&fresh);
  TORCH_CHECK(portable, "a learned optimiser needs tasks that can be kept");
  const int64_t n = state.size(), each = fresh.size() / n, p = model_.layout().size(), s = sides();
  const auto left = state.own.find("kept.left");
  const bool begun = left != state.own.end() && left->second.size(1) == each;
  const Tensor over = begun ? left->second.eq(0) : Tensor();  // [N, T]
  if (begun && !over.any().item<bool>()) return;
  TensorDict now;
  const Tensor rows = o_.start.rows(model_, state, fresh, rng.split("start")).view({n, each, p});
  now["kept.rows"] = rows.unsqueeze(2).repeat({1, 1, s, 1});
  now["kept.memory"] = at::zeros({n, each, s, rule_->memory(), p}, state.theta.options());
  if (s == 2) now["kept.drift"] = at::zeros({n, each, rule_->layout().size()}, state.theta.options());
  const auto whole = state.theta.options().dtype(at::kLong);
  now["kept.age"] = at::zeros({n, each}, whole);
  now["kept.left"] = at::full({n, each}, o_.steps, whole);
  for (const auto& [name, t] : portable->pack(Stage::kSupport)) {
    std::vector<int64_t> shape = t.sizes().vec();
    shape[0] = each;
    shape.insert(shape.begin(), n);
    now["kept.task." + name] = t.reshape(shape).to(state.theta.device());
  }
  const Tensor done = at::arange(each, whole).remainder(o_.steps / o_.unroll) * o_.unroll;
  const Tensor first =
      begun ? state.steps.eq(0) : at::ones({n}, at::kBool);  // an agent that comes late begins late
  now["kept.left"] = now["kept.left"] - first.to(whole).unsqueeze(1) * done;
  for (const auto& [name, t] : now)
    state.own[name] = begun ? at::where(beside(over, t), t, state.own.at(name)) : t;
}

std::string LearnedOptimizer::fault(const State& state) const {
  for (const auto& [name, t] : state.own) {
    if (!name.starts_with("kept.task.") || t.scalar_type() != at::kLong || t.numel() == 0) continue;
    if (t.max().item<int64_t>() >= outputs_) return "keeps a task with a label that is none of its classes";
  }
  return "";
}

Scores LearnedOptimizer::step(State& state, const TaskBatch& fresh, Rng rng) const {
  at::NoGradGuard no_grad;
  renew(state, fresh, rng.split("renew"));
  const auto& portable = dynamic_cast<const Portable&>(fresh);
  const int64_t n = state.theta.size(0), each = fresh.size() / n, p = model_.layout().size(), s = sides(),
                q = rule_->layout().size(), m = rule_->memory();
  const Tensor all_phi = state.theta.narrow(1, p, q);
  const std::vector<int64_t> id = whole_numbers(state.id);
  const Tensor &rows = state.own.at("kept.rows"), &memory = state.own.at("kept.memory"),
               &age = state.own.at("kept.age");
  Tensor next_rows = at::empty_like(rows), next_memory = at::empty_like(memory), next_drift,
         value = at::empty({n, each}, rows.options());
  if (s == 2) next_drift = at::empty_like(state.own.at("kept.drift"));
  const int64_t chunk = std::clamp<int64_t>(kCoordinatesAtOnce / p, 1, each),
                pieces = (each + chunk - 1) / chunk;
  Tensor gradient = at::empty({n, pieces, q}, rows.options());
  parallel_for(n * pieces, 1, [&](int64_t piece, int64_t) {
    at::NoGradGuard quiet;
    const int64_t agent = piece / pieces, begin = piece % pieces * chunk, end = std::min(each, begin + chunk),
                  b = end - begin;
    const auto part = [&](const Tensor& t) { return t[agent].slice(0, begin, end); };
    TensorDict packed;
    const std::string prefix = "kept.task.";
    for (const auto& [name, t] : state.own)
      if (name.starts_with(prefix)) packed[name.substr(prefix.size())] = part(t);
    const auto tasks = portable.unpack(packed);
    const Rng own = rng.split("agent", static_cast<uint64_t>(id[agent]));
    const Rng noise = own.split("loss", static_cast<uint64_t>(begin));
    const Tensor phi = all_phi.slice(0, agent, agent + 1), old = part(age).to(rows.dtype());
    if (s == 1) {
      // One group: all coordinates of all tasks go through one product.
      const Tensor held = part(memory).squeeze(1).permute({1, 0, 2}).reshape({1, m, b * p});
      const Landing l = fly(phi, {part(rows).squeeze(1), held, old}, *tasks, true, noise);
      part(next_rows).squeeze(1).copy_(l.end.rows);
      part(next_memory).squeeze(1).copy_(l.end.memory.view({m, b, p}).permute({1, 0, 2}));
      part(value).copy_(l.value);
      gradient[agent][piece % pieces].copy_(l.gradient[0]);
      return;
    }
    std::vector<Tensor> drawn;
    for (int64_t t = begin; t < end; ++t)
      drawn.push_back(normal(own.split("perturbation", static_cast<uint64_t>(t)), {q}, rows.scalar_type()));
    const Tensor e = o_.sigma * at::stack(drawn).to(rows.device());  // [b, Q]
    part(next_drift).copy_(part(state.own.at("kept.drift")) + e);
    std::vector<Tensor> reached;
    for (int64_t side = 0; side < 2; ++side) {
      const Landing l =
          fly(side == 0 ? phi + e : phi - e, {part(rows).select(1, side), part(memory).select(1, side), old},
              *tasks, false, noise);
      part(next_rows).select(1, side).copy_(l.end.rows);
      part(next_memory).select(1, side).copy_(l.end.memory);
      reached.push_back(l.value);
    }
    const Tensor gain = ((reached[0] - reached[1]) / (2 * o_.sigma * o_.sigma)).nan_to_num(0.0, 0.0, 0.0);
    part(value).copy_((reached[0] + reached[1]) / 2);
    gradient[agent][piece % pieces].copy_(at::mv(part(next_drift).t(), gain));
  });
  // A task that diverged is over.
  const Tensor sound = value.isfinite().logical_and(next_rows.isfinite().flatten(2).all(2));
  state.own["kept.rows"] = next_rows;
  state.own["kept.memory"] = next_memory;
  if (s == 2) state.own["kept.drift"] = next_drift;
  state.own["kept.age"] = age + o_.unroll;
  state.own["kept.left"] = (state.own.at("kept.left") - o_.unroll).clamp_min(0) * sound;
  const Tensor of_phi = gradient.sum(1) / static_cast<double>(each);
  outer_step(o_.outer, state, at::cat({at::zeros({n, p}, of_phi.options()), of_phi}, 1));
  return {{"loss", value.mean(1)}};
}

Move LearnedOptimizer::advance(const Tensor& phi, const Flight& at, const Tensor& gradient) const {
  const int64_t g = phi.size(0), r = at.rows.size(0) / g, p = at.rows.size(1);
  Move move = rule_->move(phi, {gradient.view({g, r, p}), at.age.view({g, r})}, at.memory);
  if (mask_.defined()) move.step = move.step * mask_.to(move.step.options());
  return move;
}

LearnedOptimizer::Landing LearnedOptimizer::fly(const Tensor& start_phi, Flight at, const TaskBatch& tasks,
                                                bool differentiate, Rng rng) const {
  // Far below any loss that is of interest.
  constexpr double kNothing = 1e-20;
  const bool log = o_.objective != "loss", last = o_.objective == "last",
             exact = differentiate && o_.order == 2;
  const Tensor phi = differentiate ? leaf(start_phi) : start_phi;
  at.rows = exact ? leaf(at.rows.contiguous()) : at.rows.contiguous(), at.memory = at.memory.contiguous();
  Tensor value = at::zeros({at.rows.size(0)}, at.rows.options());
  std::vector<Tensor> steps, slopes;
  for (int64_t t = 0;; ++t) {
    const auto [loss, gradient] = measure(tasks, at.rows, exact, rng.split("step", static_cast<uint64_t>(t)));
    at::AutoGradMode mode(differentiate);
    if (t > 0) {
      const double share = !last ? 1.0 / static_cast<double>(o_.unroll) : t == o_.unroll ? 1.0 : 0.0;
      value = value + share * (log ? (loss + kNothing).log() : loss);
      if (differentiate && !exact) {
        const Tensor weight = log ? (share / (loss + kNothing)).nan_to_num(0.0, 0.0, 0.0).unsqueeze(1)
                                  : at::full({}, share, loss.options());
        slopes.push_back(weight * gradient);
      }
    }
    if (t == o_.unroll) break;
    const Move move = advance(phi, at, gradient);
    const Tensor step = move.step.view_as(at.rows);
    if (differentiate && !exact) steps.push_back(step);
    at = {at.rows + (exact ? step : step.detach()), move.memory, at.age + 1};
  }
  Tensor of_phi;
  if (exact) {
    of_phi = row_gradient(value, phi, false).nan_to_num(0.0, 0.0, 0.0);
  } else if (differentiate) {
    // Step s is in every later row: what is after it adds up.
    for (size_t t = slopes.size() - 1; t-- > 0;) slopes[t] = slopes[t] + slopes[t + 1];
    at::AutoGradMode on(true);
    of_phi = vector_jacobian(at::stack(steps), phi, at::stack(slopes));
  }
  return {{at.rows.detach(), at.memory.detach(), at.age}, value.detach(), of_phi};
}

std::vector<Tensor> LearnedOptimizer::adapt(const State& state, const TaskBatch& batch,
                                            std::span<const int64_t> steps, Rng rng) const {
  at::NoGradGuard no_grad;
  const int64_t b = batch.size(), n = state.size(), p = model_.layout().size();
  const Tensor phi = state.theta.narrow(1, p, rule_->layout().size());
  Flight at{o_.start.rows(model_, state, batch, rng.split("start")).contiguous(),
            at::zeros({n, rule_->memory(), b / n * p}, state.theta.options()),
            at::zeros({b}, state.theta.options())};
  return walk(at.rows, steps, [&](const Tensor& rows, int64_t k) {
    const Tensor gradient = measure(batch, rows, false, rng.split("step", static_cast<uint64_t>(k))).second;
    const Move move = advance(phi, at, gradient);
    at = {rows + move.step.view_as(rows), move.memory, at.age + 1};
    return at.rows;
  });
}

}  // namespace symma
