// A bandit: arms that pay 1 or nothing, each with a probability of its own, which are the task. Duan et al.
// 2016, arXiv:1611.02779, section 3.1: probabilities are drawn from U[0, 1]; 5, 10 or 50 arms; 10, 100 or 500
// pulls, which the paper calls episodes. Here an episode is all `limit` pulls, as nothing begins anew between
// them; limit = 1 is the paper's cut.
//
// There is nothing to see: an observation is one zero. What was pulled and what it paid is the player's to
// remember.
#include <algorithm>

#include <fmt/format.h>

#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"

namespace symma {
namespace {

class Bandit final : public Copies {
 public:
  struct Options : CopyOptions {
    int64_t arms = 5;
    Options() { limit = 10; }
    void fields(Fields& f) {
      f.add("arms", arms, "arms to pull").at_least(2).at_most(1000);
      CopyOptions::fields(f);
    }
  };

  Bandit(const Options& o, int64_t copies)
      : Copies(make_spec(o, copies), o, make_parameters(o), 2), last_(copies, -1), paid_(copies, 0) {}

  std::string text(int64_t e) const override {
    std::string out = fmt::format("pull {}", steps(e));
    if (last_[e] >= 0) out += fmt::format(": arm {} paid {}", last_[e], paid_[e]);
    out += "\nprobabilities:";
    for (int64_t i = 0; i < spec().actions; ++i) out += fmt::format(" {:.2f}", task(e)[i]);
    return out + "\n";
  }

  std::string svg(int64_t e) const override {
    const double width = 300.0 / static_cast<double>(spec().actions);
    Drawing d(300, 130);
    for (int64_t i = 0; i < spec().actions; ++i) {
      const double x = width * static_cast<double>(i), height = 100 * task(e)[i];
      d.rect(x + 1, 110 - height, width - 2, height, i == last_[e] ? "#ffb000" : "#a0a0a0");
    }
    if (last_[e] >= 0)
      d.text(width * (static_cast<double>(last_[e]) + 0.5), 124, 11, std::to_string(paid_[e]));
    return d.svg();
  }

 private:
  static EnvSpec make_spec(const Options& o, int64_t copies) {
    EnvSpec s;
    s.name = "bandit";
    s.variant = fmt::format("{} arms", o.arms);
    s.copies = copies;
    s.agents = 1;
    s.obs = 1;
    s.actions = o.arms;
    for (int64_t i = 0; i < o.arms; ++i) s.action_names.push_back(fmt::format("arm_{}", i));
    s.agent_names = {"player"};
    s.common_reward = true;
    s.obs_low = s.obs_high = 0;
    return s;
  }

  // Out of distribution all arms are poor.
  static std::vector<TaskParameter> make_parameters(const Options& o) {
    std::vector<TaskParameter> out;
    for (int64_t i = 0; i < o.arms; ++i) {
      out.push_back({.name = fmt::format("arm_{}", i),
                     .doc = "probability that the arm pays",
                     .value = static_cast<double>(i + 1) / static_cast<double>(o.arms + 1),
                     .train = {0, 1},
                     .test = {0, 1},
                     .ood = {0, 0.3},
                     .may = {0, 1}});
    }
    return out;
  }

  void begin(int64_t e, Rng) override { last_[e] = -1, paid_[e] = 0; }

  bool advance(int64_t e, const int64_t* actions, int64_t now, Rng episode, float* reward) override {
    last_[e] = actions[0];
    paid_[e] = Draws(episode.split("pull", now)).uniform() < task(e)[actions[0]] ? 1 : 0;
    reward[0] = static_cast<float>(paid_[e]);
    return false;
  }

  void observe(int64_t, float* obs, bool*) const override { obs[0] = 0; }

  void visit(int64_t e, Cargo& cargo) override {
    cargo(last_[e], {"the arm that was pulled", -1, spec().actions - 1}), cargo(paid_[e], {"its pay", 0, 1});
  }

  std::vector<int64_t> last_, paid_;  // [E]: the arm pulled last, -1 before the first, and what it paid
};

SYMMA_REGISTER(Env, "bandit", Bandit, "arms that pay with probabilities that are not known",
               "Duan et al. 2016, arXiv:1611.02779, section 3.1");

}  // namespace
}  // namespace symma
