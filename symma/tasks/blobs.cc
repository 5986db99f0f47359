// Clusters: each task is a classification of points into `ways` Gaussian clusters whose centres are drawn
// anew. A classification family that needs no data: for first programs and fast tests.
#include <fmt/format.h>

#include "symma/tasks/supervised.h"

namespace symma {
namespace {

class Blobs : public TaskFamily, public Shares, public Accountable {
 public:
  struct Options {
    int64_t ways = 3, shots = 5, queries = 10, test_queries = 30, dims = 2;
    double spread = 2.0, noise = 0.5, ood_spread = 4.0;
    void fields(Fields& f) {
      f.add("ways", ways, "clusters in a task").at_least(2);
      f.add("shots", shots, "points of each cluster to learn from").at_least(1);
      f.add("queries", queries, "points of each cluster to be judged on, while training").at_least(1);
      f.add("test_queries", test_queries, "points of each cluster to be judged on when evaluated")
          .at_least(1);
      f.add("dims", dims, "dimensions of a point").at_least(1);
      f.add("spread", spread, "standard deviation of the centres").above(0);
      f.add("noise", noise, "standard deviation of points around their centre").above(0);
      f.add("ood_spread", ood_spread, "standard deviation of the centres in the out-of-distribution test")
          .above(0);
    }
  };

  Blobs(const Options& o, int64_t agents) : o_(o), agents_(agents) {}

  bool fresh() const override { return true; }

  TaskSpec spec() const override {
    return {.shape = {{o_.dims}, o_.ways},
            .kind = Kind::kClassification,
            .metric = "accuracy",
            .higher_is_better = true};
  }

  std::unique_ptr<TaskBatch> sample(const Model& model, std::span<const Ask> asks,
                                    Split split) const override {
    const bool train = split == Split::kTrain;
    const auto b = static_cast<int64_t>(asks.size());
    const int64_t queries = train ? o_.queries : o_.test_queries, each = o_.shots + queries;
    Tensor x = at::empty({b, each, o_.ways, o_.dims});
    float* p = x.data_ptr<float>();
    const int64_t wide = o_.ways * o_.dims;
    const double spread = split == Split::kOod ? o_.ood_spread : o_.spread;
    std::vector<double> centres(wide), apart(each * wide);
    for (int64_t i = 0; i < b; ++i) {
      Draws d(asks[i].key.split(split_name(split)));
      d.normals(centres.data(), wide);
      for (double& c : centres) c *= spread;
      // An agent's clusters lie around a place of its own on a circle; together the agents cover it.
      if (agents_ > 1 && split != Split::kOod) {
        const int64_t a = asks[i].agent == kEveryone ? d.below(agents_) : asks[i].agent;
        const double angle = 2 * M_PI * static_cast<double>(a) / static_cast<double>(agents_);
        for (int64_t w = 0; w < o_.ways; ++w) {
          centres[w * o_.dims] += spread * std::cos(angle);
          if (o_.dims > 1) centres[w * o_.dims + 1] += spread * std::sin(angle);
        }
      }
      d.normals(apart.data(), each * wide);
      for (int64_t j = 0; j < each * wide; ++j)
        *p++ = static_cast<float>(centres[j % wide] + o_.noise * apart[j]);
    }
    Episodes e;
    e.support_x = x.slice(1, 0, o_.shots).reshape({b, -1, o_.dims});
    e.query_x = x.slice(1, o_.shots, each).reshape({b, -1, o_.dims});
    const Tensor labels = at::arange(o_.ways, at::kLong);
    e.support_y = labels.repeat({b, o_.shots});
    e.query_y = labels.repeat({b, queries});
    e.keys = keys_of(asks);
    return std::make_unique<SupervisedBatch>(model, Kind::kClassification, std::move(e),
                                             train ? Mode::kTrain : Mode::kEval);
  }

  std::string share(int64_t agent) const override {
    return fmt::format("clusters around {:.0f} degrees",
                       360.0 * static_cast<double>(agent) / static_cast<double>(agents_));
  }

 private:
  Options o_;
  int64_t agents_;
};

SYMMA_REGISTER(TaskFamily, "blobs", Blobs,
               "classification of points into Gaussian clusters with new centres in each task",
               "symma; a synthetic family that needs no data");

}  // namespace
}  // namespace symma
