// The physics of the particle worlds: discs in the plane that push each other apart where they overlap.
//
// Two variants, as published:
//   "openai": OpenAI's multiagent-particle-envs (Lowe et al. 2017, arXiv:1706.02275). Velocities move first,
//   then
//             positions; action 1 is right. Where a world is cooperative, each agent is handed the sum of all
//             rewards.
//   "mpe2":   Farama's MPE2 1.x (PettingZoo's successor of the same). Positions move first; action 1 is left.
// Sums are taken in the originals' order and in double, so that episodes agree to rounding.
#pragma once

#include <string>
#include <vector>

#include "symma/envs/copies.h"

namespace symma {

struct ParticleOptions : CopyOptions {
  std::string variant = "mpe2";
  ParticleOptions() { limit = 25; }
  void fields(Fields& f) {
    f.add("variant", variant, "whose rules, which do not compare").one_of({"openai", "mpe2"});
    CopyOptions::fields(f);
  }
};

// One disc. The first agents() of a world are agents, the others landmarks, which never move.
struct Disc {
  double radius = 0.05;
  bool collides = true;
  double push = 5;       // force of an action
  double max_speed = 0;  // 0: none
  bool moves = true;
};

struct Point {
  double x, y;
};

inline double squared(Point a, Point b) {
  const double dx = a.x - b.x, dy = a.y - b.y;
  return dx * dx + dy * dy;
}

// Constants of one copy's physics.
struct Medium {
  double damping = 0.25;  // share of its speed that a disc loses in a step
  double dt = 0.1;
  double contact_force = 1e2;
  double contact_margin = 1e-3;
};

class Particles : public Copies {
 public:
  std::string text(int64_t copy) const override;
  std::string svg(int64_t copy) const override;

 protected:
  Particles(EnvSpec, const ParticleOptions&, std::vector<TaskParameter>, std::vector<Disc>,
            int64_t extra = 0);
  void visit(int64_t copy, Cargo&) override;

  bool openai() const { return openai_; }
  int64_t discs() const { return static_cast<int64_t>(kinds_.size()); }
  const Disc& kind(int64_t i) const { return kinds_[i]; }
  Point* at(int64_t copy) { return &at_[copy * discs()]; }  // [discs]
  const Point* at(int64_t copy) const { return &at_[copy * discs()]; }
  Point* speed(int64_t copy) { return &speed_[copy * spec().agents]; }  // [A]
  const Point* speed(int64_t copy) const { return &speed_[copy * spec().agents]; }

  // Agents' places drawn evenly from [-arena, arena]^2, landmarks' from [-landmarks, landmarks]^2; nothing
  // moves.
  void scatter(int64_t copy, Draws&, double arena, double landmarks);
  // One step. Only agents whose disc moves look at their action. `discs` are the kinds, or this copy's own.
  void move(int64_t copy, const int64_t* actions, const Medium&, const Disc* discs);
  static bool touch(Point a, Point b, double radii) {
    const double d2 = squared(a, b);
    return d2 < radii * radii * 1.0001 && std::sqrt(d2) < radii;
  }

 private:
  const bool openai_;
  const std::vector<Disc> kinds_;
  std::vector<Point> at_;     // [E, discs]
  std::vector<Point> speed_;  // [E, A]
};

// Writes a - b and moves on.
inline float* put(float* out, Point a, Point b) {
  out[0] = static_cast<float>(a.x - b.x);
  out[1] = static_cast<float>(a.y - b.y);
  return out + 2;
}
inline float* put(float* out, Point a) {
  out[0] = static_cast<float>(a.x);
  out[1] = static_cast<float>(a.y);
  return out + 2;
}

// no_action, then the four ways; which of them is 1 depends on the variant.
std::vector<std::string> move_names(const std::string& variant);

}  // namespace symma
