// An experiment: its settings, and every part built of them.
//
// A file is read (fleet/settings.h), then checked (fleet/rules.h), then built, each whole.
#pragma once

#include <memory>
#include <string>

#include "symma/exchange/exchange.h"
#include "symma/fleet/settings.h"

namespace symma {

struct Experiment : Settings {
  // Once built, `fleet.agents` is the number of rows: of agents, or of seeds of one agent.
  std::unique_ptr<TaskFamily> family;
  std::unique_ptr<Model> model;
  std::unique_ptr<Learner> learner;
  TaskSpec spec;
  Exchange exchange;

  // Reads, checks and builds. Throws UserError.
  static Experiment build(const Config&);

  // Keys of what is drawn while exchanging.
  Rng exchange_key() const { return Rng(fleet.seed).split("exchange"); }
  // Over whom statistics are: the honest agents where some are not, else empty, for all.
  std::vector<int64_t> counted() const {
    return exchange.attack ? exchange.honest() : std::vector<int64_t>{};
  }
  // How batch norm was judged, in words; empty where it does not matter.
  std::string protocol() const;
};

}  // namespace symma
