// Traders by rule, the rivals of whoever learns to trade.
//
// "zi_c" quotes any price that loses nothing, "zi_u" any price (Gode and Sunder 1993); "zip" keeps a margin
// and learns it from what is quoted and traded (Cliff 1997); "shaver" is a tick better than the best on its
// side; "giveaway" quotes its limit; "sniper" waits, and shaves more and more as time runs out (as in
// the Bristol Stock Exchange; Cliff 2018, arXiv:1809.06027).
#include "symma/envs/markets/market.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

const char* const kTraders[] = {"zi_c", "zi_u", "zip", "shaver", "giveaway", "sniper"};

template <Trader kind>
class Trades final : public Script {
 public:
  using Options = NoOptions;
  explicit Trades(const Options&) {}
  void check(const Env& env) const override { market(env); }
  Tensor act(const Env& env, const Frame&, Rng rng) const override {
    const MarketView& view = market(env);
    const EnvSpec& s = env.spec();
    Tensor out = at::full({s.copies, s.agents}, s.actions - 1, at::kLong);
    for (int64_t e = 0; e < s.copies; ++e) {
      Draws d(rng.split("copy", e));
      for (int64_t p = 0; p < s.agents; ++p) {
        if (!view.acts(e, p)) continue;
        const int64_t price = view.quote_of(e, p, kind, d);
        if (price > 0) out.data_ptr<int64_t>()[e * s.agents + p] = view.action_of(e, p, price);
      }
    }
    return out;
  }

 private:
  static const MarketView& market(const Env& env) {
    return need_world<MarketView>(env, kTraders[static_cast<int>(kind)], "\"market\"");
  }
};

using ZiC = Trades<Trader::kZiC>;
using ZiU = Trades<Trader::kZiU>;
using Zip = Trades<Trader::kZip>;
using Shaver = Trades<Trader::kShaver>;
using Giveaway = Trades<Trader::kGiveaway>;
using Sniper = Trades<Trader::kSniper>;

SYMMA_REGISTER(Script, "zi_c", ZiC, "market: any price that loses nothing", "Gode and Sunder 1993");
SYMMA_REGISTER(Script, "zi_u", ZiU, "market: any price (world with actions = \"prices\")",
               "Gode and Sunder 1993");
SYMMA_REGISTER(Script, "zip", Zip, "market: a margin, learned from what is quoted and traded", "Cliff 1997");
SYMMA_REGISTER(Script, "shaver", Shaver, "market: a tick better than the best on its side",
               "Cliff 2018, arXiv:1809.06027");
SYMMA_REGISTER(Script, "giveaway", Giveaway, "market: its limit", "Cliff 2018, arXiv:1809.06027");
SYMMA_REGISTER(Script, "sniper", Sniper, "market: waits, then shaves more and more",
               "Cliff 2018, arXiv:1809.06027");

}  // namespace
}  // namespace symma
