#include "symma/fleet/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "symma/core/errors.h"
#include "symma/core/safetensors.h"
#include "symma/learners/restored.h"

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

namespace {

constexpr const char* kOther = "the checkpoint is of another experiment, or its experiment.toml was changed";
constexpr int64_t kMostCounted = int64_t{1} << 53;

// A file may say anything. What it says is used as counts, places and sizes, so it is looked at first.
class Doubt {
 public:
  explicit Doubt(std::string path) : path_(std::move(path)) {}

  void counts(const std::string& name, const Tensor& t, int64_t most = kMostCounted) const {
    if (t.numel() == 0) return;
    const bool whole = t.scalar_type() == at::kLong;
    if (whole ? t.min().item<int64_t>() < 0 || t.max().item<int64_t>() > most
              : !t.ge(0).logical_and(t.le(static_cast<double>(most))).all().item<bool>())
      fail("tensor \"" + name + "\" counts something a negative or impossible number of times");
  }
  void like(const std::string& name, const Tensor& t, const Tensor& model, bool but_rows = false) const {
    bool same = t.dim() == model.dim() && t.scalar_type() == model.scalar_type();
    for (int64_t d = but_rows ? 1 : 0; same && d < t.dim(); ++d) same = t.size(d) == model.size(d);
    if (!same)
      fail(fmt::format("tensor \"{}\" is {} [{}], and this experiment needs {} [{}]", name,
                       at::toString(t.scalar_type()), fmt::join(t.sizes(), ", "),
                       at::toString(model.scalar_type()), fmt::join(model.sizes(), ", ")));
  }
  [[noreturn]] void fail(const std::string& why) const { throw UserError(path_, why, kOther); }

 private:
  std::string path_;
};

// What learners keep of tasks ("kept.*") is there once they have begun, in the shapes that a first step
// leaves behind.
void check_kept(const Experiment& e, const RunState& fresh, const TensorDict& kept, const Doubt& doubt) {
  State one = fresh.learner.rows(0, 1);
  const std::vector<int64_t> who(static_cast<size_t>(e.fleet.tasks), 0);
  const Rng rng = Rng(e.fleet.seed).split("rehearsal");
  e.learner->step(one, *e.family->sample(*e.model, asks_for(who, rng), Split::kTrain), rng.split("step"));
  for (const auto& [name, t] : one.own) {
    if (!name.starts_with("kept.")) continue;
    const auto it = kept.find(name);
    if (it == kept.end()) doubt.fail("has no tensor \"own." + name + "\"");
    doubt.like("own." + name, it->second, t, true);
  }
  for (const auto& [name, t] : kept)
    if (!one.own.contains(name)) doubt.fail("has a tensor \"own." + name + "\", which no agent keeps");
}

// What a compressor with a warm start remembers of an agent, or of the server (-1).
void check_memory(const Experiment& e, const std::string& number, const Tensor& t, int64_t width,
                  const Doubt& doubt) {
  const std::string name = "exchange.memory." + number;
  const auto* warm = dynamic_cast<const WarmStart*>(e.exchange.compressor.get());
  bool known = number == "-1" && e.exchange.graph.server;
  known = known || (!number.empty() && number.size() < 10 &&
                    number.find_first_not_of("0123456789") == std::string::npos &&
                    std::stoll(number) < e.fleet.agents);
  if (!warm || !known) doubt.fail("has a tensor \"" + name + "\", which nobody remembers");
  Tensor model;
  warm->encode_warm(at::zeros({width}, at::kDouble), model, Rng(0));
  if (model.defined()) doubt.like(name, t, model);
}

}  // namespace

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
                      kOther);
    }
    if (t.scalar_type() != into.scalar_type()) {
      throw UserError(path,
                      fmt::format("tensor \"{}\" holds numbers of type {}, and this experiment needs {}",
                                  name, at::toString(t.scalar_type()), at::toString(into.scalar_type())),
                      kOther);
    }
    into = t;
  };
  fit(run.learner.theta, "theta");
  fit(run.learner.id, "id");
  fit(run.learner.steps, "steps");
  for (auto& [name, t] : run.learner.own) fit(t, "own." + name);
  const Doubt doubt(path);
  if (!run.learner.id.equal(start_run(experiment).learner.id)) doubt.fail("numbers its agents otherwise");
  doubt.counts("steps", run.learner.steps);
  const std::string own = "own.";
  TensorDict kept;
  for (const auto& [name, t] : file.tensors) {
    if (!name.starts_with(own + "kept.")) continue;
    if (t.dim() == 0 || t.size(0) != experiment.fleet.agents)
      doubt.fail("tensor \"" + name + "\" is not one row an agent");
    kept[name.substr(own.size())] = t;
  }
  if (!kept.empty()) check_kept(experiment, start_run(experiment), kept, doubt);
  for (const auto& [name, t] : kept) run.learner.own[name] = t;
  for (const auto& [name, t] : run.learner.own)
    if (t.scalar_type() == at::kLong || name == "env_steps") doubt.counts(own + name, t);
  if (const auto* learner = dynamic_cast<const Restored*>(experiment.learner.get())) {
    if (const std::string fault = learner->fault(run.learner); !fault.empty()) doubt.fail(fault);
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
  const int64_t width = run.learner.theta.size(1) * (experiment.exchange.tracks() ? 2 : 1);
  for (const auto& [name, t] : file.tensors) {
    if (!name.starts_with(memory)) continue;
    check_memory(experiment, name.substr(memory.size()), t, width, doubt);
    run.exchange.kept[name.substr(std::string("exchange.").size())] = t;
  }
  doubt.counts("counters", counters);
  doubt.counts("ledger.bits", bits, std::numeric_limits<int64_t>::max());
  doubt.counts("seconds", seconds);
  doubt.counts("log.rounds", run.rounds);
  for (const char* name : {"heard", "asked", "late.number"})
    if (run.exchange.kept.contains(name))
      doubt.counts(std::string("exchange.") + name, run.exchange.kept.at(name));
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
