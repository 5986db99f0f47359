// Experiments to export from, with rows that are drawn and not trained.
#pragma once

#include "cli/program.h"
#include "symma/core/safetensors.h"
#include "symma/export/exported.h"
#include "symma/fleet/checkpoint.h"
#include "symma/tasks/control.h"
#include "symma/tasks/supervised.h"

namespace symma {

// A table with inputs and a target far from 0 and 1, so that scales matter.
inline void write_table(const std::string& path, bool words) {
  std::string csv = "home,size,time,label\n";
  Draws d(Rng(1));
  for (int home = 0; home < 10; ++home) {
    for (int i = 0; i < 30; ++i) {
      const double size = 40 + 10 * d.normal(), time = 1.7e9 + 1e5 * d.normal();
      const double y = 300 + (home + 1) * (size - 40) + (time - 1.7e9) / 1e4;
      csv += "h" + std::to_string(home) + "," + std::to_string(size) + "," + std::to_string(time) + "," +
             (words ? (i % 2 ? "high, \"x\"" : "low") : std::to_string(y)) + "\n";
    }
  }
  if (words)
    for (size_t at; (at = csv.find("high, \"x\"")) != std::string::npos;)
      csv.replace(at, 9, "\"high, very\"");
  program::spill(path, csv);
}

inline Experiment experiment(const std::string& toml) {
  return Experiment::build(Config::parse("name = \"exported\"\n" + toml, "exported.toml"));
}

// What `symma adapt` and `eval` would say of a row: outputs as people read them.
inline std::map<std::string, Tensor> outputs_of(const Exported& x, const Tensor& row, const Tensor& in) {
  at::NoGradGuard no_grad;
  const Tensor y = x.of.model->forward(row.view({1, -1}), in.unsqueeze(0), Mode::kEval)[0].to(at::kFloat);
  if (x.of.spec.kind == Kind::kRegression) {
    if (x.signature.target_shift.empty()) return {{"prediction", y}};
    return {{"prediction", y.to(at::kDouble) * x.signature.target_scale[0] + x.signature.target_shift[0]}};
  }
  std::map<std::string, Tensor> out{{"output", y}};
  if (x.of.spec.kind == Kind::kClassification) out["probability"] = at::softmax(y, 1);
  if (x.of.spec.continuous) {  // as a world of one player is told it
    const auto batch =
        x.of.family->sample(*x.of.model, asks_for(std::vector<int64_t>{kEveryone}, Rng(1)), Split::kTest);
    const auto& control = dynamic_cast<const ControlBatch&>(*batch);
    const EnvSpec spec = control.world(0, 1)->spec();
    const Tensor mean = y.narrow(1, 0, spec.actions).unsqueeze(1);
    Tensor told = for_world(spec, mean, control.options().head == "squashed").squeeze(1).clone();
    for (int64_t k = 0; k < spec.actions; ++k)
      told.select(1, k).clamp_(spec.action_low[k], spec.action_high[k]);
    out["action"] = told;
  }
  return out;
}

// Inputs as the model sees them, of inputs in the units of the data [n, in].
inline Tensor seen(const Exported& x, const Tensor& raw) {
  if (x.signature.input_shift.empty()) return raw;
  const auto row = [](const std::vector<double>& v) { return at::tensor(v, at::kDouble); };
  return ((raw - row(x.signature.input_shift)) / row(x.signature.input_scale)).to(at::kFloat);
}

}  // namespace symma
