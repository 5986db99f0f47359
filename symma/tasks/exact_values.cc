// Values of repeated games as one differentiable operation: forward, backward, and backward of the backward.
//
// With A = I - gamma M, discounted visits d = p A^-1 and what states are worth to player w, v_w = A^-1 r_w,
// V_w = p v_w, and of the joint probabilities B, p above M,
//
//   dV_w / dB[s, j] = e_s v_w[j],  e = (1, gamma d)
//
// A product of both policies is B[s, ij] = own[s, i] seen[s, j], where seen is the rival by the player's
// states. The backward pass's own backward pass is R{.}, the derivative in a direction of the policies:
// R{v_w} = gamma A^-1 R{M} v_w and R{d} = (R{p} + gamma d R{M}) A^-1.
//
// From policies to their logits, in each state: J g = pi (g - pi . g) takes a slope there, and, for J is
// symmetric, a direction back. R{J g} = R{pi} (g - pi . g) - pi (R{pi} . g) + J R{g}.
#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "symma/core/parallel.h"
#include "symma/nn/kernels/mlp.h"
#include "symma/tasks/repeated.h"

namespace symma {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// One match after another, in memory that is kept between them. Actions is their number n, known to the
// compiler or not.
template <class Actions>
class ExactMatch {
 public:
  ExactMatch(Actions actions, double gamma, const double* pay)
      : n_(actions),
        gamma_(gamma),
        pay_(pay),
        own_(states() * n_),
        rival_(states() * n_),
        both_(states() * joint()),
        inverse_(joint() * joint()),
        weight_(states()),
        worth_(2 * joint()),
        seen_(states() * n_) {}

  // own and rival [S, n] logits, each from its own side.
  void solve(const double* own, const double* rival) {
    softmax(own, own_.data());
    softmax(rival, rival_.data());
    see(rival_.data(), seen_.data());
    product(own_.data(), seen_.data(), both_.data());
    invert();
    weight_[0] = 1;
    for (int64_t j = 0; j < joint(); ++j) {
      double d = 0;
      for (int64_t s = 0; s < joint(); ++s) d += both_[s] * inverse_[s * joint() + j];
      weight_[1 + j] = gamma_ * d;
    }
    for (int64_t w = 0; w < 2; ++w) {
      for (int64_t s = 0; s < joint(); ++s) {
        double v = 0;
        for (int64_t j = 0; j < joint(); ++j) v += inverse_[s * joint() + j] * pay_[2 * j + w];
        worth_[w * joint() + s] = v;
      }
    }
  }

  double value(int64_t w) const {
    double v = 0;
    for (int64_t j = 0; j < joint(); ++j) v += both_[j] * worth_[w * joint() + j];
    return v;
  }

  // The slope of sum over players of g[w] V_w in the logits, [S, n] each.
  void slope(const double* g, double* of_own, double* of_rival) {
    slope_in_policies(g, of_own, of_rival);
    jacobian(own_.data(), of_own, of_own);
    jacobian(rival_.data(), of_rival, of_rival);
  }

  // R of V_w [2] and of those slopes [S, n] each, in the direction u of own's logits and z of the rival's.
  void curve(const double* g, const double* u, const double* z, double* of_values, double* of_own,
             double* of_rival) {
    const int64_t size = states() * n_;
    std::vector<double>&r_own = scratch(9, size), &r_rival = scratch(10, size), &slope = scratch(11, size),
    &slope_rival = scratch(12, size);
    jacobian(own_.data(), u, r_own.data());
    jacobian(rival_.data(), z, r_rival.data());
    curve_in_policies(g, r_own.data(), r_rival.data(), of_values, of_own, of_rival);
    slope_in_policies(g, slope.data(), slope_rival.data());
    moved_jacobian(own_.data(), r_own.data(), slope.data(), of_own);
    moved_jacobian(rival_.data(), r_rival.data(), slope_rival.data(), of_rival);
  }

 private:
  int64_t joint() const { return n_ * n_; }
  int64_t states() const { return 1 + n_ * n_; }

  void softmax(const double* logits, double* policy) const {
    for (int64_t s = 0; s < states(); ++s, logits += n_, policy += n_) {
      const double most = *std::max_element(logits, logits + n_);
      double sum = 0;
      for (int64_t a = 0; a < n_; ++a) sum += policy[a] = std::exp(logits[a] - most);
      for (int64_t a = 0; a < n_; ++a) policy[a] /= sum;
    }
  }
  // out = J x, which may be x.
  void jacobian(const double* policy, const double* x, double* out) const {
    for (int64_t s = 0; s < states(); ++s, policy += n_, x += n_, out += n_) {
      double mean = 0;
      for (int64_t a = 0; a < n_; ++a) mean += policy[a] * x[a];
      for (int64_t a = 0; a < n_; ++a) out[a] = policy[a] * (x[a] - mean);
    }
  }
  // r_slope becomes R{J slope}.
  void moved_jacobian(const double* policy, const double* r_policy, const double* slope,
                      double* r_slope) const {
    for (int64_t s = 0; s < states(); ++s, policy += n_, r_policy += n_, slope += n_, r_slope += n_) {
      double mean = 0, r_mean = 0;
      for (int64_t a = 0; a < n_; ++a) {
        mean += policy[a] * slope[a];
        r_mean += r_policy[a] * slope[a] + policy[a] * r_slope[a];
      }
      for (int64_t a = 0; a < n_; ++a)
        r_slope[a] = r_policy[a] * (slope[a] - mean) + policy[a] * (r_slope[a] - r_mean);
    }
  }

  void slope_in_policies(const double* g, double* of_own, double* of_rival) {
    std::vector<double>& v = scratch(0, joint());
    for (int64_t j = 0; j < joint(); ++j) v[j] = g[0] * worth_[j] + g[1] * worth_[joint() + j];
    std::vector<double>& of_both = scratch(1, states() * joint());
    for (int64_t s = 0; s < states(); ++s) {
      for (int64_t j = 0; j < joint(); ++j) of_both[s * joint() + j] = weight_[s] * v[j];
    }
    apart(of_both.data(), own_.data(), seen_.data(), of_own, of_rival, false);
  }

  void curve_in_policies(const double* g, const double* u, const double* z, double* of_values, double* of_own,
                         double* of_rival) {
    std::vector<double>& z_seen = scratch(2, states() * n_);
    see(z, z_seen.data());
    std::vector<double>& r_both = scratch(3, states() * joint());
    product(u, seen_.data(), r_both.data());
    std::vector<double>& more = scratch(4, states() * joint());
    product(own_.data(), z_seen.data(), more.data());
    for (size_t i = 0; i < r_both.size(); ++i) r_both[i] += more[i];
    // R{v_w}, and of their sum by g.
    std::vector<double>&r_v = scratch(5, joint()), &v = scratch(0, joint()), &moved = scratch(6, joint());
    std::fill(r_v.begin(), r_v.end(), 0.0);
    for (int64_t w = 0; w < 2; ++w) {
      const double* worth = &worth_[w * joint()];
      double value = 0;
      for (int64_t s = 0; s < states(); ++s) {
        double sum = 0;
        for (int64_t j = 0; j < joint(); ++j) sum += r_both[s * joint() + j] * worth[j];
        value += weight_[s] * sum;
        if (s > 0) moved[s - 1] = gamma_ * sum;
      }
      of_values[w] = value;
      for (int64_t s = 0; s < joint(); ++s) {
        double sum = 0;
        for (int64_t j = 0; j < joint(); ++j) sum += inverse_[s * joint() + j] * moved[j];
        r_v[s] += g[w] * sum;
      }
    }
    for (int64_t j = 0; j < joint(); ++j) v[j] = g[0] * worth_[j] + g[1] * worth_[joint() + j];
    // R{e}: what R{B} brings to each state, by the visits.
    std::vector<double>& r_weight = scratch(7, states());
    r_weight[0] = 0;
    for (int64_t j = 0; j < joint(); ++j) {
      double sum = 0;
      for (int64_t s = 0; s < states(); ++s) sum += weight_[s] * r_both[s * joint() + j];
      moved[j] = gamma_ * sum;
    }
    for (int64_t j = 0; j < joint(); ++j) {
      double sum = 0;
      for (int64_t s = 0; s < joint(); ++s) sum += moved[s] * inverse_[s * joint() + j];
      r_weight[1 + j] = sum;
    }
    std::vector<double>&of_both = scratch(1, states() * joint()), &r_of_both = more;
    for (int64_t s = 0; s < states(); ++s) {
      for (int64_t j = 0; j < joint(); ++j) {
        of_both[s * joint() + j] = weight_[s] * v[j];
        r_of_both[s * joint() + j] = r_weight[s] * v[j] + weight_[s] * r_v[j];
      }
    }
    apart(r_of_both.data(), own_.data(), seen_.data(), of_own, of_rival, false);
    apart(of_both.data(), u, z_seen.data(), of_own, of_rival, true);
  }

  // The player's state that is the rival's state s, and back.
  int64_t mirrored(int64_t s) const { return s == 0 ? 0 : 1 + (s - 1) % n_ * n_ + (s - 1) / n_; }
  void see(const double* rival, double* seen) const {
    for (int64_t s = 0; s < states(); ++s) std::copy_n(rival + mirrored(s) * n_, n_, seen + s * n_);
  }
  void product(const double* own, const double* seen, double* both) const {
    for (int64_t s = 0; s < states(); ++s) {
      for (int64_t i = 0; i < n_; ++i) {
        for (int64_t k = 0; k < n_; ++k) both[s * joint() + i * n_ + k] = own[s * n_ + i] * seen[s * n_ + k];
      }
    }
  }
  // From a slope in the product to those in its factors.
  void apart(const double* of_both, const double* own, const double* seen, double* of_own, double* of_rival,
             bool add) const {
    for (int64_t s = 0; s < states(); ++s) {
      double *to_own = of_own + s * n_, *to_rival = of_rival + mirrored(s) * n_;
      if (!add) std::fill_n(to_own, n_, 0.0), std::fill_n(to_rival, n_, 0.0);
      for (int64_t i = 0; i < n_; ++i) {
        for (int64_t k = 0; k < n_; ++k) {
          const double slope = of_both[s * joint() + i * n_ + k];
          to_own[i] += slope * seen[s * n_ + k];
          to_rival[k] += slope * own[s * n_ + i];
        }
      }
    }
  }
  // Of I - gamma M, by Gauss and Jordan. Rows of M sum to 1 and gamma is below 1: the diagonal is the largest
  // of its row at every step, and nothing needs to change places.
  void invert() {
    std::vector<double>& a = scratch(8, joint() * joint());
    for (int64_t i = 0; i < joint(); ++i) {
      for (int64_t j = 0; j < joint(); ++j) {
        a[i * joint() + j] = (i == j ? 1 : 0) - gamma_ * both_[(1 + i) * joint() + j];
        inverse_[i * joint() + j] = i == j ? 1 : 0;
      }
    }
    for (int64_t k = 0; k < joint(); ++k) {
      const double over = 1 / a[k * joint() + k];
      for (int64_t j = 0; j < joint(); ++j) a[k * joint() + j] *= over, inverse_[k * joint() + j] *= over;
      for (int64_t i = 0; i < joint(); ++i) {
        const double times = a[i * joint() + k];
        if (i == k) continue;
        for (int64_t j = 0; j < joint(); ++j) {
          a[i * joint() + j] -= times * a[k * joint() + j];
          inverse_[i * joint() + j] -= times * inverse_[k * joint() + j];
        }
      }
    }
  }
  std::vector<double>& scratch(int which, int64_t size) {
    scratch_[which].resize(size);
    return scratch_[which];
  }

  const Actions n_;
  const double gamma_;
  const double* const pay_;          // [n^2, 2]
  std::vector<double> own_, rival_;  // [S, n], policies
  std::vector<double> both_;         // [S, n^2]: p, and M below it
  std::vector<double> inverse_;      // [n^2, n^2]
  std::vector<double> weight_;       // [S]: e
  std::vector<double> worth_;        // [2, n^2]
  std::vector<double> seen_;         // [S, n]
  std::vector<double> scratch_[13];
};

Tensor plain(const Tensor& t) {
  return t.detach().to(at::kDouble).contiguous();
}

// work(match, i) for every match, solved.
template <class Work>
void each_match(const Tensor& own, const Tensor& rival, const Tensor& pay, double gamma, const Work& work) {
  constexpr int64_t kAPiece = 64;
  const int64_t actions = own.size(2), each = own.size(1) * actions;
  const auto with = [&](auto n) {
    parallel_for(own.size(0), kAPiece, [&](int64_t begin, int64_t end) {
      ExactMatch match(n, gamma, pay.data_ptr<double>());
      for (int64_t i = begin; i < end; ++i) {
        match.solve(own.data_ptr<double>() + i * each, rival.data_ptr<double>() + i * each);
        work(match, i);
      }
    });
  };
  if (actions == 2)
    with(std::integral_constant<int64_t, 2>());
  else
    with(actions);
}

// Where match i begins.
double* of_match(const Tensor& t, int64_t i) {
  return t.data_ptr<double>() + i * t.stride(0);
}

// R of the backward pass: the slopes' product with a direction, differentiated in own, rival and g.
struct ExactCurve : torch::autograd::Function<ExactCurve> {
  static variable_list forward(AutogradContext*, const Tensor& own, const Tensor& rival, const Tensor& g,
                               const Tensor& u, const Tensor& z, const Tensor& pay, double gamma) {
    const Tensor a = plain(own), b = plain(rival), c = plain(g), d = plain(u), e = plain(z);
    const Tensor of_own = at::empty_like(a), of_rival = at::empty_like(b), of_g = at::empty_like(c);
    each_match(a, b, pay, gamma, [&](auto& match, int64_t i) {
      match.curve(of_match(c, i), of_match(d, i), of_match(e, i), of_match(of_g, i), of_match(of_own, i),
                  of_match(of_rival, i));
    });
    return {of_own.to(own.scalar_type()), of_rival.to(rival.scalar_type()), of_g.to(g.scalar_type())};
  }
  static variable_list backward(AutogradContext*, const variable_list&) {
    TORCH_CHECK(false,
                "exact values are differentiable twice, and a third derivative was asked for; take the "
                "composite path "
                "(symma::CompositePath), which is differentiable to any order");
  }
};

struct ExactBackward : torch::autograd::Function<ExactBackward> {
  static variable_list forward(AutogradContext* ctx, const Tensor& own, const Tensor& rival, const Tensor& g,
                               const Tensor& pay, double gamma) {
    ctx->save_for_backward({own, rival, g, pay});
    ctx->saved_data["gamma"] = gamma;
    const Tensor a = plain(own), b = plain(rival), c = plain(g);
    const Tensor of_own = at::empty_like(a), of_rival = at::empty_like(b);
    each_match(a, b, pay, gamma, [&](auto& match, int64_t i) {
      match.slope(of_match(c, i), of_match(of_own, i), of_match(of_rival, i));
    });
    return {of_own.to(own.scalar_type()), of_rival.to(rival.scalar_type())};
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& by) {
    const auto saved = ctx->get_saved_variables();
    const auto direction = [](const Tensor& t, const Tensor& like) {
      return t.defined() ? t : at::zeros_like(like);
    };
    const auto r =
        ExactCurve::apply(saved[0], saved[1], saved[2], direction(by[0], saved[0]),
                          direction(by[1], saved[1]), saved[3], ctx->saved_data.at("gamma").toDouble());
    return {r[0], r[1], r[2], Tensor(), Tensor()};
  }
};

struct ExactForward : torch::autograd::Function<ExactForward> {
  static Tensor forward(AutogradContext* ctx, const Tensor& own, const Tensor& rival, const Tensor& pay,
                        double gamma) {
    ctx->save_for_backward({own, rival, pay});
    ctx->saved_data["gamma"] = gamma;
    const Tensor a = plain(own), b = plain(rival), out = at::empty({a.size(0), 2}, a.options());
    each_match(a, b, pay, gamma, [&](auto& match, int64_t i) {
      for (int64_t w = 0; w < 2; ++w) of_match(out, i)[w] = match.value(w);
    });
    return out.to(own.scalar_type());
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& g) {
    const auto saved = ctx->get_saved_variables();
    const auto of =
        ExactBackward::apply(saved[0], saved[1], g[0], saved[2], ctx->saved_data.at("gamma").toDouble());
    return {of[0], of[1], Tensor(), Tensor()};
  }
};

}  // namespace

Tensor exact_values(const RepeatedGame& game, const Tensor& own, const Tensor& rival) {
  if (CompositePath::active() || !own.is_cpu()) return exact_values_composite(game, own, rival);
  return ExactForward::apply(own, rival, plain(game.pay), game.gamma);
}

}  // namespace symma
