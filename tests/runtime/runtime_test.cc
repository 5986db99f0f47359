// The library for devices beside the program: the same bits, nothing allocated, no file trusted.
#include <new>

#include "export/exports.h"
#include "symma/runtime/symma_runtime.h"

namespace {
long allocations = 0;
}
void* operator new(size_t n) {
  ++allocations;
  if (void* p = std::malloc(n ? n : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, size_t) noexcept {
  std::free(p);
}

namespace symma {
namespace {

struct Close {
  void operator()(symma_model* m) const { symma_close(m); }
};
using Open = std::unique_ptr<symma_model, Close>;

Open open(const std::string& bytes, int64_t examples = 20, int64_t queries = 50, std::string* why = nullptr) {
  const program::TempDir at;
  program::spill(at / "m.symma", bytes);
  char words[200] = "";
  Open m(symma_open((at / "m.symma").c_str(), examples, queries, words, sizeof words));
  if (why) *why = words;
  return m;
}

std::vector<double> list(const Tensor& t) {
  const Tensor d = t.to(at::kDouble).contiguous();
  return {d.data_ptr<double>(), d.data_ptr<double>() + d.numel()};
}

const std::vector<std::string> kExperiments{
    R"([task]
kind = "sinusoid"
)",
    R"([task]
kind = "sinusoid"
[learner]
kind = "maml"
learn_lr = true
)",
    R"(precision = "float64"
[task]
kind = "sinusoid"
[model]
kind = "mlp"
hidden = [33]
activation = "tanh"
)",
    R"([task]
kind = "blobs"
[model]
kind = "mlp"
hidden = [17, 5]
activation = "gelu"
[learner]
kind = "maml"
inner_lr = 0.1
)",
    R"([task]
kind = "blobs"
[model]
kind = "mlp"
hidden = [200]
[learner]
kind = "maml"
inner_lr = 0.1
)",
    R"([task]
kind = "sinusoid"
[model]
kind = "mlp"
hidden = [13]
activation = "sigmoid"
[learner]
kind = "pretrain"
inner_lr = 0.02
later_lr = 0.01
)"};

TEST(Runtime, BitsAreTheProgramsAndNothingIsAllocated) {
  for (const std::string& toml : kExperiments) {
    SCOPED_TRACE(toml);
    const Experiment e = experiment(toml);
    const State s = start_run(e).learner;
    const Exported x = exported(e, s, 0);
    const Open m = open(model_file(x));
    ASSERT_TRUE(m);
    EXPECT_EQ(symma_inputs(m.get()), x.in());
    const bool classes = symma_is_classifier(m.get());
    const int64_t in = x.in(), out = e.spec.shape.out;
    for (const int64_t n : {1, 7, 20}) {
      for (const int64_t steps : {0, 1, 9, 30}) {
        Episodes d;
        d.support_x = normal(Rng(n), {1, n, in}).to(s.theta.scalar_type());
        d.query_x = normal(Rng(5), {1, 50, in}).to(s.theta.scalar_type());
        d.support_y = classes ? at::arange(n, at::kLong).remainder(out).unsqueeze(0)
                              : normal(Rng(6), {1, n, 1}).to(s.theta.scalar_type());
        d.query_y = classes ? at::zeros({1, 50}, at::kLong) : at::zeros({1, 50, 1});
        const SupervisedBatch batch(*e.model, e.spec.kind, d, Mode::kEval);
        const std::vector<int64_t> when{steps};
        const Tensor row = e.learner->adapt(s.rows(0, 1), batch, when, Rng(1))[0];
        at::NoGradGuard no_grad;
        const Tensor y = batch.predict(row, d.query_x)[0].to(at::kDouble);
        const auto xs = list(d.support_x), ys = list(d.support_y), qs = list(d.query_x),
                   truth = list(classes ? at::softmax(y, 1) : y);
        std::vector<double> p(50 * out);
        const long before = allocations;
        const int adapted = symma_adapt(m.get(), n, xs.data(), ys.data(), steps),
                  predicted = symma_predict(m.get(), 50, qs.data(), p.data());
        const long after = allocations;
        ASSERT_EQ(adapted, SYMMA_OK);
        ASSERT_EQ(predicted, SYMMA_OK);
        EXPECT_EQ(after, before);
        for (size_t i = 0; i < p.size(); ++i) {
          if (classes)
            EXPECT_NEAR(p[i], truth[i], 1e-14) << n << " " << steps;  // exp is libm's here, libtorch's there
          else
            EXPECT_EQ(p[i], truth[i]) << n << " " << steps;
        }
      }
    }
    symma_reset(m.get());
  }
}

TEST(Runtime, IsSmall) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(NDEBUG)
  GTEST_SKIP() << "sizes are of a release";
#endif
  EXPECT_LT(std::filesystem::file_size(SYMMA_RUNTIME_LIBRARY), 300'000u) << SYMMA_RUNTIME_LIBRARY;
}

TEST(Runtime, RefusesWhatItCannotDo) {
  const Experiment e = experiment(kExperiments[3]);
  const State s = start_run(e).learner;
  const Open m = open(model_file(exported(e, s, 0)), 3, 4);
  ASSERT_TRUE(m);
  const std::vector<double> x(16 * 8, 0.5), y{0, 1, 2}, bad{0, 1, 99}, half{0, 0.5, 1},
      nan{0, std::nan(""), 1};
  std::vector<double> p(400), before(400);
  EXPECT_EQ(symma_predict(m.get(), 2, x.data(), before.data()), SYMMA_OK);
  EXPECT_EQ(symma_adapt(m.get(), 4, x.data(), y.data(), 1), SYMMA_TOO_MANY);
  EXPECT_EQ(symma_adapt(m.get(), 0, x.data(), y.data(), 1), SYMMA_TOO_MANY);
  EXPECT_EQ(symma_predict(m.get(), 5, x.data(), p.data()), SYMMA_TOO_MANY);
  EXPECT_EQ(symma_adapt(m.get(), 3, x.data(), bad.data(), 1), SYMMA_BAD_LABEL);
  EXPECT_EQ(symma_adapt(m.get(), 3, x.data(), half.data(), 1), SYMMA_BAD_LABEL);
  EXPECT_EQ(symma_adapt(m.get(), 3, x.data(), nan.data(), 1), SYMMA_NOT_FINITE);
  EXPECT_EQ(symma_predict(m.get(), 2, x.data(), p.data()), SYMMA_OK);
  EXPECT_EQ(p, before);
  const Experiment adam = experiment("[task]\nkind = \"sinusoid\"\n[learner]\nkind = \"scratch\"\n");
  const State t = start_run(adam).learner;
  EXPECT_EQ(symma_adapt(open(model_file(exported(adam, t, 0))).get(), 1, x.data(), y.data(), 1),
            SYMMA_NO_RULE);
  std::string why;
  const Experiment gru = experiment("[task]\nkind = \"blobs\"\n[model]\nkind = \"gru\"\n");
  const State u = start_run(gru).learner;
  EXPECT_FALSE(open(model_file(exported(gru, u, 0)), 3, 4, &why));
  EXPECT_TRUE(program::holds(why, "only perceptrons")) << why;
}

TEST(Runtime, DamagedFilesAreRefused) {
  const Experiment e = experiment("[task]\nkind = \"sinusoid\"\n[model]\nkind = \"mlp\"\nhidden = [3]\n");
  const State s = start_run(e).learner;
  const std::string whole = model_file(exported(e, s, 0));
  std::string why;
  for (size_t keep = 0; keep < whole.size(); keep += 7) {
    EXPECT_FALSE(open(whole.substr(0, keep), 3, 4, &why)) << keep;
    EXPECT_FALSE(why.empty());
  }
  Draws d(Rng(1));
  const std::vector<double> x{0.5}, y{1};
  double p = 0;
  for (int i = 0; i < 3000; ++i) {  // whatever comes of it, nothing outside the file is touched
    std::string bytes = whole;
    for (int k = 0; k < 3; ++k)
      bytes[d.below(static_cast<int64_t>(whole.size()))] = static_cast<char>(d.below(256));
    if (const Open m = open(bytes, 3, 4)) {
      if (symma_inputs(m.get()) != 1 || symma_outputs(m.get()) != 1) continue;
      symma_adapt(m.get(), 1, x.data(), y.data(), 2);
      symma_predict(m.get(), 1, x.data(), &p);
    }
  }
}

}  // namespace
}  // namespace symma
