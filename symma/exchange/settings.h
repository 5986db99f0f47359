// What a person sets about an exchange: the sections [exchange], [aggregator], [compression], [server],
// [faults] and [privacy] of an experiment file. All but [exchange] is off unless it is set.
#pragma once

#include <string>
#include <vector>

#include "symma/core/options.h"

namespace symma {

struct ExchangeOptions {
  std::string topology = "none";
  std::string strategy = "adapt-then-combine";
  std::string payload = "parameters";
  int64_t every = 1;
  void fields(Fields& f) {
    f.add("topology", topology, "the graph along which agents talk; see symma list Topology");
    f.add("strategy", strategy,
          "learn and then mix, or mix and then learn; or ways that lead to the least of the sum of all "
          "agents' losses "
          "where those differ and the step does not shrink: gradient-tracking, exact-diffusion; or one that "
          "keeps the mean of all rows whatever messages are lost or late: push-sum")
        .one_of(
            {"adapt-then-combine", "combine-then-adapt", "gradient-tracking", "exact-diffusion", "push-sum"});
    f.add("payload", payload, "what is mixed: rows, or what they changed by since the last exchange")
        .one_of({"parameters", "updates"});
    f.add("every", every, "rounds from one exchange to the next").at_least(1);
  }
};

// [aggregator]: `kind`, the options of that Aggregator and of the PreAggregators, and these.
struct AggregatorOptions {
  int64_t bad = 0;
  std::vector<std::string> before;
  void fields(Fields& f) {
    f.add("bad", bad, "how many of the rows that a node or the server gathers it allows to be bad")
        .at_least(0);
    f.add("before", before, "what is done to the rows first, in order; see symma list PreAggregator");
  }
};

// [compression]: `kind`, the options of that Compressor, and these.
struct CompressionOptions {
  double gamma = 1, threshold = 0;
  bool answers = true;
  void fields(Fields& f) {
    f.add("gamma", gamma, "CHOCO's step towards the neighbours, on graphs").above(0).at_most(1);
    f.add("threshold", threshold,
          "stay silent until a row has moved by this share of its norm; 0: send always")
        .at_least(0);
    f.add("answers", answers, "compress what the server hands back as well");
  }
};

// [server]: for the topology with a server.
struct ServerOptions {
  double share = 1;
  std::string sampling = "poisson", optimizer = "none";
  double lr = 1, beta1 = 0.9, beta2 = 0.99, eps = 1e-3;
  bool secure = false;
  double range = 8;
  int64_t precision = 24, crowd = 3;
  void fields(Fields& f) {
    f.add("share", share, "of the agents that take part from one exchange to the next").above(0).at_most(1);
    f.add("sampling", sampling, "each by a coin of its own, the same number each time, or by turns")
        .one_of({"poisson", "fixed", "turns"});
    f.add("optimizer", optimizer, "of the server, on the mean update (Reddi et al. 2021, FedOpt)")
        .one_of({"none", "sgd", "adam", "yogi", "adagrad"});
    f.add("lr", lr, "step size of the server's optimizer").above(0);
    f.add("beta1", beta1, "decay of the server's mean update").at_least(0).below(1);
    f.add("beta2", beta2, "decay of the server's mean square").at_least(0).below(1);
    f.add("eps", eps, "guard against division by zero: tau of the paper").above(0);
    f.add("secure", secure, "secure aggregation: the server learns the sum and no single row");
    f.add("range", range, "secure aggregation: values beyond it are clipped").above(0);
    f.add("precision", precision, "secure aggregation: bits of a value").at_least(2).at_most(48);
    f.add("crowd", crowd, "secure aggregation: the fewest rows whose sum the server may learn").at_least(3);
  }
};

// [faults]: `kind` and the options of that Attack, and these.
struct FaultOptions {
  std::vector<int64_t> agents;  // ascending once read
  double lost = 0, late = 0, doubled = 0, reordered = 0, cut = 0;
  void fields(Fields& f) {
    f.add("agents", agents, "which agents are hostile or broken, as `kind` says").at_least(0);
    f.add("lost", lost, "chance that a message never arrives").at_least(0).at_most(1);
    f.add("late", late, "chance that a message arrives one exchange later").at_least(0).at_most(1);
    f.add("doubled", doubled, "chance that a message arrives twice").at_least(0).at_most(1);
    f.add("reordered", reordered, "chance that a late message arrives behind the one sent after it")
        .at_least(0)
        .at_most(1);
    f.add("cut", cut, "chance that a message is cut short").at_least(0).at_most(1);
  }
  // A receiver may miss what its sender sent.
  bool gaps() const { return lost > 0 || late > 0 || cut > 0; }
};

// [privacy]
struct PrivacyOptions {
  std::string unit = "none", where = "local";
  double clip = 1, noise = 1, delta = 1e-5, budget = 0;
  bool adaptive = false;
  double quantile = 0.5, count_noise = 10;
  std::string adjacency = "auto", mechanism = "gaussian", noise_key = "system";
  int64_t restart = 0;
  void fields(Fields& f);
  bool agents() const { return unit == "agent"; }
  // Whether noise is in the sums of a server: the server's own, or, distributed, a share of each agent's.
  bool at_server() const { return agents() && where != "local"; }
  bool distributed() const { return agents() && where == "distributed"; }
  bool seeded() const { return noise_key == "seed"; }
  bool learners() const { return unit == "task" || unit == "example"; }
  bool on() const { return agents() || learners(); }
  // Noise that is not the same twice: each of its rounds is spent.
  bool of_system() const { return on() && !seeded(); }
};

struct ExchangeSettings {
  ExchangeOptions options;
  AggregatorOptions aggregation;
  CompressionOptions compression;
  ServerOptions server;
  FaultOptions faults;
  PrivacyOptions privacy;
};

}  // namespace symma
