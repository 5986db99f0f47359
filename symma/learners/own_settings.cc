#include "symma/learners/own_settings.h"

#include <fmt/format.h>

#include <algorithm>

#include "symma/core/errors.h"
#include "symma/core/parallel.h"
#include "symma/learners/personal.h"
#include "symma/learners/rows.h"

namespace symma {
namespace {

bool fit(const State& a, const State& b) {
  if (a.theta.sizes() != b.theta.sizes() || a.own.size() != b.own.size()) return false;
  return std::all_of(a.own.begin(), a.own.end(), [&](const auto& kept) {
    const auto it = b.own.find(kept.first);
    return it != b.own.end() && it->second.sizes() == kept.second.sizes();
  });
}

}  // namespace

OwnSettings::OwnSettings(LearnerRegistry::DraftPtr draft, const std::vector<std::string>& names, Tensor start,
                         const LearnerSetting& setting)
    : draft_(std::move(draft)), start_(std::move(start)), setting_(setting) {
  Fields fields;
  draft_->fields(fields);
  for (const auto& name : names) {
    const auto& list = fields.list();
    const auto it = std::find_if(list.begin(), list.end(), [&](const Field& f) { return f.name == name; });
    TORCH_CHECK(it != list.end(), "the learner has no option \"", name, "\"");
    TORCH_CHECK(std::holds_alternative<double*>(it->target) || std::holds_alternative<int64_t*>(it->target),
                "option \"", name, "\" is not a number");
    targets_.push_back(it->target);
  }
  if (dynamic_cast<const Personal*>(with(start_[0]).get()))
    throw UserError("[learner] kind",
                    "keeps a model of its own at home, and a population copies rows from agent to agent",
                    "leave [population] out, or use a learner whose agents share all that they learn");
}

State OwnSettings::init(std::span<const Rng> keys, at::ScalarType type) const {
  const auto agents = static_cast<int64_t>(keys.size());
  TORCH_CHECK(start_.size(0) == agents, "settings for ", start_.size(0), " agents, and there are ", agents);
  std::vector<State> rows;
  for (int64_t i = 0; i < agents; ++i) {
    rows.push_back(with(start_[i])->init(keys.subspan(i, 1), type));
    rows.back().id = at::full({1}, i, at::kLong);
    if (!fit(rows[0], rows[i]))
      throw UserError("[population] settings",
                      "a setting changes the shape of what an agent keeps, and rows could not be copied",
                      "leave it to [learner]");
  }
  State state = State::join(rows);
  state.own[kKey] = start_;
  return state;
}

Scores OwnSettings::step(State& state, const TaskBatch& batch, Rng rng) const {
  const int64_t n = state.theta.size(0), each = batch.size() / n;
  const auto learners = of_rows(state);
  std::vector<State> rows(n);
  std::vector<Scores> told(n);
  parallel_for(n, 1, [&](int64_t i, int64_t) {
    rows[i] = state.rows(i, i + 1);
    told[i] = learners[i]->step(rows[i], *batch.slice(i * each, (i + 1) * each), rng);
  });
  state = State::join(rows);
  return join(told);
}

std::vector<Tensor> OwnSettings::adapt(const State& state, const TaskBatch& batch,
                                       std::span<const int64_t> steps, Rng rng) const {
  const int64_t n = state.theta.size(0), each = batch.size() / n;
  const auto learners = of_rows(state);
  if (n == 1) return learners[0]->adapt(state, batch, steps, rng);
  std::vector<std::vector<Tensor>> paths(n);
  parallel_for(n, 1, [&](int64_t i, int64_t) {
    paths[i] = learners[i]->adapt(state.rows(i, i + 1), *batch.slice(i * each, (i + 1) * each), steps, rng);
  });
  std::vector<Tensor> out;
  for (size_t s = 0; s < steps.size(); ++s) {
    std::vector<Tensor> parts;
    parts.reserve(paths.size());
    for (const auto& path : paths) parts.push_back(path[s]);
    out.push_back(at::cat(parts, 0));
  }
  return out;
}

std::string OwnSettings::fault(const State& state) const {
  const auto learners = of_rows(state);
  for (int64_t i = 0; i < state.size(); ++i) {
    const auto* restored = dynamic_cast<const Restored*>(learners[i].get());
    if (std::string found = restored ? restored->fault(state.rows(i, i + 1)) : ""; !found.empty())
      return found;
  }
  return "";
}

std::optional<DescentRule> OwnSettings::descent(const State& state, int64_t place) const {
  const auto learner = with(state.own.at(kKey)[place]);
  const auto* descends = dynamic_cast<const Descends*>(learner.get());
  return descends ? descends->descent(state, place) : std::nullopt;
}

std::unique_ptr<Learner> OwnSettings::with(const Tensor& settings) const {
  const Tensor values = settings.to(at::kCPU, at::kDouble).contiguous();
  const std::lock_guard lock(filling_);
  for (size_t s = 0; s < targets_.size(); ++s) {
    const double value = values.data_ptr<double>()[s];
    if (auto* const* real = std::get_if<double*>(&targets_[s])) **real = value;
    if (auto* const* whole = std::get_if<int64_t*>(&targets_[s])) **whole = std::llround(value);
  }
  return draft_->build(setting_);
}

std::vector<std::unique_ptr<Learner>> OwnSettings::of_rows(const State& state) const {
  const Tensor settings = state.own.at(kKey).to(at::kCPU);
  std::vector<std::unique_ptr<Learner>> out;
  for (int64_t i = 0; i < settings.size(0); ++i) out.push_back(with(settings[i]));
  return out;
}

}  // namespace symma
