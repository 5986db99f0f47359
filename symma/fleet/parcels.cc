#include "symma/fleet/parcels.h"

#include <algorithm>

#include "symma/core/errors.h"
#include "symma/core/record.h"
#include "symma/core/safetensors.h"
#include "symma/fleet/hidden_rows.h"

namespace symma {
namespace {

constexpr int64_t kMostSums = 64;

bool like(const TensorDict& now, const std::string& name, const Tensor& model) {
  const auto it = now.find(name);
  return it != now.end() && it->second.sizes() == model.sizes() &&
         it->second.scalar_type() == model.scalar_type();
}

std::optional<std::string> text_in(const TensorDict& from, const std::string& name) {
  const auto it = from.find(name);
  if (it == from.end() || it->second.scalar_type() != at::kByte || it->second.dim() != 1) return {};
  const Tensor t = it->second.contiguous();
  return std::string(reinterpret_cast<const char*>(t.data_ptr<uint8_t>()), t.numel());
}

}  // namespace

std::string letter_of(const TensorDict& tensors) {
  return to_safetensors({tensors, {}});
}

std::optional<TensorDict> tensors_in(const std::string& bytes) {
  try {
    return of_safetensors(bytes, "a letter").tensors;
  } catch (const UserError&) {
    return {};
  }
}

void put_text(TensorDict& to, const std::string& name, const std::string& text) {
  to[name] = at::tensor(std::vector<uint8_t>(text.begin(), text.end()), at::kByte);
}

TensorDict account_of(const Experiment& e, const RunState& run, bool log, bool stop) {
  TensorDict out;
  out["counts"] = at::tensor({run.tasks, run.exchange.total_bits(), int64_t{stop}}, at::kLong);
  if (!log) return out;
  if (!e.exchange.server.secure) out["theta"] = run.learner.theta;
  out["rounds"] = run.rounds;
  for (const auto& [name, sum] : run.sums) out["sum." + name] = sum;
  if (const auto it = run.learner.own.find("env_steps"); it != run.learner.own.end())
    out["env_steps"] = it->second;
  return out;
}

// "agents" [a], "names" (JSON), "ways", and a tensor [a, steps, tasks] for each score.
void put_scores(TensorDict& to, const std::string& prefix, const EvalResult& r) {
  to[prefix + "agents"] = at::tensor(r.agents, at::kLong);
  to[prefix + "ways"] = at::tensor({r.ways}, at::kLong);
  put_text(to, prefix + "names", Json(r.names).dump());
  for (const auto& [name, table] : r.all) {
    const auto a = static_cast<int64_t>(table.size()), s = static_cast<int64_t>(table[0].size()),
               t = static_cast<int64_t>(table[0][0].size());
    Tensor out = at::empty({a, s, t}, at::kDouble);
    double* at = out.data_ptr<double>();
    for (const auto& of_agent : table)
      for (const auto& of_step : of_agent) at = std::copy(of_step.begin(), of_step.end(), at);
    to[prefix + "score." + name] = out;
  }
}

std::optional<EvalResult> scores_in(const TensorDict& from, const std::string& prefix, const Experiment& e,
                                    Split split, const std::vector<int64_t>& whose, const EvalResult* model) {
  EvalResult r{split, e.spec.metric, e.eval.steps, {}, {}, {}};
  const auto agents = from.find(prefix + "agents"), ways = from.find(prefix + "ways");
  const auto list = [](const auto& it) {
    return it->second.scalar_type() == at::kLong && it->second.dim() == 1;
  };
  if (agents == from.end() || ways == from.end() || !list(agents) || !list(ways) || ways->second.numel() != 1)
    return {};
  const Tensor ids = agents->second.contiguous();
  r.agents.assign(ids.data_ptr<int64_t>(), ids.data_ptr<int64_t>() + ids.numel());
  r.ways = ways->second.item<int64_t>();
  for (size_t k = 0; k < r.agents.size(); ++k)
    if (!std::binary_search(whose.begin(), whose.end(), r.agents[k]) ||
        (k > 0 && r.agents[k] <= r.agents[k - 1]))
      return {};
  const auto a = static_cast<int64_t>(r.agents.size()), s = static_cast<int64_t>(r.steps.size());
  int64_t tasks = -1;
  const std::string score = prefix + "score.";
  for (const auto& [name, t] : from) {
    if (!name.starts_with(score)) continue;
    if (t.scalar_type() != at::kDouble || t.dim() != 3 || t.size(0) != a || t.size(1) != s || t.numel() == 0)
      return {};
    if (tasks >= 0 && t.size(2) != tasks) return {};
    tasks = t.size(2);
    const Tensor flat = t.contiguous();
    const double* at = flat.data_ptr<double>();
    ScoreTable table(a, std::vector(s, std::vector<double>(tasks)));
    for (auto& of_agent : table)
      for (auto& of_step : of_agent) std::copy_n(at, of_step.size(), of_step.begin()), at += of_step.size();
    r.all[name.substr(score.size())] = std::move(table);
  }
  if ((a > 0) != r.all.contains(r.metric)) return {};
  const auto names = text_in(from, prefix + "names");
  if (!names) return {};
  try {
    r.names = Json(parse_json(*names)).get<std::vector<std::vector<std::string>>>();
  } catch (const Json::exception&) {
    return {};
  }
  if (!r.names.empty() && static_cast<int64_t>(r.names.size()) != a) return {};
  for (const auto& of_agent : r.names)
    if (static_cast<int64_t>(of_agent.size()) != tasks) return {};
  if (model == nullptr || model->agents.empty() || a == 0) return r;
  if (r.ways != model->ways || r.all.size() != model->all.size() || r.names.empty() != model->names.empty() ||
      tasks != static_cast<int64_t>(model->scores()[0][0].size()))
    return {};
  for (const auto& [name, table] : model->all)
    if (!r.all.contains(name)) return {};
  return r;
}

std::optional<RunState> state_in(const Experiment& e, const RunState& start, const std::string& bytes) {
  try {
    return run_of(e, start, of_safetensors(bytes, "a letter"), "a letter");
  } catch (const UserError&) {
    return {};
  }
}

Overview::Overview(const Experiment& e, const std::vector<std::vector<int64_t>>& shares)
    : e_(e), shares_(shares), last_(shares.size()) {
  // Before anything is known of them they stand as they start.
  const RunState start = start_run(e);
  for (size_t p = 0; p < shares.size(); ++p)
    last_[p] = account_of(e, part_of(e, start, shares[p]), true, false);
}

bool Overview::fits(const TensorDict& now, size_t place, bool log) const {
  if (!like(now, "counts", at::zeros({3}, at::kLong))) return false;
  const Tensor counts = now.at("counts").contiguous();
  const int64_t most = INT64_MAX / static_cast<int64_t>(shares_.size());  // they are summed
  for (int64_t k = 0; k < counts.numel(); ++k)
    if (counts.data_ptr<int64_t>()[k] < 0 || counts.data_ptr<int64_t>()[k] > most) return false;
  if (!log) return true;
  const Tensor& rounds = last_[place].at("rounds");
  for (const char* name : {"theta", "rounds", "env_steps", "sum.loss"})
    if (const auto it = last_[place].find(name); it != last_[place].end() && !like(now, name, it->second))
      return false;
  int64_t sums = 0;
  for (const auto& [name, t] : now)
    if (name.starts_with("sum.") && (!like(now, name, rounds) || name.size() > 64 || ++sums > kMostSums))
      return false;
  return true;
}

void Overview::add(std::vector<std::string>& parcels, bool log, bool judged) {
  now_.assign(parcels.size(), {});
  scores_.assign(parcels.size(), {});
  ending_.assign(parcels.size(), false);
  for (size_t p = 0; p < parcels.size(); ++p) {
    TensorDict& last = last_[p];
    auto now = parcels[p].empty() ? std::nullopt : tensors_in(parcels[p]);
    if (now && !fits(*now, p, log)) now.reset();
    if (now && judged) {
      scores_[p] = scores_in(*now, "validation.", e_, Split::kValidation, shares_[p],
                             p > 0 && scores_[0] ? &*scores_[0] : nullptr);
      if (!scores_[p]) now.reset();
    }
    if (!now) {
      parcels[p].clear();
      for (auto& [name, t] : last)
        if (name == "rounds" || name.starts_with("sum.")) t = at::zeros_like(t);
      continue;
    }
    ending_[p] = now->at("counts").data_ptr<int64_t>()[2] != 0;
    heard_.insert(shares_[p].begin(), shares_[p].end());
    now_[p] = *now;
    if (!log) continue;
    std::erase_if(*now, [](const auto& entry) { return entry.first.starts_with("validation."); });
    last = std::move(*now);
  }
}

std::vector<EvalResult> Overview::validation() const {
  std::vector<EvalResult> out;
  for (const auto& one : scores_)
    if (one) out.push_back(*one);
  return out;
}

std::string Overview::note(int64_t place, const std::string& name) const {
  return text_in(now_[place], name).value_or("");
}

Json Overview::beside(int64_t place) const {
  const Tensor rows = theta().to(at::kDouble);
  const std::vector<int64_t>& newcomers = shares_[place];
  const auto known = [&](int64_t agent) {
    return heard_.contains(agent) && !std::binary_search(newcomers.begin(), newcomers.end(), agent);
  };
  Json out = Json::array();
  for (const int64_t a : newcomers) {
    std::vector<int64_t> near;
    for (const auto& [x, y] : e_.exchange.graph.edges)
      if (x == a || y == a)
        if (const int64_t other = x == a ? y : x; other < e_.fleet.agents && known(other))
          near.push_back(other);
    if (near.empty())
      for (int64_t b = 0; b < e_.fleet.agents; ++b)
        if (known(b)) near.push_back(b);
    const Tensor mean = rows.index_select(0, at::tensor(near, at::kLong)).mean(0);
    out.push_back(std::vector<double>(mean.data_ptr<double>(), mean.data_ptr<double>() + mean.numel()));
  }
  return out;
}

RunState Overview::run(const RunState& own) const {
  RunState out;
  out.round = own.round;
  out.exchange.rounds = own.exchange.rounds;
  out.learner.theta = e_.exchange.server.secure ? rows_as_told(e_, own) : joined("theta");
  if (last_[0].contains("env_steps")) out.learner.own["env_steps"] = joined("env_steps");
  out.rounds = joined("rounds");
  std::set<std::string> names;
  int64_t bits = 0;
  for (const TensorDict& part : last_) {
    for (const auto& [name, t] : part)
      if (name.starts_with("sum.")) names.insert(name);
    out.tasks += part.at("counts").data_ptr<int64_t>()[0];
    bits += part.at("counts").data_ptr<int64_t>()[1];
  }
  for (const auto& name : names) out.sums[name.substr(4)] = joined(name);
  out.exchange.bits = {bits};
  return out;
}

Tensor Overview::joined(const std::string& name) const {
  std::vector<Tensor> parts;
  for (const TensorDict& part : last_)
    parts.push_back(part.contains(name) ? part.at(name) : at::zeros_like(part.at("rounds")));
  return at::cat(parts);
}

}  // namespace symma
