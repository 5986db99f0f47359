#include "symma/learners/policies/meta_policy.h"

#include "symma/core/parallel.h"
#include "symma/learners/needs.h"
#include "symma/learners/rows.h"
#include "symma/tasks/advantages.h"

namespace symma {
namespace {

// Tasks of a piece of work. Episodes make a task heavy, so pieces are small; they don't depend on the
// threads.
constexpr int64_t kPiece = 5;

}  // namespace

MetaPolicy::MetaPolicy(const InnerPolicyOptions& o, const LearnerSetting& setting, const std::string& name)
    : o_(o), model_(setting.model), name_(name) {
  need(setting, name, {Need::kWorlds, Need::kAdvantages});
}

std::vector<Journey> MetaPolicy::travel(const State& state, const TaskBatch& batch, bool studies,
                                        Rng rng) const {
  const int64_t b = batch.size();
  const Tensor rows = hand_out(state.theta, b);
  std::vector<Journey> out((b + kPiece - 1) / kPiece);
  parallel_for(b, kPiece, [&](int64_t begin, int64_t end) {
    Journey& j = out[begin / kPiece];
    j.batch = batch.slice(begin, end);
    j.rows.push_back(rows.slice(0, begin, end));
    for (int64_t k = 0; k < o_.inner_steps; ++k) {
      const Tensor at = j.rows.back();
      // A task's episodes depend on its own key, and so not on the piece it is in.
      j.support.push_back(j.tasks().play(at, Stage::kSupport, rng.split("inner", k)));
      auto s = study(j.tasks(), at, j.support.back(), studies);
      j.rows.push_back(at - o_.inner_lr * s->gradient().grad);
      if (studies) j.studies.push_back(std::move(s));
    }
    j.query = j.tasks().play(j.rows.back(), Stage::kQuery, rng.split("outer"));
  });
  return out;
}

void MetaPolicy::visit(std::vector<Journey>& journeys,
                       const std::function<void(Journey&, int64_t, int64_t)>& work) {
  parallel_for(static_cast<int64_t>(journeys.size()), 1, [&](int64_t i, int64_t) {
    Journey& j = journeys[i];
    work(j, i * kPiece, i * kPiece + j.batch->size());
  });
}

Tensor MetaPolicy::again(const Journey& j, const Tensor& rows) const {
  Tensor phi = rows;
  for (const auto& lesson : j.support)
    phi = phi - o_.inner_lr * study(j.tasks(), phi, lesson, false)->gradient().grad;
  return phi;
}

Scores MetaPolicy::returns(const std::vector<Journey>& journeys, int64_t agents) {
  std::vector<Tensor> before, after;
  for (const Journey& j : journeys) {
    before.push_back(j.support.front().episodes.team.mean(1));
    after.push_back(j.query.episodes.team.mean(1));
  }
  const Tensor reached = by_agents(at::cat(after), agents);
  return {{"loss", -reached}, {"return", reached}, {"return_before", by_agents(at::cat(before), agents)}};
}

std::vector<Tensor> MetaPolicy::adapt(const State& state, const TaskBatch& batch,
                                      std::span<const int64_t> steps, Rng rng) const {
  const ControlBatch& tasks = need<ControlBatch>(batch, name_);
  return walk(hand_out(state.theta, batch.size()).contiguous(), steps, [&](const Tensor& rows, int64_t k) {
    const Tensor at = leaf(rows);
    const Tensor loss = tasks.loss(at, Stage::kSupport, rng.split("inner", k));
    return rows - (k > 0 && o_.later_lr > 0 ? o_.later_lr : o_.inner_lr) * row_gradient(loss, at, false);
  });
}

}  // namespace symma
