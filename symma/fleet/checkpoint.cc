#include "symma/fleet/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "symma/core/errors.h"

namespace symma {
namespace {

Tensor counts(const std::vector<int64_t>& v) {
  return at::tensor(v, at::kLong);
}

std::string layout_json(const Layout& layout) {
  Json out = Json::array();
  for (const auto& e : layout.entries())
    out.push_back({{"name", e.name}, {"shape", e.shape}, {"offset", e.offset}});
  return out.dump();
}

// Whether a checkpoint holds what single agents said, or did since without having said it under protection.
Readers readers_of(const Experiment& e, const RunState& run) {
  const PrivacyOptions& p = e.exchange.privacy;
  bool messages = p.agents() || p.learners() || e.exchange.server.secure;
  for (const auto& [name, t] : kept(run.exchange)) {
    for (const char* of : {"late", "first", "known", "residual", "memory.", "halo"})
      messages |= name.starts_with(of);
  }
  return messages ? Readers::kOwner : Readers::kAll;
}

}  // namespace

RunState start_run(const Experiment& e) {
  RunState run;
  const Rng rng = Rng(e.fleet.seed).split("init");
  std::vector<Rng> keys = split_keys(rng, "agent", e.fleet.agents);
  if (e.fleet.same_start && e.fleet.seeds == 1) std::fill(keys.begin(), keys.end(), keys[0]);
  run.learner = e.learner->init(keys, e.fleet.precision == "float64" ? at::kDouble : at::kFloat);
  run.exchange = exchange_start(e.exchange, run.learner.theta);
  if (run.learner.own.contains("anchor")) run.learner.own["anchor"] = run.learner.theta;
  run.sums["loss"] = at::zeros({e.fleet.agents}, at::kDouble);
  run.rounds = at::zeros({e.fleet.agents}, at::kDouble);
  return run;
}

RunState part_of(const Experiment& e, const RunState& whole, const std::vector<int64_t>& ids) {
  RunState run = whole;
  run.learner = whole.learner.rows(ids);
  run.exchange = part_of(e.exchange, whole.exchange, ids);
  const Tensor index = counts(ids);
  for (auto& [name, t] : run.sums) t = t.index_select(0, index);
  run.rounds = whole.rounds.index_select(0, index);
  if (ids.front() != 0) run.tasks = 0, run.seconds = 0;
  return run;
}

RunState join(const Experiment& e, const std::vector<RunState>& parts) {
  RunState run = parts[0];
  std::vector<State> learners;
  std::vector<ExchangeState> exchanges;
  std::vector<Tensor> rounds;
  std::map<std::string, std::vector<Tensor>> sums;
  run.tasks = 0;
  for (const RunState& p : parts) {
    learners.push_back(p.learner);
    exchanges.push_back(p.exchange);
    rounds.push_back(p.rounds);
    run.tasks += p.tasks;
    run.seconds = std::max(run.seconds, p.seconds);
    for (const auto& [name, t] : p.sums) sums[name];
  }
  run.learner = State::join(learners);
  run.exchange = join(e.exchange, exchanges);
  run.rounds = at::cat(rounds);
  for (auto& [name, of_parts] : sums) {
    for (const RunState& p : parts)
      of_parts.push_back(p.sums.contains(name) ? p.sums.at(name) : at::zeros_like(p.rounds));
    run.sums[name] = at::cat(of_parts);
  }
  return run;
}

Safetensors file_of(const Experiment& experiment, const RunState& run) {
  Safetensors file;
  file.tensors["id"] = run.learner.id;
  file.tensors["theta"] = run.learner.theta;
  file.tensors["steps"] = run.learner.steps;
  for (const auto& [name, t] : run.learner.own) file.tensors["own." + name] = t;
  file.tensors["ledger.bits"] = counts(run.exchange.bits);
  for (const auto& [name, t] : kept(run.exchange)) file.tensors["exchange." + name] = t;
  for (const auto& [name, t] : run.sums) file.tensors["log.sum." + name] = t;
  file.tensors["log.rounds"] = run.rounds;
  file.tensors["counters"] = counts({run.round, run.exchange.rounds, run.tasks});
  file.tensors["seconds"] = at::tensor({run.seconds}, at::kDouble);
  file.metadata = {{"format", "symma run 2"},
                   {"learner", experiment.learner_kind},
                   {"model", experiment.model_kind},
                   {"layout", layout_json(experiment.model->layout())}};
  return file;
}

void save_checkpoint(const std::string& path, const Experiment& e, const RunState& run) {
  write_safetensors(path, file_of(e, run), readers_of(e, run));
}

RunState load_checkpoint(const std::string& path, const Experiment& e) {
  return run_of(e, start_run(e), read_safetensors(path), path);
}

RunState run_of(const Experiment& experiment, RunState run, const Safetensors& file,
                const std::string& path) {
  const auto format = file.metadata.find("format");
  if (format == file.metadata.end() || format->second != "symma run 2") {
    throw UserError(path, "is a safetensors file of another program", "name the folder of a symma run");
  }
  const auto take = [&](const std::string& name) {
    const auto it = file.tensors.find(name);
    if (it == file.tensors.end())
      throw UserError(path, "has no tensor \"" + name + "\"", "it is not the checkpoint of this experiment");
    return it->second;
  };
  // What a fresh start looks like tells what must be there, and in which shape.
  const auto fit = [&](Tensor& into, const std::string& name) {
    const Tensor t = take(name);
    if (t.sizes() != into.sizes()) {
      throw UserError(path,
                      fmt::format("tensor \"{}\" has shape [{}], and this experiment needs [{}]", name,
                                  fmt::join(t.sizes(), ", "), fmt::join(into.sizes(), ", ")),
                      "the checkpoint is of another experiment, or its experiment.toml was changed");
    }
    if (t.scalar_type() != into.scalar_type()) {
      throw UserError(path,
                      fmt::format("tensor \"{}\" holds numbers of type {}, and this experiment needs {}",
                                  name, at::toString(t.scalar_type()), at::toString(into.scalar_type())),
                      "the checkpoint is of another experiment, or its experiment.toml was changed");
    }
    into = t;
  };
  fit(run.learner.theta, "theta");
  fit(run.learner.id, "id");
  fit(run.learner.steps, "steps");
  for (auto& [name, t] : run.learner.own) fit(t, "own." + name);
  // What learners keep of tasks is there once they have begun.
  const std::string own = "own.", of_tasks = own + "kept.";
  for (const auto& [name, t] : file.tensors) {
    if (!name.starts_with(of_tasks)) continue;
    if (t.dim() == 0 || t.size(0) != run.learner.size())
      throw UserError(path, "tensor \"" + name + "\" is not one row an agent",
                      "the checkpoint is of another experiment, or its experiment.toml was changed");
    run.learner.own[name.substr(own.size())] = t;
  }
  Tensor bits = counts(run.exchange.bits), counters = at::zeros({3}, at::kLong),
         seconds = at::zeros({1}, at::kDouble);
  fit(bits, "ledger.bits");
  fit(counters, "counters");
  fit(seconds, "seconds");
  fit(run.rounds, "log.rounds");
  const std::string sum = "log.sum.";
  for (const auto& [name, t] : file.tensors) {
    if (name.starts_with(sum)) fit(run.sums[name.substr(sum.size())] = run.rounds, name);
  }
  const std::string of_exchange = "exchange.";
  TensorDict exchanged = kept(run.exchange);
  for (auto& [name, t] : exchanged) {
    // Where nothing could be missed all is heard.
    const bool new_here = name == "heard" && !file.tensors.contains(of_exchange + name);
    if (new_here) t = at::full_like(t, counters.data_ptr<int64_t>()[1]);
    if (new_here || (name == "asked" && !file.tensors.contains(of_exchange + name))) continue;
    fit(t, of_exchange + name);
  }
  // What warm starts remember, and messages under way, are there once they have begun.
  for (const char* later : {"exchange.memory.", "exchange.late"})
    for (const auto& [name, t] : file.tensors)
      if (name.starts_with(later)) exchanged[name.substr(of_exchange.size())] = t;
  keep(run.exchange, exchanged);
  const int64_t* c = counters.data_ptr<int64_t>();
  run.round = c[0];
  run.exchange.rounds = c[1];
  // Noise that is not repeatable begins anew.
  if (!experiment.exchange.privacy.seeded()) run.exchange.began = c[1];
  run.tasks = c[2];
  run.seconds = seconds.item<double>();
  std::copy_n(bits.data_ptr<int64_t>(), run.exchange.bits.size(), run.exchange.bits.begin());
  return run;
}

}  // namespace symma
