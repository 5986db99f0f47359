// A perceptron as C99 source: one file without a dependency but math.h, that predicts and adapts in plain
// loops. Agrees with the program within rounding; for its very bits there is runtime/.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "symma/core/errors.h"
#include "symma/export/exported.h"

namespace symma {
namespace {

std::string array(const std::string& type, const std::string& name, const std::vector<double>& values) {
  std::string out =
      fmt::format("static const {} {}[{}] = {{", type, name, std::max<size_t>(1, values.size()));
  for (size_t i = 0; i < values.size(); ++i)
    out += fmt::format("{}{:.17g}", i == 0 ? "" : i % 8 ? ", " : ",\n  ", values[i]);
  return out + (values.empty() ? "0};\n" : "};\n");
}

std::vector<double> numbers_of(const Tensor& t) {
  const Tensor d = t.to(at::kDouble).contiguous();
  return {d.data_ptr<double>(), d.data_ptr<double>() + d.numel()};
}

std::string quoted(const std::string& word) {
  std::string out = "\"";
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\' || c == '?' || byte < 32 || byte > 126)
      out += fmt::format("\\{:03o}", byte);
    else
      out += c;
  }
  return out + "\"";
}

std::string names(const std::string& name, const std::vector<std::string>& words) {
  std::vector<std::string> all;
  all.reserve(words.size());
  for (const auto& w : words) all.push_back(quoted(w));
  if (all.empty()) all.emplace_back("\"\"");
  return fmt::format("static const char *const {}[] = {{{}}};\n", name, fmt::join(all, ", "));
}

const char* const kCode = R"(
static real symma_f(real z) {
#if SYMMA_ACTIVATION == 1
  return z > 0 ? z : 0;
#elif SYMMA_ACTIVATION == 2
  return (real)tanh(z);
#elif SYMMA_ACTIVATION == 3
  return (real)(1 / (1 + exp(-z)));
#elif SYMMA_ACTIVATION == 4
  return (real)(z * 0.5 * (1 + erf(z * 0.70710678118654752440)));
#else
  return z;
#endif
}

/* f'(z), from z and a = f(z) */
static real symma_slope(real z, real a) {
  (void)z, (void)a;
#if SYMMA_ACTIVATION == 1
  return a > 0 ? 1 : 0;
#elif SYMMA_ACTIVATION == 2
  return 1 - a * a;
#elif SYMMA_ACTIVATION == 3
  return a * (1 - a);
#elif SYMMA_ACTIVATION == 4
  return (real)(0.5 * (1 + erf(z * 0.70710678118654752440)) + z * 0.39894228040143267794 * exp(-0.5 * z * z));
#else
  return 1;
#endif
}

/* The model's outputs for one input in the units of the data; z and a of all layers are left in the model. */
static const real *symma_forward(symma_state *m, const double *x) {
  int at = 0, from = 0, to = SYMMA_IN;
  for (int i = 0; i < SYMMA_IN; ++i)
    m->a[i] = (real)(SYMMA_SCALED_INPUT ? (x[i] - symma_input_shift[i]) / symma_input_scale[i] : x[i]);
  for (int l = 0; l < SYMMA_LAYERS; ++l) {
    const int in = symma_widths[l], out = symma_widths[l + 1];
    const real *w = m->theta + at, *b = w + in * out;
    for (int j = 0; j < out; ++j) {
      real z = b[j];
      for (int i = 0; i < in; ++i) z += m->a[from + i] * w[i * out + j];
      m->z[to + j] = z;
      m->a[to + j] = l + 1 < SYMMA_LAYERS ? symma_f(z) : z;
    }
    at += (in + 1) * out, from = to, to += out;
  }
  return m->a + from;
}

/* Begin from what was learned. */
void symma_reset(symma_state *m) {
  for (int i = 0; i < SYMMA_PARAMETERS; ++i) m->theta[i] = symma_start[i];
}

/* One prediction [SYMMA_OUT]: a number in the units of the data, or each class's probability. */
void symma_predict(symma_state *m, const double *x, double *prediction) {
  const real *y = symma_forward(m, x);
#if SYMMA_CLASSES
  double top = y[0], sum = 0;
  for (int j = 1; j < SYMMA_OUT; ++j) top = y[j] > top ? y[j] : top;
  for (int j = 0; j < SYMMA_OUT; ++j) sum += prediction[j] = exp(y[j] - top);
  for (int j = 0; j < SYMMA_OUT; ++j) prediction[j] /= sum;
#else
  for (int j = 0; j < SYMMA_OUT; ++j)
    prediction[j] = SYMMA_SCALED_OUTPUT ? symma_output_shift[j] + symma_output_scale[j] * y[j] : y[j];
#endif
}
)";

const char* const kAdapt = R"(
/* `steps` steps of gradient descent from what was learned, on n examples: x [n, SYMMA_IN], y [n, SYMMA_OUT] in
 * the units of the data, or [n] numbers of classes. */
void symma_adapt(symma_state *m, int n, const double *x, const double *y, int steps) {
  symma_reset(m);
  for (int step = 0; step < steps; ++step) {
    for (int i = 0; i < SYMMA_PARAMETERS; ++i) m->gradient[i] = 0;
    for (int k = 0; k < n; ++k) {
      const real *out = symma_forward(m, x + k * SYMMA_IN);
      real *d = m->d + (out - m->a);
#if SYMMA_CLASSES
      real top = out[0], sum = 0;
      for (int j = 1; j < SYMMA_OUT; ++j) top = out[j] > top ? out[j] : top;
      for (int j = 0; j < SYMMA_OUT; ++j) sum += d[j] = (real)exp(out[j] - top);
      for (int j = 0; j < SYMMA_OUT; ++j) d[j] = (d[j] / sum - (j == (int)y[k] ? 1 : 0)) / n;
#else
      for (int j = 0; j < SYMMA_OUT; ++j) {
        const double t = y[k * SYMMA_OUT + j];
        d[j] = 2 * (out[j] - (real)(SYMMA_SCALED_OUTPUT ? (t - symma_output_shift[j]) / symma_output_scale[j] : t)) /
               (n * SYMMA_OUT);
      }
#endif
      int at = SYMMA_PARAMETERS, to = (int)(out - m->a);
      for (int l = SYMMA_LAYERS - 1; l >= 0; --l) {
        const int in = symma_widths[l], outs = symma_widths[l + 1], from = to - in;
        at -= (in + 1) * outs;
        for (int i = 0; i < in; ++i) {
          real e = 0;
          for (int j = 0; j < outs; ++j) {
            m->gradient[at + i * outs + j] += m->a[from + i] * m->d[to + j];
            e += m->theta[at + i * outs + j] * m->d[to + j];
          }
          if (l > 0) m->d[from + i] = e * symma_slope(m->z[from + i], m->a[from + i]);
        }
        for (int j = 0; j < outs; ++j) m->gradient[at + in * outs + j] += m->d[to + j];
        to = from;
      }
    }
    for (int i = 0; i < SYMMA_PARAMETERS; ++i)
      m->theta[i] -= (step > 0 && SYMMA_LATER_RATE > 0 ? (real)SYMMA_LATER_RATE : symma_rates[SYMMA_ONE_RATE ? 0 : i]) *
                     m->gradient[i];
  }
}
)";

}  // namespace

std::string c_source(const Exported& x) {
  if (!x.mlp)
    throw UserError("--to c", "holds perceptrons, and this model is \"" + x.of.chosen.model.kind() + "\"",
                    "use --to onnx");
  const Signature& s = x.signature;
  const bool classes = x.of.spec.kind == Kind::kClassification;
  const auto& widths = x.mlp->widths;
  int64_t units = 0;
  for (int64_t w : widths) units += w;
  const std::string real = x.row.scalar_type() == at::kDouble ? "double" : "float";
  std::string out = "/* Made by symma export: all that is known of this model.\n";
  for (const auto& [key, value] : about(x)) {
    std::string line = value;
    for (size_t at; (at = line.find("*/")) != std::string::npos;) line.replace(at, 2, "* /");
    out += fmt::format(" *   {}: {}\n", key, line);
  }
  out += fmt::format(
      " * Usage: symma_state m; symma_adapt(&m, n, x, y, {}); symma_predict(&m, query, prediction); */\n"
      "#include <math.h>\n\n#define SYMMA_IN {}\n#define SYMMA_OUT {}\n#define SYMMA_LAYERS {}\n"
      "#define SYMMA_PARAMETERS {}\n#define SYMMA_UNITS {}\n#define SYMMA_ACTIVATION {}\n#define "
      "SYMMA_CLASSES {}\n"
      "#define SYMMA_SCALED_INPUT {}\n#define SYMMA_SCALED_OUTPUT {}\n\ntypedef {} real;\n",
      x.steps, widths.front(), widths.back(), widths.size() - 1, x.row.numel(), units,
      static_cast<int>(x.mlp->activation), classes ? 1 : 0, s.input_shift.empty() ? 0 : 1,
      s.target_shift.empty() ? 0 : 1, real);
  out += fmt::format("static const int symma_widths[] = {{{}}};\n", fmt::join(widths, ", "));
  out += array("double", "symma_input_shift", s.input_shift) +
         array("double", "symma_input_scale", s.input_scale);
  out += array("double", "symma_output_shift", s.target_shift) +
         array("double", "symma_output_scale", s.target_scale);
  out += names("symma_input_names", s.inputs);
  out += names("symma_output_names", classes ? s.labels : std::vector<std::string>{s.target});
  out += array("real", "symma_start", numbers_of(x.row));
  if (x.descent) {
    out += array("real", "symma_rates", numbers_of(x.descent->rates));
    out += fmt::format("#define SYMMA_ONE_RATE {}\n#define SYMMA_LATER_RATE {}\n",
                       x.descent->rates.numel() == 1 ? 1 : 0, x.descent->later);
  }
  out +=
      "\ntypedef struct {\n  real theta[SYMMA_PARAMETERS], gradient[SYMMA_PARAMETERS];\n"
      "  real z[SYMMA_UNITS], a[SYMMA_UNITS], d[SYMMA_UNITS];\n} symma_state;\n";
  out += kCode;
  if (x.descent) out += kAdapt;
  return out;
}

}  // namespace symma
