// Models and learners written in Python.
#include "foreign.h"
#include "symma/core/errors.h"

namespace symma::python {
namespace {

class ForeignModel : public Model {
 public:
  ForeignModel(const nb::object& o, std::string name) : name_(std::move(name)), object_(keep(o)) {
    for (nb::handle entry : o.attr("layout"))
      layout_.add(nb::cast<std::string>(entry[0]), nb::cast<std::vector<int64_t>>(entry[1]));
  }
  const Layout& layout() const override { return layout_; }
  Tensor init(std::span<const Rng> keys) const override {
    return in_python([&] {
      return tensor_from(object_->attr("init")(std::vector<Rng>(keys.begin(), keys.end())), name_ + ".init");
    });
  }
  Tensor forward(const Tensor& theta, const Tensor& x, Mode mode) const override {
    return call("forward", theta, x, mode);
  }
  Tensor features(const Tensor& theta, const Tensor& x, Mode mode) const override {
    return call("features", theta, x, mode);
  }

 private:
  Tensor call(const char* what, const Tensor& theta, const Tensor& x, Mode mode) const {
    const bool grad = at::GradMode::is_enabled();  // is a thread's own, and Python's calls see this thread's
    return in_python([&] {
      const at::AutoGradMode as_here(grad);
      return nb::cast<Tensor>(object_->attr(what)(theta, x, mode == Mode::kTrain));
    });
  }
  std::string name_;
  Object object_;
  Layout layout_;
};

class ForeignLearner : public Learner {
 public:
  ForeignLearner(const nb::object& o, std::string name) : name_(std::move(name)), object_(keep(o)) {}
  State init(std::span<const Rng> keys, at::ScalarType type) const override {
    return in_python([&] {
      const nb::object made = object_->attr("init")(std::vector<Rng>(keys.begin(), keys.end()));
      TensorDict own;
      nb::object theta = made;
      if (PyTuple_Check(made.ptr()) && nb::len(made) == 2) {
        theta = made[0];
        for (auto [key, value] : nb::cast<nb::dict>(nb::object(made[1])))
          own[nb::cast<std::string>(key)] = tensor_from(value, name_ + ".init");
      }
      return State::of(tensor_from(theta, name_ + ".init").to(type), own);
    });
  }
  Scores step(State& state, const TaskBatch& batch, Rng rng) const override {
    return in_python([&] {
      const Tensor clock = state.steps;
      const nb::object told = object_->attr("step")(nb::cast(&state, nb::rv_policy::reference),
                                                    nb::cast(&batch, nb::rv_policy::reference), rng);
      Scores out;
      for (auto [key, value] : nb::cast<nb::dict>(told))
        out[nb::cast<std::string>(key)] = tensor_from(value, name_ + ".step").detach();
      if (state.steps.is_same(clock)) state.steps = clock + 1;  // an agent's clock goes on by itself
      if (!out.contains("loss"))
        throw UserError(name_ + ".step", "told no \"loss\"", "return {\"loss\": [N], ...}");
      for (const auto& [key, t] : out)
        if (t.dim() != 1 || t.size(0) != state.size())
          throw UserError(name_ + ".step", "\"" + key + "\" has shape " + words(t.sizes().vec()),
                          fmt::format("[{}], a number for each agent", state.size()));
      return out;
    });
  }
  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng rng) const override {
    return in_python([&] {
      const nb::object rows = object_->attr("adapt")(nb::cast(&state, nb::rv_policy::reference),
                                                     nb::cast(&batch, nb::rv_policy::reference),
                                                     std::vector<int64_t>(steps.begin(), steps.end()), rng);
      std::vector<Tensor> out;
      for (nb::handle row : rows) out.push_back(tensor_from(row, name_ + ".adapt").detach());
      if (out.size() != steps.size())
        throw UserError(name_ + ".adapt", fmt::format("returned {} tensors", out.size()),
                        fmt::format("one for each of {} numbers of steps", steps.size()));
      for (const Tensor& t : out)
        if (t.dim() != 2 || t.size(0) != batch.size())
          throw UserError(name_ + ".adapt", "returned rows of shape " + words(t.sizes().vec()),
                          fmt::format("[{}, P] would be right", batch.size()));
      return out;
    });
  }

 private:
  std::string name_;
  Object object_;
};

}  // namespace

std::unique_ptr<Model> foreign_model(const nb::object& o, const std::string& name) {
  return std::make_unique<ForeignModel>(o, name);
}

std::unique_ptr<Learner> foreign_learner(const nb::object& o, const std::string& name) {
  return std::make_unique<ForeignLearner>(o, name);
}

}  // namespace symma::python
