// symma: many agents that learn how to learn, and share what they have learned.
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <new>

#include "symma/cli/commands.h"
#include "symma/core/errors.h"
#include "symma/core/parallel.h"
#include "symma/core/version.h"

namespace {

// Parts of a shared library register themselves as it is loaded.
void load(const std::string& library) {
  const bool plain = library.find('/') == std::string::npos && std::filesystem::exists(library);
  if (!dlopen((plain ? "./" + library : library).c_str(), RTLD_NOW | RTLD_GLOBAL))
    throw symma::UserError("--load " + library, dlerror(),
                           "name a shared library that was built against this libsymma");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"symma: many agents that learn how to learn, and share what they have learned"};
  app.set_version_flag("--version", SYMMA_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  int threads = 0;
  app.add_option("--threads", threads, "threads to use; 0: all cores. Results do not depend on it")
      ->check(CLI::Range(0, 1024));
  std::vector<std::string> libraries;
  app.add_option("--load", libraries, "shared libraries with parts of your own")
      ->take_all()
      ->allow_extra_args(false);
  app.parse_complete_callback([&] {
    symma::set_threads(threads);
    for (const auto& library : libraries) load(library);
  });
  symma::add_train(app);
  symma::add_eval(app);
  symma::add_adapt(app);
  symma::add_compare(app);
  symma::add_report(app);
  symma::add_list(app);
  symma::add_bench(app);
  // Told here, since CLI11 says only that some argument was not expected.
  std::vector<std::string> commands;
  for (const auto* c : app.get_subcommands([](CLI::App*) { return true; })) commands.push_back(c->get_name());
  if (argc > 1 && argv[1][0] != '-' &&
      std::find(commands.begin(), commands.end(), argv[1]) == commands.end()) {
    std::fprintf(stderr, "symma: \"%s\" is not a command; %s\n", argv[1],
                 symma::suggestion(argv[1], commands).c_str());
    return 2;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    std::fprintf(stderr, "symma: %s; see symma --help\n", e.what());
    return 2;
  } catch (const symma::UserError& e) {
    std::fprintf(stderr, "symma: %s\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    // libtorch's own words go on with a stack; the first line is the reason.
    const std::string why = std::string(e.what()).substr(0, std::string(e.what()).find('\n'));
    if (dynamic_cast<const std::bad_alloc*>(&e) || why.find("allocate memory") != std::string::npos) {
      std::fprintf(stderr, "symma: not enough memory; ask for fewer agents, tasks, shots or parameters\n");
      return 2;
    }
    std::fprintf(stderr, "symma: internal error: %s\n", why.c_str());
    return 1;
  }
  return 0;
}
