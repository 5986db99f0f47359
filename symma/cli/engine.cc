#include "symma/cli/engine.h"

#include <dlfcn.h>

#include <filesystem>

#include "symma/cli/commands.h"
#include "symma/cli/program.h"
#include "symma/core/errors.h"
#include "symma/core/parallel.h"
#include "symma/core/registry.h"
#include "symma/fleet/settings.h"

namespace symma {

Json parts_of_registry() {
  Json all = Json::object();
  for (const auto& [kind, parts] : catalog()) {
    for (const auto& [name, part] : parts)
      all[kind].push_back(
          {{"name", name}, {"summary", part.summary}, {"source", part.source}, {"options", part.options()}});
  }
  return all;
}

namespace {

// Parts of a shared library register themselves as it is loaded.
void load(const std::string& library) {
  const bool plain = library.find('/') == std::string::npos && std::filesystem::exists(library);
  if (!dlopen((plain ? "./" + library : library).c_str(), RTLD_NOW | RTLD_GLOBAL))
    throw UserError("--load " + library, dlerror(),
                    "name a shared library that was built against this libsymma");
}

void add_all(CLI::App& app) {
  add_train(app);
  add_eval(app);
  add_adapt(app);
  add_export(app);
  add_compare(app);
  add_report(app);
  add_list(app, parts_of_registry, experiment_schema);
  add_bench(app);
  add_sweep(app);
  add_scorecard(app);
#ifdef SYMMA_WATCH
  add_watch(app);
#endif
  add_init(app);
  add_play(app);
  add_completion(app);
  add_replay(app);
  add_key(app);
  add_join(app);
}

}  // namespace

Commands every_command() {
  return {add_all, [](int threads, const std::vector<std::string>& libraries) {
            set_threads(threads);
            for (const auto& library : libraries) load(library);
          }};
}

}  // namespace symma
