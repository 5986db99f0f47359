#include "symma/fleet/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <span>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/numbers.h"
#include "symma/core/parallel.h"
#include "symma/core/version.h"
#include "symma/eval/rules.h"
#include "symma/eval/scores.h"
#include "symma/eval/seen.h"
#include "symma/exchange/settings.h"
#include "symma/fleet/account.h"
#include "symma/fleet/roster.h"
#include "symma/fleet/round.h"
#include "symma/fleet/spent.h"
#include "symma/tasks/has_directions.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

// The places among those who were judged of those who count; empty: all.
std::vector<int64_t> counted_of(const Experiment& e, const std::vector<int64_t>& judged) {
  std::vector<int64_t> counted;
  for (size_t k = 0; k < judged.size(); ++k)
    if (e.exchange.attack && !e.exchange.hostile(judged[k])) counted.push_back(static_cast<int64_t>(k));
  return counted;
}

// Evaluates those agents that the file asks for, all or some evenly spaced over the fleet, as far as the
// state has them.
EvalResult judged_on(const Experiment& e, const State& state, Split split, int64_t tasks, Rng rng) {
  const int64_t n = e.fleet.agents, some = e.eval.agents;
  const bool all = some == 0 || some >= n;
  std::vector<int64_t> places, judged;
  const int64_t *first = state.id.data_ptr<int64_t>(), *last = first + state.size();
  for (int64_t k = 0; k < (all ? n : some); ++k) {
    const int64_t agent = all ? k : k * n / some;
    const int64_t* at = std::lower_bound(first, last, agent);
    if (at == last || *at != agent) continue;
    places.push_back(at - first);
    judged.push_back(agent);
  }
  if (places.empty()) return {split, e.spec.metric, e.eval.steps, {}, {}, {}};
  const State part = static_cast<int64_t>(places.size()) == state.size() ? state : state.rows(places);
  const Subject subject{*e.learner, *e.model, *e.family, part, counted_of(e, judged)};
  return evaluate(subject, split, tasks, e.eval.steps, e.eval.from == "own" && e.fleet.seeds == 1, rng);
}

Rng test_key(const Experiment& e) {
  return Rng(e.fleet.seed).split("test");
}

// The value that an option of some part of a kind has unless it is set; null where no part has it.
Json default_of(const std::string& kind, const std::string& part, const std::string& option) {
  const auto& parts = catalog();
  if (!parts.contains(kind)) return nullptr;
  const auto it = parts.at(kind).find(part);
  if (it == parts.at(kind).end()) return nullptr;
  for (const auto& o : it->second.options())
    if (o["name"] == option) return o["default"];
  return nullptr;
}

template <class Options>
Json defaults() {
  Options options;
  Fields fields;
  options.fields(fields);
  Json out = Json::object();
  for (const auto& f : fields.list()) out[f.name] = f.value();
  return out;
}

// {section: [keys]} that are set otherwise than their defaults. Which part was chosen counts where it isn't
// the one that an empty file would get.
Json changed(const Experiment& e) {
  const std::map<std::string, Json> plain{{"", defaults<FleetOptions>()},
                                          {"eval", defaults<EvalOptions>()},
                                          {"population", defaults<PopulationOptions>()},
                                          {"exchange", defaults<ExchangeOptions>()},
                                          {"aggregator", defaults<AggregatorOptions>()},
                                          {"compression", defaults<CompressionOptions>()},
                                          {"server", defaults<ServerOptions>()},
                                          {"faults", defaults<FaultOptions>()},
                                          {"privacy", defaults<PrivacyOptions>()}};
  const std::map<std::string, std::pair<const char*, Json>> kinds{
      {"task", {"TaskFamily", nullptr}},       {"model", {"Model", "mlp"}},
      {"learner", {"Learner", "maml"}},        {"aggregator", {"Aggregator", "mean"}},
      {"compression", {"Compressor", "none"}}, {"faults", {"Attack", "sign_flip"}},
      {"exchange", {"Topology", "none"}}};
  Json out = Json::object();
  for (const auto& [section, values] : e.settings.items()) {
    const auto kind = kinds.find(section);
    const std::string part = values.value("kind", values.value("topology", ""));
    for (const auto& [key, value] : values.items()) {
      Json usual;
      if (key == "kind") {
        if (kind != kinds.end()) usual = kind->second.second;
      } else if (const auto it = plain.find(section); it != plain.end() && it->second.contains(key)) {
        usual = it->second[key];
      } else if (kind != kinds.end()) {
        usual = default_of(kind->second.first, part, key);
      }
      if (value != usual && !(section.empty() && key == "name")) out[section].push_back(key);
    }
  }
  return out;
}

// Who came while the fleet was under way: how they were judged before they had learned anything, and in the
// end. Null where nobody did.
Json newcomers(const std::string& folder, const EvalResult& end) {
  Json out;
  for (const Json& line : read_roster(folder)) {
    if (!line.contains("newcomers")) continue;
    Json one{{"agents", line.at("newcomers")},
             {"after", line.at("round")},
             {"before_learning", line.at("judged")}};
    const auto agents = line.at("newcomers").get<std::vector<int64_t>>();
    Json mean = Json::array();
    for (size_t s = 0; s < end.steps.size() && !end.agents.empty(); ++s) {
      double sum = 0, n = 0;
      for (size_t k = 0; k < end.agents.size(); ++k)
        if (std::find(agents.begin(), agents.end(), end.agents[k]) != agents.end())
          for (const double score : end.scores()[k][s]) sum += score, ++n;
      mean.push_back(n > 0 ? number(sum / n) : Json());
    }
    one["at_end"] = mean;
    out.push_back(one);
  }
  return out;
}

// {score: whether higher is better}, of those scores of which it is known.
Json directions_of(const Experiment& e, const EvalResult& r) {
  Json out = Json::object();
  for (const auto& [name, table] : r.all)
    if (name.ends_with("loss") || name.ends_with("error")) out[name] = false;
  if (const auto* family = dynamic_cast<const HasDirections*>(e.family.get()))
    for (const auto& [name, higher] : family->directions())
      if (r.all.contains(name)) out[name] = higher;
  out[r.metric] = e.spec.higher_is_better;
  return out;
}

}  // namespace

EvalResult join(const Experiment& e, const std::vector<EvalResult>& parts) {
  EvalResult out = parts.at(0);
  for (const EvalResult& p : std::span(parts).subspan(1)) {
    out.agents.insert(out.agents.end(), p.agents.begin(), p.agents.end());
    out.names.insert(out.names.end(), p.names.begin(), p.names.end());
    for (const auto& [name, table] : p.all) {
      ScoreTable& whole = out.all[name];
      whole.insert(whole.end(), table.begin(), table.end());
    }
  }
  out.counted = counted_of(e, out.agents);
  return out;
}

EvalResult judge_on_validation(const Experiment& e, const State& state) {
  return judged_on(e, state, Split::kValidation, e.eval.validation_tasks,
                   Rng(e.fleet.seed).split("validation"));
}

Json validate(const Experiment& e, const State& state) {
  return validation_row(e, judge_on_validation(e, state));
}

Json validation_row(const Experiment& e, const EvalResult& result) {
  Json all = eval_json(result, e.spec, "");
  return {{"metric", all["metric"]},
          {"steps", all["steps"]},
          {"mean", all["mean"]},
          {"median", all["median"]},
          {"over_agents", all["over_agents"]}};
}

EvalResult judge(const Experiment& e, const State& state, Split split) {
  return judged_on(e, state, split, e.eval.tasks, test_key(e));
}

Json verdict(const Experiment& e, const EvalResult& r) {
  Json out = eval_json(r, e.spec, e.protocol());
  out["directions"] = directions_of(e, r);
  Choice<TaskFamilyRegistry> family = e.chosen.task;
  Fields options;
  family.fields(options);
  if (tells_the_task(options)) out["told"] = true;
  out["judged_on"] = {{"seed", e.fleet.seed},
                      {"task", of_the_task(e.settings["task"], options)},
                      {"tasks", e.eval.tasks},
                      {"from", e.eval.from},
                      {"agents", e.eval.from == "own" ? e.fleet.agents : 0}};
  const auto* units = dynamic_cast<const InUnits*>(e.family.get());
  if (units && e.spec.kind == Kind::kRegression) out["in_units"] = in_units(out, units->units());
  if (const auto* remembers = dynamic_cast<const Remembers*>(e.family.get()); remembers && !r.names.empty()) {
    const Json seen = trained_and_new(r, *remembers, e.spec.higher_is_better);
    if (!seen.is_null()) out["seen"] = seen;
  }
  const std::vector<int64_t> whose = e.eval.from == "own" ? r.agents : std::vector<int64_t>{kEveryone};
  const Json rules = [&] {
    try {
      return simple_rules(*e.family, *e.model, r.split, whose, e.eval.tasks, test_key(e));
    } catch (const UserError&) {
      return Json();  // they learn from training tasks, and a run may be judged where its data are not
    }
  }();
  if (!rules.is_null()) out["rules"] = rules;
  // A rival that plays apart stands beside as a rule does.
  if (const std::string by_rival = "rival_" + r.metric; e.chosen.has_rival && r.all.contains(by_rival)) {
    const Summary s = summarise(task_means(r, 0, by_rival), e.spec.higher_is_better, groups_of(r));
    if (std::isfinite(s.mean))
      out["rules"][e.chosen.rival.kind()] = {{"mean", s.mean},
                                             {"ci95", std::isfinite(s.ci95) ? Json(s.ci95) : Json()}};
  }
  // What a group is, in the word of the data: the column that names it.
  if (out.contains("groups")) {
    const Json word = e.settings["task"].value("group", Json());
    out["group_word"] = e.chosen.task.kind() == "images"
                            ? (e.settings["task"].value("within_alphabet", false) ? "alphabet" : "class")
                        : word.is_string() && word != "task" ? word
                                                             : Json("group");
  }
  const auto judged = static_cast<int64_t>(r.agents.size());
  if (judged < e.fleet.agents) out["judged_agents"] = r.agents;
  if (judged < e.fleet.agents || judged > kMostListed) out.erase("per_agent");
  return out;
}

Json agent_share(const Experiment& e) {
  Json shares = Json::array();
  if (const auto* holder = dynamic_cast<const Shares*>(e.family.get())) {
    for (int64_t a = 0; a < e.fleet.agents && e.fleet.agents <= kMostListed; ++a)
      shares.push_back(holder->share(e.fleet.seeds > 1 ? 0 : a));
  }
  return shares;
}

Json conclude(const Experiment& e, const RunOptions& options, const RunState& run,
              std::vector<EvalResult> judged, const std::function<void(const Json&)>& told) {
  const Subject subject{*e.learner, *e.model, *e.family, run.learner, e.counted()};
  const double tasks = static_cast<double>(run.tasks);
  // What was spent, also by rounds that were played again.
  const std::vector<Span> spent = read_spent(in(options, "spent.txt"));
  const Account account = spent.empty() ? Account(e) : Account(e, spent, run.round);
  Json summary{{"symma", SYMMA_VERSION},
               {"experiment", e.fleet.name},
               {"description", e.fleet.description},
               {"seed", e.fleet.seed},
               {"seeds", e.fleet.seeds},
               {"agents", e.fleet.agents},
               {"rounds", run.round},
               {"wall_s", run.seconds},
               {"tasks_per_s", tasks / std::max(1e-9, run.seconds)},
               {"parameters", e.model->layout().size()},
               {"device", options.device},
               {"threads", threads()},
               {"finished", run.round >= account.last_round(e.fleet.rounds)},
               {"task", e.chosen.task.kind()},
               {"model", e.chosen.model.kind()},
               {"learner", e.chosen.learner.kind()},
               {"settings", e.settings},
               {"changed", changed(e)}};
  summary["agent_share"] = agent_share(e);
  if (judged.empty()) {
    judged.push_back(judge(e, run.learner, Split::kTest));
    if (e.eval.ood) judged.push_back(judge(e, run.learner, Split::kOod));
  }
  for (const auto& r : judged) summary[r.split == Split::kTest ? "eval" : "ood"] = verdict(e, r);
  if (told) told(summary);
  if (const Json came = newcomers(options.folder, judged[0]); !came.is_null()) summary["newcomers"] = came;
  const Exchange& x = e.exchange;
  // Of a large fleet the totals say more than a list of every edge, and the file stays one that is read.
  constexpr size_t kMostEdges = 2000;
  Json edges = Json::array();
  for (size_t i = 0; i < x.graph.edges.size() && x.graph.edges.size() <= kMostEdges; ++i) {
    const auto [a, b] = x.graph.edges[i];
    const double weight = x.graph.server ? 1.0 / static_cast<double>(x.graph.agents) : x.weights.at(a, b);
    edges.push_back({{"from", a}, {"to", b}, {"bits", run.exchange.bits[2 * i]}, {"weight", weight}});
    edges.push_back({{"from", b}, {"to", a}, {"bits", run.exchange.bits[2 * i + 1]}, {"weight", weight}});
  }
  summary["exchange"] = {{"topology", e.exchange.options.topology},
                         {"strategy", e.exchange.options.strategy},
                         {"rounds", run.exchange.rounds},
                         {"bits", run.exchange.total_bits()},
                         {"disagreement", number(disagreement(counted_rows(e, run.learner.theta)))},
                         {"lambda2", x.graph.server ? 0 : second_eigenvalue(x.weights)},
                         {"server", e.exchange.graph.server},
                         {"directed_edges", 2 * x.graph.edges.size()},
                         {"edges", edges}};
  if (e.exchange.attack)
    summary["faults"] = {{"kind", e.settings["faults"]["kind"]},
                         {"agents", e.settings["faults"]["agents"]},
                         {"over", "scores, loss and disagreement are over the honest agents"}};
  if (account.open()) summary["privacy"] = account.summary(run.round);
  if (x.server.secure)
    summary["secure"] = {{"keys", x.privacy.noise_key}, {"statement", secure_statement(e)}};
  if (e.population.on()) summary["population"] = population_summary(e, run.learner, test_key(e));
  const Json drawn = gallery(subject, Split::kTest, 6, e.eval.steps.back(), test_key(e).split("gallery"),
                             e.fleet.seeds > 1 ? "repetition" : "agent");
  if (!drawn.is_null()) write_file(in(options, "gallery.json"), drawn.dump());
  write_file(in(options, "scores.csv"), scores_csv(judged));
  write_file(in(options, "summary.json"), summary.dump(1) + "\n");
  return summary;
}

}  // namespace symma
