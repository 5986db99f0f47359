// Worlds written in Python.
#include "foreign.h"
#include "symma/core/errors.h"

namespace symma::python {
namespace {

// A world whose copies are objects of Python's, stepped one after another. The object fills the frame's
// arrays.
class ForeignWorld : public Env, public HasTasks {
 public:
  ForeignWorld(const nb::object& o, const std::string& name, int64_t copies) : object_(keep(o)) {
    const Json s = told(o, "spec");
    spec_.name = name, spec_.variant = name, spec_.copies = copies;
    spec_.agents = s["agents"], spec_.obs = s["obs"], spec_.actions = s["actions"];
    spec_.continuous = s["continuous"], spec_.leaving = s["leaving"], spec_.limit = s["limit"];
    spec_.common_reward = s["common_reward"];
    spec_.state = spec_.agents * spec_.obs;
    spec_.agent_names = s["agent_names"].get<std::vector<std::string>>();
    spec_.action_names = s["action_names"].get<std::vector<std::string>>();
    spec_.agent_obs = s["agent_obs"].get<std::vector<int64_t>>();
    spec_.agent_actions = s["agent_actions"].get<std::vector<int64_t>>();
    spec_.obs_shape = s["obs_shape"].get<std::vector<int64_t>>();
    spec_.action_low = s["action_low"].get<std::vector<double>>();
    spec_.action_high = s["action_high"].get<std::vector<double>>();
    for (const Json& p : s["parameters"]) {
      const auto range = [&](const char* key) {
        return std::array<double, 2>{p[key][0].get<double>(), p[key][1].get<double>()};
      };
      parameters_.push_back(
          {p["name"], p["doc"], p["value"], p["whole"], range("train"), range("test"), range("ood")});
    }
  }
  const EnvSpec& spec() const override { return spec_; }
  void reset(Rng rng, Frame& frame) override {
    if (!frame.obs.defined()) allocate(spec_, frame);
    in_python([&] { object_->attr("reset")(rng, views(frame)); });
  }
  void reset(const Tensor& copies, Frame& frame) override {
    if (copies.scalar_type() != at::kBool || copies.sizes() != at::IntArrayRef({spec_.copies}))
      throw UserError(spec_.name, "the copies to reset are of another shape or type",
                      fmt::format("[{}] bool would be right", spec_.copies));
    in_python([&] { object_->attr("reset_copies")(view_of(copies.contiguous(), false), views(frame)); });
  }
  void step(const Tensor& actions, Frame& frame) override {
    std::vector<int64_t> right{spec_.copies, spec_.agents};
    if (spec_.continuous) right.push_back(spec_.actions);
    if (actions.sizes() != at::IntArrayRef(right) ||
        actions.scalar_type() != (spec_.continuous ? at::kFloat : at::kLong))
      throw UserError(
          spec_.name,
          "actions are " + words(actions.sizes().vec()) + " of type " + c10::toString(actions.scalar_type()),
          words(right) + (spec_.continuous ? " float32 would be right" : " int64 would be right"));
    in_python([&] { object_->attr("step")(view_of(actions.contiguous(), false), views(frame)); });
  }
  const std::vector<TaskParameter>& task_parameters() const override { return parameters_; }
  void set_tasks(const Tensor& tasks) override {
    if (tasks.scalar_type() != at::kDouble ||
        tasks.sizes() != at::IntArrayRef({spec_.copies, static_cast<int64_t>(parameters_.size())}))
      throw UserError(spec_.name, "tasks are " + words(tasks.sizes().vec()),
                      fmt::format("[{}, {}] float64 would be right", spec_.copies, parameters_.size()));
    in_python([&] { object_->attr("set_tasks")(view_of(tasks.contiguous(), false)); });
  }

 private:
  // Made once a frame: its memory stays where it is.
  nb::object views(const Frame& f) {
    if (shown_ && shown_of_ == f.obs.data_ptr()) return *shown_;
    nb::dict out;
    for (const auto& [name, t] :
         std::initializer_list<std::pair<const char*, const Tensor*>>{{"obs", &f.obs},
                                                                      {"final_obs", &f.final_obs},
                                                                      {"reward", &f.reward},
                                                                      {"terminated", &f.terminated},
                                                                      {"truncated", &f.truncated},
                                                                      {"mask", &f.mask},
                                                                      {"present", &f.present},
                                                                      {"final_present", &f.final_present}}) {
      if (t->defined()) out[name] = view_of(*t, true);
    }
    shown_ = keep(out), shown_of_ = f.obs.data_ptr();
    return out;
  }

  EnvSpec spec_;
  std::vector<TaskParameter> parameters_;
  Object object_, shown_;
  void* shown_of_ = nullptr;
};

}  // namespace

std::unique_ptr<Env> foreign_world(const nb::object& o, const std::string& name, int64_t copies) {
  return std::make_unique<ForeignWorld>(o, name, copies);
}

}  // namespace symma::python
