// The sections of an experiment file that say how agents exchange, and what of it goes together.
#include "symma/fleet/sections.h"

#include <algorithm>

#include "symma/core/errors.h"
#include "symma/exchange/privacy.h"
#include "symma/fleet/adjacency.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

void append(std::vector<std::string>& to, const std::vector<std::string>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

void read_aggregator(Experiment& e, const Config& config, Exchange& x) {
  const std::string section = "aggregator", kind = config.word(section, "kind", "mean");
  std::vector<std::string> others = options_of_all<AggregatorRegistry>();
  append(others, options_of_all<PreAggregatorRegistry>());
  others.emplace_back("kind");
  Fields own;
  x.aggregation.fields(own);
  config.read(section, own, others);
  const auto rule = AggregatorRegistry::instance().draft(kind, config.place(section, "kind"));
  rule->fields(own);
  std::vector<PreAggregatorRegistry::DraftPtr> before;
  for (const auto& name : x.aggregation.before) {
    before.push_back(PreAggregatorRegistry::instance().draft(name, config.place(section, "before")));
    before.back()->fields(own);
  }
  config.read(section, own, others);
  keep_section(e, section, {{"kind", kind}}, own);
  if (kind != "mean") x.aggregator = rule->build();
  for (const auto& draft : before) x.before.push_back(draft->build());
}

// Reads a section that has a `kind`, the options of that part, and `options` of its own. Returns the part
// chosen.
template <class R, class Options>
auto read_part(Experiment& e, const Config& config, const std::string& section, const std::string& fallback,
               Options& options) {
  const std::string kind = config.word(section, "kind", fallback);
  std::vector<std::string> others = options_of_all<R>();
  others.emplace_back("kind");
  Fields own;
  options.fields(own);
  auto draft = R::instance().draft(kind, config.place(section, "kind"));
  draft->fields(own);
  config.read(section, own, others);
  keep_section(e, section, {{"kind", kind}}, own);
  return std::pair{kind, std::move(draft)};
}

void read_compression(Experiment& e, const Config& config, Exchange& x) {
  const auto [kind, draft] = read_part<CompressorRegistry>(e, config, "compression", "none", x.compression);
  if (kind != "none" || x.compression.threshold > 0) x.compressor = draft->build();
}

void read_faults(Experiment& e, const Config& config, Exchange& x) {
  const std::string section = "faults";
  const auto draft = read_part<AttackRegistry>(e, config, section, "sign_flip", x.faults).second;
  for (int64_t a : x.faults.agents) {
    if (a >= e.fleet.agents)
      throw UserError(config.place(section, "agents"), fmt::format("agent {} is not there", a),
                      fmt::format("agents are numbered 0 to {}", e.fleet.agents - 1));
  }
  std::vector<int64_t> once = x.faults.agents;
  std::sort(once.begin(), once.end());
  once.erase(std::unique(once.begin(), once.end()), once.end());
  if (static_cast<int64_t>(once.size()) == e.fleet.agents)
    throw UserError(config.place(section, "agents"), "no agent is honest", "leave some out");
  if (!once.empty()) x.attack = draft->build();
}

template <class Options>
void read_plain(Experiment& e, const Config& config, const std::string& section, Options& options) {
  Fields fields;
  options.fields(fields);
  config.read(section, fields);
  keep_section(e, section, Json::object(), fields);
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

// What cannot be combined, in words: place, fault, remedy.
void refuse(const Exchange& x, const Config& config) {
  const auto no = [&](const char* section, const char* key, const std::string& found,
                      const std::string& remedy) {
    throw UserError(config.place(section, key), found, remedy);
  };
  const bool rule = x.aggregator || !x.before.empty();
  const std::string kind = config.word("aggregator", "kind", "mean");
  const ServerOptions& s = x.server;
  const PrivacyOptions& p = x.privacy;
  if (!x.graph.server && (s.share < 1 || s.optimizer != "none" || s.secure))
    no("server",
       s.share < 1 ? "share"
       : s.secure  ? "secure"
                   : "optimizer",
       "topology \"" + x.options.topology + "\" has no server", "set exchange.topology to star");
  if (x.tracks() || x.corrects()) {
    const std::string what = "\"" + x.options.strategy + "\" ";
    if (x.graph.server)
      no("exchange", "strategy", what + "is for agents that talk to neighbours, and there is a server",
         "choose another topology, such as full");
    if (x.updates()) no("exchange", "payload", what + "mixes rows", "set it to parameters");
    if (x.options.every > 1)
      no("exchange", "every", what + "counts on an exchange after each step", "set it to 1");
    if (rule)
      no("aggregator", "kind", what + "leads to the least of the sum by way of weighted means",
         "set aggregator.kind to mean without before");
    if (p.agents())
      no("privacy", "unit", what + "says more of an agent's step than its clipped update",
         "use another strategy, or protect tasks");
  }
  if (s.optimizer != "none" && !x.updates())
    no("server", "optimizer", "an optimizer needs updates, and the payload is parameters",
       "set exchange.payload to updates");
  if (s.secure) {
    if (x.aggregator && x.aggregator->laws().needs_rows)
      no("server", "secure",
         "under secure aggregation the server sees the sum alone, and \"" + kind + "\" needs single rows",
         "set aggregator.kind to mean, or server.secure to false");
    if (!x.before.empty())
      no("server", "secure",
         "under secure aggregation the server sees the sum alone, and [aggregator] before "
         "works on single rows",
         "leave one of them out");
    if (x.compressor)
      no("server", "secure",
         "masks hide every value, so compressed messages of different places do not add up",
         "set compression.kind to none, or server.secure to false");
    if (x.faults.late > 0)
      no("faults", "late", "a masked vector of another round cannot be unmasked",
         "use lost, or server.secure = false");
    if (p.agents() && p.adaptive)
      no("privacy", "adaptive", "the share of updates within the bound is not seen under secure aggregation",
         "set a fixed clip, or server.secure to false");
  }
  if (x.compressor) {
    if (x.compression.gamma != 1 && x.graph.server)
      no("compression", "gamma", "is a step of gossip", "leave it out, or use a graph without a server");
    if (!x.updates() && x.graph.server && x.faults.gaps())
      no("faults",
         x.faults.lost > 0   ? "lost"
         : x.faults.late > 0 ? "late"
                             : "cut",
         "compressed parameters are sent as differences from what the receiver has, which must miss none",
         "set exchange.payload to updates, or compression.kind to none");
    if (x.graph.server && x.compression.answers && (x.faults.gaps() || s.share < 1))
      no("compression", "answers",
         "compressed answers are differences from the last one, which every agent must have heard",
         "set compression.answers to false");
  }
  if (p.agents()) {
    if (!x.updates())
      no("privacy", "unit", "an agent's update is clipped, and the payload is parameters",
         "set exchange.payload to updates");
    if (p.where == "server" && !x.graph.server)
      no("privacy", "where", "topology \"" + x.options.topology + "\" has no server",
         "set it to local, or exchange.topology to star");
    if (p.where == "server" && rule)
      no("privacy", "where",
         "the server adds noise to a sum, and \"" + (x.aggregator ? kind : x.aggregation.before[0]) +
             "\" makes none",
         "set aggregator.kind to mean without before, or where to local");
    if (p.adaptive && p.where != "server")
      no("privacy", "adaptive", "only a server sees the share of updates that are within the bound",
         "set privacy.where to server, or a fixed clip");
    if (p.adaptive)
      (void)AdaptiveClipping{.count_sigma = p.count_noise}.sum_sigma(p.noise,
                                                                     config.place("privacy", "noise"));
    if (p.mechanism == "tree" && !p.at_server())
      no("privacy", "mechanism", "a tree's noise is in the sums of a server",
         "set privacy.where to server, or mechanism to gaussian");
    if (p.mechanism == "tree" && p.adaptive)
      no("privacy", "adaptive", "a tree's sums are of updates with one bound", "set a fixed clip");
    if (p.at_server() && s.secure && x.attack)
      no("faults", "agents",
         "hostile agents make their messages of what others say, and under secure aggregation nobody clips "
         "them",
         "leave them out, or set server.secure to false");
  } else if (p.adaptive) {
    no("privacy", "adaptive", "a bound that follows the norms is there for unit \"agent\"",
       "set a fixed clip, or privacy.unit to agent");
  } else if (p.mechanism == "tree") {
    no("privacy", "mechanism", "a tree's noise is there for unit \"agent\" at a server",
       "set it to gaussian, or privacy.unit to agent");
  }
}

// Reads [privacy], and says in the settings what `auto` is.
void read_privacy(Experiment& e, const Config& config, Exchange& x) {
  Fields fields;
  x.privacy.fields(fields);
  config.read("privacy", fields);
  const auto* family = dynamic_cast<const Accountable*>(e.family.get());
  const bool fresh = family && family->fresh(), on = x.privacy.agents() || x.privacy.learners();
  if (on && x.privacy.adjacency == "auto") x.privacy.adjacency = default_adjacency(x, fresh);
  keep_section(e, "privacy", Json::object(), fields);
  if (!on || x.graph.edges.empty()) return;
  if (const std::string why = adjacency_refused(x, fresh, x.privacy.adjacency); !why.empty())
    throw UserError(config.place("privacy", "adjacency"), why,
                    "set it to \"" + default_adjacency(x, fresh) + "\", or leave it out");
}

}  // namespace

void keep_section(Experiment& e, const std::string& section, const Json& heads, const Fields& fields) {
  if (!section.empty()) e.toml += fmt::format("\n[{}]\n", section);
  for (const auto& [key, value] : heads.items()) e.toml += fmt::format("{} = {}\n", key, value.dump());
  e.toml += to_toml(fields);
  Json table = heads;
  for (const auto& f : fields.list()) table[f.name] = f.value();
  e.settings[section] = table;
}

Exchange build_exchange(Experiment& e, const Config& config) {
  Exchange x;
  Fields fields;
  x.options.fields(fields);
  x.options.topology = config.word("exchange", "topology", x.options.topology);
  const auto draft =
      TopologyRegistry::instance().draft(x.options.topology, config.place("exchange", "topology"));
  draft->fields(fields);
  config.read("exchange", fields, options_of_all<TopologyRegistry>());
  keep_section(e, "exchange", Json::object(), fields);
  x.graph = draft->build()->build(e.fleet.agents, Rng(e.fleet.seed).split("topology"));
  if (!x.graph.server) x.weights = neighbours(x.graph);
  read_aggregator(e, config, x);
  read_compression(e, config, x);
  read_plain(e, config, "server", x.server);
  read_faults(e, config, x);
  read_privacy(e, config, x);
  if (x.graph.edges.empty()) {
    // Nothing is exchanged, so that one file serves to compare with agents that are alone.
    Exchange alone;
    alone.options = x.options;
    alone.graph = x.graph;
    alone.weights = x.weights;
    if (x.privacy.learners()) alone.privacy = x.privacy;
    return alone;
  }
  refuse(x, config);
  check_bad_rows(x, config.place("aggregator", "bad"));
  return x;
}

void check_privacy(const Experiment& e, const Config& config) {
  const PrivacyOptions& p = e.exchange.privacy;
  if (!p.learners()) return;
  const std::string place = config.place("privacy", "unit");
  const auto* learner = dynamic_cast<const Guarded*>(e.learner.get());
  if (!learner || (p.unit == "example" && !learner->guards_examples()))
    throw UserError(
        place, fmt::format("learner \"{}\" does not clip the gradient of each {}", e.learner_kind, p.unit),
        p.unit == "example" ? "set learner.kind to pretrain, or privacy.unit to task or agent"
                            : "set learner.kind to maml, reptile, imaml or pretrain, or "
                              "privacy.unit to agent");
  const auto* keeper = dynamic_cast<const HasStatistics*>(e.model.get());
  if (keeper && (p.unit == "example" || keeper->protocol() == "running"))
    throw UserError(place,
                    "batch norm makes one example's gradient depend on the others, or keeps statistics "
                    "without noise",
                    "use a model without batch norm");
  const auto* family = dynamic_cast<const Accountable*>(e.family.get());
  if (!family)
    throw UserError(
        place, fmt::format("of task \"{}\" it is not known how often one {} takes part", e.task_kind, p.unit),
        "protect agents (privacy.unit = \"agent\"), or use another task");
  if (!family->fresh() && e.fleet.tasks > 1)
    throw UserError(place,
                    fmt::format("an agent's tasks of one round may be the same one, and {} of them "
                                "would count more than once",
                                e.fleet.tasks),
                    "set tasks to 1");
}

void check_faults(const Experiment& e, const Config& config) {
  if (!dynamic_cast<const PoisonsLabels*>(e.exchange.attack.get())) return;
  const std::vector<int64_t> one{0};
  const auto batch = e.family->sample(*e.model, asks_for(one, Rng(0)), Split::kTrain);
  if (!dynamic_cast<const SupervisedBatch*>(batch.get()))
    throw UserError(config.place("faults", "kind"),
                    fmt::format("task \"{}\" has no labels to turn around", e.task_kind),
                    "choose another attack");
}

}  // namespace symma
