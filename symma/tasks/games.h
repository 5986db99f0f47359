// Repeated matrix games against rivals who learn too.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "symma/envs/env.h"
#include "symma/tasks/hands.h"
#include "symma/tasks/repeated.h"
#include "symma/tasks/task.h"

namespace symma {

struct GameOptions {
  Choice<EnvRegistry> world{"matrix_game"};
  std::string poker = "none", value = "exact", rivals = "personas", test_rivals = "alike";
  double gamma = 0.96;
  int64_t rounds = 150, copies = 64, personas = 200, held_out = 20, population = 1, cfr_rounds = 100;
  void fields(Fields& f);
};

// B matches: the player of each is a row of theta, and meets a rival.
//
// A row of the model's P columns is a player, whose rival is as it stands when the match begins. A longer row
// is a match, [player | rival]: a rival that has learned is other columns. So what a player's loss depends on
// stands in one row, and all that works on rows (the inner loop, its derivatives, pieces of work) works on
// matches.
class GameBatch : public TaskBatch {
 public:
  static constexpr const char* kNeeded = "learns among rivals, and this task has none";
  struct Setup {
    GameOptions options;
    RepeatedGame game;
    std::shared_ptr<const Hands> hands = nullptr;  // where a game of cards is played instead
    int64_t states() const { return hands ? hands->states : game.states(); }
    int64_t actions() const { return hands ? hands->actions : game.actions; }
  };
  // Who the rivals are: a row for each match, tables of S n logits where `tables`, else rows of the model; or
  // the numbers of the rows of theta that a batch is given, as they are then.
  struct Rivals {
    Tensor rows;     // [B, R]
    Tensor partner;  // [B] int64
    bool tables = false;
  };

  GameBatch(const Model& model, std::shared_ptr<const Setup> setup, std::vector<Rng> keys, Rivals rivals);

  int64_t size() const override { return static_cast<int64_t>(keys_.size()); }
  // Where rivals are rows of theta, a slice knows none, and works on matches alone.
  std::unique_ptr<TaskBatch> slice(int64_t begin, int64_t end) const override;
  Tensor loss(const Tensor& theta, Stage stage, Rng rng) const override {
    return losses(matches(theta), stage, rng).select(1, 0);
  }
  // Of poker: "nash_conv", what both seats of the row could lose to best responses, and "return", against the
  // rival, a hand's worth on average over the seats. Else "return" and "rival_return": a round's worth, (1 -
  // gamma) V, exact also where the loss is from episodes.
  Scores score(const Tensor& theta, Rng) const override;

  // Rows with their rivals beside them, through which no gradient goes back: [B, P + R]. A match stays as it
  // is.
  Tensor matches(const Tensor& theta) const;
  // Minus the discounted value, of the player and of its rival: [B, 2], each differentiable in the whole
  // match.
  Tensor losses(const Tensor& matches /*[B,P+R]*/, Stage, Rng) const;

  int64_t player() const { return model_.layout().size(); }  // P
  const Setup& setup() const { return *setup_; }
  // A row's policy in every state: log probabilities [B, S, n], impossible actions far below.
  Tensor policy(const Tensor& rows /*[B,P]*/) const;
  // What the player gets a hand of poker, each seat in half of them, [B].
  Tensor hand(const Tensor& own /*[B,S,n] log probabilities*/, const Tensor& rival) const;
  // How many matches make a piece of work.
  int64_t piece() const;

 private:
  bool exact() const { return !setup_->hands && setup_->options.value == "exact"; }
  Tensor log_policy(const Tensor& logits /*[B,S,n]*/) const;
  Tensor logits(const Tensor& rows /*[B,P]*/) const;  // in every state, [B, S, n]
  // Of player and rival.
  std::pair<Tensor, Tensor> sides(const Tensor& matches) const;

  const Model& model_;
  std::shared_ptr<const Setup> setup_;
  std::vector<Rng> keys_;
  Rivals rivals_;
};

}  // namespace symma
