// Worlds for tests: built by name with options as TOML, and played by chance.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "symma/core/options.h"
#include "symma/envs/env.h"
#include "symma/envs/script.h"

// Data beside the project. A test that needs them is skipped, aloud, where they are not.
#define SHARED_DATA SYMMA_SOURCE_DIR "/../shared/data/"
#define NEEDS_SHARED(file)                                       \
  if (!std::filesystem::exists(std::string(SHARED_DATA) + file)) \
  GTEST_SKIP() << "../shared/data/" << file << " is not there"

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

// Puts every copy on one task: constants by name, others as the world has them.
inline void set_task(Env& env, const std::map<std::string, double>& task) {
  auto& tasks = dynamic_cast<HasTasks&>(env);
  const auto& p = tasks.task_parameters();
  Tensor t = at::zeros({env.spec().copies, static_cast<int64_t>(p.size())}, at::kDouble);
  for (size_t k = 0; k < p.size(); ++k)
    t.select(1, static_cast<int64_t>(k)).fill_(task.contains(p[k].name) ? task.at(p[k].name) : p[k].value);
  tasks.set_tasks(t);
}

// A world on one task, whose episodes end once.
inline std::unique_ptr<Env> make_world_of(const std::string& name, const std::string& options,
                                          const std::map<std::string, double>& task, int64_t copies) {
  auto env = make_world(name, copies, options + "auto_reset = false\n");
  set_task(*env, task);
  return env;
}

// `settings` are lines of TOML, as in an experiment file's [rival].
inline std::unique_ptr<Script> make_script(const std::string& kind, const std::string& settings = "") {
  auto draft = ScriptRegistry::instance().draft(kind, "test");
  Fields fields;
  draft->fields(fields);
  Config::parse("[rival]\n" + settings, "test").read("rival", fields);
  return draft->build();
}

// A copy's scores, by name.
inline std::map<std::string, double> judged(const Env& env, int64_t copy = 0) {
  const auto& judge = dynamic_cast<const Judged&>(env);
  const auto scores = judge.scores(copy);
  std::map<std::string, double> out;
  for (size_t k = 0; k < scores.size(); ++k) out[judge.score_names()[k].name] = scores[k];
  return out;
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
