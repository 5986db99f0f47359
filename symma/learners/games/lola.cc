// Learning with opponent-learning awareness: a player follows the gradient of what it will get after its
// rival's next step, a step that depends on what the player does now.
//
//   lookahead:  d/dx L(x, y - eta dL'/dy),                   L the player's loss, L' its rival's
//   taylor:     dL/dx - eta d/dx [stop(dL/dy) . dL'/dy],     the first order in eta
//
// Foerster et al. 2018, arXiv:1709.04326 (taylor, exact values); Foerster et al. 2018, arXiv:1802.05098
// (LOLA-DiCE: lookahead, any number of steps, values from episodes). Without lookaheads it is naive learning.
//
// Adapting is a match in which both learn. `lookaheads` is 0 for naive learners; rivals may do as the player
// does, follow their own gradient, or stand still. Training moves the agents' rows by the same gradient, at
// the start of a match: the way for agents of a fleet that meet each other.
#include "symma/core/errors.h"
#include "symma/learners/adam.h"
#include "symma/learners/games/matches.h"

namespace symma {
namespace {

class Lola : public MatchLearner {
 public:
  struct Options {
    std::string form = "lookahead", rivals = "lola", inner_optimizer = "sgd";
    int64_t lookaheads = 1;
    double inner_lr = 1, lookahead_lr = 1;
    OuterOptions outer;
    void fields(Fields& f) {
      f.add("form", form, "through the whole step of the rival, or to the first order in its size")
          .one_of({"lookahead", "taylor"});
      f.add("lookaheads", lookaheads, "steps of the rival that are looked ahead; 0: naive learning")
          .at_least(0);
      f.add("lookahead_lr", lookahead_lr, "size of those steps").above(0);
      f.add("inner_lr", inner_lr, "step size in a match").above(0);
      f.add("inner_optimizer", inner_optimizer, "in a match").one_of({"adam", "sgd"});
      f.add("rivals", rivals,
            "how rivals learn in a match: as the player, by their own gradient, or not at all")
          .one_of({"lola", "naive", "still"});
      outer.fields(f);
    }
  };

  Lola(const Options& o, const LearnerSetting& setting) : MatchLearner(o.outer, setting, "lola"), o_(o) {
    if (o.form == "taylor" && o.lookaheads > 1)
      throw UserError("[learner] lookaheads", "the first order is of one step",
                      "set lookaheads to 1, or form to \"lookahead\"");
  }

  std::vector<Tensor> adapt(const State& state, const TaskBatch& batch, std::span<const int64_t> steps,
                            Rng rng) const override {
    const GameBatch& games = need<GameBatch>(batch, name());
    const int64_t p = games.player();
    const Tensor start = games.matches(hand_out(state.theta, batch.size())).contiguous();
    Adam adam;
    return walk(start, steps, [&](const Tensor& rows, int64_t k) {
      const Rng now = rng.split("inner", k);
      const auto side = [&](int64_t who) {
        return shaped(rows, games, who, who == 0 || o_.rivals == "lola", now.split("side", who)).grad;
      };
      const Tensor mine = side(0).narrow(1, 0, p);
      const Tensor its = o_.rivals == "still" ? at::zeros_like(rows.narrow(1, p, rows.size(1) - p))
                                              : side(1).narrow(1, p, rows.size(1) - p);
      const Tensor grad = at::cat({mine, its}, 1);
      return o_.inner_optimizer == "sgd" ? rows - o_.inner_lr * grad : adam.step(rows, grad, o_.inner_lr);
    });
  }

 protected:
  Gradients gradient(const Tensor& matches, const GameBatch& games, Rng rng) const override {
    return shaped(matches, games, 0, true, rng);
  }

 private:
  // The gradient of one side (0 the player, 1 its rival), whose columns of it count, and its loss.
  Gradients shaped(const Tensor& matches, const GameBatch& games, int64_t who, bool ahead, Rng rng) const {
    const int64_t p = games.player(), r = matches.size(1) - p, other = 1 - who;
    // Columns of the other side: those of this one are zero.
    const Tensor theirs =
        at::cat({at::full({p}, who, matches.options()), at::full({r}, other, matches.options())});
    const Tensor at = leaf(matches);
    const int64_t steps = ahead ? o_.lookaheads : 0;
    if (o_.form == "taylor" && steps > 0) {
      const Tensor losses = games.losses(at, Stage::kSupport, rng);
      const Tensor mine = row_gradient(losses.select(1, who), at, true);
      const Tensor its = row_gradient(losses.select(1, other), at, true);
      const Tensor gain = (mine.detach() * its * theirs).sum(1);
      return {mine.detach() - o_.lookahead_lr * row_gradient(gain, at, false),
              losses.select(1, who).detach()};
    }
    Tensor rows = at;
    for (int64_t k = 0; k < steps; ++k) {
      const Tensor its = games.losses(rows, Stage::kSupport, rng.split("ahead", k)).select(1, other);
      rows = rows - o_.lookahead_lr * theirs * row_gradient(its, rows, true);
    }
    const Tensor loss = games.losses(rows, Stage::kQuery, rng.split("judged")).select(1, who);
    return {row_gradient(loss, at, false), loss.detach()};
  }

  Options o_;
};

SYMMA_REGISTER(Learner, "lola", Lola, "follows what it will get after its rival's next step",
               "Foerster et al. 2018, arXiv:1709.04326 and arXiv:1802.05098");

}  // namespace
}  // namespace symma
