// What is in the blood some time after a dose, by compartments, for tables whose columns are as they are
// ([task] standardise = false). Gibaldi & Perrier 1982, "Pharmacokinetics", chapters 1 and 2.
//
//   route = "oral"        inputs time, dose; parameters log ka (taken up), log ke (lost), log Cl (clearance):
//                         C = dose ke ka / (Cl (ka - ke)) (exp(-ke time) - exp(-ka time))
//   route = "injection"   input time; parameters log A, log a, log B, log b:
//                         C = A exp(-a time) + B exp(-b time)
//
// So a person is three or four numbers, and what people have in common is where they lie.
#include "symma/core/errors.h"
#include "symma/nn/model.h"

namespace symma {
namespace {

class Compartment : public Model {
 public:
  struct Options {
    std::string route = "oral";
    std::vector<double> start;
    double std = 0;
    void fields(Fields& f) {
      f.add("route", route, "how the dose is given").one_of({"oral", "injection"});
      f.add("start", start,
            "logarithms of the parameters at the start; empty: an hour to take up, ten to lose, or two "
            "terms of one and ten hours");
      f.add("std", std, "deviation of each from there at the start").at_least(0);
    }
  };

  Compartment(const Options& o, const ModelShape& shape) : o_(o), oral_(o.route == "oral") {
    if (o_.start.empty()) {
      o_.start = oral_ ? std::vector<double>{0, -2.3, -3.2} : std::vector<double>{0, 0, -1, -2.3};
    }
    const int64_t inputs = oral_ ? 2 : 1, parameters = oral_ ? 3 : 4;
    if (shape.in != std::vector<int64_t>{inputs} || shape.out != 1)
      throw UserError("[model] kind",
                      std::string("\"compartment\" answers one number and takes ") +
                          (oral_ ? "two columns, time and dose" : "one column, time"),
                      "set [task] features to these, or route, or use \"mlp\"");
    if (std::ssize(o_.start) != parameters)
      throw UserError("[model] start",
                      "has " + std::to_string(o_.start.size()) + " numbers, and route \"" + o.route +
                          "\" has " + std::to_string(parameters),
                      "give one for each");
    layout_.add("log_parameters", {parameters});
    layout_.add("head.weight", {0, 1});  // no features, no last layer
  }

  const Layout& layout() const override { return layout_; }

  Tensor init(std::span<const Rng> keys) const override {
    const Tensor start = at::tensor(o_.start, at::kDouble).to(at::kFloat);
    std::vector<Tensor> rows;
    for (const Rng& key : keys) rows.push_back(start + o_.std * normal(key, {layout_.size()}));
    return at::stack(rows);
  }

  Tensor forward(const Tensor& theta, const Tensor& x, Mode) const override {
    const Tensor p = theta.exp();
    const auto parameter = [&](int64_t i) { return p.narrow(1, i, 1).unsqueeze(2); };  // [B, 1, 1]
    const Tensor time = x.narrow(2, 0, 1).to(theta.options());
    if (!oral_) {
      return parameter(0) * (-parameter(1) * time).exp() + parameter(2) * (-parameter(3) * time).exp();
    }
    const Tensor ka = parameter(0), ke = parameter(1), dose = x.narrow(2, 1, 1).to(theta.options());
    // (exp(-ke t) - exp(-ka t)) / (ka - ke) = t exp(-r t) (1 - exp(-z)) / z with r the lower rate and z =
    // |ka - ke| t, which is near 1 - z/2 + z^2/6 where both rates are. Of the higher one exp(-z) would
    // overflow.
    const Tensor z = (ka - ke).abs() * time, near = z < 1e-3;
    const Tensor away = z.masked_fill(near, 1);
    const Tensor ratio = at::where(near, 1 - z / 2 + z * z / 6, -(-away).expm1() / away);
    return dose * ke * ka / parameter(2) * time * (-at::minimum(ka, ke) * time).exp() * ratio;
  }

  Tensor features(const Tensor& theta, const Tensor& x, Mode) const override {
    return at::zeros({theta.size(0), x.size(1), 0}, theta.options());
  }

 private:
  Options o_;
  bool oral_;
  Layout layout_;
};

SYMMA_REGISTER(Model, "compartment", Compartment,
               "what is in the blood after a dose: a person is a few rates, for tables of time and dose",
               "Gibaldi & Perrier 1982, Pharmacokinetics");

}  // namespace
}  // namespace symma
