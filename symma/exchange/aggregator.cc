#include "symma/exchange/aggregator.h"

#include "symma/exchange/rows.h"

namespace symma {
namespace {

Inputs checked(const Inputs& in) {
  Inputs out{plain_rows(in.rows), in.bad, in.centre};
  if (out.centre.defined()) {
    TORCH_CHECK(out.centre.dim() == 1 && out.centre.size(0) == out.rows.size(1), "a centre of ",
                out.centre.sizes(), " for rows of ", out.rows.size(1));
    out.centre = out.centre.detach().to(out.rows.scalar_type()).contiguous();
  }
  return out;
}

}  // namespace

void check_bad(const std::string& place, int64_t bad, int64_t n, int64_t most) {
  if (bad < 0) throw UserError(place, std::to_string(bad) + " bad rows", "the number is 0 or more");
  if (bad > most)
    throw UserError(place, std::to_string(bad) + " bad rows among " + std::to_string(n),
                    "this rule bears at most " + std::to_string(most) +
                        "; allow for fewer, or let more agents take part");
}

Tensor aggregate(const Aggregator& rule, const Inputs& in, Rng rng, const std::string& place) {
  const Inputs rows = checked(in);
  check_bad(place, rows.bad, rows.rows.size(0), rule.most_bad(rows.rows.size(0)));
  return rule.combine(rows, rng);
}

Inputs prepare(const PreAggregator& rule, const Inputs& in, Rng rng, const std::string& place) {
  const Inputs rows = checked(in);
  check_bad(place, rows.bad, rows.rows.size(0), rule.most_bad(rows.rows.size(0)));
  return rule.prepare(rows, rng);
}

}  // namespace symma
