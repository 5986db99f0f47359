// Dispatching rules, the rivals of whoever learns to dispatch: a machine that is free begins one of the
// operations that wait for it; of equals, that of the lower job. Rules go by what was planned, or is
// planned anew.
#include <limits>

#include "symma/envs/robots/assembly.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

template <class Rule>
class Dispatches final : public Script {
 public:
  using Options = NoOptions;
  explicit Dispatches(const Options&) {}
  void check(const Env& env) const override { shop(env); }
  Tensor act(const Env& env, const Frame& frame, Rng) const override {
    const AssemblyView& view = shop(env);
    const EnvSpec& s = env.spec();
    const bool* mask = frame.mask.data_ptr<bool>();
    Tensor out = at::zeros({s.copies, s.agents}, at::kLong);
    int64_t* to = out.data_ptr<int64_t>();
    for (int64_t i = 0; i < s.copies * s.agents; ++i, mask += s.actions) {
      const int64_t e = i / s.agents;
      double least = std::numeric_limits<double>::infinity();
      int64_t lowest = -1;
      to[i] = s.actions - 1;
      for (int64_t k = 0; k + 1 < s.actions; ++k) {
        if (!mask[k]) continue;
        const int64_t job = view.job_of(e, i % s.agents, k);
        const double worth = Rule::worth(view, e, job);
        if (worth < least || (worth == least && job < lowest)) least = worth, lowest = job, to[i] = k;
      }
    }
    return out;
  }

 private:
  static const AssemblyView& shop(const Env& env) {
    return need_world<AssemblyView>(env, Rule::kName, "\"assembly\"");
  }
};

struct Spt {
  static constexpr const char* kName = "spt";
  static double worth(const AssemblyView& v, int64_t e, int64_t job) { return v.expected(e, job); }
};
struct Lpt {
  static constexpr const char* kName = "lpt";
  static double worth(const AssemblyView& v, int64_t e, int64_t job) { return -v.expected(e, job); }
};
struct Mwkr {
  static constexpr const char* kName = "mwkr";
  static double worth(const AssemblyView& v, int64_t e, int64_t job) { return -v.work(e, job); }
};
struct Fifo {
  static constexpr const char* kName = "fifo";
  static double worth(const AssemblyView& v, int64_t e, int64_t job) { return v.since(e, job); }
};
struct Lwkr {
  static constexpr const char* kName = "lwkr";
  static double worth(const AssemblyView& v, int64_t e, int64_t job) { return v.work(e, job); }
};
using DispatchesSpt = Dispatches<Spt>;
using DispatchesLpt = Dispatches<Lpt>;
using DispatchesMwkr = Dispatches<Mwkr>;
using DispatchesFifo = Dispatches<Fifo>;
using DispatchesLwkr = Dispatches<Lwkr>;

const char* const kSource = "Haupt 1989, OR Spektrum 11";
SYMMA_REGISTER(Script, "spt", DispatchesSpt, "assembly: the shortest operation first", kSource);
SYMMA_REGISTER(Script, "lpt", DispatchesLpt, "assembly: the longest operation first", kSource);
SYMMA_REGISTER(Script, "mwkr", DispatchesMwkr, "assembly: the job with most work left first", kSource);
SYMMA_REGISTER(Script, "fifo", DispatchesFifo, "assembly: who came first", kSource);
SYMMA_REGISTER(Script, "lwkr", DispatchesLwkr, "assembly: the job with least work left first", kSource);

}  // namespace
}  // namespace symma
