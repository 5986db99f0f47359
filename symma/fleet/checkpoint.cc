#include "symma/fleet/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>
#include <numeric>

#include "symma/core/errors.h"
#include "symma/core/safetensors.h"
#include "symma/learners/personal.h"
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
  bool messages = p.on() || e.exchange.server.secure;
  for (const auto& [name, t] : kept(run.exchange)) {
    for (const char* of : {"late", "first", "known", "residual", "memory.", "halo"})
      messages |= name.starts_with(of);
  }
  return messages ? Readers::kOwner : Readers::kAll;
}

RunState start_of(const Experiment& e, const std::vector<int64_t>& ids) {
  RunState run;
  const Rng rng = Rng(e.fleet.seed).split("init");
  const bool same = e.fleet.same_start && e.fleet.seeds == 1;
  std::vector<Rng> keys;
  keys.reserve(ids.size());
  for (const int64_t id : ids) keys.push_back(rng.split("agent", static_cast<uint64_t>(same ? 0 : id)));
  const auto n = static_cast<int64_t>(ids.size());
  run.learner = e.learner->init(keys, e.fleet.precision == "float64" ? at::kDouble : at::kFloat);
  run.learner.id = counts(ids);
  run.exchange = exchange_start(e.exchange, said(*e.learner, run.learner.theta), ids);
  if (run.learner.own.contains("anchor")) run.learner.own["anchor"] = run.learner.theta;
  run.sums["loss"] = at::zeros({n}, at::kDouble);
  run.rounds = at::zeros({n}, at::kDouble);
  return run;
}

}  // namespace

RunState start_run(const Experiment& e) {
  std::vector<int64_t> all(e.fleet.agents);
  std::iota(all.begin(), all.end(), int64_t{0});
  return start_of(e, all);
}

RunState start_run(const Experiment& e, const std::vector<int64_t>& ids) {
  // A server begins with the mean of all.
  return e.exchange.graph.server ? part_of(e, start_run(e), ids) : start_of(e, ids);
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
                   {"learner", experiment.chosen.learner.kind()},
                   {"model", experiment.chosen.model.kind()},
                   {"layout", layout_json(experiment.model->layout())}};
  return file;
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

// Messages under way: "late", a row each, and "late.message": on which edge, of which exchange, and whether
// it is whole.
void check_late(const ExchangeState& s, const TensorDict& exchanged, int64_t width, const Doubt& doubt) {
  const std::string rows = "exchange.late", messages = "exchange.late.message";
  const auto late = exchanged.find("late"), message = exchanged.find("late.message");
  if (s.receiver.late.empty() || (late == exchanged.end() && message == exchanged.end())) return;
  for (const auto& [name, it] : {std::pair{rows, late}, {messages, message}})
    if (it == exchanged.end()) doubt.fail("has no tensor \"" + name + "\"");
  // A sum of all so far has its weight behind it.
  const int64_t wide = width + s.push.weight.defined();
  doubt.like(rows, late->second, at::zeros({1, wide}, at::kDouble), true);
  doubt.like(messages, message->second, at::zeros({late->second.size(0), 3}, at::kLong));
  doubt.counts(messages, message->second);
  for (int64_t k = 0; k < message->second.size(0); ++k) {
    const auto of = [&](int64_t place) { return message->second[k][place].item<int64_t>(); };
    if (of(0) >= static_cast<int64_t>(s.receiver.late.size()) || of(1) == 0 || of(2) > 1)
      doubt.fail("tensor \"" + messages + "\" tells of a message that there can not be");
  }
}

}  // namespace

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
  const Tensor ids = run.learner.id;
  fit(run.learner.theta, "theta");
  fit(run.learner.id, "id");
  fit(run.learner.steps, "steps");
  for (auto& [name, t] : run.learner.own) fit(t, "own." + name);
  const Doubt doubt(path);
  if (!run.learner.id.equal(ids)) doubt.fail("numbers its agents otherwise");
  doubt.counts("steps", run.learner.steps);
  const std::string own = "own.";
  TensorDict of_tasks;
  for (const auto& [name, t] : file.tensors) {
    if (!name.starts_with(own + "kept.")) continue;
    if (t.dim() == 0 || t.size(0) != run.learner.size())
      doubt.fail("tensor \"" + name + "\" is not one row an agent");
    of_tasks[name.substr(own.size())] = t;
  }
  if (!of_tasks.empty()) check_kept(experiment, start_run(experiment), of_tasks, doubt);
  for (const auto& [name, t] : of_tasks) run.learner.own[name] = t;
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
  const std::string memory = "exchange.memory.";
  const int64_t width =
      said(*experiment.learner, run.learner.theta).size(1) * (experiment.exchange.tracks() ? 2 : 1);
  for (const auto& [name, t] : file.tensors) {
    if (name.starts_with(memory)) check_memory(experiment, name.substr(memory.size()), t, width, doubt);
    if (name.starts_with(memory) || name == "exchange.late" || name == "exchange.late.message")
      exchanged[name.substr(of_exchange.size())] = t;
  }
  check_late(run.exchange, exchanged, width, doubt);
  if (const auto clip = exchanged.find("clip"); clip != exchanged.end()) {
    const auto bound = clip->second.item<double>();
    if (!(bound > 0 && std::isfinite(bound))) doubt.fail("tensor \"exchange.clip\" is no bound");
  }
  doubt.counts("counters", counters);
  doubt.counts("ledger.bits", bits, std::numeric_limits<int64_t>::max());
  doubt.counts("seconds", seconds);
  doubt.counts("log.rounds", run.rounds);
  for (const char* name : {"heard", "asked", "push.heard", "push.answered"})
    if (exchanged.contains(name)) doubt.counts(of_exchange + name, exchanged.at(name));
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
