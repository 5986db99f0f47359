#include "symma/export/exported.h"

#include <cmath>
#include <functional>
#include <numeric>

#include "symma/core/version.h"
#include "symma/learners/personal.h"
#include "symma/nn/kernels/mlp.h"

namespace symma {

Tensor Exported::parameter(const std::string& name) const {
  return of.model->layout().view(row.unsqueeze(0), name)[0];
}

int64_t Exported::in() const {
  const auto& sizes = of.spec.shape.in;
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

Exported exported(const Experiment& e, const State& state, int64_t agent) {
  const Tensor whole = state.theta[agent].detach().to(at::kCPU);
  const auto* personal = dynamic_cast<const Personal*>(e.learner.get());
  const Tensor row = personal ? personal->predicts_by(state)[agent].detach().to(at::kCPU) : whole;
  Exported out{e,  agent, e.eval.steps.back(), row.narrow(0, 0, e.model->layout().size()).contiguous(), {},
               {}, {}};
  if (const auto* known = dynamic_cast<const HasSignature*>(e.family.get()))
    out.signature = known->signature();
  if (const auto* mlp = dynamic_cast<const HasMlpShape*>(e.model.get())) out.mlp = mlp->mlp_shape();
  if (const auto* rule = dynamic_cast<const Descends*>(e.learner.get()))
    out.descent = rule->descent(state, agent);
  return out;
}

namespace {

Json bounds(const std::vector<double>& x) {  // null where there is none
  Json out = Json::array();
  for (double b : x) out.push_back(std::isfinite(b) ? Json(b) : Json());
  return out;
}

}  // namespace

std::map<std::string, std::string> about(const Exported& x) {
  const Experiment& e = x.of;
  const Signature& s = x.signature;
  const char* kind = e.spec.kind == Kind::kRegression       ? "regression"
                     : e.spec.kind == Kind::kClassification ? "classification"
                                                            : "policy";
  Json layout = Json::array();
  for (const auto& entry : e.model->layout().entries())
    layout.push_back({{"name", entry.name}, {"shape", entry.shape}, {"offset", entry.offset}});
  Json rates;
  if (x.descent && x.descent->rates.numel() == 1) rates = x.descent->rates.item<double>();
  if (x.descent && x.descent->rates.numel() > 1) rates = "one for each parameter";
  return {
      {"symma", SYMMA_VERSION},
      {"experiment", e.fleet.name},
      {"task", e.chosen.task.kind()},
      {"learner", e.chosen.learner.kind()},
      {"agent", std::to_string(x.agent)},
      {"model", e.chosen.model.kind()},
      {"model.settings", e.settings["model"].dump()},
      {"model.layout", layout.dump()},
      {"model.widths", Json(x.mlp ? x.mlp->widths : std::vector<int64_t>()).dump()},
      {"input", Json{{"sizes", e.spec.shape.in},
                     {"form", s.form},
                     {"names", s.inputs},
                     {"shift", s.input_shift},
                     {"scale", s.input_scale}}
                    .dump()},
      {"output", Json{{"kind", kind},
                      {"size", e.spec.shape.out},
                      {"name", s.target},
                      {"shift", s.target_shift},
                      {"scale", s.target_scale},
                      {"unit", s.target.empty() ? "" : "that of " + s.target + " in the data"},
                      {"labels", s.labels},
                      {"actions", s.actions},
                      {"head", s.head},
                      {"low", bounds(s.low)},
                      {"high", bounds(s.high)}}
                     .dump()},
      {"adapt", Json{{"rule", x.descent ? "gradient descent" : "none"},
                     {"rates", rates},
                     {"later_rate", x.descent ? Json(x.descent->later) : Json()},
                     {"steps", x.steps},
                     {"loss", e.spec.kind == Kind::kClassification ? "cross-entropy" : "squared error"}}
                    .dump()},
  };
}

}  // namespace symma
