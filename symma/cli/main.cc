// symma: many agents that learn how to learn, and share what they have learned.
#include <cstdio>

#include "symma/cli/commands.h"
#include "symma/core/errors.h"
#include "symma/core/parallel.h"
#include "symma/core/version.h"

int main(int argc, char** argv) {
  CLI::App app{"symma: many agents that learn how to learn, and share what they have learned"};
  app.set_version_flag("--version", SYMMA_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  int threads = 0;
  app.add_option("--threads", threads, "threads to use; 0: all cores. Results do not depend on it")
      ->check(CLI::Range(0, 1024));
  app.parse_complete_callback([&] { symma::set_threads(threads); });
  symma::add_train(app);
  symma::add_eval(app);
  symma::add_adapt(app);
  symma::add_compare(app);
  symma::add_report(app);
  symma::add_list(app);
  symma::add_bench(app);
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
    std::fprintf(stderr, "symma: internal error: %s\n", e.what());
    return 1;
  }
  return 0;
}
