#include "symma/fleet/round.h"

#include "symma/learners/personal.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

// Adds what the steps of the agents at these places returned. A plain loop, as below: a round of a small
// fleet takes less than a handful of tensor operations.
void add_scores(RunState& run, const std::vector<int64_t>& who, const Scores& scores) {
  for (const auto& [name, score] : scores) {
    Tensor& sum = run.sums[name];
    if (!sum.defined()) sum = at::zeros_like(run.rounds);
    const Tensor from = score.to(at::kCPU, at::kDouble).contiguous();
    for (size_t i = 0; i < who.size(); ++i) sum.data_ptr<double>()[who[i]] += from.data_ptr<double>()[i];
  }
  for (int64_t a : who) ++run.rounds.data_ptr<double>()[a];
}

Tensor index_of(const std::vector<int64_t>& agents) {
  return at::tensor(agents, at::kLong);
}

// Rows that repeat one agent have that agent's tasks, each drawn by a key of its own.
std::vector<Ask> asks_of(const Experiment& e, const std::vector<int64_t>& rows, Rng rng) {
  std::vector<Ask> asks = asks_for(rows, rng);
  if (e.fleet.seeds > 1)
    for (Ask& ask : asks) ask.agent = 0;
  return asks;
}

Rng key_of(const Experiment& e, const RunState& run) {
  return Rng(e.fleet.seed).split("round", run.round);
}

}  // namespace

void communicate(const Experiment& e, RunState& run, Transport* elsewhere) {
  Tensor& theta = run.learner.theta;
  // Letters are written, read and mixed on the processor, wherever agents learn.
  const Tensor said_here = said(*e.learner, theta).cpu();
  const Tensor heard = exchange(e.exchange, run.exchange, said_here, e.exchange_key(), elsewhere);
  theta = with_said(theta, heard.to(theta.device()));
  if (run.learner.own.contains("anchor")) run.learner.own["anchor"] = theta;
}

Drawn draw(const Experiment& e, const RunState& run) {
  Drawn out;
  for (int64_t a : participants(e.exchange, run.exchange, run.exchange.rounds, e.exchange_key()))
    if (const int64_t place = run.exchange.reach->place(a); place >= 0) out.who.push_back(place);
  if (out.who.empty()) return out;
  std::vector<int64_t> agents, poisoned;
  for (int64_t place : out.who) {
    const int64_t a = run.learner.id.data_ptr<int64_t>()[place];
    for (int64_t t = 0; t < e.fleet.tasks; ++t) {
      if (e.exchange.hostile(a)) poisoned.push_back(static_cast<int64_t>(agents.size()));
      agents.push_back(a);
    }
  }
  out.tasks = e.family->sample(*e.model, asks_of(e, agents, key_of(e, run).split("tasks")), Split::kTrain);
  if (dynamic_cast<const PoisonsLabels*>(e.exchange.attack.get()))
    out.tasks = dynamic_cast<const SupervisedBatch&>(*out.tasks).flipped(poisoned);
  out.tasks = carried_to(run.learner.theta, std::move(out.tasks));
  return out;
}

Scores learn(const Experiment& e, RunState& run, const Drawn& drawn) {
  if (drawn.who.empty()) return {};
  const Rng rng = key_of(e, run).split("step");
  Scores scores;
  if (static_cast<int64_t>(drawn.who.size()) == run.learner.size()) {
    scores = e.learner->step(run.learner, *drawn.tasks, rng);
  } else {
    State part = run.learner.rows(drawn.who);
    scores = e.learner->step(part, *drawn.tasks, rng);
    run.learner.put(drawn.who, part);
  }
  add_scores(run, drawn.who, scores);
  run.tasks += drawn.tasks->size();
  return scores;
}

Tensor counted_rows(const Experiment& e, const Tensor& theta) {
  const Tensor t = said(*e.learner, theta);
  const auto counted = e.counted();
  return counted.empty() ? t : t.index_select(0, index_of(counted).to(t.device()));
}

double mean_of(const Experiment& e, const RunState& run, const std::string& score) {
  double total = 0, n = 0;
  const auto add = [&](int64_t agent) {
    const double rounds = run.rounds.data_ptr<double>()[agent];
    if (rounds > 0) total += run.sums.at(score).data_ptr<double>()[agent] / rounds, ++n;
  };
  const auto counted = e.counted();
  for (int64_t a : counted) add(a);
  if (counted.empty()) {
    for (int64_t a = 0; a < e.fleet.agents; ++a) add(a);
  }
  return total / n;
}

void run_round(const Experiment& e, RunState& run, Transport* elsewhere) {
  const bool due = e.exchange.due(run.round);
  if (due && e.exchange.combine_first()) communicate(e, run, elsewhere);
  learn(e, run, draw(e, run));
  if (due && !e.exchange.combine_first()) communicate(e, run, elsewhere);
  ++run.round;
  run.selection = e.population.due(run.round) ? select(e, run.learner, run.round) : Json();
}

at::Device device_for(Kind kind, const std::string& name, const std::string& place) {
  if (name == "cpu") return at::kCPU;
  if (kind == Kind::kControl || kind == Kind::kGame)
    throw UserError(place, "worlds and games are played on the processor, and learned from there", "use cpu");
  if (!at::hasCUDA())
    throw UserError(place, "this libtorch has no CUDA, or this machine no such device",
                    "build against a CUDA libtorch through CMAKE_PREFIX_PATH, or use cpu");
  return at::Device(name);
}

void rehearse(const Experiment& e) {
  RunState run = start_run(e);
  State one = run.learner.rows(0, 1);
  const Rng rng = Rng(e.fleet.seed).split("rehearsal");
  const int64_t asked = std::min<int64_t>(1, e.eval.steps.back());
  const std::vector<int64_t> who{0}, steps{0, asked};
  const auto batch = e.family->sample(*e.model, asks_for(who, rng), Split::kTrain);
  e.learner->step(one, *batch, rng.split("step"));
  const auto judged = e.family->sample(*e.model, asks_for(who, rng), Split::kTest);
  const auto rows =
      e.learner->adapt(one, *judged, std::span(steps).first(asked > 0 ? 2 : 1), rng.split("adapt"));
  judged->score(rows.back(), rng.split("score"));
  // And that there are tasks of every split that will be asked for.
  (void)e.family->sample(*e.model, asks_for(who, rng), Split::kValidation);
  if (e.eval.ood) (void)e.family->sample(*e.model, asks_for(who, rng), Split::kOod);
}

}  // namespace symma
