#include "symma/fleet/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "symma/core/errors.h"
#include "symma/exchange/discrete_gaussian.h"
#include "symma/exchange/privacy.h"
#include "symma/fleet/adjacency.h"
#include "symma/nn/normalised.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

using E = const Experiment&;

Words say(std::string text) {
  return [text = std::move(text)](E) { return text; };
}

// A rule about agents that talk: without edges nothing is exchanged, and one file serves to compare with
// agents alone.
Rule talking(std::string name, std::string section, std::string key, std::function<bool(E)> broken,
             Words found, std::string remedy) {
  return {std::move(name),
          std::move(section),
          std::move(key),
          [broken = std::move(broken)](E e) { return !e.exchange.graph.edges.empty() && broken(e); },
          std::move(found),
          std::move(remedy)};
}

bool has_rule(E e) {
  return e.chosen.aggregator.kind() != "mean" || !e.sharing.aggregation.before.empty();
}
bool compresses(E e) {
  return e.chosen.compressor.kind() != "none" || e.sharing.compression.threshold > 0;
}
bool updates(E e) {
  return e.sharing.options.payload == "updates";
}
bool has_server(E e) {
  return e.exchange.graph.server;
}
bool corrected(E e) {
  return e.sharing.options.strategy == "gradient-tracking" || e.sharing.options.strategy == "exact-diffusion";
}
bool on_graph(E e) {
  return corrected(e) && !has_server(e);
}
bool pushes(E e) {
  return e.sharing.options.strategy == "push-sum";
}
bool secure(E e) {
  return e.sharing.server.secure;
}

Words strategy(const std::string& text) {
  return [text](E e) { return "\"" + e.sharing.options.strategy + "\" " + text; };
}
std::string no_server(E e) {
  return "topology \"" + e.sharing.options.topology + "\" has no server";
}

// The first rule of [aggregator] that is not the mean.
std::string rule_name(E e) {
  return e.chosen.aggregator.kind() != "mean" ? e.chosen.aggregator.kind() : e.sharing.aggregation.before[0];
}

std::vector<Rule> exchange_rules() {
  const auto no_such = [](const char* key, bool (*set)(E)) {
    return talking(
        std::string("server.") + key + " needs a server", "server", key,
        [set](E e) { return !has_server(e) && set(e); }, no_server, "set exchange.topology to star");
  };
  const auto gap = [](const char* key, double FaultOptions::*chance) {
    return talking(
        std::string("differences of parameters miss no message: ") + key, "faults", key,
        [chance](E e) {
          return compresses(e) && !updates(e) && has_server(e) && e.sharing.faults.*chance > 0;
        },
        say("compressed parameters are sent as differences from what the receiver has, which must miss none"),
        "set exchange.payload to updates, or compression.kind to none");
  };
  const auto needed = [](const char* key, double FaultOptions::*chance) {
    return talking(
        std::string("corrected strategies miss no message: ") + key, "faults", key,
        [chance](E e) { return on_graph(e) && e.sharing.faults.*chance > 0; },
        strategy("needs every message: what one that is missed would have taken back adds up from then on"),
        "set exchange.strategy to adapt-then-combine or push-sum, or the chance to 0");
  };
  return {
      no_such("share", [](E e) { return e.sharing.server.share < 1; }),
      no_such("secure", [](E e) { return e.sharing.server.secure; }),
      no_such("optimizer", [](E e) { return e.sharing.server.optimizer != "none"; }),
      talking(
          "strategies of neighbours are of graphs", "exchange", "strategy",
          [](E e) { return (corrected(e) || pushes(e)) && has_server(e); },
          strategy("is for agents that talk to neighbours, and there is a server"),
          "choose another topology, such as full"),
      talking(
          "strategies of neighbours mix rows", "exchange", "payload",
          [](E e) { return (on_graph(e) || pushes(e)) && updates(e); }, strategy("mixes rows"),
          "set it to parameters"),
      talking(
          "corrected strategies exchange each round", "exchange", "every",
          [](E e) { return on_graph(e) && e.sharing.options.every > 1; },
          strategy("counts on an exchange after each step"), "set it to 1"),
      talking(
          "corrected strategies take means", "aggregator", "kind",
          [](E e) { return on_graph(e) && has_rule(e); },
          strategy("leads to the least of the sum by way of weighted means"),
          "set aggregator.kind to mean without before"),
      talking(
          "corrected strategies protect no agents", "privacy", "unit",
          [](E e) { return on_graph(e) && e.sharing.privacy.agents(); },
          strategy("says more of an agent's step than its clipped update"),
          "use another strategy, or protect tasks"),
      needed("lost", &FaultOptions::lost),
      needed("late", &FaultOptions::late),
      needed("cut", &FaultOptions::cut),
      talking(
          "corrected strategies hear of everybody", "faults", "kind",
          [](E e) {
            return on_graph(e) && !e.sharing.faults.agents.empty() && e.chosen.attack.kind() == "silent";
          },
          strategy("needs every message, and \"silent\" agents send none"),
          "set exchange.strategy to adapt-then-combine, or faults.agents to []"),
      talking(
          "what is pushed is added up", "aggregator", "kind", [](E e) { return pushes(e) && has_rule(e); },
          strategy("adds up what neighbours push, and shows no rows to a rule"),
          "set aggregator.kind to mean without before"),
      talking(
          "what is pushed is said whole", "compression", "kind",
          [](E e) { return pushes(e) && compresses(e); },
          strategy("says sums of all that was ever pushed, which are not compressed"),
          "set compression.kind to none and compression.threshold to 0, or use another strategy"),
      talking(
          "what is pushed protects no agents", "privacy", "unit",
          [](E e) { return pushes(e) && e.sharing.privacy.agents(); },
          strategy("says whole rows, and not clipped updates"), "use another strategy, or protect tasks"),
      talking(
          "what is pushed is pushed by honest agents", "faults", "agents",
          [](E e) { return pushes(e) && !e.sharing.faults.agents.empty(); },
          strategy("trusts all agents: what one of them makes up stays in the mean"),
          "use another strategy with an aggregator.kind that allows for bad ones"),
      talking(
          "a server's optimizer needs updates", "server", "optimizer",
          [](E e) { return e.sharing.server.optimizer != "none" && !updates(e); },
          say("an optimizer needs updates, and the payload is parameters"),
          "set exchange.payload to updates"),
      talking(
          "secure sums show no rows to a rule", "server", "secure",
          [](E e) {
            return secure(e) && e.chosen.aggregator.kind() != "mean" &&
                   e.chosen.aggregator.build()->laws().needs_rows;
          },
          [](E e) {
            return "under secure aggregation the server sees the sum alone, and \"" +
                   e.chosen.aggregator.kind() + "\" needs single rows";
          },
          "set aggregator.kind to mean, or server.secure to false"),
      talking(
          "secure sums show no rows to what comes before", "server", "secure",
          [](E e) { return secure(e) && !e.sharing.aggregation.before.empty(); },
          say("under secure aggregation the server sees the sum alone, and [aggregator] before works on "
              "single rows"),
          "leave one of them out"),
      talking(
          "secure sums are of whole rows", "server", "secure", [](E e) { return secure(e) && compresses(e); },
          say("masks hide every value, so compressed messages of different places do not add up"),
          "set compression.kind to none, or server.secure to false"),
      talking(
          "secure sums are of one round", "faults", "late",
          [](E e) { return secure(e) && e.sharing.faults.late > 0; },
          say("a masked vector of another round cannot be unmasked"), "use lost, or server.secure = false"),
      talking(
          "secure sums hide norms", "privacy", "adaptive",
          [](E e) { return secure(e) && e.sharing.privacy.agents() && e.sharing.privacy.adaptive; },
          say("the share of updates within the bound is not seen under secure aggregation"),
          "set a fixed clip, or server.secure to false"),
      talking(
          "gamma is of graphs", "compression", "gamma",
          [](E e) { return compresses(e) && has_server(e) && e.sharing.compression.gamma != 1; },
          say("is a step of gossip"), "leave it out, or use a graph without a server"),
      gap("lost", &FaultOptions::lost),
      gap("late", &FaultOptions::late),
      gap("cut", &FaultOptions::cut),
      talking(
          "differences of answers miss none", "compression", "answers",
          [](E e) {
            return compresses(e) && has_server(e) && e.sharing.compression.answers &&
                   (e.sharing.faults.gaps() || e.sharing.server.share < 1);
          },
          say("compressed answers are differences from the last one, which every agent must have heard"),
          "set compression.answers to false"),
  };
}

// Why agents cannot draw their shares of the noise in whole numbers of so many bits; "" where they can.
std::string noise_misfit(E e) {
  const PrivacyOptions& p = e.sharing.privacy;
  const secure::FixedPoint numbers{std::min(p.clip, e.sharing.server.range),
                                   static_cast<int>(e.sharing.server.precision)};
  const double sigma = p.noise * p.clip / numbers.step();
  const auto share = [&](int64_t agents) { return static_cast<double>(share_of_noise(sigma, agents)); };
  if (sigma > 2e9 || share(e.sharing.server.crowd) > static_cast<double>(kMostDiscreteSigma))
    return fmt::format(
        "an agent's share of the noise would be {:.3g} steps of {} bits, and 2^28 are the most", sigma,
        e.sharing.server.precision);
  if (share(e.fleet.agents) < static_cast<double>(kLeastDiscreteSigma))
    return fmt::format("an agent's share of the noise would be {:g} steps of {} bits, and {} are the least",
                       share(e.fleet.agents), e.sharing.server.precision, kLeastDiscreteSigma);
  return "";
}

std::vector<Rule> privacy_rules() {
  const auto agents = [](std::function<bool(E)> more) {
    return [more = std::move(more)](E e) { return e.sharing.privacy.agents() && more(e); };
  };
  const auto by_server = [](E e) { return e.sharing.privacy.where != "local"; };
  const auto together = [](E e) { return e.sharing.privacy.distributed(); };
  return {
      talking("agents are protected in their updates", "privacy", "unit",
              agents([](E e) { return !updates(e); }),
              say("an agent's update is clipped, and the payload is parameters"),
              "set exchange.payload to updates"),
      talking("a server's noise needs a server", "privacy", "where",
              agents([=](E e) { return by_server(e) && !has_server(e); }), no_server,
              "set it to local, or exchange.topology to star"),
      talking(
          "a server's noise is added to a sum", "privacy", "where",
          agents([=](E e) { return by_server(e) && has_rule(e); }),
          [](E e) { return "the server adds noise to a sum, and \"" + rule_name(e) + "\" makes none"; },
          "set aggregator.kind to mean without before, or where to local"),
      talking(
          "shares of noise are of secure sums", "privacy", "where",
          [=](E e) { return together(e) && !secure(e); },
          say("one agent's share of the noise hides little, and without secure aggregation the server sees "
              "single messages"),
          "set server.secure to true, or privacy.where to server or local"),
      talking(
          "shares of noise fit the numbers of a secure sum", "server", "precision",
          [=](E e) { return together(e) && secure(e) && !noise_misfit(e).empty(); }, noise_misfit,
          "raise it where the noise is too small, lower it where it is too large"),
      talking("a tree is at a server", "privacy", "mechanism", agents([](E e) {
                return e.sharing.privacy.mechanism == "tree" && e.sharing.privacy.where != "server";
              }),
              say("a tree's noise is in the sums of a server"),
              "set privacy.where to server, or mechanism to gaussian"),
      {"a tree is of agents", "privacy", "mechanism",
       [](E e) { return e.sharing.privacy.mechanism == "tree" && !e.sharing.privacy.agents(); },
       say("a tree's noise is there for unit \"agent\" at a server"),
       "set it to gaussian, or privacy.unit to agent"},
      talking("a tree has one bound", "privacy", "adaptive",
              agents([](E e) { return e.sharing.privacy.mechanism == "tree" && e.sharing.privacy.adaptive; }),
              say("a tree's sums are of updates with one bound"), "set a fixed clip"),
      talking("secure sums of hostile agents are not clipped", "faults", "agents", agents([](E e) {
                return e.sharing.privacy.at_server() && secure(e) && !e.sharing.faults.agents.empty();
              }),
              say("hostile agents make their messages of what others say, and under secure aggregation "
                  "nobody clips "
                  "them"),
              "leave them out, or set server.secure to false"),
      talking(
          "a sum is of a crowd", "server", "secure",
          [](E e) {
            return secure(e) && e.exchange.expected() < static_cast<double>(e.sharing.server.crowd);
          },
          [](E e) {
            return fmt::format(
                "a sum is of server.crowd = {} rows at least, and in the mean {:.4g} agents take part",
                e.sharing.server.crowd, e.exchange.expected());
          },
          "let more agents take part, or set it to false"),
      talking("only a server sees norms", "privacy", "adaptive",
              agents([=](E e) { return e.sharing.privacy.adaptive && !by_server(e); }),
              say("only a server sees the share of updates that are within the bound"),
              "set privacy.where to server, or a fixed clip"),
      talking(
          "bounds follow norms of agents alone", "privacy", "adaptive",
          [](E e) { return e.sharing.privacy.adaptive && !e.sharing.privacy.agents(); },
          say("a bound that follows the norms is there for unit \"agent\""),
          "set a fixed clip, or privacy.unit to agent"),
  };
}

bool out_of_fleet(E e) {
  return std::any_of(e.sharing.faults.agents.begin(), e.sharing.faults.agents.end(),
                     [&](int64_t a) { return a >= e.fleet.agents; });
}

std::vector<Rule> fleet_rules() {
  return {
      {"seeds repeat one agent", "", "seeds", [](E e) { return e.fleet.seeds > 1 && e.fleet.agents > 1; },
       [](E e) { return fmt::format("are {} of a fleet of {}", e.fleet.seeds, e.fleet.agents); },
       "set agents to 1, or repeat the fleet: symma sweep FILE --over seed=1..3"},
      {"seeds never meet", "exchange", "topology",
       [](E e) { return e.fleet.seeds > 1 && (!e.exchange.graph.edges.empty() || e.exchange.graph.server); },
       say("repetitions never meet"), "set it to none, or seeds to 1"},
      {"seeds are honest", "faults", "agents",
       [](E e) { return e.fleet.seeds > 1 && !e.sharing.faults.agents.empty(); },
       say("repetitions are no agents"), "set it to [], or seeds to 1"},
      {"hostile agents are there", "faults", "agents", out_of_fleet,
       [](E e) {
         const auto& all = e.sharing.faults.agents;
         const int64_t gone =
             *std::find_if(all.begin(), all.end(), [&](int64_t a) { return a >= e.fleet.agents; });
         return fmt::format("agent {} is not there, of agents 0 to {}", gone, e.fleet.agents - 1);
       },
       "name agents of the fleet"},
      {"somebody is honest", "faults", "agents",
       [](E e) {
         const std::set<int64_t> once(e.sharing.faults.agents.begin(), e.sharing.faults.agents.end());
         return static_cast<int64_t>(once.size()) == e.fleet.agents;
       },
       say("no agent is honest"), "leave some out"},
      {"steps are counted upwards", "eval", "steps",
       [](E e) {
         const auto& all = e.eval.steps;
         return all.empty() ||
                std::adjacent_find(all.begin(), all.end(), std::greater_equal<>()) != all.end();
       },
       [](E e) { return std::string(e.eval.steps.empty() ? "is empty" : "is not ascending"); },
       "write for example [0, 1, 5, 10]"},
  };
}

std::vector<Rule> population_rules() {
  const auto rule = [](std::string name, std::function<bool(E)> broken, std::string found,
                       std::string remedy) {
    return Rule{std::move(name),
                "population",
                "settings",
                [broken = std::move(broken)](E e) { return e.population.on() && broken(e); },
                say(std::move(found)),
                std::move(remedy)};
  };
  return {
      rule(
          "a population is of several", [](E e) { return e.fleet.agents < 2; }, "one agent is no population",
          "set agents to 2 or more"),
      rule(
          "a population is not repeated", [](E e) { return e.fleet.seeds > 1; },
          "repetitions never meet, and those of a population copy each other",
          "set seeds to 1, and agents to 2 or more"),
      rule(
          "copies are not protected", [](E e) { return e.exchange.privacy.on(); },
          "agents copy each other whole, and no noise protects what they copy", "set privacy.unit to none"),
      rule(
          "a population is honest", [](E e) { return e.exchange.attack != nullptr; },
          "a hostile agent would be judged by what it says of itself", "set faults.agents to []"),
      rule(
          "a copied row has another's past",
          [](E e) {
            return !e.exchange.graph.edges.empty() && (updates(e) || compresses(e) || corrected(e));
          },
          "updates, compressed messages and corrected steps are differences from an agent's own past, and a "
          "copied "
          "row has another's",
          "set exchange.payload to parameters, exchange.strategy to adapt-then-combine and compression.kind "
          "to none, "
          "or exchange.topology to none"),
  };
}

const Accountable* accountable(E e) {
  return dynamic_cast<const Accountable*>(e.family.get());
}

// Of units "example" and "task", which learners protect.
std::vector<Rule> guard_rules() {
  const auto rule = [](std::string name, std::function<bool(E)> broken, Words found, std::string remedy) {
    return Rule{std::move(name),
                "privacy",
                "unit",
                [broken = std::move(broken)](E e) { return e.exchange.privacy.learners() && broken(e); },
                std::move(found),
                std::move(remedy)};
  };
  const auto clips = [](E e) {
    const auto* learner = dynamic_cast<const Guarded*>(e.learner.get());
    return learner && (e.exchange.privacy.unit != "example" || learner->guards_examples());
  };
  const auto unclipped = [](E e) {
    return fmt::format("learner \"{}\" does not clip the gradient of each {}", e.chosen.learner.kind(),
                       e.exchange.privacy.unit);
  };
  return {
      rule(
          "the learner clips examples",
          [=](E e) { return e.exchange.privacy.unit == "example" && !clips(e); }, unclipped,
          "set learner.kind to pretrain, or privacy.unit to task or agent"),
      rule(
          "the learner clips tasks", [=](E e) { return e.exchange.privacy.unit == "task" && !clips(e); },
          unclipped, "set learner.kind to maml, reptile, imaml or pretrain, or privacy.unit to agent"),
      rule(
          "examples do not meet in batch norm",
          [](E e) {
            const auto* keeper = dynamic_cast<const HasStatistics*>(e.model.get());
            return keeper && (e.exchange.privacy.unit == "example" || keeper->protocol() == "running");
          },
          say("batch norm makes one example's gradient depend on the others, or keeps statistics without "
              "noise"),
          "use a model without batch norm"),
      rule(
          "units can be counted", [](E e) { return !accountable(e); },
          [](E e) {
            return fmt::format("of task \"{}\" it is not known how often one {} takes part",
                               e.chosen.task.kind(), e.exchange.privacy.unit);
          },
          "protect agents (privacy.unit = \"agent\"), or use another task"),
      rule(
          "a unit counts once a round",
          [](E e) { return accountable(e) && !accountable(e)->fresh() && e.fleet.tasks > 1; },
          [](E e) {
            return fmt::format(
                "an agent's tasks of one round may be the same one, and {} of them would count more "
                "than once",
                e.fleet.tasks);
          },
          "set tasks to 1"),
  };
}

std::vector<Rule> joined(std::initializer_list<std::vector<Rule>> lists) {
  std::vector<Rule> out;
  for (const auto& list : lists) out.insert(out.end(), list.begin(), list.end());
  return out;
}

}  // namespace

const std::vector<Rule>& rules_of_settings() {
  static const auto* all = new std::vector<Rule>(joined({fleet_rules(), exchange_rules(), privacy_rules()}));
  return *all;
}

const std::vector<Rule>& rules_of_parts() {
  static const auto* all = new std::vector<Rule>(joined(
      {population_rules(),
       guard_rules(),
       {{"labels that are turned around are there", "faults", "kind",
         [](E e) { return dynamic_cast<const PoisonsLabels*>(e.exchange.attack.get()) && !e.spec.labels; },
         [](E e) { return fmt::format("task \"{}\" has no labels to turn around", e.chosen.task.kind()); },
         "choose another attack"},
        {"what is normalised by is counted", "model", "kind",
         [](E e) {
           return dynamic_cast<const HasInputStatistics*>(e.model.get()) &&
                  !dynamic_cast<const CountsInputs*>(e.learner.get());
         },
         [](E e) {
           return fmt::format("learner \"{}\" does not count what \"{}\" is to be normalised by",
                              e.chosen.learner.kind(), e.chosen.model.kind());
         },
         "name the network itself, or use \"ippo\", \"mappo\", \"ia2c\", \"maa2c\" or \"iql\""},
        {"the adjacency can be stated", "privacy", "adjacency",
         [](E e) {
           const PrivacyOptions& p = e.exchange.privacy;
           return p.on() && !adjacency_refused(e.exchange, draws_anew(*e.family), p.adjacency).empty();
         },
         [](E e) {
           return adjacency_refused(e.exchange, draws_anew(*e.family), e.exchange.privacy.adjacency);
         },
         "leave it out: auto is what can be stated"}}}));
  return *all;
}

void hold(const std::vector<Rule>& rules, const Experiment& e, const Config& config) {
  for (const Rule& rule : rules)
    if (rule.broken(e)) throw UserError(config.place(rule.section, rule.key), rule.found(e), rule.remedy);
}

}  // namespace symma
