// Policies that somebody wrote down, by name: rivals that a learner must beat, and partners to play with.
//
// A world's own scripts may look at all that it holds, so each says which worlds it knows.
#pragma once

#include <memory>
#include <string>

#include "symma/envs/env.h"

namespace symma {

class Script {
 public:
  virtual ~Script() = default;
  // Throws UserError, which names the world, where it does not know how to play in it.
  virtual void check(const Env&) const = 0;
  // What each player of each copy does next: [E, A] int64 where players choose, [E, A, m] float where they
  // set numbers, and either in a world with levels. Copy e draws from rng.split("copy", e). What it says for
  // copies that have ended, and for players who have left, is not looked at.
  virtual Tensor act(const Env&, const Frame&, Rng) const = 0;
};

using ScriptRegistry = Registry<Script>;

// What the script does, as the world takes it: in a world with levels, numbers become the nearest choices.
Tensor scripted(const Script&, const Env&, const Frame&, Rng);

// The world as one of class W. Throws UserError where it is another one.
template <class W>
const W& need_world(const Env& env, const std::string& script, const std::string& world) {
  const auto* own = dynamic_cast<const W*>(&env);
  if (!own) {
    throw UserError("[rival] kind",
                    "\"" + script + "\" plays " + world + ", and this world is " + env.spec().name,
                    "use \"random\" or \"idle\", or leave [rival] out");
  }
  return *own;
}

}  // namespace symma
