// Sine waves: y = amplitude sin(x - phase), amplitude and phase drawn for each task, x drawn for each point.
// Finn et al. 2017 (regression); sliced over agents by amplitude in Kayaalp et al. 2022 (Dif-MAML).
#include <fmt/format.h>

#include <numbers>

#include "symma/core/elementary.h"
#include "symma/core/parallel.h"
#include "symma/tasks/csv.h"
#include "symma/tasks/deal.h"
#include "symma/tasks/has_columns.h"
#include "symma/tasks/signature.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

// y = amplitude sin(x - phase) + noise at n places.
void wave(double amplitude, double phase, int64_t n, const double* x, const double* noise, float* to_x,
          float* to_y) {
  widest([&]() SYMMA_INLINE {
#pragma GCC ivdep
    for (int64_t j = 0; j < n; ++j) {
      to_x[j] = static_cast<float>(x[j]);
      to_y[j] = static_cast<float>(amplitude * sine_of(x[j] - phase) + noise[j]);
    }
  });
}

class Sinusoid : public TaskFamily,
                 public FewShot,
                 public HasColumns,
                 public Shares,
                 public Accountable,
                 public HasSignature {
 public:
  struct Options {
    int64_t shots = 10, queries = 10, test_shots = 0, test_queries = 100;
    std::vector<double> amplitude{0.1, 5.0}, phase{0.0, std::numbers::pi}, x{-5.0, 5.0};
    std::vector<double> ood_amplitude{5.0, 7.0}, ood_phase{0.0, std::numbers::pi};
    double noise = 0, unequal = 0;
    std::string slice_by = "amplitude";
    void fields(Fields& f) {
      f.add("shots", shots, "points to learn from").at_least(1);
      f.add("queries", queries, "points to be judged on, while training").at_least(1);
      f.add("test_shots", test_shots, "points to learn from when evaluated; 0: as shots").at_least(0);
      f.add("test_queries", test_queries, "points to be judged on when evaluated").at_least(1);
      f.add("amplitude", amplitude, "range of amplitudes");
      f.add("phase", phase, "range of phases, radians");
      f.add("x", x, "range of inputs");
      f.add("ood_amplitude", ood_amplitude, "amplitudes of the out-of-distribution test");
      f.add("ood_phase", ood_phase, "phases of the out-of-distribution test, radians");
      f.add("noise", noise, "standard deviation of noise on the targets").at_least(0);
      f.add("slice_by", slice_by, "what each agent holds an equal part of")
          .one_of({"amplitude", "phase", "none"});
      f.add("unequal", unequal,
            "agents draw from all parts, in shares from a Dirichlet distribution of this concentration; 0: "
            "each "
            "from its own part alone")
          .at_least(0);
    }
  };

  Sinusoid(const Options& o, int64_t agents) : o_(o), agents_(agents) {
    for (const auto& [name, range] : {std::pair{"amplitude", &o.amplitude},
                                      {"phase", &o.phase},
                                      {"x", &o.x},
                                      {"ood_amplitude", &o.ood_amplitude},
                                      {"ood_phase", &o.ood_phase}}) {
      if (range->size() != 2 || !((*range)[0] <= (*range)[1])) {
        throw UserError(std::string("[task] ") + name, "is not a range",
                        "write [low, high] with low <= high");
      }
    }
    if (o_.unequal > 0) shares_ = dirichlet_shares(agents_, agents_, o_.unequal);
  }

  bool fresh() const override { return true; }

  TaskSpec spec() const override { return {.shape = {{1}, 1}, .kind = Kind::kRegression, .metric = "mse"}; }

  std::unique_ptr<TaskBatch> sample(const Model& model, std::span<const Ask> asks,
                                    Split split) const override {
    const bool train = split == Split::kTrain;
    const auto b = static_cast<int64_t>(asks.size());
    const int64_t shots = train || o_.test_shots == 0 ? o_.shots : o_.test_shots;
    const int64_t queries = train ? o_.queries : o_.test_queries;
    Episodes e;
    e.support_x = at::empty({b, shots, 1}), e.support_y = at::empty({b, shots, 1});
    e.query_x = at::empty({b, queries, 1}), e.query_y = at::empty({b, queries, 1});
    if (!train) {
      e.curve_x = at::linspace(o_.x[0], o_.x[1], kCurve).view({1, kCurve, 1}).repeat({b, 1, 1});
      e.curve_y = at::empty_like(e.curve_x);
      e.titles.resize(b);
    }
    const auto data = [](const Tensor& t) { return t.defined() ? t.data_ptr<float>() : nullptr; };
    float *const sx = data(e.support_x), *const sy = data(e.support_y), *const qx = data(e.query_x),
                 *const qy = data(e.query_y), *const cx = data(e.curve_x), *const cy = data(e.curve_y);
    const int64_t most = std::max({shots, queries, kCurve});
    parallel_for(b, 64, [&](int64_t begin, int64_t end) {
      std::vector<double> at(most), noise(most, 0.0);
      for (int64_t i = begin; i < end; ++i) {
        Draws d(asks[i].key.split(split_name(split)));
        const int64_t part = part_of(asks[i].agent, d);
        const Range a = range(part, split, "amplitude"), p = range(part, split, "phase");
        const double amplitude = d.uniform(a.low, a.high), phase = d.uniform(p.low, p.high);
        const auto points = [&](float* xs, float* ys, int64_t n) {
          if (o_.noise > 0) {
            for (int64_t j = 0; j < n; ++j) at[j] = d.uniform(), noise[j] = o_.noise * d.normal();
          } else {
            d.uniforms(at.data(), n);
          }
          for (int64_t j = 0; j < n; ++j) at[j] = o_.x[0] + (o_.x[1] - o_.x[0]) * at[j];
          wave(amplitude, phase, n, at.data(), noise.data(), xs, ys);
        };
        points(sx + i * shots, sy + i * shots, shots);
        points(qx + i * queries, qy + i * queries, queries);
        if (train) continue;
        std::copy_n(cx + i * kCurve, kCurve, at.begin());
        std::fill_n(noise.begin(), kCurve, 0.0);
        wave(amplitude, phase, kCurve, at.data(), noise.data(), cx + i * kCurve, cy + i * kCurve);
        e.titles[i] = fmt::format("amplitude {:.2f}, phase {:.2f}", amplitude, phase);
      }
    });
    e.keys = keys_of(asks);
    return std::make_unique<SupervisedBatch>(model, Kind::kRegression, std::move(e),
                                             train ? Mode::kTrain : Mode::kEval);
  }

  Signature signature() const override {
    Signature s;
    s.form = "a number", s.inputs = {"x"}, s.target = "y";
    return s;
  }

  Reading read(const std::string& path) const override {
    return read_points(CsvFile::load(path), {"x"}, "y");
  }

  std::vector<std::string> columns() const override { return {"x", "y"}; }

  std::string share(int64_t agent) const override {
    if (!shares_.empty() && o_.slice_by != "none") {
      const auto& mine = shares_[agent];
      const auto most = std::max_element(mine.begin(), mine.end());
      const Range r = range(most - mine.begin(), Split::kTrain, o_.slice_by);
      return fmt::format("{} {:.2f} to {:.2f} in {:.0f} % of its tasks", o_.slice_by, r.low, r.high,
                         100 * *most);
    }
    const Range a = range(agent, Split::kTrain, "amplitude"), p = range(agent, Split::kTrain, "phase");
    return fmt::format("amplitude {:.2f} to {:.2f}, phase {:.2f} to {:.2f}", a.low, a.high, p.low, p.high);
  }

 private:
  static constexpr int64_t kCurve = 101;
  struct Range {
    double low, high;
  };

  // The part that an agent's next task is of.
  int64_t part_of(int64_t agent, Draws& d) const {
    if (agent == kEveryone || shares_.empty()) return agent;
    double at = d.uniform();
    int64_t part = 0;
    for (; part + 1 < agents_; ++part) {
      at -= shares_[agent][part];
      if (at < 0) break;
    }
    return part;
  }

  // The range of one of the two for an agent: its own equal part of what is sliced, all of the other.
  Range range(int64_t agent, Split split, const std::string& what) const {
    const bool amplitude = what == "amplitude";
    if (split == Split::kOod)
      return amplitude ? Range{o_.ood_amplitude[0], o_.ood_amplitude[1]}
                       : Range{o_.ood_phase[0], o_.ood_phase[1]};
    const auto& r = amplitude ? o_.amplitude : o_.phase;
    if (agent == kEveryone || o_.slice_by != what) return {r[0], r[1]};
    const double width = (r[1] - r[0]) / static_cast<double>(agents_);
    return {r[0] + width * static_cast<double>(agent), r[0] + width * static_cast<double>(agent + 1)};
  }

  Options o_;
  int64_t agents_;
  std::vector<std::vector<double>> shares_;  // [agents][parts], empty where each agent has its own part
};

SYMMA_REGISTER(TaskFamily, "sinusoid", Sinusoid, "regression to sine waves of varying amplitude and phase",
               "Finn et al. 2017, arXiv:1703.03400");

}  // namespace
}  // namespace symma
