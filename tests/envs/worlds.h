// Worlds for tests: built by name with options as TOML, and played by chance.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "symma/core/options.h"
#include "symma/envs/env.h"

namespace symma {

// `options` are lines of TOML, as in an experiment file's [env].
inline std::unique_ptr<Env> make_world(const std::string& name, int64_t copies,
                                       const std::string& options = "") {
  auto draft = EnvRegistry::instance().draft(name, "test");
  Fields fields;
  draft->fields(fields);
  Config::parse("[env]\n" + options, "test").read("env", fields);
  return draft->build(copies);
}

// What the call throws, as one line; "" where it throws no UserError.
template <class Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const UserError& e) {
    return e.what();
  }
  return "";
}

// Allowed actions [E, A], drawn evenly, or numbers from [-0.2, 0.2]: copy e at step t from its own stream,
// which is named by first_copy + e.
inline Tensor random_actions(const EnvSpec& s, const Tensor& mask, Rng rng, int64_t t,
                             int64_t first_copy = 0) {
  if (s.continuous) {
    std::vector<Tensor> numbers;
    for (int64_t e = 0; e < s.copies; ++e)
      numbers.push_back(
          uniform(rng.split("play", first_copy + e).split("step", t), {s.agents, s.actions}, -0.2, 0.2));
    return at::stack(numbers);
  }
  Tensor actions = at::zeros({s.copies, s.agents}, at::kLong);
  const bool* m = mask.data_ptr<bool>();
  int64_t* a = actions.data_ptr<int64_t>();
  std::vector<int64_t> allowed;
  for (int64_t e = 0; e < s.copies; ++e) {
    Draws draws(rng.split("play", first_copy + e).split("step", t));
    for (int64_t i = 0; i < s.agents; ++i, m += s.actions) {
      allowed.clear();
      for (int64_t k = 0; k < s.actions; ++k) {
        if (m[k]) allowed.push_back(k);
      }
      TORCH_CHECK(!allowed.empty(), s.name, ": agent ", i, " of copy ", e, " can do nothing");
      *a++ = allowed[draws.below(static_cast<int64_t>(allowed.size()))];
    }
  }
  return actions;
}

}  // namespace symma
