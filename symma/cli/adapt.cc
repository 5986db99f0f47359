// symma adapt RUN --data few.csv: adapts an agent to a handful of examples, and predicts.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "symma/cli/commands.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/safetensors.h"
#include "symma/fleet/checkpoint.h"
#include "symma/tasks/csv.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

struct AdaptArguments {
  std::string run, data, out;
  int64_t agent = 0, steps = -1;
};

std::string predictions(const FewShot::Reading& r, const Tensor& output /*[1, K, out]*/,
                        const std::string& header) {
  std::string csv = header;
  const int64_t k = output.size(1);
  const Tensor o = output[0].to(at::kDouble);
  if (r.labels.empty()) {
    csv += ",prediction\n";
    for (int64_t i = 0; i < k; ++i) {
      double y = o[i][0].item<double>();
      if (!r.target_scale.empty()) y = r.target_shift[0] + r.target_scale[0] * y;
      csv += fmt::format("{},{:.7g}\n", r.query_names[i], y);
    }
    return csv;
  }
  csv += ",label,probability\n";
  const Tensor p = at::softmax(o.slice(1, 0, static_cast<int64_t>(r.labels.size())), 1);
  for (int64_t i = 0; i < k; ++i) {
    const auto best = p[i].argmax().item<int64_t>();
    csv +=
        fmt::format("{},{},{:.4f}\n", r.query_names[i], csv_cell(r.labels[best]), p[i][best].item<double>());
  }
  return csv;
}

void run_adapt(const AdaptArguments& a) {
  const Experiment e = open_experiment(a.run, {});
  const RunState state = load_checkpoint(in_folder(a.run, "checkpoint.safetensors"), e);
  if (a.agent < 0 || a.agent >= e.fleet.agents)
    throw UserError("--agent", fmt::format("there is no agent {}", a.agent),
                    fmt::format("agents are 0 to {}", e.fleet.agents - 1));
  const auto* reader = dynamic_cast<const FewShot*>(e.family.get());
  if (!reader)
    throw UserError("--data", "task \"" + e.task_kind + "\" cannot read examples from a file",
                    "use a run on sinusoid, table or images");
  const FewShot::Reading reading = reader->read(a.data);
  const SupervisedBatch batch(*e.model, e.spec.kind, reading.episode, Mode::kEval);
  const std::vector<int64_t> steps{0, a.steps < 0 ? e.eval.steps.back() : a.steps};
  const Rng rng = Rng(e.fleet.seed).split("adapt");
  const auto rows = e.learner->adapt(state.learner.rows(a.agent, a.agent + 1), batch, steps, rng);
  const auto fit = [&](const Tensor& row) { return batch.loss(row, Stage::kSupport, rng).item<double>(); };
  const double before = fit(rows[0]), after = fit(rows[1]);
  if (!std::isfinite(after))
    throw UserError(a.data, "adapting to it diverged", "check the scale of the numbers, or lower --steps");

  at::NoGradGuard no_grad;
  const std::string folder = a.out.empty() ? in_folder(a.run, "adapted") : a.out;
  make_folder(folder);
  const std::string csv =
      predictions(reading, batch.predict(rows[1], reading.episode.query_x), reading.query_header);
  write_file(in_folder(folder, "predictions.csv"), csv);
  Safetensors file;
  for (const auto& entry : e.model->layout().entries())
    file.tensors[entry.name] = e.model->layout().view(rows[1], entry.name)[0];
  file.metadata = {
      {"format", "symma adapted 1"}, {"model", e.model_kind}, {"steps", std::to_string(steps[1])}};
  write_safetensors(in_folder(folder, "adapted.safetensors"), file);
  fmt::print("adapted to {} examples in {} steps: loss on them {:.4g} before, {:.4g} after\n",
             reading.episode.support_x.size(1), steps[1], before, after);
  fmt::print("written: {}, {}\n", in_folder(folder, "predictions.csv"),
             in_folder(folder, "adapted.safetensors"));
}

}  // namespace

void add_adapt(CLI::App& app) {
  auto a = std::make_shared<AdaptArguments>();
  auto* c = app.add_subcommand("adapt", "adapt to a handful of examples of a new task, and predict");
  c->add_option("run", a->run, "folder of the run")->required();
  c->add_option("--data", a->data, "CSV of examples; rows with an empty target are predicted")->required();
  c->add_option("--steps", a->steps, "steps of adaptation; the most in the run's eval.steps unless given")
      ->check(CLI::Range(0, 1000000));
  c->add_option("--agent", a->agent, "which agent adapts");
  c->add_option("--out", a->out, "folder for the results; RUN/adapted unless given");
  c->callback([a] { run_adapt(*a); });
}

}  // namespace symma
