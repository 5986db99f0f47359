// Job shops where machines are players: the rules of Jumanji 1.1.2, JobShop-v0 (Bonnet et al. 2024,
// arXiv:2306.09884), and joins, speeds, breakdowns and any file of shops besides.
//
// A job is a chain of operations, each for one machine and so long. A machine that is free begins one of the
// operations that wait for it, or waits itself. With clock "unit" a step is one unit of time, as in the
// original: all times left fall by 1 after the machines have begun. With "event" it lasts until a machine has
// something to decide again. What a reader may not expect: a machine that has just finished still shows its
// job until its next action, so the step that finishes all costs its time and no more; but where every
// machine is free and none begins anything, the episode ends with the penalty jobs * operations * longest.
//
// Reward, common to all: "time", minus the time that passed; "gap", the same in hundredths of the optimum (of
// the lower bound where no optimum is known), so a return of -115 is a makespan 15 % above it. A task is a
// shop (0: a new one every episode), its numbers of jobs and machines, another order of every job's
// operations, how worn machines are (what their durations are multiplied by; what was planned is shown), and
// a machine that stands still for a while.
#include "symma/envs/robots/assembly.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "symma/envs/drawing.h"
#include "symma/envs/robots/assembly_options.h"

namespace symma {
namespace {

class Assembly final : public Copies, public Judged, public AssemblyView {
 public:
  using Options = AssemblyOptions;

  Assembly(const Options& o, int64_t copies) : Assembly(o, copies, assembly_shops(o)) {}

  const std::vector<Score>& score_names() const override {
    static const std::vector<Score> names{{"makespan", false}, {"gap", false}};
    return names;
  }
  // What is left when an episode was cut off counts as if it were done one after another. The gap is in
  // percent.
  std::vector<double> scores(int64_t e) const override {
    const Hall& h = halls_[e];
    double span = static_cast<double>(h.now);
    if (!finished(h)) {
      for (int64_t i = 0; i < jobs_ * ops_; ++i)
        if (h.machine[i] >= 0 && h.began[i] < 0) span += h.actual[i];
      for (int64_t left : h.left) span += static_cast<double>(left);
    }
    return {span, 100 * (span / static_cast<double>(h.bound) - 1)};
  }

  int64_t job_of(int64_t e, int64_t m, int64_t action) const override {
    if (action == spec().actions - 1) return -1;
    return o_.choices ? halls_[e].slot[m * o_.choices + action] : action;
  }
  double expected(int64_t e, int64_t j) const override { return expected_of(halls_[e], op(halls_[e], j)); }
  double work(int64_t e, int64_t j) const override { return halls_[e].work[j]; }
  double since(int64_t e, int64_t j) const override { return static_cast<double>(halls_[e].since[j]); }

  std::string text(int64_t e) const override {
    const Hall& h = halls_[e];
    int64_t done = 0;
    for (int64_t j = 0; j < h.jobs; ++j) done += complete(h, j);
    std::string out =
        fmt::format("time {}, {} of {} jobs made; none can be below {}\n", h.now, done, h.jobs, h.bound);
    for (int64_t m = 0; m < h.machines; ++m) {
      out += fmt::format("machine {:<3}", m);
      if (out_of_order(e, m))
        out += " out of order";
      else if (h.left[m] > 0)
        out += fmt::format(" job {}, {} left", h.shown[m], h.left[m]);
      else
        out += " free";
      std::string waiting;
      for (int64_t j = 0; j < h.jobs; ++j)
        if (waits(e, j) && h.machine[op(h, j)] == m) waiting += fmt::format(" {}", j);
      out += waiting.empty() ? "\n" : ", waiting:" + waiting + "\n";
    }
    return out;
  }

  // A chart after Gantt: a line a machine, time to the right, a colour a job.
  std::string svg(int64_t e) const override {
    const Hall& h = halls_[e];
    const double row = std::clamp(300.0 / static_cast<double>(h.machines), 8.0, 24.0),
                 height = row * static_cast<double>(h.machines), width = 420,
                 wide = static_cast<double>(std::max<int64_t>(h.now, h.bound + h.bound / 4));
    Drawing d(width + 70, height + 44);
    const auto x = [&](int64_t t) { return 60 + width * static_cast<double>(t) / wide; };
    d.text(60 + width / 2, 10, 11,
           fmt::format("time {}: a colour a job; no makespan is below {} (dashed)", h.now, h.bound));
    for (int64_t m = 0; m < h.machines; ++m) {
      const double top = 24 + row * static_cast<double>(m);
      d.text(28, top + row / 2, std::min(11.0, row), fmt::format("machine {}", m),
             out_of_order(e, m) ? "#d62728" : "black");
      d.rect(60, top + 1, width, row - 2, "#f0f0f0");
    }
    for (int64_t i = 0; i < jobs_ * ops_; ++i) {
      if (h.machine[i] < 0 || h.began[i] < 0) continue;
      const int64_t end = h.ended[i] < 0 ? h.now : h.ended[i];
      const double top = 24 + row * h.machine[i], from = x(h.began[i]), to = x(end);
      d.rect(from, top + 1, std::max(0.5, to - from - 0.5), row - 2, colour(i / ops_));
      if (to - from > 10 && row > 9)
        d.text((from + to) / 2, top + row / 2, 9, fmt::format("{}", i / ops_), "white");
    }
    for (double y = 22; y < 24 + height; y += 6) d.line(x(h.bound), y, x(h.bound), y + 3, "black", 1);
    d.line(x(h.now), 22, x(h.now), 26 + height, "#808080", 1);
    d.text(60, height + 34, 10, "0");
    d.text(x(h.bound), height + 34, 10, fmt::format("{}", h.bound));
    return d.svg();
  }

 private:
  enum Part { kShop, kJobs, kMachines, kOrder, kBroken, kFailsAt, kFailsFor, kWear };
  // One copy. Operations stand at job * ops_ + their number.
  struct Hall {
    int64_t jobs = 0, machines = 0, now = 0, bound = 1, longest = 1, fails = 0, works_again = 0;
    std::vector<int32_t> count, next, on;  // [N] on: the machine that works on it, or -1
    std::vector<int64_t> since;            // [N]
    std::vector<int32_t> machine, planned, actual, began, ended;  // [N K]; -1: not yet
    std::vector<int32_t> shown;                                   // [M] job, or -1
    std::vector<int64_t> left;                                    // [M]
    std::vector<double> ratio;                                    // [M] of the last operation: true / planned
    // Made from the rest.
    std::vector<double> work, load;  // [N], [M] expected, of what is not begun
    std::vector<int32_t> slot;       // [M choices]
    std::vector<int32_t> unmade;     // [N]
    const Shop::Join* joins = nullptr;
    size_t join_count = 0;
  };

  static int64_t numbers(const AssemblySizes& s) {
    return 7 + 4 * s.jobs + 5 * s.jobs * s.operations + 3 * s.machines;
  }

  Assembly(const Options& o, int64_t copies, Shops shops)
      : Copies(assembly_spec(o, copies, *shops), o, assembly_parameters(o, *shops),
               numbers(assembly_sizes(o, *shops))),
        o_(o),
        replans_(o.wear == "replanned"),
        jobs_(assembly_sizes(o, *shops).jobs),
        machines_(assembly_sizes(o, *shops).machines),
        ops_(assembly_sizes(o, *shops).operations),
        shops_(std::move(shops)),
        halls_(copies) {
    for (int64_t n = 0; n <= jobs_; ++n) made_joins_.push_back(made_joins(n, std::min(o.joins, n / 2)));
    for (Hall& h : halls_) {
      for (auto* v : {&h.count, &h.next, &h.on, &h.unmade}) v->resize(jobs_);
      h.since.resize(jobs_), h.work.resize(jobs_);
      for (auto* v : {&h.machine, &h.planned, &h.actual, &h.began, &h.ended}) v->resize(jobs_ * ops_);
      h.shown.resize(machines_), h.left.resize(machines_), h.ratio.resize(machines_),
          h.load.resize(machines_);
      h.slot.resize(machines_ * o.choices);
    }
  }

  void begin(int64_t e, Rng episode) override {
    Hall& h = halls_[e];
    const double* t = task(e);
    Shop made;
    const Shop* shop = &made;
    if (t[kShop] > 0)
      shop = &(*shops_)[static_cast<size_t>(t[kShop]) - 1];
    else
      made = make_shop(
          {static_cast<int64_t>(t[kJobs]), static_cast<int64_t>(t[kMachines]), std::min(o_.operations, ops_),
           o_.durations[0], o_.durations[1], o_.routes == "permutation", o_.joins},
          episode.split("shop"));
    std::vector<int32_t> own_machine = shop->machine, own_duration = shop->duration;
    if (t[kOrder] > 0) {
      for (int64_t j = 0; j < shop->jobs; ++j) {
        const auto to =
            Draws(Rng(static_cast<uint64_t>(t[kOrder])).split("order", j)).permutation(shop->count[j]);
        for (int64_t k = 0; k < shop->count[j]; ++k) {
          own_machine[j * shop->operations + k] = shop->machine[j * shop->operations + to[k]];
          own_duration[j * shop->operations + k] = shop->duration[j * shop->operations + to[k]];
        }
      }
    }
    h.jobs = shop->jobs, h.machines = shop->machines, h.now = 0;
    for (auto* v : {&h.machine, &h.began, &h.ended}) std::fill(v->begin(), v->end(), -1);
    for (auto* v : {&h.planned, &h.actual, &h.count, &h.next}) std::fill(v->begin(), v->end(), 0);
    std::fill(h.on.begin(), h.on.end(), -1), std::fill(h.since.begin(), h.since.end(), 0);
    std::fill(h.shown.begin(), h.shown.end(), -1), std::fill(h.left.begin(), h.left.end(), 0);
    std::fill(h.ratio.begin(), h.ratio.end(), 0.0);
    bool worn = false;
    for (int64_t j = 0; j < h.jobs; ++j) {
      h.count[j] = shop->count[j];
      for (int64_t k = 0; k < h.count[j]; ++k) {
        const int64_t from = j * shop->operations + k, to = j * ops_ + k;
        h.machine[to] = own_machine[from], h.planned[to] = own_duration[from];
        const double wear = t[kWear + h.machine[to]];
        worn |= wear != 1;
        h.actual[to] = std::max(1, static_cast<int32_t>(std::lround(h.planned[to] * wear)));
      }
    }
    Shop true_shop = *shop;
    if (worn || t[kOrder] > 0) {
      true_shop.machine = own_machine;
      for (int64_t j = 0; j < h.jobs; ++j)
        for (int64_t k = 0; k < h.count[j]; ++k)
          true_shop.duration[j * shop->operations + k] = h.actual[j * ops_ + k];
    }
    const bool known = !worn && t[kOrder] == 0 && shop->optimum > 0;
    h.bound = known ? shop->optimum : true_shop.lower_bound();
    h.fails = static_cast<int64_t>(std::lround(t[kFailsAt] * static_cast<double>(h.bound)));
    h.works_again =
        t[kBroken] < 0
            ? h.fails
            : h.fails + static_cast<int64_t>(std::lround(t[kFailsFor] * static_cast<double>(h.bound)));
    settle(e);
  }

  // What is made from the rest.
  void settle(int64_t e) {
    Hall& h = halls_[e];
    const std::vector<Shop::Join>& joins =
        task(e)[kShop] > 0 ? (*shops_)[static_cast<size_t>(task(e)[kShop]) - 1].joins : made_joins_[h.jobs];
    h.joins = joins.data(), h.join_count = joins.size();
    h.longest = 1;
    for (int64_t j = 0; j < h.jobs; ++j)
      for (int64_t i = j * ops_; i < j * ops_ + h.count[j]; ++i)
        h.longest = std::max<int64_t>(h.longest, h.planned[i]);
    reckon(h);
    fill_slots(e);
  }

  // How long an operation takes, as far as is known.
  double expected_of(const Hall& h, int64_t i) const {
    const double ratio = replans_ ? h.ratio[h.machine[i]] : 0;
    return ratio > 0 ? h.planned[i] * ratio : h.planned[i];
  }

  void reckon(Hall& h) const {
    std::fill(h.work.begin(), h.work.end(), 0.0), std::fill(h.load.begin(), h.load.end(), 0.0);
    for (int64_t j = 0; j < h.jobs; ++j) {
      for (int64_t i = j * ops_ + h.next[j]; i < j * ops_ + h.count[j]; ++i) {
        const double time = expected_of(h, i);
        h.work[j] += time, h.load[h.machine[i]] += time;
      }
    }
  }

  int64_t op(const Hall& h, int64_t j) const { return j * ops_ + h.next[j]; }
  bool complete(const Hall& h, int64_t j) const { return h.next[j] == h.count[j] && h.on[j] < 0; }
  bool out_of_order(int64_t e, int64_t m) const {
    const Hall& h = halls_[e];
    return h.fails < h.works_again && m == static_cast<int64_t>(task(e)[kBroken]) && h.now >= h.fails &&
           h.now < h.works_again;
  }
  bool finished(const Hall& h) const {
    for (int64_t j = 0; j < h.jobs; ++j)
      if (!complete(h, j)) return false;
    return true;
  }
  // Its next operation could begin, were its machine free.
  bool waits(int64_t e, int64_t j) const {
    const Hall& h = halls_[e];
    if (h.on[j] >= 0 || h.next[j] == h.count[j]) return false;
    for (size_t i = 0; i < h.join_count; ++i) {
      const Shop::Join& join = h.joins[i];
      if (join.job == j && join.operation == h.next[j] && !complete(h, join.part)) return false;
    }
    return true;
  }

  // The waiting jobs of each machine that are offered: most work left first, then the lower number.
  void fill_slots(int64_t e) {
    if (!o_.choices) return;
    Hall& h = halls_[e];
    std::fill(h.slot.begin(), h.slot.end(), -1);
    for (int64_t j = 0; j < h.jobs; ++j) {
      if (!waits(e, j)) continue;
      int32_t* slot = &h.slot[h.machine[op(h, j)] * o_.choices];
      auto moved = static_cast<int32_t>(j);
      for (int64_t k = 0; k < o_.choices && moved >= 0; ++k)
        if (slot[k] < 0 || h.work[moved] > h.work[slot[k]]) std::swap(slot[k], moved);
    }
  }

  bool advance(int64_t e, const int64_t* actions, int64_t, Rng, float* reward) override {
    Hall& h = halls_[e];
    const int64_t before = h.now, none = spec().actions - 1;
    bool idle = true;
    for (int64_t m = 0; m < h.machines; ++m) {
      if (actions[m] != none) {
        const int64_t j = job_of(e, m, actions[m]), i = op(h, j);
        h.shown[m] = static_cast<int32_t>(j), h.on[j] = static_cast<int32_t>(m);
        h.left[m] = h.actual[i], h.began[i] = static_cast<int32_t>(h.now);
        h.work[j] -= h.planned[i], h.load[m] -= h.planned[i];
        ++h.next[j];
      } else if (h.left[m] == 0) {
        h.shown[m] = -1;
      }
      idle &= h.shown[m] < 0 && h.left[m] == 0;
    }
    // While a machine stands still there may be nothing to begin.
    const bool still = h.now < h.works_again && h.now >= h.fails;
    double cost = 0;
    bool ended = false;
    if (idle && !still && !finished(h)) {
      cost = static_cast<double>(h.jobs * ops_ * h.longest);
      ended = true;
      ++h.now;
    } else {
      if (o_.clock == "unit") {
        pass(e, 1);
      } else {
        do {
          pass(e, until_next(e));
        } while (!finished(h) && !to_decide(e));
      }
      cost = static_cast<double>(h.now - before);
      ended = finished(h);
    }
    if (replans_) reckon(h);
    fill_slots(e);
    if (o_.reward == "gap") cost *= 100 / static_cast<double>(h.bound);
    std::fill_n(reward, spec().agents, static_cast<float>(-cost));
    return ended;
  }

  // How long until an operation ends or a machine fails or works again.
  int64_t until_next(int64_t e) const {
    const Hall& h = halls_[e];
    int64_t least = std::numeric_limits<int64_t>::max();
    for (int64_t m = 0; m < h.machines; ++m)
      if (h.left[m] > 0 && !out_of_order(e, m)) least = std::min(least, h.left[m]);
    if (h.fails < h.works_again) {
      if (h.now < h.fails)
        least = std::min(least, h.fails - h.now);
      else if (h.now < h.works_again)
        least = std::min(least, h.works_again - h.now);
    }
    return least;
  }

  bool to_decide(int64_t e) const {
    const Hall& h = halls_[e];
    for (int64_t j = 0; j < h.jobs; ++j) {
      if (!waits(e, j)) continue;
      const int64_t m = h.machine[op(h, j)];
      if (h.left[m] == 0 && !out_of_order(e, m)) return true;
    }
    return until_next(e) == std::numeric_limits<int64_t>::max();
  }

  void pass(int64_t e, int64_t time) {
    Hall& h = halls_[e];
    for (int64_t m = 0; m < h.machines; ++m) {
      if (h.left[m] == 0 || out_of_order(e, m)) continue;
      h.left[m] -= time;
      if (h.left[m] > 0) continue;
      const int64_t j = h.shown[m], i = j * ops_ + h.next[j] - 1, end = h.now + time;
      h.on[j] = -1, h.since[j] = end;
      h.ended[i] = static_cast<int32_t>(end);
      h.ratio[m] = static_cast<double>(h.actual[i]) / h.planned[i];
      if (h.next[j] < h.count[j]) continue;
      for (size_t k = 0; k < h.join_count; ++k)
        if (h.joins[k].part == j) h.since[h.joins[k].job] = end;
    }
    h.now += time;
  }

  void observe(int64_t e, float* obs, bool* mask) const override {
    const Hall& h = halls_[e];
    const int64_t width = spec().obs, n = spec().actions;
    std::fill_n(obs, spec().agents * width, 0.F);
    std::fill_n(mask, spec().agents * n, false);
    for (int64_t m = 0; m < spec().agents; ++m) mask[m * n + n - 1] = true;
    double most_work = 1, most_load = 1, all = 0;
    std::array<double, kMostShopSide> queue{};
    std::array<int32_t, kMostShopSide> waiting{};
    std::array<bool, kMostShopSide> can{};
    for (int64_t j = 0; j < h.jobs; ++j) {
      most_work = std::max(most_work, h.work[j]);
      all += h.work[j];
      can[j] = waits(e, j);
      if (can[j]) queue[h.machine[op(h, j)]] += expected_of(h, op(h, j)), ++waiting[h.machine[op(h, j)]];
    }
    for (int64_t m = 0; m < h.machines; ++m) most_load = std::max(most_load, h.load[m]);
    const auto longest = static_cast<double>(h.longest);
    const bool hidden = o_.wear == "hidden";
    const auto ratio = [&](int64_t m) { return hidden ? 0.F : static_cast<float>(h.ratio[m]); };
    for (int64_t m = 0; m < h.machines; ++m) {
      float* to = obs + m * width;
      to[0] = static_cast<float>(static_cast<double>(h.left[m]) / longest);
      to[1] = out_of_order(e, m);
      to[2] = static_cast<float>(h.load[m] / most_load);
      to[3] = ratio(m);
      to[4] = static_cast<float>(waiting[m]) / 8;
      to[5] = static_cast<float>(all / static_cast<double>(h.bound * h.machines));
    }
    const auto tell = [&](int64_t m, int64_t j, int64_t k) {
      float* to = obs + m * width + kSeenOfMachine + kSeenOfJob * k;
      const int64_t i = op(h, j);
      const bool may = can[j] && h.left[m] == 0 && !out_of_order(e, m);
      mask[m * n + k] = may;
      if (may && !o_.wait) mask[m * n + n - 1] = false;
      to[0] = may, to[1] = 1;
      to[2] = static_cast<float>(expected_of(h, i) / longest);
      to[3] = static_cast<float>(h.work[j] / most_work);
      // Since when it waits, or until when it does not yet.
      to[4] = static_cast<float>(
          (h.on[j] < 0 ? static_cast<double>(h.now - h.since[j]) : -static_cast<double>(h.left[h.on[j]])) /
          longest / 4);
      if (h.next[j] + 1 == h.count[j]) return;
      const int64_t then = h.machine[i + 1];
      to[5] = static_cast<float>(h.load[then] / most_load);
      to[6] = static_cast<float>((queue[then] + static_cast<double>(h.left[then])) / longest / 4);
      to[7] = ratio(then);
    };
    if (o_.choices) {
      for (int64_t m = 0; m < h.machines; ++m)
        for (int64_t k = 0; k < o_.choices && h.slot[m * o_.choices + k] >= 0; ++k)
          tell(m, h.slot[m * o_.choices + k], k);
    } else {
      for (int64_t j = 0; j < h.jobs; ++j)
        if (h.next[j] < h.count[j]) tell(h.machine[op(h, j)], j, j);
    }
  }

  void visit(int64_t e, Cargo& cargo) override {
    Hall& h = halls_[e];
    constexpr double kForever = 1e9;  // time is counted in 32 bits
    const Bounds time{"a time", 0, kForever}, duration{"a duration", 0, kForever},
        when{"a time", -1, kForever};
    cargo(h.jobs, {"the number of jobs", 1, jobs_}),
        cargo(h.machines, {"the number of machines", 1, machines_});
    cargo(h.now, time), cargo(h.bound, {"the lower bound", 1, kForever});
    cargo(h.longest, {"the longest duration", 1, kForever});
    cargo(h.fails, {"when a machine fails", 0, 1e12}), cargo(h.works_again, {"when it works again", 0, 1e12});
    for (int64_t j = 0; j < jobs_; ++j) cargo(h.count[j], {"a job's operations", 0, j < h.jobs ? ops_ : 0});
    for (int64_t j = 0; j < jobs_; ++j) cargo(h.next[j], {"a job's next operation", 0, h.count[j]});
    cargo(h.on.data(), jobs_, {"a job's machine", -1, h.machines - 1}), cargo(h.since.data(), jobs_, time);
    // What is beyond a job's operations is there and means nothing.
    cargo(h.machine.data(), jobs_ * ops_, {"an operation's machine", -1, h.machines - 1});
    for (auto* v : {&h.planned, &h.actual}) cargo(v->data(), jobs_ * ops_, duration);
    for (auto* v : {&h.began, &h.ended}) cargo(v->data(), jobs_ * ops_, when);
    cargo(h.shown.data(), machines_, {"a machine's job", -1, h.jobs - 1});
    cargo(h.left.data(), machines_, duration), cargo(h.ratio.data(), machines_);
    if (!cargo.loading()) return;
    const auto no = [&](const std::string& what) {
      throw UserError(place(e), what + " in what was saved", "restore what save gave");
    };
    for (int64_t j = 0; j < h.jobs; ++j) {
      for (int64_t i = j * ops_; i < j * ops_ + h.count[j]; ++i)
        if (h.machine[i] < 0 || h.planned[i] == 0 || h.actual[i] == 0)
          no(fmt::format("an operation of job {} takes no machine or no time", j));
    }
    for (int64_t m = 0; m < machines_; ++m) {
      const int32_t j = h.shown[m];
      if (h.left[m] > 0 && (j < 0 || h.next[j] == 0 || h.on[j] != m))
        no(fmt::format("machine {} works on no job", m));
    }
    if (finished(h) && !ended(e)) no("all is made, and the episode goes on");
    settle(e);
  }

  const Options o_;
  const bool replans_;
  const int64_t jobs_, machines_, ops_;  // N, M, K at most
  Shops shops_;
  std::vector<std::vector<Shop::Join>> made_joins_;  // by number of jobs
  std::vector<Hall> halls_;                          // [E]
};

SYMMA_REGISTER(Env, "assembly", Assembly, "machines make parts together: job shops, with joins",
               "Jumanji 1.1.2, arXiv:2306.09884; Fisher and Thompson 1963");

}  // namespace
}  // namespace symma
