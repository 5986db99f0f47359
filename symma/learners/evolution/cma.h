// What the full and the separable covariance matrix adaptation share: the constants of Hansen 2016,
// arXiv:1604.00772, table 1, and the two evolution paths.
#pragma once

#include "symma/learners/evolution/strategy.h"

namespace symma {

struct CmaConstants {
  int64_t population = 0, parents = 0;  // lambda and mu
  double mu_eff = 0, c_sigma = 0, d_sigma = 0, c_c = 0, c_1 = 0, c_mu = 0, chi = 0;
  Tensor weights;  // [lambda] float64, best first; those past `parents` are not positive

  // `speed` multiplies the rates of the covariance: 1, or (D + 2)/3 where it is a diagonal.
  CmaConstants(int64_t dims, int64_t population, double speed, bool negative);
};

// Moves theta and own["path_sigma"], own["sigma"] by the mean step y_w [N, D] (in units of sigma) and by
// whitened = C^-1/2 y_w. Returns h_sigma [N, 1]: 0 where the path is so long that the covariance must wait.
Tensor move_mean_and_sigma(State&, const CmaConstants&, const Tensor& y_w, const Tensor& whitened);

struct CmaOptions {
  int64_t population = 0;
  double sigma = 0.5;
  void fields(Fields& f) {
    f.add("population", population, "candidates a generation; 0: 4 + 3 ln(parameters)").at_least(0);
    f.add("sigma", sigma, "standard deviation at the start").above(0);
  }
};

// A search at `mean` [N, D] with what both keep: own["sigma"] [N, 1] and the paths "path_sigma", "path_c" [N,
// D].
State begin_cma(const Tensor& mean, double sigma);

}  // namespace symma
