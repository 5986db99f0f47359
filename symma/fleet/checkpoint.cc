#include "symma/fleet/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "symma/core/errors.h"
#include "symma/core/safetensors.h"

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
  for (const auto& [name, t] : run.exchange.kept) {
    for (const char* of : {"late", "first", "known", "residual", "memory."}) messages |= name.starts_with(of);
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

void save_checkpoint(const std::string& path, const Experiment& experiment, const RunState& run) {
  Safetensors file;
  file.tensors["id"] = run.learner.id;
  file.tensors["theta"] = run.learner.theta;
  file.tensors["steps"] = run.learner.steps;
  for (const auto& [name, t] : run.learner.own) file.tensors["own." + name] = t;
  file.tensors["ledger.bits"] = counts(run.exchange.bits);
  for (const auto& [name, t] : {std::pair{"reference", &run.exchange.reference},
                                {"before", &run.exchange.before},
                                {"tracker", &run.exchange.tracker}}) {
    if (t->defined()) file.tensors[std::string("exchange.") + name] = *t;
  }
  for (const auto& [name, t] : run.exchange.kept) file.tensors["exchange." + name] = t;
  for (const auto& [name, t] : run.sums) file.tensors["log.sum." + name] = t;
  file.tensors["log.rounds"] = run.rounds;
  file.tensors["counters"] = counts({run.round, run.exchange.rounds, run.tasks});
  file.tensors["seconds"] = at::tensor({run.seconds}, at::kDouble);
  file.metadata = {{"format", "symma run 2"},
                   {"learner", experiment.learner_kind},
                   {"model", experiment.model_kind},
                   {"layout", layout_json(experiment.model->layout())}};
  write_safetensors(path, file, readers_of(experiment, run));
}

RunState load_checkpoint(const std::string& path, const Experiment& experiment) {
  const Safetensors file = read_safetensors(path);
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
  RunState run = start_run(experiment);
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
  const std::string own = "own.", kept = own + "kept.";
  for (const auto& [name, t] : file.tensors) {
    if (!name.starts_with(kept)) continue;
    if (t.dim() == 0 || t.size(0) != experiment.fleet.agents)
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
  for (const auto& [name, t] : {std::pair{"reference", &run.exchange.reference},
                                {"before", &run.exchange.before},
                                {"tracker", &run.exchange.tracker}}) {
    if (t->defined()) fit(*t, std::string("exchange.") + name);
  }
  for (auto& [name, t] : run.exchange.kept) fit(t, "exchange." + name);
  // What warm starts remember is there once they have begun.
  const std::string memory = "exchange.memory.";
  for (const auto& [name, t] : file.tensors)
    if (name.starts_with(memory)) run.exchange.kept[name.substr(std::string("exchange.").size())] = t;
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
