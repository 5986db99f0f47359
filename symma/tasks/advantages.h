// Advantages of what was done in episodes, and the surrogates that turn them into policy gradients.
#pragma once

#include "symma/tasks/rollout.h"

namespace symma {

// The value of every state by a linear baseline, fitted to each row's own returns by least squares with a
// little ridge: [R, E, T + 1], zero at and after the end of an episode. Duan et al. 2016, arXiv:1604.06778:
// features are what all players see, its square, the time, its square and cube, and 1.
Tensor linear_values(const Rollout&, const Tensor& reward /*[R,E,T]*/, int64_t seen, double gamma);

// A_t = sum_k (gamma lambda)^k (r_{t+k} + gamma V_{t+k+1} - V_{t+k}), [R, E, T]. Schulman et al. 2016,
// arXiv:1506.02438.
Tensor generalised_advantages(const Tensor& reward /*[R,E,T]*/, const Tensor& alive /*[R,E,T]*/,
                              const Tensor& value /*[R,E,T+1]*/, double gamma, double lambda);

// Less their mean and over their deviation, both of the steps that a row took.
Tensor standardised(const Tensor& advantage /*[R,E,T]*/, const Tensor& alive /*[R,E,T]*/);

// Minus the mean over a row's steps of what they gained, [R], for a policy with log probabilities `log_p` on
// episodes that were drawn with `drawn`. At log_p = drawn its gradient is that of minus the return's
// estimate.
//
//   low variance:  q_t A_t,                            q_t = exp(log_p_t - drawn_t)   (Rothfuss et al. 2019,
//                                                      arXiv:1810.06784, equation 6)
//   else:          (prod_{s<=t} q_s - prod_{s<t} q_s) A_t: each derivative, and not the first alone, has the
//                  right mean (DiCE with advantages: Farquhar et al. 2019, arXiv:1909.10549)
Tensor policy_surrogate(const Tensor& log_p /*[R,E,T]*/, const Tensor& drawn /*[R,E,T]*/,
                        const Tensor& advantage /*[R,E,T]*/, const Tensor& alive /*[R,E,T]*/,
                        bool low_variance);

// The clipped objective (Schulman et al. 2017, arXiv:1707.06347): minus the mean of min(q_t A_t, clip(q_t, 1
// - clip, 1 + clip) A_t), [R].
Tensor clipped_surrogate(const Tensor& log_p /*[R,E,T]*/, const Tensor& drawn /*[R,E,T]*/,
                         const Tensor& advantage /*[R,E,T]*/, const Tensor& alive /*[R,E,T]*/, double clip);

// The mean over the steps that a row took: [R].
Tensor mean_over_steps(const Tensor& x /*[R,E,T]*/, const Tensor& alive /*[R,E,T]*/);

}  // namespace symma
