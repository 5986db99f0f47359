// The file that runtime/ reads; its form is in runtime/model_file.h.
#include "symma/export/exported.h"

#include <cstring>

namespace symma {
namespace {

class Writer {
 public:
  void text(const std::string& key, const std::string& value) { put(key, 1, value.size(), value); }
  void texts(const std::string& key, const std::vector<std::string>& values) {
    std::string all;
    for (const auto& v : values) all += v + '\0';
    put(key, 5, all.size(), all);
  }
  void tensor(const std::string& key, const Tensor& t) {
    const Tensor c = t.to(at::kCPU).contiguous();
    const int64_t type = c.scalar_type() == at::kLong ? 2 : c.scalar_type() == at::kDouble ? 3 : 4;
    put(key, type, c.numel(), {static_cast<const char*>(c.data_ptr()), c.nbytes()});
  }
  void numbers(const std::string& key, const std::vector<double>& v) {
    tensor(key, at::tensor(v, at::kDouble));
  }
  std::string file() const {
    std::string head = "symma-m1";
    number(head, entries_);
    return head + body_;
  }

 private:
  static void number(std::string& to, int64_t x) { to.append(reinterpret_cast<const char*>(&x), 8); }
  void put(const std::string& key, int64_t type, int64_t n, const std::string& bytes) {
    ++entries_;
    for (int64_t x : {static_cast<int64_t>(key.size()), type, n}) number(body_, x);
    for (const std::string& part : {key, bytes}) {
      body_ += part;
      body_.resize((body_.size() + 7) / 8 * 8, '\0');
    }
  }
  std::string body_;
  int64_t entries_ = 0;
};

}  // namespace

std::string model_file(const Exported& x) {
  Writer w;
  w.text("format", "symma model 1");
  for (const auto& [key, value] : about(x))
    if (key != "output" && key != "input" && key != "adapt" && key != "model.widths") w.text(key, value);
  if (x.mlp) {
    w.tensor("model.widths", at::tensor(x.mlp->widths, at::kLong));
    w.text("model.activation", x.model()["activation"].get<std::string>());
  }
  w.tensor("input.sizes", at::tensor(x.of.spec.shape.in, at::kLong));
  w.text("input.form", x.signature.form);
  w.texts("input.names", x.signature.inputs);
  w.numbers("input.shift", x.signature.input_shift);
  w.numbers("input.scale", x.signature.input_scale);
  const bool classes = x.of.spec.kind == Kind::kClassification;
  w.text("output.kind", classes                               ? "classification"
                        : x.of.spec.kind == Kind::kRegression ? "regression"
                                                              : "policy");
  const std::vector<std::string> target{x.signature.target};
  w.texts("output.names", classes                      ? x.signature.labels
                          : x.signature.target.empty() ? std::vector<std::string>()
                                                       : target);
  w.numbers("output.shift", x.signature.target_shift);
  w.numbers("output.scale", x.signature.target_scale);
  w.text("output.name", x.signature.target);
  w.text("output.unit", x.signature.target.empty() ? "" : "that of " + x.signature.target + " in the data");
  w.text("adapt.rule", x.descent ? "gradient descent" : "none");
  if (x.descent) {
    w.tensor("adapt.rates", x.descent->rates.to(x.row.scalar_type()));
    w.numbers("adapt.later_rate", {x.descent->later});
  }
  w.tensor("adapt.steps", at::tensor(std::vector<int64_t>{x.steps}, at::kLong));
  w.tensor("parameters", x.row);
  return w.file();
}

}  // namespace symma
