// How insulin is dosed today: basal as the patient needs it at rest, and at a meal
//
//   bolus = grams / CR + (BG - 140) / CF where BG > 150,
//
// in the step after the meal is announced. "own_dose" knows the patient's own CR and CF, "population_dose"
// has the same for all, "basal_only" gives none.
#include "symma/core/options.h"
#include "symma/envs/clinic/diabetes.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

// A dose for each patient; `units` says how many of bolus.
template <class Units>
Tensor dosed(const Env& env, const std::string& script, Units units) {
  const auto& clinic = need_world<ClinicView>(env, script, "\"diabetes\"");
  const int64_t n = clinic.numbers();
  Tensor out = at::zeros({env.spec().copies, 1, n}, at::kFloat);
  for (int64_t e = 0; e < env.spec().copies; ++e)
    clinic.set(e, clinic.announced(e) > 0 ? units(clinic, e) : 0, out.data_ptr<float>() + e * n);
  return out;
}

double bolus(const ClinicView& clinic, int64_t e, double ratio, double factor) {
  const double bg = clinic.sensed(e);
  return clinic.announced(e) / ratio + (bg > 150 ? (bg - 140) / factor : 0);
}

class OwnDose final : public Script {
 public:
  using Options = NoOptions;
  explicit OwnDose(const Options&) {}
  void check(const Env& env) const override { need_world<ClinicView>(env, "own_dose", "\"diabetes\""); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    return dosed(env, "own_dose", [](const ClinicView& clinic, int64_t e) {
      const Patient& p = clinic.patient(e);
      return bolus(clinic, e, p.ratio, p.factor);
    });
  }
};

class PopulationDose final : public Script {
 public:
  struct Options {
    double ratio = 15, factor = 50;
    void fields(Fields& f) {
      f.add("ratio", ratio, "of diabetes: g of carbohydrate for one unit").above(0);
      f.add("factor", factor, "of diabetes: mg/dl that one unit lowers").above(0);
    }
  };
  explicit PopulationDose(const Options& o) : o_(o) {}
  void check(const Env& env) const override {
    need_world<ClinicView>(env, "population_dose", "\"diabetes\"");
  }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    return dosed(env, "population_dose",
                 [&](const ClinicView& clinic, int64_t e) { return bolus(clinic, e, o_.ratio, o_.factor); });
  }

 private:
  Options o_;
};

class BasalOnly final : public Script {
 public:
  using Options = NoOptions;
  explicit BasalOnly(const Options&) {}
  void check(const Env& env) const override { need_world<ClinicView>(env, "basal_only", "\"diabetes\""); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    return dosed(env, "basal_only", [](const ClinicView&, int64_t) { return 0.0; });
  }
};

SYMMA_REGISTER(Script, "own_dose", OwnDose, "diabetes: doses by the patient's own ratio and factor",
               "simglucose 0.2.11, BBController");
SYMMA_REGISTER(Script, "population_dose", PopulationDose, "diabetes: the same ratio and factor for all",
               "simglucose 0.2.11, BBController");
SYMMA_REGISTER(Script, "basal_only", BasalOnly, "diabetes: nothing at meals", "symma");

}  // namespace
}  // namespace symma
