#include "symma/exchange/settings.h"

namespace symma {

void PrivacyOptions::fields(Fields& f) {
  f.add("unit", unit, "what is protected").one_of({"none", "example", "task", "agent"});
  f.add(
       "where", where,
       "unit agent: who adds the noise, each agent for itself, or a trusted server to its sum, or the agents "
       "together, each its share of what the sum needs, under secure aggregation")
      .one_of({"local", "server", "distributed"});
  f.add("clip", clip, "largest norm of a unit's gradient, or of an agent's update").above(0);
  f.add("adaptive", adaptive, "the bound follows a quantile of the norms (Andrew et al. 2021)");
  f.add("quantile", quantile, "of the norms that the bound follows").above(0).below(1);
  f.add("count_noise", count_noise, "standard deviation of the noise on how many were within the bound")
      .above(0);
  f.add("noise", noise, "sigma: standard deviation of the noise, in bounds").above(0);
  f.add("delta", delta, "chance that epsilon does not hold").above(0).below(1);
  f.add("budget", budget, "largest epsilon: the run stops before it is passed; 0: no limit").at_least(0);
  f.add("adjacency", adjacency,
        "what epsilon tells apart: a unit that is there or not, that is another, or that counts as nothing; "
        "auto: what fits how units are drawn")
      .one_of({"auto", "add-remove", "replace", "zero-out"});
  f.add("mechanism", mechanism,
        "unit agent, at a server: noise of its own in each sum, or of a tree in the sum of all so far "
        "(DP-FTRL)")
      .one_of({"gaussian", "tree"});
  f.add("restart", restart, "exchanges from one tree to the next; 0: one tree").at_least(0);
  f.add("noise_key", noise_key,
        "where noise, coins and keys come from; what follows from the seed is repeatable and protects "
        "nothing")
      .one_of({"system", "seed"});
}

}  // namespace symma
