// symma export RUN: an agent's model for other programs and for devices.
#include <fmt/format.h>

#include "symma/cli/commands.h"
#include "symma/cli/reopen.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/export/exported.h"
#include "symma/fleet/checkpoint.h"

namespace symma {
namespace {

struct ExportArguments {
  std::string run, to = "onnx", out;
  int64_t agent = 0, adapt = -1;
};

void run_export(const ExportArguments& a) {
  if (a.adapt >= 0 && a.to != "onnx")
    throw UserError("--adapt",
                    "writes out steps of adapting, and --to " + a.to + " adapts by any number of them",
                    "leave it out, or use --to onnx");
  const Experiment e = open_experiment(a.run, {});
  const RunState state = load_checkpoint(in_folder(a.run, "checkpoint.safetensors"), e);
  check_agent(e, a.agent);
  const Exported x = exported(e, state.learner, a.agent);
  const std::string bytes = a.to == "bin"  ? model_file(x)
                            : a.to == "c"  ? c_source(x)
                            : a.adapt >= 0 ? onnx_adapting(x, a.adapt)
                                           : onnx_model(x);
  const std::string file = a.to == "bin"  ? "model.symma"
                           : a.to == "c"  ? "model.c"
                           : a.adapt >= 0 ? fmt::format("adapt{}.onnx", a.adapt)
                                          : "model.onnx";
  const std::string path = a.out.empty() ? in_folder(a.run, file) : a.out;
  write_file(path, bytes);
  fmt::print("written: {} ({} bytes)\n", path, bytes.size());
}

}  // namespace

void add_export(CLI::App& app) {
  auto a = std::make_shared<ExportArguments>();
  auto* c = app.add_subcommand("export", "write an agent's model for other programs and for devices");
  c->add_option("run", a->run, "folder of the run")->required();
  c->add_option("--to", a->to, "onnx, c (a C99 source), or bin (for symma_runtime)")
      ->check(CLI::IsMember({"onnx", "c", "bin"}));
  c->add_option("--agent", a->agent, "whose model");
  c->add_option("--adapt", a->adapt,
                "ONNX that adapts by so many steps: examples and queries in, predictions out")
      ->check(CLI::Range(0, 1000));
  c->add_option("--out", a->out, "file to write; in RUN unless given");
  c->callback([a] { run_export(*a); });
}

}  // namespace symma
