#include "symma/exchange/privacy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "symma/core/errors.h"
#include "symma/exchange/rows.h"

namespace symma {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double log_add(double a, double b) {
  if (a < b) std::swap(a, b);
  return b == -kInfinity ? a : a + std::log1p(std::exp(b - a));
}

// log(exp(a) - exp(b)), a >= b.
double log_subtract(double a, double b) {
  return a <= b ? -kInfinity : b == -kInfinity ? a : a + std::log(-std::expm1(b - a));
}

double log_erfc(double x) {
  if (x < 20) return std::log(std::erfc(x));
  // The asymptotic series; at 20 its sixth term is below 1e-15.
  const double y = 1 / (2 * x * x);
  return -x * x - std::log(x * std::sqrt(std::numbers::pi)) +
         std::log1p(-y * (1 - 3 * y * (1 - 5 * y * (1 - 7 * y * (1 - 9 * y)))));
}

// log E[(mixture / centre)^order], order whole: a sum of binomial terms (section 3.3).
double log_moment_whole(double sigma, double q, int64_t order) {
  double sum = -kInfinity;
  const auto a = static_cast<double>(order);
  for (int64_t k = 0; k <= order; ++k) {
    const auto i = static_cast<double>(k);
    const double binomial = std::lgamma(a + 1) - std::lgamma(i + 1) - std::lgamma(a - i + 1);
    sum = log_add(sum,
                  binomial + i * std::log(q) + (a - i) * std::log1p(-q) + (i * i - i) / (2 * sigma * sigma));
  }
  return sum;
}

// The same for any order: the integral is cut where the mixture's two parts are equal, and each side is a
// series.
double log_moment_fractional(double sigma, double q, double order) {
  double plus = -kInfinity, minus = -kInfinity, log_binomial = 0;
  bool negative = false;
  const double cut = sigma * sigma * std::log(1 / q - 1) + 0.5, root = std::numbers::sqrt2 * sigma;
  for (int64_t k = 0;; ++k) {
    const auto i = static_cast<double>(k);
    const double j = order - i;
    const double left = log_binomial + i * std::log(q) + j * std::log1p(-q) +
                        (i * i - i) / (2 * sigma * sigma) + std::log(0.5) + log_erfc((i - cut) / root);
    const double right = log_binomial + j * std::log(q) + i * std::log1p(-q) +
                         (j * j - j) / (2 * sigma * sigma) + std::log(0.5) + log_erfc((cut - j) / root);
    double& sum = negative ? minus : plus;
    sum = log_add(log_add(sum, left), right);
    // With much sampling the terms fall off only as a power of k. They alternate from k = order on, so that
    // what is left out is below the last one.
    const double least = std::max(left, right) - plus;
    if (i > order && (least < -40 || (k > 1000 && least < -30))) break;
    TORCH_CHECK(k < 100000, "the series for sigma ", sigma, ", q ", q, ", order ", order, " does not end");
    // binomial(order, i + 1) = binomial(order, i) (order - i) / (i + 1).
    log_binomial += std::log(std::abs(order - i) / (i + 1));
    if (order < i) negative = !negative;
  }
  return log_subtract(plus, minus);
}

void check(const Spending& s) {
  TORCH_CHECK(s.sigma > 0 && s.q > 0 && s.q <= 1 && s.steps >= 0, "noise ", s.sigma, ", sampling ", s.q,
              ", steps ", s.steps);
}

double normal_cdf(double x) {
  return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}

// The loss of one step of Gaussian noise with sampling, in the direction where a unit is removed or added.
struct Loss {
  double sigma, q;
  bool removed;
  double at(double x) const { return q == 1 ? (2 * x - 1) / (2 * sigma * sigma) : mixed(x); }
  double mixed(double x) const {
    return log_add(std::log1p(-q), std::log(q) + (2 * x - 1) / (2 * sigma * sigma));
  }
  // Where `at` is t, -inf below its range.
  double inverse(double t) const {
    const double above = q == 1 ? t : log_subtract(t, std::log1p(-q)) - std::log(q);
    return above == -kInfinity ? -kInfinity : sigma * sigma * above + 0.5;
  }
  // The chance that the loss is at most t; and above t, without cancellation.
  double cdf(double t) const {
    if (!removed) return normal_cdf(-inverse(-t) / sigma);
    const double x = inverse(t);
    return (1 - q) * normal_cdf(x / sigma) + q * normal_cdf((x - 1) / sigma);
  }
  double tail(double t) const {
    if (!removed) return normal_cdf(inverse(-t) / sigma);
    const double x = inverse(t);
    return (1 - q) * normal_cdf(-x / sigma) + q * normal_cdf((1 - x) / sigma);
  }
  // The mean over losses within [-limit, limit], times their chance: a trapezoid sum, exact to rounding for a
  // smooth integrand that vanishes at both ends but for its cut.
  double partial_mean(double limit) const {
    const double low = std::max(-14 * sigma, inverse(-limit)),
                 high = std::min(1 + 14 * sigma, inverse(limit));
    const int64_t n = 200000;
    const double h = (high - low) / static_cast<double>(n);
    double sum = 0;
    for (int64_t i = 0; i <= n; ++i) {
      const double x = low + h * static_cast<double>(i);
      const double centre = std::exp(-x * x / (2 * sigma * sigma));
      const double shifted = std::exp(-(x - 1) * (x - 1) / (2 * sigma * sigma));
      const double density = removed ? (1 - q) * centre + q * shifted : centre;
      sum += (i == 0 || i == n ? 0.5 : 1.0) * density * (removed ? at(x) : -at(x));
    }
    return sum * h / (sigma * std::sqrt(2 * std::numbers::pi));
  }
};

// Where sums of losses are counted: places of width h in [-limit, limit).
struct LossGrid {
  double limit, h;
  int64_t size;
};

// The slack of n losses rounded to a grid of step 1, but for a chance of `failure`: sums of n losses differ
// from the true ones by a martingale with such steps at most.
double slack_of(int64_t n, double failure) {
  return std::sqrt(static_cast<double>(n) / 2 * std::log(2 / failure));
}

constexpr double kFailure =
    1e-3;  // of delta: the chance of a rounding error beyond the slack, paid for by it

LossGrid grid_for(std::span<const Spending> all, double delta) {
  // Sums of losses beyond this are rarer than delta / 1e5, by the Renyi bound; the lower end is rarer still.
  const double limit = 1.1 * renyi_epsilon(all, delta * 1e-5) + 1;
  int64_t steps = 0, size = 1 << 16;
  for (const Spending& s : all) steps += s.steps;
  while (size < (1 << 22) && 2 * limit / static_cast<double>(size) * slack_of(steps, delta * kFailure) > 4e-3)
    size *= 2;
  return {limit, 2 * limit / static_cast<double>(size), size};
}

// One step in one direction: losses are put on the grid, each to its nearest place, and the grid is moved so
// that the mean is right.
struct OneStep {
  Tensor spectrum;
  double shift, lost;
};
OneStep one_step(double sigma, double q, bool removed, const LossGrid& g) {
  const Loss loss{sigma, q, removed};
  Tensor mass = at::zeros({g.size}, at::kDouble);  // place i holds the loss i h, negative ones at the end
  double* m = mass.data_ptr<double>();
  double mean = 0;
  const auto put = [&](int64_t i, double chance) {
    m[i < 0 ? i + g.size : i] = std::max(0.0, chance);
    mean += std::max(0.0, chance) * static_cast<double>(i) * g.h;
  };
  // From the middle outwards, by what is still further out, until nothing is.
  const auto edge = [&](int64_t i) { return (static_cast<double>(i) - 0.5) * g.h; };
  double outside = loss.tail(edge(1));
  for (int64_t i = 1; i < g.size / 2 && outside > 0; ++i) {
    const double further = loss.tail(edge(i + 1));
    put(i, outside - further);
    outside = further;
  }
  outside = loss.cdf(edge(1));
  for (int64_t i = 0; i >= -g.size / 2 && outside > 0; --i) {
    const double further = loss.cdf(edge(i));
    put(i, outside - further);
    outside = further;
  }
  return {at::fft_rfft(mass), loss.partial_mean(g.limit) - mean, loss.tail(g.limit)};
}

// The spectrum of the sum of n. After many steps nearly all of it is less than counts beside rounding.
Tensor power_of(const Tensor& spectrum, double n) {
  constexpr double kNothing = 1e-30;
  Tensor out = at::zeros_like(spectrum);
  const auto* from = spectrum.data_ptr<c10::complex<double>>();
  auto* to = out.data_ptr<c10::complex<double>>();
  const double least = std::pow(kNothing, 2 / n);
  for (int64_t i = 0; i < spectrum.numel(); ++i) {
    const double re = from[i].real(), im = from[i].imag(), square = re * re + im * im;
    if (square < least) continue;
    const double size = std::exp(n / 2 * std::log(square)), angle = n * std::atan2(im, re);
    to[i] = {size * std::cos(angle), size * std::sin(angle)};
  }
  return out;
}

// Epsilon of the sum of `steps` losses with this spectrum.
Epsilon epsilon_on(const LossGrid& g, const Tensor& spectrum, double offset, double lost, int64_t steps,
                   double delta) {
  const Tensor sum = at::fft_irfft(spectrum, g.size).contiguous();
  const double* p = sum.data_ptr<double>();
  const int64_t half = g.size / 2;
  const auto chance = [&](int64_t i) { return p[i < 0 ? i + g.size : i]; };
  const auto loss = [&](int64_t i) { return static_cast<double>(i) * g.h + offset; };
  // delta(e) = sum over losses s > e of p (1 - exp(e - s)) falls with e. With A_i the chance of place i and
  // all above, and G_i = p_i + exp(-h) G_(i+1), it is A_i - exp(e - s_i) G_i for the first place i above e.
  std::vector<double> above(g.size + 1), weighed(g.size + 1);
  const double next = std::exp(-g.h);
  for (int64_t k = g.size; k-- > 0;) {
    above[k] = above[k + 1] + chance(k - half);
    weighed[k] = chance(k - half) + next * weighed[k + 1];
  }
  const auto delta_at = [&](double e) {
    const auto i = std::clamp<int64_t>(static_cast<int64_t>(std::floor((e - offset) / g.h)) + 1, -half, half);
    const int64_t k = i + half;
    return above[k] - std::exp(std::min(0.0, e - loss(i))) * weighed[k];
  };
  const double failure = delta * kFailure, slack = g.h * slack_of(steps, failure);
  const double target = delta - lost - failure - 1e-13;  // the last for the rounding of the transform
  if (target <= 0 || delta_at(g.limit) > target) return {kInfinity, kInfinity};
  double low = 0, high = g.limit;
  if (delta_at(0) <= target) return {0, slack};
  while (high - low > 1e-7 * (1 + low)) {
    const double mid = (low + high) / 2;
    (delta_at(mid) > target ? low : high) = mid;
  }
  return {high, high + slack};
}

}  // namespace

const char* unit_name(Unit unit) {
  return unit == Unit::kExample ? "example" : unit == Unit::kTask ? "task" : "agent";
}

const std::vector<double>& renyi_orders() {
  static const std::vector<double> orders = [] {
    std::vector<double> o;
    for (int i = 1; i < 100; ++i) o.push_back(1 + i / 10.0);
    for (int i = 12; i < 64; ++i) o.push_back(i);
    return o;
  }();
  return orders;
}

double renyi(double sigma, double q, double order) {
  check({sigma, q, 1});
  TORCH_CHECK(order > 1, "order ", order);
  if (q == 1) return order / (2 * sigma * sigma);
  const double moment = order == std::floor(order) ? log_moment_whole(sigma, q, static_cast<int64_t>(order))
                                                   : log_moment_fractional(sigma, q, order);
  return std::max(0.0, moment) / (order - 1);
}

std::vector<double> renyi_spent(const Spending& s) {
  check(s);
  std::vector<double> out;
  for (double order : renyi_orders())
    out.push_back(static_cast<double>(s.steps) * renyi(s.sigma, s.q, order));
  return out;
}

double epsilon_of(std::span<const double> spent, double delta) {
  TORCH_CHECK(spent.size() == renyi_orders().size() && delta > 0 && delta < 1, "delta ", delta);
  double least = kInfinity;
  for (size_t i = 0; i < spent.size(); ++i) {
    const double a = renyi_orders()[i];
    // Nothing spent is no privacy lost, whatever the conversion says.
    if (spent[i] == 0) return 0;
    least = std::min(least, spent[i] + std::log1p(-1 / a) - std::log(delta * a) / (a - 1));
  }
  return std::max(0.0, least);
}

double renyi_epsilon(std::span<const Spending> all, double delta) {
  std::vector<double> sum(renyi_orders().size(), 0.0);
  for (const Spending& s : all) {
    const std::vector<double> one = renyi_spent(s);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += one[i];
  }
  return epsilon_of(sum, delta);
}

Epsilon composed_epsilon(std::span<const Spending> all, double delta) {
  std::vector<Spending> used;
  int64_t steps = 0;
  for (const Spending& s : all) {
    check(s);
    if (s.steps > 0) used.push_back(s);
    steps += s.steps;
  }
  if (used.empty()) return {};
  const LossGrid grid = grid_for(used, delta);
  Epsilon worst;
  for (const bool removed : {true, false}) {
    Tensor spectrum;
    double offset = 0, lost = 0;
    for (const Spending& s : used) {
      const OneStep one = one_step(s.sigma, s.q, removed, grid);
      const auto n = static_cast<double>(s.steps);
      const Tensor power = power_of(one.spectrum, n);
      spectrum = spectrum.defined() ? spectrum * power : power;
      offset += n * one.shift;
      lost += n * one.lost;
    }
    const Epsilon e = epsilon_on(grid, spectrum, offset, lost, steps, delta);
    worst = {std::max(worst.estimate, e.estimate), std::max(worst.upper, e.upper)};
  }
  return worst;
}

Composition::Composition(double sigma, double q, int64_t most, double delta) : delta_(delta), most_(most) {
  const Spending all{sigma, q, std::max<int64_t>(1, most)};
  check(all);
  const LossGrid grid = grid_for({&all, 1}, delta);
  limit_ = grid.limit, h_ = grid.h, size_ = grid.size;
  for (const bool removed : {true, false}) {
    const OneStep one = one_step(sigma, q, removed, grid);
    sides_.push_back({one.spectrum, one.shift, one.lost});
  }
}

Epsilon Composition::at(int64_t steps) const {
  TORCH_CHECK(0 <= steps && steps <= most_, steps, " steps of ", most_);
  if (steps == 0) return {};
  Epsilon worst;
  const auto n = static_cast<double>(steps);
  for (const Side& side : sides_) {
    const Epsilon e = epsilon_on({limit_, h_, size_}, power_of(side.spectrum, n), n * side.shift,
                                 n * side.lost, steps, delta_);
    worst = {std::max(worst.estimate, e.estimate), std::max(worst.upper, e.upper)};
  }
  return worst;
}

double gaussian_epsilon(double mu, double delta) {
  TORCH_CHECK(mu >= 0 && delta > 0 && delta < 1, "distance ", mu, ", delta ", delta);
  if (mu == 0) return 0;
  const auto delta_at = [&](double e) {
    const double x = mu / 2 + e / mu;  // log Phi(-x)
    return normal_cdf(mu / 2 - e / mu) - std::exp(e + std::log(0.5) + log_erfc(x / std::numbers::sqrt2));
  };
  if (delta_at(0) <= delta) return 0;
  // No loss is larger than this but with a chance of delta.
  double low = 0, high = mu * mu / 2 + mu * std::sqrt(2 * std::log(1 / delta));
  for (int k = 0; k < 200 && high - low > 1e-12 * high; ++k) {
    const double mid = (low + high) / 2;
    (delta_at(mid) > delta ? low : high) = mid;
  }
  return high;
}

double calibrate_sigma(double epsilon, double delta, double q, int64_t steps, const std::string& place) {
  const auto spent = [&](double sigma) {
    const Spending s{sigma, q, steps};
    return renyi_epsilon({&s, 1}, delta);
  };
  double low = 0.05, high = 1e4;
  if (spent(high) > epsilon)
    throw UserError(place, "no noise keeps within epsilon " + std::to_string(epsilon),
                    "allow for more, or for fewer rounds");
  if (spent(low) <= epsilon) return low;
  while (high / low > 1 + 1e-4) {
    const double mid = std::sqrt(low * high);
    (spent(mid) > epsilon ? low : high) = mid;
  }
  return high;
}

std::string adjacency_words(const std::string& adjacency) {
  if (adjacency == "add-remove") return "add or remove one";
  return adjacency == "replace" ? "replace one" : "zero out one";
}

double rounded_up(double x, int digits) {
  if (!std::isfinite(x) || x <= 0) return x;
  const double unit = std::pow(10.0, std::floor(std::log10(x)) + 1 - digits);
  return std::ceil(x / unit * (1 - 1e-12)) * unit;
}

std::string privacy_statement(Unit unit, double epsilon, double delta, const std::string& adjacency) {
  char text[160];
  std::snprintf(text, sizeof text, "epsilon %.4g at delta %.4g for one %s (%s)", rounded_up(epsilon, 4),
                delta, unit_name(unit), adjacency_words(adjacency).c_str());
  return text;
}

Noise noise_for(const PrivacyOptions& privacy, Rng rng) {
  return privacy.seeded() ? Noise::of_seed(rng) : Noise::of_system();
}

std::vector<int64_t> poisson_sample(int64_t n, double q, const Noise& coins) {
  std::vector<int64_t> out;
  const std::vector<double> tossed = coins.uniform(n);
  for (int64_t i = 0; i < n; ++i)
    if (tossed[i] < q) out.push_back(i);
  return out;
}

Clipped clip_rows(const Tensor& rows, double bound) {
  TORCH_CHECK(bound > 0, "a bound of ", bound);
  std::vector<double> scales = squared_distances_to(rows, {});
  int64_t whole = 0;
  for (double& s : scales) {
    const double norm = std::sqrt(s);
    whole += norm <= bound;
    s = norm <= bound ? 1 : std::isfinite(norm) ? bound / norm : 0;
  }
  return {scale_rows(rows, scales, {}), whole};
}

Tensor private_sum(const Tensor& rows, double bound, double sigma, const Noise& noise) {
  const Tensor clipped = clip_rows(rows, bound).rows;
  const Tensor sum = weighted_sum(clipped, std::vector<double>(rows.size(0), 1.0));
  return sum + noise.split("noise").normal({rows.size(1)}).mul_(sigma * bound).to(sum.scalar_type());
}

double AdaptiveClipping::next(double bound, int64_t whole, int64_t counted, double expected,
                              const Noise& source) const {
  const double noise = count_sigma * source.split("count").normal({1}).item<double>();
  const double centred = static_cast<double>(whole) - static_cast<double>(counted) / 2;
  const double share = (centred + noise) / expected + 0.5;
  // Updates may all be nothing, or without bound, for as long as a run lasts.
  return std::clamp(bound * std::exp(-rate * (share - quantile)), 1e-30, 1e30);
}

double AdaptiveClipping::sum_sigma(double sigma, const std::string& place) const {
  const double left = 1 / (sigma * sigma) - 1 / (4 * count_sigma * count_sigma);
  if (!(left > 0))
    throw UserError(place,
                    "the count's noise " + std::to_string(count_sigma) + " spends all that sigma " +
                        std::to_string(sigma) + " allows",
                    "set privacy.count_noise above half of privacy.noise");
  return 1 / std::sqrt(left);
}

namespace {

// The noise of the sum of the first t rounds: one node for each bit of t, the rounds t' .. t' + 2^level.
Tensor tree_noise(const Noise& nodes, int64_t t, int64_t q) {
  Tensor out = at::zeros({q}, at::kDouble);
  for (int level = 0; t >> level > 0; ++level) {
    if ((t >> level & 1) == 0) continue;
    out += nodes.split("level", level).split("node", static_cast<uint64_t>(t >> level)).normal({q});
  }
  return out;
}

}  // namespace

Tensor tree_step(const Noise& nodes, int64_t t, int64_t restart, int64_t q) {
  const int64_t tree = restart > 0 ? t / restart : 0, at = t - tree * restart;
  const Noise own = nodes.split("number", static_cast<uint64_t>(tree));
  return tree_noise(own, at + 1, q) - tree_noise(own, at, q);
}

double tree_square(int64_t rounds, int64_t restart, int64_t turns, int64_t offset) {
  double square = 0;
  const int64_t length = restart > 0 ? restart : rounds;
  for (int64_t begin = 0; begin < rounds; begin += length) {
    const int64_t end = std::min(rounds, begin + length);
    const int64_t first = offset < begin ? begin + (turns - (begin - offset) % turns) % turns : offset;
    for (int level = 0; (end - begin) >> level > 0; ++level) {
      // Sums are made of nodes with an even number: of two that are one on the next level, the first.
      double inside = 0;
      int64_t node = 0;
      const auto close = [&] {
        if (node % 2 == 0 && (node + 1) << level <= end - begin) square += inside * inside;
        inside = 0;
      };
      for (int64_t r = first; r < end; r += turns) {
        if ((r - begin) >> level != node) close(), node = (r - begin) >> level;
        inside += 1;
      }
      close();
    }
  }
  return square;
}

}  // namespace symma
