// How one searches without learning. "straight" goes on as it is, "steer" turns to the nearest target in
// view.
#include <algorithm>
#include <numbers>

#include "symma/core/options.h"
#include "symma/envs/robots/search_rescue.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

class Straight final : public Script {
 public:
  struct Options {
    double push = 1;
    void fields(Fields& f) {
      f.add("push", push, "of search_rescue: what is added to the speed; 1 is the most")
          .at_least(-1)
          .at_most(1);
    }
  };
  explicit Straight(const Options& o) : o_(o) {}
  void check(const Env& env) const override { need_world<SearchView>(env, "straight", "\"search_rescue\""); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    Tensor out = at::zeros({env.spec().copies, env.spec().agents, 2}, at::kFloat);
    out.select(2, 1).fill_(o_.push);
    return out;
  }

 private:
  Options o_;
};

class Steer final : public Script {
 public:
  struct Options {
    std::string aim = "edge";
    void fields(Fields& f) {
      f.add("aim", aim,
            "of search_rescue: at the leftmost ray that shows the target, as measured on the original, or at "
            "its "
            "centre")
          .one_of({"edge", "centre"});
    }
  };
  explicit Steer(const Options& o) : o_(o) {}
  void check(const Env& env) const override { need_world<SearchView>(env, "steer", "\"search_rescue\""); }
  Tensor act(const Env& env, const Frame&, Rng) const override {
    const auto& search = need_world<SearchView>(env, "steer", "\"search_rescue\"");
    const int64_t a = env.spec().agents;
    Tensor out = at::ones({env.spec().copies, a, 2}, at::kFloat);
    for (int64_t i = 0; i < env.spec().copies * a; ++i) {
      const auto there = search.nearest(i / a, i % a);
      // What lies to the right is turned to by less.
      const double angle = !there ? 0 : o_.aim == "edge" ? there->first_ray : there->right;
      const double turn = -angle / (0.25 * std::numbers::pi);
      out.data_ptr<float>()[2 * i] = static_cast<float>(std::clamp(turn, -1.0, 1.0));
    }
    return out;
  }

 private:
  Options o_;
};

SYMMA_REGISTER(Script, "straight", Straight, "search_rescue: straight on, at full speed", "symma");
SYMMA_REGISTER(Script, "steer", Steer, "search_rescue: to the nearest target in view, at full speed",
               "symma");

}  // namespace
}  // namespace symma
