// Models as ONNX: the forward pass of each kind, and gradient descent of a perceptron unrolled, with its
// backward pass written out as operations, so that any runtime learns from a few examples.
#include <fmt/format.h>

#include <cmath>

#include "symma/core/errors.h"
#include "symma/core/version.h"
#include "symma/export/exported.h"
#include "symma/export/graph.h"

namespace symma {
namespace {

using Onnx = OnnxGraph;
using Name = Onnx::Name;
using Names = std::vector<Name>;

struct Layer {
  Name weight, bias;
};

Tensor floats(const Tensor& t) {
  return t.to(at::kFloat).contiguous();
}

std::vector<Layer> layers_of(Onnx& g, const Exported& x) {
  std::vector<Layer> out;
  for (const auto& e : x.of.model->layout().entries()) {
    if (!e.name.ends_with(".weight")) continue;
    const std::string layer = e.name.substr(0, e.name.size() - 7);
    out.push_back({g.constant(floats(x.parameter(e.name)), layer + "_weight_"),
                   g.constant(floats(x.parameter(layer + ".bias")), layer + "_bias_")});
  }
  return out;
}

Name activate(Onnx& g, const std::string& kind, const Name& z) {
  if (kind == "relu") return g.op("Relu", {z});
  if (kind == "tanh") return g.op("Tanh", {z});
  if (kind == "sigmoid") return g.op("Sigmoid", {z});
  if (kind == "gelu") {
    const Name below =
        g.op("Mul", {g.op("Add", {g.op("Erf", {g.op("Mul", {z, g.number(std::sqrt(0.5))})}), g.number(1)}),
                     g.number(0.5)});
    return g.op("Mul", {z, below});
  }
  return z;
}

// dL/dz of dL/da.
Name activate_backward(Onnx& g, const std::string& kind, const Name& z, const Name& a, const Name& da) {
  const Name one = g.number(1);
  if (kind == "relu") return g.op("Where", {g.op("Greater", {a, g.number(0)}), da, g.number(0)});
  if (kind == "tanh") return g.op("Mul", {da, g.op("Sub", {one, g.op("Mul", {a, a})})});
  if (kind == "sigmoid") return g.op("Mul", {da, g.op("Mul", {a, g.op("Sub", {one, a})})});
  if (kind == "gelu") {
    const Name below =
        g.op("Mul",
             {g.op("Add", {g.op("Erf", {g.op("Mul", {z, g.number(std::sqrt(0.5))})}), one}), g.number(0.5)});
    const Name density = g.op("Mul", {g.op("Exp", {g.op("Mul", {g.op("Mul", {z, z}), g.number(-0.5)})}),
                                      g.number(0.39894228040143267794)});
    return g.op("Mul", {da, g.op("Add", {below, g.op("Mul", {z, density})})});
  }
  return da;
}

struct Passed {
  Names before, after;  // z and a of each hidden layer
  Name y;
};

Passed forward(Onnx& g, const std::vector<Layer>& layers, const std::string& activation, Name a) {
  Passed out;
  for (size_t l = 0; l < layers.size(); ++l) {
    const Name z = g.op("Add", {g.op("MatMul", {a, layers[l].weight}), layers[l].bias});
    if (l + 1 == layers.size()) {
      out.y = z;
      break;
    }
    a = activate(g, activation, z);
    out.before.push_back(z);
    out.after.push_back(a);
  }
  return out;
}

// The gradient in each layer, of dL/dy.
std::vector<Layer> backward(Onnx& g, const std::vector<Layer>& layers, const std::string& activation,
                            const Name& x, const Passed& passed, Name d) {
  const auto turned = [&](const Name& m) { return g.op("Transpose", {m}, {Onnx::list("perm", {1, 0})}); };
  std::vector<Layer> out(layers.size());
  for (size_t l = layers.size(); l-- > 0;) {
    const Name& a = l == 0 ? x : passed.after[l - 1];
    out[l] = {g.op("MatMul", {turned(a), d}),
              g.op("ReduceSum", {d, g.ints({0})}, {Onnx::whole("keepdims", 0)})};
    if (l == 0) break;
    d = activate_backward(g, activation, passed.before[l - 1], passed.after[l - 1],
                          g.op("MatMul", {d, turned(layers[l].weight)}));
  }
  return out;
}

Name cast(Onnx& g, const Name& x, int64_t type /*1 float, 11 double*/) {
  return g.op("Cast", {x}, {Onnx::whole("to", type)});
}

std::vector<std::string> sizes(const std::string& first, const std::vector<int64_t>& rest) {
  std::vector<std::string> out{first};
  for (int64_t n : rest) out.push_back(std::to_string(n));
  return out;
}

// An input of examples in the units of the data, as the model sees it. Where it is standardised it comes in
// double: a float would round off what sets one Unix time apart from the next.
Name examples(Onnx& g, const Exported& x, const std::string& name, const std::string& count) {
  const Signature& s = x.signature;
  const auto shape = sizes(count, x.of.spec.shape.in);
  if (s.input_shift.empty()) return g.input(name, at::kFloat, shape);
  const Name in = g.input(name, at::kDouble, shape);
  return cast(g,
              g.op("Div", {g.op("Sub", {in, g.constant(at::tensor(s.input_shift, at::kDouble))}),
                           g.constant(at::tensor(s.input_scale, at::kDouble))}),
              1);
}

Name flat(Onnx& g, const Exported& x, const Name& in) {
  return x.of.spec.shape.in.size() == 1 ? in : g.op("Reshape", {in, g.ints({-1, x.in()})});
}

// What a person reads: predictions in the units of the data, or probabilities, beside the model's own output.
void predictions(Onnx& g, const Exported& x, const Name& y, const std::string& count) {
  const Signature& s = x.signature;
  const std::vector<std::string> shape = sizes(count, {x.of.spec.shape.out});
  if (x.of.spec.kind == Kind::kRegression) {
    if (s.target_shift.empty()) return g.output(y, "prediction", at::kFloat, shape);
    const Name scaled = g.op("Mul", {cast(g, y, 11), g.constant(at::tensor(s.target_scale, at::kDouble))});
    return g.output(g.op("Add", {scaled, g.constant(at::tensor(s.target_shift, at::kDouble))}), "prediction",
                    at::kDouble, shape);
  }
  if (x.of.spec.kind == Kind::kClassification)
    g.output(g.op("Softmax", {y}, {Onnx::whole("axis", 1)}), "probability", at::kFloat, shape);
  g.output(y, "output", at::kFloat, shape);
}

// What the world is told where a policy sets numbers: their means, within the bounds.
void action(Onnx& g, const Exported& x, const Name& y, const std::string& count) {
  const Signature& s = x.signature;
  if (s.head.empty() || s.low.empty()) return;
  const auto n = std::ssize(s.low);
  const Name mean = g.op("Slice", {y, g.ints({0}), g.ints({n}), g.ints({1})});
  const Tensor low = at::tensor(s.low, at::kDouble), high = at::tensor(s.high, at::kDouble);
  Name told;
  if (s.head == "squashed") {
    const Name share = g.op("Mul", {g.op("Add", {g.op("Tanh", {mean}), g.number(1)}), g.number(0.5)});
    told = g.op("Add", {g.op("Mul", {share, g.constant(floats(high - low))}), g.constant(floats(low))});
  } else {
    told = g.op("Min", {g.op("Max", {mean, g.constant(floats(low))}), g.constant(floats(high))});
  }
  g.output(told, "action", at::kFloat, sizes(count, {n}));
}

// Outputs for numbers: means, and a log deviation each that is the same for all inputs.
Name with_deviations(Onnx& g, const Name& means, const Tensor& log_std) {
  const Name all = g.op("Expand", {g.constant(floats(log_std)), g.op("Shape", {means})});
  return g.op("Concat", {means, all}, {Onnx::whole("axis", 1)});
}

Name conv(Onnx& g, const Exported& x, const Name& in) {
  const Json& o = x.model();
  const auto blocks = o["blocks"].get<int64_t>(), filters = o["channels"].get<int64_t>();
  const auto& image = x.of.spec.shape.in;
  int64_t channels = image.size() > 2 ? image[2] : 1;
  Name h = image.size() > 2 ? in : g.op("Unsqueeze", {in, g.ints({3})});
  h = g.op("Transpose", {h}, {Onnx::list("perm", {0, 3, 1, 2})});
  const auto each = [&](const Tensor& t) { return g.constant(floats(t).view({1, filters, 1, 1})); };
  const Name epsilon = g.number(1e-5);
  for (int64_t i = 0; i < blocks; ++i) {
    const std::string block = "block" + std::to_string(i);
    const Tensor w = x.parameter(block + ".weight").view({3, 3, channels, filters}).permute({3, 2, 0, 1});
    h = g.op("Conv", {h, g.constant(floats(w), block + "_weight_")},
             {Onnx::list("kernel_shape", {3, 3}), Onnx::list("strides", {2, 2}),
              Onnx::list("pads", {1, 1, 1, 1})});
    Name mean, variance, centred;
    if (o["norm"] == "running") {
      mean = each(x.parameter(block + ".running_mean"));
      variance = each(x.parameter(block + ".running_var"));
      centred = g.op("Sub", {h, mean});
    } else {
      const std::vector<Onnx::Attribute> over{Onnx::list("axes", {0, 2, 3}), Onnx::whole("keepdims", 1)};
      mean = g.op("ReduceMean", {h}, over);
      centred = g.op("Sub", {h, mean});
      variance = g.op("ReduceMean", {g.op("Mul", {centred, centred})}, over);
    }
    const Name scaled = g.op("Div", {centred, g.op("Sqrt", {g.op("Add", {variance, epsilon})})});
    h = g.op("Relu", {g.op("Add", {g.op("Mul", {scaled, each(x.parameter(block + ".gamma"))}),
                                   each(x.parameter(block + ".beta"))})});
    channels = filters;
  }
  const Name f = g.op("ReduceMean", {h}, {Onnx::list("axes", {2, 3}), Onnx::whole("keepdims", 0)});
  return g.op("Add", {g.op("MatMul", {f, g.constant(floats(x.parameter("head.weight")))}),
                      g.constant(floats(x.parameter("head.bias")))});
}

// Steps of a sequence from a hidden state h, which is an input and an output: zeros, or the row's memory, at
// first.
Name gru(Onnx& g, const Exported& x, const Name& in) {
  const int64_t hidden = x.model()["hidden"].get<int64_t>();
  const auto linear = [&](const Name& a, const std::string& name) {
    return g.op("Add", {g.op("MatMul", {a, g.constant(floats(x.parameter(name + ".weight")))}),
                        g.constant(floats(x.parameter(name + ".bias")))});
  };
  const Name sequence =
      x.of.spec.shape.in.size() == 2 ? in : g.op("Unsqueeze", {in, g.ints({1})});  // [n, T, D]
  const Name u =
      g.op("Transpose", {g.op("Relu", {linear(sequence, "embed")})}, {Onnx::list("perm", {1, 0, 2})});
  // Ours stand r, z, n; the operation's z, r, h.
  const auto gates = [&](const Tensor& t, int64_t dim) {
    const auto parts = floats(t).chunk(3, dim);
    return at::cat({parts[1], parts[0], parts[2]}, dim);
  };
  const auto weight = [&](const std::string& name) {
    return g.constant(gates(x.parameter(name + ".weight"), 1).t().contiguous().unsqueeze(0));
  };
  const Tensor bias = at::cat({gates(x.parameter("input.bias"), 0), gates(x.parameter("memory.bias"), 0)}, 0);
  const Name h = g.input("h", at::kFloat, {"n", std::to_string(hidden)});
  const Name last = g.op("GRU",
                         {u, weight("input"), weight("memory"), g.constant(bias.unsqueeze(0)), "",
                          g.op("Unsqueeze", {h, g.ints({0})})},
                         {Onnx::whole("hidden_size", hidden), Onnx::whole("linear_before_reset", 1)});
  const Name next = g.op("Squeeze", {last, g.ints({0})});
  g.output(next, "h_next", at::kFloat, {"n", std::to_string(hidden)});
  const Name y = linear(next, "head");
  return x.model()["std"].get<double>() > 0 ? with_deviations(g, y, x.parameter("log_std")) : y;
}

Name gaussian(Onnx& g, const Exported& x, const Name& in) {
  const Name y = forward(g, layers_of(g, x), x.model()["activation"].get<std::string>(), flat(g, x, in)).y;
  if (x.model()["learn_std"].get<bool>()) return with_deviations(g, y, x.parameter("log_std"));
  return with_deviations(g, y, at::full({x.of.spec.shape.out / 2}, std::log(x.model()["std"].get<double>())));
}

Name tabular(Onnx& g, const Exported& x, const Name& in) {
  const Name y = g.op("MatMul", {flat(g, x, in), g.constant(floats(x.parameter("head.weight")))});
  if (!x.model()["minimal"].get<bool>()) return y;
  return g.op("Pad", {y, g.ints({0, 0, 0, 1})});
}

std::string finished(Onnx& g, const Exported& x) {
  for (const auto& [key, value] : about(x)) g.about(key, value);
  return g.bytes(x.of.fleet.name, SYMMA_VERSION);
}

}  // namespace

std::string onnx_model(const Exported& x) {
  Onnx g;
  const std::string& kind = x.of.chosen.model.kind();
  const Name in = examples(g, x, "x", "n");
  Name y;
  if (kind == "mlp") {
    y = forward(g, layers_of(g, x), x.model()["activation"].get<std::string>(), flat(g, x, in)).y;
  } else if (kind == "gaussian") {
    y = gaussian(g, x, in);
  } else if (kind == "tabular") {
    y = tabular(g, x, in);
  } else if (kind == "conv") {
    y = conv(g, x, in);
  } else if (kind == "gru") {
    y = gru(g, x, in);
  } else {
    throw UserError("--to onnx", "cannot hold a model of kind \"" + kind + "\"",
                    "one of conv, gaussian, gru, mlp, tabular");
  }
  predictions(g, x, y, "n");
  action(g, x, y, "n");
  return finished(g, x);
}

std::string onnx_adapting(const Exported& x, int64_t steps) {
  if (x.of.chosen.model.kind() != "mlp")
    throw UserError(
        "--adapt",
        "adapting is written out for perceptrons, and this model is \"" + x.of.chosen.model.kind() + "\"",
        "leave --adapt out, or train an mlp");
  if (!x.descent)
    throw UserError("--adapt",
                    "\"" + x.of.chosen.learner.kind() + "\" does not adapt by plain gradient descent here",
                    "use a run of maml or reptile, or an inner_optimizer of sgd");
  Onnx g;
  const Signature& s = x.signature;
  const std::string activation = x.model()["activation"].get<std::string>();
  const bool classes = x.of.spec.kind == Kind::kClassification;
  const int64_t out = x.of.spec.shape.out;
  const Name support = flat(g, x, examples(g, x, "support_x", "examples"));
  Name target;
  if (classes) {
    const Name label = g.input("support_y", at::kLong, {"examples"});
    target = g.op("OneHot", {label, g.ints({out}), g.constant(at::tensor({0.0f, 1.0f}))},
                  {Onnx::whole("axis", 1)});
  } else if (s.target_shift.empty()) {
    target = g.input("support_y", at::kFloat, sizes("examples", {out}));
  } else {
    const Name given = g.input("support_y", at::kDouble, sizes("examples", {out}));
    target = cast(g,
                  g.op("Div", {g.op("Sub", {given, g.constant(at::tensor(s.target_shift, at::kDouble))}),
                               g.constant(at::tensor(s.target_scale, at::kDouble))}),
                  1);
  }
  const Name query = flat(g, x, examples(g, x, "query_x", "queries"));
  // The mean is over examples, and over outputs where they are numbers: [K out] of them, one-hot too.
  const Name places = cast(g, g.op("Size", {target}), 1);
  const Name share = g.op("Div", {g.number(classes ? static_cast<double>(out) : 2.0), places});

  std::vector<Layer> layers = layers_of(g, x);
  const Tensor rates = floats(x.descent->rates);
  const auto& layout = x.of.model->layout();
  for (int64_t step = 0; step < steps; ++step) {
    const Passed passed = forward(g, layers, activation, support);
    const Name p = classes ? g.op("Softmax", {passed.y}, {Onnx::whole("axis", 1)}) : passed.y;
    const auto gradient =
        backward(g, layers, activation, support, passed, g.op("Mul", {g.op("Sub", {p, target}), share}));
    size_t l = 0;
    for (const auto& e : layout.entries()) {
      const bool weight = e.name.ends_with(".weight");
      Tensor rate = rates;
      if (rates.numel() > 1) rate = rates.narrow(0, e.offset, e.size()).view(e.shape);
      if (step > 0 && x.descent->later > 0) rate = at::full({1}, x.descent->later);
      Name& old = weight ? layers[l].weight : layers[l].bias;
      old =
          g.op("Sub", {old, g.op("Mul", {g.constant(rate), weight ? gradient[l].weight : gradient[l].bias})});
      if (!weight) ++l;
    }
  }
  predictions(g, x, forward(g, layers, activation, query).y, "queries");
  g.about("adapt.unrolled", std::to_string(steps));
  return finished(g, x);
}

}  // namespace symma
