// Small Markov decision processes, drawn at random. Duan et al. 2016, arXiv:1611.02779, section 3.2, after
// Osband et al. 2013, arXiv:1306.0940: 10 states, 5 actions, episodes of 10 steps from state 0; a step pays
// N(m, 1) with m ~ N(1, 1) for each state and action, and leads on by probabilities from Dirichlet(1).
//
// A task is the number of a process, from which all of its tables are drawn, and the concentration of its
// Dirichlet distribution: the smaller, the surer is where an action leads. A player sees the state, one-hot.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "symma/core/gamma.h"
#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"

namespace symma {
namespace {

class TabularMdp final : public Copies {
 public:
  struct Options : CopyOptions {
    int64_t states = 10, actions = 5;
    Options() { limit = 10; }
    void fields(Fields& f) {
      f.add("states", states, "states").at_least(2).at_most(100);
      f.add("actions", actions, "actions in every state").at_least(2).at_most(100);
      CopyOptions::fields(f);
    }
  };

  TabularMdp(const Options& o, int64_t copies)
      : Copies(make_spec(o, copies), o, make_parameters(), 1),
        s_(o.states),
        a_(o.actions),
        at_(copies, 0),
        tables_(copies) {}

  std::string text(int64_t e) const override {
    std::string out = fmt::format("step {}: state {}\nmean pay:", steps(e), at_[e]);
    for (int64_t a = 0; a < a_; ++a) out += fmt::format(" {:+.2f}", tables_[e].mean[at_[e] * a_ + a]);
    return out + "\n";
  }

  // States on a circle; from the present one, a line for each action to where it leads most often.
  std::string svg(int64_t e) const override {
    Drawing d(300, 300);
    const auto x = [&](int64_t s) {
      return 150 + 120 * std::sin(2 * M_PI * static_cast<double>(s) / static_cast<double>(s_));
    };
    const auto y = [&](int64_t s) {
      return 150 - 120 * std::cos(2 * M_PI * static_cast<double>(s) / static_cast<double>(s_));
    };
    for (int64_t a = 0; a < a_; ++a) {
      int64_t to = 0;
      for (int64_t s = 1; s < s_; ++s) {
        if (chance(e, at_[e], a, s) > chance(e, at_[e], a, to)) to = s;
      }
      d.line(x(at_[e]), y(at_[e]), x(to), y(to), colour(a), 2);
    }
    for (int64_t s = 0; s < s_; ++s) {
      d.circle(x(s), y(s), 12, s == at_[e] ? "#ffb000" : "#c0c0c0");
      d.text(x(s), y(s) + 4, 11, std::to_string(s));
    }
    return d.svg();
  }

 private:
  struct Tables {
    std::vector<double> task;     // what they were made from
    std::vector<double> mean;     // [S, A]
    std::vector<double> reached;  // [S, A, S]: probability of a next state up to and with this one
  };

  static EnvSpec make_spec(const Options& o, int64_t copies) {
    EnvSpec s;
    s.name = "tabular_mdp";
    s.variant = fmt::format("{} states, {} actions", o.states, o.actions);
    s.copies = copies;
    s.agents = 1;
    s.obs = o.states;
    s.actions = o.actions;
    for (int64_t a = 0; a < o.actions; ++a) s.action_names.push_back(fmt::format("action_{}", a));
    s.agent_names = {"player"};
    s.common_reward = true;
    s.obs_low = 0;
    s.obs_high = 1;
    return s;
  }

  static std::vector<TaskParameter> make_parameters() {
    return {{.name = "number",
             .doc = "which process",
             .value = 0,
             .whole = true,
             .train = {0, 1e9 - 1},
             .test = {1e9, 2e9 - 1},
             .ood = {2e9, 3e9 - 1},
             .may = {0, 9e15}},
            {.name = "concentration",
             .doc = "of the Dirichlet distribution that transitions are drawn from",
             .value = 1,
             .train = {1, 1},
             .test = {1, 1},
             .ood = {0.1, 0.3},
             .may = {0.01, 1e6}}};
  }

  void make_tables(int64_t e) {
    Tables& t = tables_[e];
    const std::vector<double> wanted(task(e), task(e) + 2);
    if (t.task == wanted) return;
    t.task = wanted;
    const Rng key = Rng(static_cast<uint64_t>(wanted[0])).split("mdp");
    Draws means(key.split("means")), moves(key.split("transitions"));
    t.mean.resize(s_ * a_);
    for (double& m : t.mean) m = 1 + means.normal();
    t.reached.resize(s_ * a_ * s_);
    for (int64_t row = 0; row < s_ * a_; ++row) {
      double* p = &t.reached[row * s_];
      for (int64_t s = 0; s < s_; ++s) p[s] = log_gamma_variate(moves, wanted[1]);
      const double most = *std::max_element(p, p + s_);
      double sum = 0;
      for (int64_t s = 0; s < s_; ++s) p[s] = sum += std::exp(p[s] - most);
      for (int64_t s = 0; s < s_; ++s) p[s] /= sum;
    }
  }

  double chance(int64_t e, int64_t from, int64_t action, int64_t to) const {
    const double* p = &tables_[e].reached[(from * a_ + action) * s_];
    return p[to] - (to > 0 ? p[to - 1] : 0);
  }

  void begin(int64_t e, Rng) override {
    make_tables(e);
    at_[e] = 0;
  }

  bool advance(int64_t e, const int64_t* actions, int64_t now, Rng episode, float* reward) override {
    Draws d(episode.split("step", now));
    const int64_t row = at_[e] * a_ + actions[0];
    reward[0] = static_cast<float>(tables_[e].mean[row] + d.normal());
    const double* p = &tables_[e].reached[row * s_];
    at_[e] = std::min<int64_t>(std::upper_bound(p, p + s_, d.uniform()) - p, s_ - 1);
    return false;
  }

  void observe(int64_t e, float* obs, bool*) const override {
    std::fill_n(obs, s_, 0.F);
    obs[at_[e]] = 1;
  }

  void visit(int64_t e, Cargo& cargo) override {
    cargo(at_[e], {"the state", 0, s_ - 1});
    if (cargo.loading()) make_tables(e);
  }

  const int64_t s_, a_;
  std::vector<int64_t> at_;  // [E]
  std::vector<Tables> tables_;
};

SYMMA_REGISTER(Env, "tabular_mdp", TabularMdp, "small Markov decision processes, drawn at random",
               "Duan et al. 2016, arXiv:1611.02779, section 3.2; Osband et al. 2013, arXiv:1306.0940");

}  // namespace
}  // namespace symma
