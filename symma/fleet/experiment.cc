#include "symma/fleet/experiment.h"

#include <fmt/format.h>

#include "symma/core/errors.h"
#include "symma/exchange/privacy.h"
#include "symma/fleet/account.h"
#include "symma/fleet/adjacency.h"
#include "symma/fleet/rules.h"
#include "symma/nn/normalised.h"
#include "symma/tasks/control.h"

namespace symma {
namespace {

// What a part says of "[section] key", said of the line that it was read from.
template <class F>
auto located(const Config& config, F f) {
  try {
    return f();
  } catch (const UserError& error) {
    const std::string& place = error.place();
    const auto end = place.find("] ");
    if (!place.starts_with('[') || end == std::string::npos) throw;
    throw UserError(config.place(place.substr(1, end - 1), place.substr(end + 2)), error.wrong(),
                    error.remedy());
  }
}

// The least number of rows that a node, or the server, gathers when no message fails.
int64_t fewest_rows(const Exchange& x) {
  const int64_t n = x.graph.agents;
  if (x.graph.server && x.server.sampling == "turns") return n / x.turns();
  if (x.graph.server) return std::max<int64_t>(1, std::llround(x.server.share * static_cast<double>(n)));
  std::vector<int64_t> rows(n, 1);
  for (const auto& [a, b] : x.graph.edges) ++rows[a], ++rows[b];
  return *std::min_element(rows.begin(), rows.end());
}

// Whether the rule bears so many bad rows where the fewest rows come together: tried on rows of zeros.
void check_bad_rows(const Exchange& x, const std::string& place) {
  const int64_t n = fewest_rows(x);
  Inputs in{at::zeros({n, 1}, at::kDouble), x.aggregation.bad, {}};
  for (const auto& rule : x.before) in = prepare(*rule, in, Rng(0), place);
  if (x.aggregator) check_bad(place, in.bad, in.rows.size(0), x.aggregator->most_bad(in.rows.size(0)));
}

// Parts are there where they do something, and where nobody talks there are none, so that one file serves to
// compare with agents that are alone.
void build_parts(const Settings& s, Exchange& x) {
  if (x.graph.edges.empty()) {
    x.options = s.sharing.options;
    if (s.sharing.privacy.learners()) x.privacy = s.sharing.privacy;
    return;
  }
  static_cast<ExchangeSettings&>(x) = s.sharing;
  const ChosenParts& c = s.chosen;
  if (c.aggregator.kind() != "mean") x.aggregator = c.aggregator.build();
  for (const auto& one : c.before) x.before.push_back(one.build());
  if (c.compressor.kind() != "none" || x.compression.threshold > 0) x.compressor = c.compressor.build();
  std::vector<int64_t>& hostile = x.faults.agents;
  std::sort(hostile.begin(), hostile.end());
  hostile.erase(std::unique(hostile.begin(), hostile.end()), hostile.end());
  if (!hostile.empty()) x.attack = c.attack.build();
}

// [rival]: a script that is judged on the same tasks, or plays some of the players.
void meet_rival(const Settings& s, TaskFamily& family) {
  if (!s.chosen.has_rival) return;
  auto* meets = dynamic_cast<MeetsRival*>(&family);
  if (!meets)
    throw UserError("[rival] kind", fmt::format("task \"{}\" has no worlds to play in", s.chosen.task.kind()),
                    "set task.kind to control, or leave [rival] out");
  meets->meet({s.chosen.rival.kind(), s.chosen.rival.build(), s.rival.players});
}

}  // namespace

Experiment Experiment::build(const Config& config) {
  Experiment e;
  static_cast<Settings&>(e) = Settings::read(config);
  e.exchange.graph = e.chosen.topology.build()->build(e.fleet.agents, Rng(e.fleet.seed).split("topology"));
  hold(rules_of_settings(), e, config);
  // Repetitions are rows as agents are, each with the whole of the one agent's tasks.
  e.exchange.graph.agents = e.fleet.agents * e.fleet.seeds;
  if (!e.exchange.graph.server) e.exchange.weights = neighbours(e.exchange.graph);
  build_parts(e, e.exchange);
  if (!e.exchange.graph.edges.empty()) {
    check_bad_rows(e.exchange, config.place("aggregator", "bad"));
    const PrivacyOptions& p = e.exchange.privacy;
    if (p.agents() && p.adaptive)
      (void)AdaptiveClipping{.count_sigma = p.count_noise}.sum_sigma(p.noise,
                                                                     config.place("privacy", "noise"));
  }

  located(config, [&] {
    e.family = e.chosen.task.build(e.fleet.agents);
    meet_rival(e, *e.family);
    e.spec = e.family->spec();
    e.model = e.chosen.model.build(e.spec.shape);
  });
  if (e.model->layout().size() == 0)
    throw UserError(
        config.place("model", "kind"),
        fmt::format("\"{}\" has no parameters on task \"{}\"", e.chosen.model.kind(), e.chosen.task.kind()),
        "choose another model, such as mlp");
  PrivacyOptions& p = e.exchange.privacy;
  if (p.on() && p.adjacency == "auto") p.adjacency = default_adjacency(e.exchange, draws_anew(*e.family));
  if (p.on() && p.adjacency != e.sharing.privacy.adjacency) {
    e.sharing.privacy.adjacency = p.adjacency;  // what `auto` stands for is said in the run's own file
    e.write_down();
  }
  Guard guard;
  if (p.learners()) guard = {p.clip, p.noise, p.unit == "example", p.seeded()};
  const LearnerSetting setting{*e.model, e.spec, guard};
  located(config, [&] {
    e.learner = e.population.on() ? population_learner(e, config, setting) : e.chosen.learner.build(setting);
  });
  e.fleet.agents = e.exchange.graph.agents;
  hold(rules_of_parts(), e, config);
  (void)Account(e).last_round(e.fleet.rounds);  // a budget that allows nothing is refused here
  return e;
}

std::string Experiment::protocol() const {
  const auto* keeper = dynamic_cast<const HasStatistics*>(model.get());
  if (!keeper) return "";
  return keeper->protocol() == "transductive"
             ? "transductive batch norm: statistics of the queries at hand"
             : "running batch norm: statistics of training, none of the queries";
}

}  // namespace symma
