// symma report RUN ...: one HTML page.
#include <fmt/format.h>

#include "symma/cli/commands.h"
#include "symma/core/files.h"
#include "symma/report/report.h"

namespace symma {

void add_report(CLI::App& app) {
  struct Arguments {
    std::vector<std::string> runs;
    std::string out;
  };
  auto a = std::make_shared<Arguments>();
  auto* c = app.add_subcommand("report", "write one HTML page about a run, or several side by side");
  c->add_option("runs", a->runs, "folders of runs")->required();
  c->add_option("--out", a->out, "the page; report.html in the first run's folder unless given");
  c->callback([a] {
    const std::string path = a->out.empty() ? in_folder(a->runs[0], "report.html") : a->out;
    write_report(a->runs, path);
    fmt::print("report: {}\n", path);
  });
}

}  // namespace symma
