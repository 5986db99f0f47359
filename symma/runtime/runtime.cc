// symma_runtime.h over the row kernels of nn/kernels. The arithmetic is the program's own: the same kernels
// in the same order, scales applied in double as tasks/table.cc applies them, so predictions agree bit for
// bit with `symma adapt` on the same machine, where the learner takes the kernel there.
#include "symma/runtime/symma_runtime.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <new>
#include <vector>

#include "symma/nn/kernels/plan.h"
#include "symma/runtime/model_file.h"

namespace symma::runtime {
namespace {

using kernels::LayerPlan;
using kernels::MamlRow;
using kernels::Plan;

constexpr int64_t kMostBytes = int64_t{1} << 30;

struct Why {
  char* words;
  int64_t size;
  bool operator()(const char* format, const char* name) const {
    if (size > 0) std::snprintf(words, static_cast<size_t>(size), format, name);
    return false;
  }
};

int64_t line(int64_t n) {  // elements, to whole cache lines of any type
  return (n + 15) / 16 * 16;
}

}  // namespace

// What is read once and then only looked at.
struct Facts {
  std::vector<unsigned char> bytes;  // the file; the texts below point into it
  std::vector<Entry> entries;
  MlpShape shape;
  HeadLoss loss = HeadLoss::kSquaredError;
  std::vector<double> input_shift, input_scale, output_shift, output_scale;
  std::vector<const char*> input_names, output_names;
  int64_t classes = 0;  // that have names; predictions are over these
  bool adapts = false;

  const Entry* find(std::string_view key) const {
    for (const Entry& e : entries)
      if (e.key == key) return &e;
    return nullptr;
  }
  std::string_view text(std::string_view key) const {
    const Entry* e = find(key);
    return e && e->type == Type::kText ? e->text() : std::string_view();
  }
  std::vector<double> numbers(std::string_view key) const {
    std::vector<double> out;
    if (const Entry* e = find(key); e && e->type == Type::kFloat64)
      for (int64_t i = 0; i < e->size; ++i) out.push_back(e->at<double>(i));
    return out;
  }
  std::vector<const char*> names(std::string_view key) const {
    std::vector<const char*> out;
    if (const Entry* e = find(key); e && e->type == Type::kTexts) {
      const char *at = reinterpret_cast<const char*>(e->data), *end = at + e->size;
      for (; at < end; at += std::strlen(at) + 1) out.push_back(at);
    }
    return out;
  }
};

// A model of one precision, its memory and its work.
class Runner {
 public:
  virtual ~Runner() = default;
  virtual bool start(const Why&) = 0;
  virtual int adapt(int64_t n, const double* x, const double* y, int64_t steps) = 0;
  virtual int predict(int64_t n, const double* x, double* out) = 0;
  virtual void reset() = 0;
  int64_t bytes = 0;
};

namespace {

template <class T>
class RunnerOf : public Runner {
 public:
  RunnerOf(const Facts& facts, int64_t examples, int64_t queries)
      : f_(facts), examples_(examples), queries_(queries) {}
  ~RunnerOf() override { std::free(arena_); }

  bool start(const Why& why) override {
    const int64_t depth = static_cast<int64_t>(f_.shape.widths.size()) - 1, in = f_.shape.widths.front();
    layers_.resize(2 * depth);
    const Plan s = kernels::plan_of<T>(f_.shape, examples_, layers_.data()),
               q = kernels::plan_of<T>(f_.shape, queries_, layers_.data() + depth);
    // All that any call needs; the padded row does not depend on how many examples there are.
    const int64_t acts = std::max(s.act_slots() * s.slot, q.act_slots() * q.slot),
                  outputs = std::max(s.samples * s.ld_y(), q.samples * q.ld_y());
    T** const parts[] = {&start_,  &now_,     &rates_,     &thetas_, &transposes_, &acts_,
                         &deltas_, &outputs_, &gradients_, &x_,      &y_};
    const int64_t sizes[] = {s.padded,
                             s.padded,
                             s.padded,
                             s.padded,
                             s.transposes,
                             acts,
                             s.delta_slots() * s.slot,
                             outputs,
                             s.padded,
                             std::max(examples_, queries_) * in,
                             examples_ * f_.shape.widths.back()};
    int64_t total = line(examples_) * 8 / static_cast<int64_t>(sizeof(T));  // labels
    for (int64_t n : sizes) total += line(n);
    bytes = total * static_cast<int64_t>(sizeof(T));
    if (bytes > kMostBytes) return why("%s", "needs more than a gigabyte for so many examples");
    bytes = (bytes + 63) / 64 * 64;
    arena_ = static_cast<T*>(std::aligned_alloc(64, static_cast<size_t>(bytes)));
    if (!arena_) return why("%s", "not enough memory");
    std::memset(arena_, 0, static_cast<size_t>(bytes));
    T* at = arena_;
    labels_ = reinterpret_cast<int64_t*>(at);
    at += line(examples_) * 8 / static_cast<int64_t>(sizeof(T));
    for (size_t i = 0; i < std::size(sizes); ++i) *parts[i] = at, at += line(sizes[i]);

    const Entry& parameters = *f_.find("parameters");
    std::vector<T> row(s.params);
    for (int64_t i = 0; i < s.params; ++i) row[i] = parameters.at<T>(i);
    kernel_.pack(s, row.data(), start_);
    if (f_.adapts) {
      const Entry& rates = *f_.find("adapt.rates");
      one_rate_ = rates.size == 1;
      rate_ = rates.at<T>(0);
      if (!one_rate_) {
        for (int64_t i = 0; i < s.params; ++i) row[i] = rates.at<T>(i);
        kernel_.pack(s, row.data(), rates_);
      }
      const auto later = f_.numbers("adapt.later_rate");
      later_ = later.empty() ? 0 : static_cast<T>(later[0]);
    }
    reset();
    return true;
  }

  int adapt(int64_t n, const double* x, const double* y, int64_t steps) override {
    if (!f_.adapts) return SYMMA_NO_RULE;
    if (n < 1 || n > examples_ || steps < 0) return SYMMA_TOO_MANY;
    if (!take(n, x)) return SYMMA_NOT_FINITE;
    const int64_t out = f_.shape.widths.back();
    const bool classes = f_.loss == HeadLoss::kCrossEntropy;
    for (int64_t i = 0; i < n * (classes ? 1 : out); ++i) {
      if (!std::isfinite(y[i])) return SYMMA_NOT_FINITE;
      if (classes) {
        if (!(y[i] >= 0 && y[i] < static_cast<double>(out)) || y[i] != std::floor(y[i]))
          return SYMMA_BAD_LABEL;
        labels_[i] = static_cast<int64_t>(y[i]);
      } else {
        const int64_t j = i % out;
        y_[i] = static_cast<T>((y[i] - shift(f_.output_shift, j)) / scale(f_.output_scale, j));
      }
    }
    const Plan plan = kernels::plan_of<T>(f_.shape, n, layers_.data());
    MamlRow<T> row{};
    row.support = {&plan, x_, classes ? static_cast<const void*>(labels_) : y_, nullptr}, row.loss = f_.loss;
    row.thetas = thetas_, row.transposes = transposes_, row.acts = acts_, row.deltas = deltas_;
    row.outputs = outputs_, row.gradients = gradients_;
    row.rate = rate_, row.rates = one_rate_ ? nullptr : rates_;
    std::memcpy(thetas_, start_, static_cast<size_t>(plan.padded) * sizeof(T));
    for (int64_t done = 0; done < steps; done += row.steps) {
      const bool first_alone = later_ > 0 && done == 0;
      row.steps = first_alone ? 1 : steps - done;
      if (later_ > 0 && done > 0) row.rate = later_;
      kernel_.adapt(row);
    }
    for (int64_t i = 0; i < plan.padded; ++i)
      if (!std::isfinite(thetas_[i])) return SYMMA_NOT_FINITE;
    std::memcpy(now_, thetas_, static_cast<size_t>(plan.padded) * sizeof(T));
    return SYMMA_OK;
  }

  int predict(int64_t n, const double* x, double* predictions) override {
    if (n < 1 || n > queries_) return SYMMA_TOO_MANY;
    if (!take(n, x)) return SYMMA_NOT_FINITE;
    const Plan plan = kernels::plan_of<T>(f_.shape, n, layers_.data());
    kernel_.forward(plan, now_, x_, acts_, outputs_);
    const int64_t out = f_.shape.widths.back(), shown = f_.classes > 0 ? f_.classes : out;
    for (int64_t i = 0; i < n; ++i) {
      const T* y = outputs_ + i * plan.ld_y();
      double* to = predictions + i * shown;
      if (f_.loss == HeadLoss::kSquaredError) {
        for (int64_t j = 0; j < out; ++j)
          to[j] = shift(f_.output_shift, j) + scale(f_.output_scale, j) * static_cast<double>(y[j]);
        continue;
      }
      double top = y[0], sum = 0;
      for (int64_t j = 1; j < shown; ++j) top = std::max(top, static_cast<double>(y[j]));
      for (int64_t j = 0; j < shown; ++j) sum += to[j] = std::exp(static_cast<double>(y[j]) - top);
      for (int64_t j = 0; j < shown; ++j) to[j] /= sum;
    }
    return SYMMA_OK;
  }

  void reset() override {
    const Plan plan = kernels::plan_of<T>(f_.shape, 1, layers_.data());
    std::memcpy(now_, start_, static_cast<size_t>(plan.padded) * sizeof(T));
  }

 private:
  static double shift(const std::vector<double>& v, int64_t i) { return v.empty() ? 0 : v[i]; }
  static double scale(const std::vector<double>& v, int64_t i) { return v.empty() ? 1 : v[i]; }

  bool take(int64_t n, const double* x) {
    const int64_t in = f_.shape.widths.front();
    for (int64_t i = 0; i < n * in; ++i) {
      if (!std::isfinite(x[i])) return false;
      const int64_t j = i % in;
      x_[i] = f_.input_shift.empty() ? static_cast<T>(x[i])
                                     : static_cast<T>((x[i] - f_.input_shift[j]) / f_.input_scale[j]);
    }
    return true;
  }

  const Facts& f_;
  int64_t examples_, queries_;
  const kernels::RowKernels<T>& kernel_ = kernels::row_kernels<T>();
  std::vector<LayerPlan> layers_;
  T* arena_ = nullptr;
  T *start_, *now_, *rates_, *thetas_, *transposes_, *acts_, *deltas_, *outputs_, *gradients_, *x_, *y_;
  int64_t* labels_;
  bool one_rate_ = true;
  T rate_ = 0, later_ = 0;
};

bool read_file(const char* path, std::vector<unsigned char>& bytes, const Why& why) {
  std::FILE* in = std::fopen(path, "rb");
  if (!in) return why("%s cannot be opened", path);
  unsigned char buffer[1 << 12];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, in)) > 0;) {
    bytes.insert(bytes.end(), buffer, buffer + n);
    if (static_cast<int64_t>(bytes.size()) > kMostBytes) break;
  }
  const bool bad = std::ferror(in) != 0;
  std::fclose(in);
  return !bad || why("%s cannot be read", path);
}

bool understand(Facts& f, const Why& why) {
  const auto damaged = [&] { return why("%s", "the file is damaged, or no model that symma exported"); };
  if (!read_entries(f.bytes.data(), static_cast<int64_t>(f.bytes.size()),
                    [&](const Entry& e) { f.entries.push_back(e); }))
    return damaged();
  if (f.text("model") != "mlp")
    return why("%s", "only perceptrons (mlp) are run here; export other models to ONNX");
  static const struct {
    const char* name;
    Activation activation;
  } kNames[] = {{"identity", Activation::kIdentity},
                {"relu", Activation::kRelu},
                {"tanh", Activation::kTanh},
                {"sigmoid", Activation::kSigmoid},
                {"gelu", Activation::kGelu}};
  bool known = false;
  for (const auto& a : kNames)
    if (f.text("model.activation") == a.name) f.shape.activation = a.activation, known = true;
  const Entry *widths = f.find("model.widths"), *parameters = f.find("parameters");
  if (!known || !widths || widths->type != Type::kInt64 || widths->size < 2 || widths->size > 64 ||
      !parameters)
    return damaged();
  for (int64_t i = 0; i < widths->size; ++i) {
    const auto w = widths->at<int64_t>(i);
    if (w < 1 || w > (1 << 24)) return damaged();
    f.shape.widths.push_back(w);
  }
  const int64_t p = f.shape.params(), in = f.shape.widths.front(), out = f.shape.widths.back();
  if (parameters->size != p || (parameters->type != Type::kFloat32 && parameters->type != Type::kFloat64))
    return damaged();
  f.loss = f.text("output.kind") == "classification" ? HeadLoss::kCrossEntropy : HeadLoss::kSquaredError;
  f.input_shift = f.numbers("input.shift"), f.input_scale = f.numbers("input.scale");
  f.output_shift = f.numbers("output.shift"), f.output_scale = f.numbers("output.scale");
  const auto fits = [](const std::vector<double>& a, const std::vector<double>& b, int64_t n) {
    return a.size() == b.size() && (a.empty() || static_cast<int64_t>(a.size()) == n);
  };
  if (!fits(f.input_shift, f.input_scale, in) || !fits(f.output_shift, f.output_scale, out)) return damaged();
  f.input_names = f.names("input.names"), f.output_names = f.names("output.names");
  if (f.loss == HeadLoss::kCrossEntropy)
    f.classes = f.output_names.empty() ? out : static_cast<int64_t>(f.output_names.size());
  if (f.classes > out) return damaged();
  const Entry* rates = f.find("adapt.rates");
  f.adapts = f.text("adapt.rule") == "gradient descent";
  if (f.adapts && (!rates || rates->type != parameters->type || (rates->size != 1 && rates->size != p)))
    return damaged();
  return true;
}

}  // namespace
}  // namespace symma::runtime

struct symma_model {
  symma::runtime::Facts facts;
  symma::runtime::Runner* runner = nullptr;
  char about[512];
  ~symma_model() { delete runner; }
};

extern "C" {

const char* symma_words(int status) {
  switch (status) {
    case SYMMA_OK:
      return "well";
    case SYMMA_TOO_MANY:
      return "more examples or queries than the model was opened for, or none";
    case SYMMA_BAD_LABEL:
      return "a label is the number of no class";
    case SYMMA_NOT_FINITE:
      return "a number is not finite, or adapting diverged";
    case SYMMA_NO_RULE:
      return "this model does not adapt by plain gradient descent";
    default:
      return "no such status";
  }
}

symma_model* symma_open(const char* path, int64_t most_examples, int64_t most_queries, char* words,
                        int64_t size) {
  using namespace symma::runtime;
  const Why why{words, size};
  if (most_examples < 1 || most_queries < 1 || most_examples > (1 << 24) || most_queries > (1 << 24)) {
    why("%s", "room for 1 to 16 million examples and queries is there to be asked for");
    return nullptr;
  }
  symma_model* m = new (std::nothrow) symma_model;
  if (!m) return nullptr;
  bool good = false;
  try {
    good = read_file(path, m->facts.bytes, why) && understand(m->facts, why);
    if (good) {
      if (m->facts.find("parameters")->type == Type::kFloat32)
        m->runner = new RunnerOf<float>(m->facts, most_examples, most_queries);
      else
        m->runner = new RunnerOf<double>(m->facts, most_examples, most_queries);
      good = m->runner->start(why);
    }
  } catch (const std::bad_alloc&) {
    good = why("%s", "not enough memory");
  }
  if (good) return m;
  delete m;
  return nullptr;
}

void symma_close(symma_model* m) {
  delete m;
}
int64_t symma_inputs(const symma_model* m) {
  return m->facts.shape.widths.front();
}
int64_t symma_outputs(const symma_model* m) {
  return m->facts.classes > 0 ? m->facts.classes : m->facts.shape.widths.back();
}
int symma_is_classifier(const symma_model* m) {
  return m->facts.loss == symma::HeadLoss::kCrossEntropy;
}
int64_t symma_memory(const symma_model* m) {
  return m->runner->bytes + static_cast<int64_t>(m->facts.bytes.size());
}
const char* symma_input_name(const symma_model* m, int64_t i) {
  return i >= 0 && i < static_cast<int64_t>(m->facts.input_names.size()) ? m->facts.input_names[i] : "";
}
const char* symma_output_name(const symma_model* m, int64_t i) {
  return i >= 0 && i < static_cast<int64_t>(m->facts.output_names.size()) ? m->facts.output_names[i] : "";
}
const char* symma_about(const symma_model* m, const char* key) {
  const auto text = m->facts.text(key);
  auto* to = const_cast<char*>(m->about);
  const size_t n = text.size() < sizeof m->about ? text.size() : sizeof m->about - 1;
  std::memcpy(to, text.data(), n);
  to[n] = 0;
  return to;
}
int symma_adapt(symma_model* m, int64_t n, const double* x, const double* y, int64_t steps) {
  return m->runner->adapt(n, x, y, steps);
}
int symma_predict(symma_model* m, int64_t n, const double* x, double* predictions) {
  return m->runner->predict(n, x, predictions);
}
void symma_reset(symma_model* m) {
  m->runner->reset();
}

}  // extern "C"
