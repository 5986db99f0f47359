// When a run says how it is, is judged, and is saved.
#pragma once

#include "symma/fleet/settings.h"

namespace symma {

struct Calendar {
  int64_t log_every, save_every, validate_every, last;  // last: the last round

  Calendar(const Settings& s, int64_t last_round)
      : log_every(s.fleet.log_interval()),
        save_every(s.fleet.checkpoint_interval()),
        validate_every(s.validation_interval()),
        last(last_round) {}

  // The first round is logged too: it shows where disagreement starts.
  bool logs(int64_t round) const { return round % log_every == 0 || round == 1 || round == last; }
  // Of rounds that are logged.
  bool judges(int64_t round) const {
    return (round % validate_every < log_every && round >= validate_every) || round == last;
  }
  bool saves(int64_t round) const { return round % save_every == 0 || round == last; }
};

}  // namespace symma
