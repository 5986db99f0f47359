// Exported models against onnxruntime, and C source against a compiler, where this machine has them.
#include "export/exports.h"

namespace symma {
namespace {

using program::holds;
using program::TempDir;

std::string said(const std::string& command, int* code = nullptr) {
  std::string out;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
  const int status = ::pclose(pipe);
  if (code) *code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return out;
}

// A Python with onnxruntime: python3, or that of SYMMA_PYTHON. Empty where there is none.
const std::string& python() {
  static const std::string found = [] {
    const char* named = std::getenv("SYMMA_PYTHON");
    const std::string word = named ? named : "python3";
    int code = 0;
    said(word + " -c 'import numpy, onnx, onnxruntime'", &code);
    return code == 0 ? word : std::string();
  }();
  return found;
}

#define NEED_ONNXRUNTIME() \
  if (python().empty()) GTEST_SKIP() << "no python3 with numpy, onnx and onnxruntime (or set SYMMA_PYTHON)"

// The largest difference of the graph from `expected`, relative.
double difference(const std::string& graph, const TensorDict& in, const TensorDict& expected) {
  const TempDir at;
  program::spill(at / "m.onnx", graph);
  write_safetensors(at / "in.st", {in, {}});
  write_safetensors(at / "out.st", {expected, {}});
  int code = 0;
  const std::string out = said(python() + " " + SYMMA_SOURCE_DIR + "/tests/export/run_onnx.py " +
                                   (at / "m.onnx") + " " + (at / "in.st") + " " + (at / "out.st"),
                               &code);
  EXPECT_EQ(code, 0) << out;
  return code == 0 ? std::stod(program::lines(out).back()) : 1e9;  // it may warn before
}

State fresh(const Experiment& e) {
  State s = start_run(e).learner;
  // Away from what a fresh row has of its own: biases of 0, gammas of 1, running statistics of nothing.
  s.theta = s.theta + 0.1 * normal(Rng(9), s.theta.sizes().vec()).abs().to(s.theta.options());
  return s;
}

struct Case {
  const char *name, *toml;
};
const std::vector<Case> kForward{
    {"mlp", "[task]\nkind = \"sinusoid\"\n"},
    {"mlp_tanh", "[task]\nkind = \"blobs\"\n[model]\nkind = \"mlp\"\nactivation = \"tanh\"\nhidden = [8]\n"},
    {"mlp_sigmoid", "[task]\nkind = \"blobs\"\n[model]\nkind = \"mlp\"\nactivation = \"sigmoid\"\n"},
    {"mlp_gelu", "[task]\nkind = \"sinusoid\"\n[model]\nkind = \"mlp\"\nactivation = \"gelu\"\n"},
    {"mlp_deep",
     "precision = \"float64\"\n[task]\nkind = \"sinusoid\"\n[model]\nkind = \"mlp\"\nhidden = [9, 8, 7]\n"},
    {"gru", "[task]\nkind = \"blobs\"\n[model]\nkind = \"gru\"\nhidden = 11\n"},
};

TEST(Onnx, ForwardPassesAgree) {
  NEED_ONNXRUNTIME();
  for (const Case& c : kForward) {
    SCOPED_TRACE(c.name);
    const Experiment e = experiment(c.toml);
    const State s = fresh(e);
    const Exported x = exported(e, s, 0);
    const Tensor in = normal(Rng(3), {17, x.in()}).to(at::kFloat);
    TensorDict given{{"x", in}};
    if (e.chosen.model.kind() == "gru") given["h"] = at::zeros({17, 11});
    EXPECT_LT(difference(onnx_model(x), given, outputs_of(x, x.row, in.to(x.row.scalar_type()))), 1e-5);
  }
}

// Images need files, and so does a table.
TEST(Onnx, ConvolutionsAgree) {
  NEED_ONNXRUNTIME();
  const TempDir at;
  for (const auto& [name, bytes] : program::drawings(4, 4, 3)) program::spill(at / ("d/" + name), bytes);
  for (const char* norm : {"transductive", "running"}) {
    for (const int channels : {1, 3}) {
      SCOPED_TRACE(std::string(norm) + " " + std::to_string(channels));
      const Experiment e = experiment(
          "[task]\nkind = \"images\"\npath = [\"" + (at / "d") +
          "\"]\nside = 13\nqueries = 2\ntest_queries = 2\nchannels = " + std::to_string(channels) +
          "\nways = 3\n[model]\nkind = \"conv\"\nchannels = 6\nblocks = 3\nnorm = \"" + norm + "\"\n");
      const State s = fresh(e);
      const Exported x = exported(e, s, 0);
      const Tensor in = uniform(Rng(3), {7, 13, 13, channels}, 0, 1).to(at::kFloat);
      EXPECT_LT(difference(onnx_model(x), {{"x", in}}, outputs_of(x, x.row, in)), 1e-5);
      EXPECT_THROW(onnx_adapting(x, 1), UserError);
    }
  }
}

TEST(Onnx, PoliciesAgree) {
  NEED_ONNXRUNTIME();
  for (const std::string model : {"kind = \"gaussian\"\nhidden = [12]\n",
                                  "kind = \"gaussian\"\nhidden = [12]\nlearn_std = false\nstd = 0.3\n",
                                  "kind = \"gru\"\nhidden = 5\nstd = 0.7\n"}) {
    SCOPED_TRACE(model);
    const Experiment e =
        experiment("[task]\nkind = \"control\"\nworld = \"navigation\"\nbaseline = \"linear\"\n[model]\n" +
                   model + "[learner]\nkind = \"maml_trpo\"\n");
    const State s = fresh(e);
    const Exported x = exported(e, s, 0);
    const Tensor in = normal(Rng(3), {6, x.in()}).to(at::kFloat);
    TensorDict given{{"x", in}};
    if (e.chosen.model.kind() == "gru") given["h"] = at::zeros({6, 5});
    EXPECT_LT(difference(onnx_model(x), given, outputs_of(x, x.row, in)), 1e-5);
  }
  // Bounds that are not about zero, and means beyond them.
  for (const char* head : {"clipped", "squashed"}) {
    SCOPED_TRACE(head);
    const Experiment e =
        experiment(std::string("[task]\nkind = \"control\"\nbaseline = \"linear\"\nhead = \"") + head +
                   "\"\n[task.world]\nkind = \"execution\"\n[model]\nkind = \"gaussian\"\n"
                   "[learner]\nkind = \"maml_trpo\"\n");
    State s = start_run(e).learner;
    s.theta = normal(Rng(9), s.theta.sizes().vec()).to(s.theta.options());
    const Exported x = exported(e, s, 0);
    const Tensor in = 3 * normal(Rng(3), {40, x.in()}).to(at::kFloat);
    const auto expected = outputs_of(x, x.row, in);
    const Tensor mean = expected.at("output").narrow(1, 0, 1);
    EXPECT_TRUE(mean.lt(0).any().item<bool>() && mean.gt(1).any().item<bool>());
    EXPECT_TRUE(expected.at("action").ge(0).all().item<bool>() &&
                expected.at("action").le(1).all().item<bool>());
    EXPECT_LT(difference(onnx_model(x), {{"x", in}}, expected), 1e-5);
  }
  for (const char* minimal : {"true", "false"}) {
    const Experiment e =
        experiment(std::string("[task]\nkind = \"games\"\n[model]\nkind = \"tabular\"\nminimal = ") +
                   minimal + "\n[learner]\nkind = \"lola\"\n");
    const State s = fresh(e);
    const Exported x = exported(e, s, 0);
    const Tensor in = at::eye(x.in());
    EXPECT_LT(difference(onnx_model(x), {{"x", in}}, outputs_of(x, x.row, in)), 1e-5);
  }
}

// What a file says of a policy is what its inputs and outputs are.
TEST(Onnx, APolicySaysWhatGoesInAndComesOut) {
  const auto said_of = [](const std::string& task, const std::string& model) {
    const Experiment e =
        experiment("[task]\nkind = \"control\"\n" + task + "[model]\nkind = \"" + model + "\"\n");
    const State s = fresh(e);
    const Exported x = exported(e, s, 0);
    const auto words = about(x);
    const std::string form = Json::parse(words.at("input")).at("form");
    // The numbers of the form add up to the input.
    int64_t sum = std::stol(form);
    for (size_t at = form.find(", then "); at != std::string::npos; at = form.find(", then ", at + 1))
      sum += std::stol(form.substr(at + 7));
    EXPECT_EQ(sum, x.in()) << form;
    return std::pair{form, Json::parse(words.at("output"))};
  };
  const auto [form, out] = said_of(
      "context = true\nvary = [\"risk\"]\nfeedback = true\nrecall = true\nhead = "
      "\"squashed\"\n[task.world]\nkind "
      "= \"execution\"\nsellers = 2\n",
      "gaussian");
  for (const char* part :
       {"1 constants of the task", "2 for which player", "1 numbers set last", "2 for what that earned"})
    EXPECT_TRUE(holds(form, part)) << form;
  EXPECT_EQ(out["head"], "squashed");
  EXPECT_EQ(out["low"], Json({0.0}));
  EXPECT_EQ(out["high"], Json({1.0}));
  EXPECT_EQ(out["actions"].size(), 1u);
  const auto [chosen, of_choices] = said_of("world = \"foraging\"\n", "mlp");
  EXPECT_FALSE(holds(chosen, "numbers set")) << chosen;
  EXPECT_EQ(of_choices["head"], "");
  EXPECT_EQ(of_choices["actions"].size(), 6u);
}

// Learning itself: examples and queries in the units of the data go in, predictions come out.
struct Lesson {
  TensorDict in, out;
};
Lesson lesson(const Experiment& e, const State& s, int64_t steps) {
  const Exported x = exported(e, s, 0);
  const bool classes = e.spec.kind == Kind::kClassification, table = !x.signature.input_shift.empty();
  Tensor support = normal(Rng(4), {7, x.in()}).to(at::kDouble),
         query = normal(Rng(5), {9, x.in()}).to(at::kDouble);
  if (table) {
    const Tensor scale = at::tensor({10.0, 1e5}, at::kDouble), shift = at::tensor({40.0, 1.7e9}, at::kDouble);
    support = support * scale + shift, query = query * scale + shift;
  }
  Lesson l;
  Episodes d;
  const auto type = s.theta.scalar_type();
  d.support_x = seen(x, support).to(type).unsqueeze(0), d.query_x = seen(x, query).to(type).unsqueeze(0);
  if (classes) {
    l.in["support_y"] = at::arange(7, at::kLong).remainder(e.spec.shape.out);
    d.support_y = l.in["support_y"].unsqueeze(0);
  } else {
    Tensor y = normal(Rng(6), {7, 1}).to(at::kDouble);
    d.support_y = y.to(at::kFloat).unsqueeze(0);
    if (!x.signature.target_shift.empty()) y = y * x.signature.target_scale[0] + x.signature.target_shift[0];
    l.in["support_y"] = table ? y : y.to(at::kFloat);
  }
  l.in["support_x"] = table ? support : support.to(at::kFloat);
  l.in["query_x"] = table ? query : query.to(at::kFloat);
  d.query_y = classes ? at::zeros({1, 9}, at::kLong) : at::zeros({1, 9, 1});
  const SupervisedBatch batch(*e.model, e.spec.kind, d, Mode::kEval);
  const std::vector<int64_t> when{steps};
  const Tensor row = e.learner->adapt(s.rows(0, 1), batch, when, Rng(1))[0];
  for (auto& [name, t] : outputs_of(x, row[0], d.query_x[0])) l.out[name] = t;
  return l;
}

const std::vector<Case> kAdapting{
    {"maml", "[task]\nkind = \"sinusoid\"\n"},
    {"rates", "[task]\nkind = \"sinusoid\"\n[learner]\nkind = \"maml\"\nlearn_lr = true\n"},
    {"head", "[task]\nkind = \"blobs\"\n[learner]\nkind = \"maml\"\nadapt = \"head\"\ninner_lr = 0.1\n"},
    {"tanh",
     "[task]\nkind = \"blobs\"\n[model]\nkind = \"mlp\"\nactivation = \"tanh\"\nhidden = [16, "
     "8]\n[learner]\nkind = \"maml\"\ninner_lr = 0.2\n"},
    {"gelu",
     "[task]\nkind = \"blobs\"\n[model]\nkind = \"mlp\"\nactivation = \"gelu\"\n[learner]\nkind = "
     "\"maml\"\ninner_lr = 0.2\n"},
    {"sigmoid",
     "[task]\nkind = \"blobs\"\n[model]\nkind = \"mlp\"\nactivation = \"sigmoid\"\n[learner]\nkind = "
     "\"maml\"\ninner_lr = 0.2\n"},
    {"linear",
     "[task]\nkind = \"sinusoid\"\n[model]\nkind = \"mlp\"\nactivation = \"identity\"\nhidden = [5]\n"},
    {"reptile", "[task]\nkind = \"sinusoid\"\n[learner]\nkind = \"reptile\"\n"},
    {"later",
     "[task]\nkind = \"sinusoid\"\n[learner]\nkind = \"pretrain\"\ninner_lr = 0.02\nlater_lr = 0.005\n"},
};

TEST(Onnx, AdaptingAgrees) {
  NEED_ONNXRUNTIME();
  for (const Case& c : kAdapting) {
    SCOPED_TRACE(c.name);
    const Experiment e = experiment(c.toml);
    State s = start_run(e).learner;
    if (std::string(c.name) == "rates")  // a rate for each parameter, none like another
      s.theta.slice(1, e.model->layout().size()) +=
          0.005 * uniform(Rng(8), {1, e.model->layout().size()}, 0, 1);
    for (const int64_t steps : {1, 5, 10}) {
      const Lesson l = lesson(e, s, steps);
      EXPECT_LT(difference(onnx_adapting(exported(e, s, 0), steps), l.in, l.out), 1e-4) << steps;
    }
  }
  const Experiment adam = experiment("[task]\nkind = \"sinusoid\"\n[learner]\nkind = \"scratch\"\n");
  const State s = start_run(adam).learner;
  EXPECT_THROW(onnx_adapting(exported(adam, s, 0), 1), UserError);
}

TEST(Onnx, TablesComeInTheirOwnUnits) {
  NEED_ONNXRUNTIME();
  const TempDir at;
  write_table(at / "t.csv", false);
  const Experiment e = experiment(
      "[task]\nkind = \"table\"\ngroup = \"home\"\ntarget = \"label\"\npath = \"" + (at / "t.csv") + "\"\n");
  const State s = start_run(e).learner;
  const Exported x = exported(e, s, 0);
  ASSERT_EQ(x.signature.inputs, (std::vector<std::string>{"size", "time"}));
  for (const int64_t steps : {1, 10}) {
    const Lesson l = lesson(e, s, steps);
    EXPECT_LT(difference(onnx_adapting(x, steps), l.in, l.out), 1e-4);
  }
}

// The C source predicts and adapts as the program does.
TEST(CSource, Agrees) {
  int code = 0;
  said("cc --version", &code);
  if (code != 0) GTEST_SKIP() << "no C compiler (cc)";
  for (const Case& c : kAdapting) {
    SCOPED_TRACE(c.name);
    const TempDir at;
    const Experiment e = experiment(c.toml);
    const State s = start_run(e).learner;
    const Exported x = exported(e, s, 0);
    const Lesson l = lesson(e, s, 5);
    program::spill(at / "model.c", c_source(x));
    const auto numbers = [](Tensor t) {
      t = t.to(at::kDouble).contiguous();
      std::string out;
      for (int64_t i = 0; i < t.numel(); ++i) out += std::to_string(t.data_ptr<double>()[i]) + ",";
      return out;
    };
    program::spill(
        at / "main.c",
        "#include <stdio.h>\n#include \"model.c\"\nstatic const double x[] = {" +
            numbers(l.in.at("support_x")) + "}, y[] = {" + numbers(l.in.at("support_y")) + "}, q[] = {" +
            numbers(l.in.at("query_x")) +
            "};\nint main(void) {\n  static symma_state m;\n  double p[SYMMA_OUT];\n  symma_adapt(&m, 7, x, "
            "y, 5);\n"
            "  for (int i = 0; i < 9; ++i) {\n    symma_predict(&m, q + i * SYMMA_IN, p);\n"
            "    for (int j = 0; j < SYMMA_OUT; ++j) printf(\"%.9g\\n\", p[j]);\n  }\n  return 0;\n}\n");
    const std::string built =
        said("cc -std=c99 -Wall -Wextra -Wno-unused-variable -Wno-unused-const-variable -Werror -O1 -o " +
                 (at / "m") + " " + (at / "main.c") + " -lm",
             &code);
    ASSERT_EQ(code, 0) << built;
    const auto lines = program::lines(said(at / "m"));
    const Tensor truth = (l.out.contains("probability") ? l.out.at("probability") : l.out.at("prediction"))
                             .to(at::kDouble)
                             .flatten()
                             .contiguous();
    ASSERT_EQ(static_cast<int64_t>(lines.size()), truth.numel());
    for (int64_t i = 0; i < truth.numel(); ++i)
      EXPECT_NEAR(std::stod(lines[i]), truth.data_ptr<double>()[i],
                  1e-4 * std::max(1.0, truth.abs().max().item<double>()));
  }
}

}  // namespace
}  // namespace symma
