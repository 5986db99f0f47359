// Matrix games: two players choose at once and are paid by a table, again and again.
//
// Payoffs of prisoner's dilemma: Foerster et al. 2018, arXiv:1709.04326 ("prisoners_dilemma"), and Kim et al.
// 2021, arXiv:2011.00382 ("prisoners_dilemma_mapg"). Climbing and penalty: Claus and Boutilier 1998, as in
// Papoudakis et al. 2021, arXiv:2006.07869: 25 rounds, no memory, so an observation is one zero.
// Rock-paper-scissors is zero-sum.
//
// With memory m, an observation is m blocks, the last round first: one of 1 + n^2 numbers is 1, the first for
// "not played yet", else 1 + n (own action) + (the other's). With m = 1 a two-action game has the five states
// of tabular strategies.
#include <cmath>

#include <fmt/format.h>

#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"

namespace symma {
namespace {

struct Game {
  std::vector<std::string> actions;
  std::vector<double> row, column;  // [n, n] each, by the row player's action and the column player's
  bool common = false;
};

const std::vector<std::string> kGames = {
    "prisoners_dilemma", "prisoners_dilemma_mapg", "stag_hunt", "chicken", "climbing",
    "penalty",           "rock_paper_scissors",    "custom"};

class MatrixGame final : public Copies {
 public:
  struct Options : CopyOptions {
    std::string game = "prisoners_dilemma";
    double k = 100;
    std::vector<double> row, column;
    int64_t memory = 0;
    double spread = 0.1;
    Options() { limit = 25; }
    void fields(Fields& f) {
      f.add("game", game, "which table").one_of(kGames);
      f.add("k", k, "penalty for a miss in the game of penalty").at_least(0);
      f.add("row", row, "row player's payoffs of a custom game, n times n numbers, row by row");
      f.add("column", column, "the column player's; none: the same as row, a common reward");
      f.add("memory", memory, "last rounds that players see").at_least(0).at_most(16).of_what_is_seen();
      f.add("spread", spread,
            "how far payoffs vary from task to task, as a share of the widest gap in the table")
          .at_least(0)
          .at_most(1);
      CopyOptions::fields(f);
    }
  };

  MatrixGame(const Options& o, int64_t copies) : MatrixGame(o, table(o), copies) {}

  std::string text(int64_t e) const override {
    const int64_t* h = &history_[e * kept_];
    std::string out = fmt::format("round {}", steps(e));
    if (h[0] >= 0) out += fmt::format(": {} against {}", game_.actions[h[0] / n_], game_.actions[h[0] % n_]);
    return out + "\n";
  }

  std::string svg(int64_t e) const override {
    Drawing d(60.0 * (n_ + 1), 60.0 * (n_ + 1));
    const int64_t last = history_[e * kept_];
    for (int64_t i = 0; i < n_; ++i) {
      d.text(30, 60.0 * i + 90, 10, game_.actions[i], colour(0));
      d.text(60.0 * i + 90, 30, 10, game_.actions[i], colour(1));
      for (int64_t j = 0; j < n_; ++j) {
        d.rect(60.0 * j + 61, 60.0 * i + 61, 58, 58, last == i * n_ + j ? "#ffe08a" : "#eeeeee");
        d.text(60.0 * j + 90, 60.0 * i + 90, 11,
               fmt::format("{:g}, {:g}", payoff(e, 0, i * n_ + j), payoff(e, 1, i * n_ + j)));
      }
    }
    return d.svg();
  }

 private:
  MatrixGame(const Options& o, Game game, int64_t copies)
      : Copies(make_spec(o, game, copies), o, make_parameters(o, game), std::max<int64_t>(1, o.memory)),
        game_(std::move(game)),
        n_(static_cast<int64_t>(game_.actions.size())),
        memory_(o.memory),
        kept_(std::max<int64_t>(1, o.memory)),
        history_(copies * kept_, -1) {}

  static Game table(const Options& o) {
    const std::vector<std::string> cd = {"cooperate", "defect"}, abc = {"a", "b", "c"};
    if (o.game != "custom" && !(o.row.empty() && o.column.empty())) {
      throw UserError("matrix_game, row", "is given for the game of " + o.game,
                      "payoffs are for game = \"custom\"");
    }
    if (o.game == "prisoners_dilemma") return {cd, {-1, -3, 0, -2}, {-1, 0, -3, -2}};
    if (o.game == "prisoners_dilemma_mapg") return {cd, {.5, -1.5, 1.5, -.5}, {.5, 1.5, -1.5, -.5}};
    if (o.game == "stag_hunt") return {{"stag", "hare"}, {4, 1, 3, 2}, {4, 3, 1, 2}};
    if (o.game == "chicken") return {{"swerve", "straight"}, {0, -1, 1, -10}, {0, 1, -1, -10}};
    if (o.game == "climbing")
      return {abc, {11, -30, 0, -30, 7, 0, 0, 6, 5}, {11, -30, 0, -30, 7, 0, 0, 6, 5}, true};
    if (o.game == "penalty")
      return {abc, {-o.k, 0, 10, 0, 2, 0, 10, 0, -o.k}, {-o.k, 0, 10, 0, 2, 0, 10, 0, -o.k}, true};
    if (o.game == "rock_paper_scissors")
      return {{"rock", "paper", "scissors"}, {0, -1, 1, 1, 0, -1, -1, 1, 0}, {0, 1, -1, -1, 0, 1, 1, -1, 0}};
    const auto n = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(o.row.size()))));
    if (n < 2 || n * n != static_cast<int64_t>(o.row.size())) {
      throw UserError("matrix_game, row", fmt::format("has {} payoffs", o.row.size()),
                      "a game of n actions has n times n, n of 2 or more");
    }
    if (!o.column.empty() && o.column.size() != o.row.size()) {
      throw UserError("matrix_game, column", fmt::format("has {} payoffs", o.column.size()),
                      fmt::format("{}, as many as row", o.row.size()));
    }
    std::vector<std::string> names;
    for (int64_t i = 0; i < n; ++i) names.push_back(std::to_string(i));
    return {names, o.row, o.column.empty() ? o.row : o.column, o.column.empty()};
  }

  static EnvSpec make_spec(const Options& o, const Game& game, int64_t copies) {
    const auto n = static_cast<int64_t>(game.actions.size());
    EnvSpec s;
    s.name = "matrix_game";
    s.variant = o.game + (o.game == "penalty" ? fmt::format(", k = {:g}", o.k) : "") +
                (o.memory ? fmt::format(", memory {}", o.memory) : "");
    s.copies = copies;
    s.agents = 2;
    s.obs = o.memory ? o.memory * (1 + n * n) : 1;
    s.actions = n;
    s.action_names = game.actions;
    s.agent_names = {"row", "column"};
    s.common_reward = game.common;
    s.obs_low = 0;
    s.obs_high = 1;
    return s;
  }

  // Every payoff is a parameter. A common reward has one table.
  static std::vector<TaskParameter> make_parameters(const Options& o, const Game& game) {
    const auto n = static_cast<int64_t>(game.actions.size());
    const auto [low, high] = std::minmax_element(game.row.begin(), game.row.end());
    const double reach = o.spread * (*high - *low);
    std::vector<TaskParameter> out;
    for (int player = 0; player < (game.common ? 1 : 2); ++player) {
      for (int64_t i = 0; i < n * n; ++i) {
        const double v = player ? game.column[i] : game.row[i];
        out.push_back({.name = fmt::format("{}_{}_{}", player ? "column" : "row", game.actions[i / n],
                                           game.actions[i % n]),
                       .doc = "payoff",
                       .value = v,
                       .train = {v - reach, v + reach},
                       .test = {v - reach, v + reach},
                       .ood = {v + reach, v + 2 * reach}});
      }
    }
    return out;
  }

  double payoff(int64_t e, int64_t player, int64_t joint) const {
    return task(e)[(player && !game_.common ? n_ * n_ : 0) + joint];
  }

  void begin(int64_t e, Rng) override { std::fill_n(&history_[e * kept_], kept_, -1); }

  bool advance(int64_t e, const int64_t* actions, int64_t, Rng, float* reward) override {
    const int64_t joint = actions[0] * n_ + actions[1];
    int64_t* h = &history_[e * kept_];
    std::copy_backward(h, h + kept_ - 1, h + kept_);
    h[0] = joint;
    reward[0] = static_cast<float>(payoff(e, 0, joint));
    reward[1] = static_cast<float>(payoff(e, 1, joint));
    return false;
  }

  void observe(int64_t e, float* obs, bool*) const override {
    const int64_t seen = spec().obs, pairs = 1 + n_ * n_;
    std::fill_n(obs, 2 * seen, 0.f);
    for (int64_t m = 0; m < memory_; ++m) {
      const int64_t joint = history_[e * kept_ + m], first = joint / n_, second = joint - first * n_;
      obs[m * pairs + (joint < 0 ? 0 : 1 + joint)] = 1;  // each sees its own action before the other's
      obs[seen + m * pairs + (joint < 0 ? 0 : 1 + second * n_ + first)] = 1;
    }
  }

  void visit(int64_t e, Cargo& cargo) override {
    cargo(&history_[e * kept_], kept_, {"a round", -1, n_ * n_ - 1});
  }

  const Game game_;
  const int64_t n_, memory_, kept_;
  std::vector<int64_t> history_;  // [E, kept]: joint actions, the last first; -1 before the first round
};

SYMMA_REGISTER(Env, "matrix_game", MatrixGame,
               "two players and a table of payoffs, repeated, with or without memory",
               "Claus and Boutilier 1998; Foerster et al. 2018, arXiv:1709.04326");

}  // namespace
}  // namespace symma
