// Some tasks to look at, as data for a report.
#include "symma/eval/evaluate.h"
#include "symma/tasks/control.h"
#include "symma/tasks/signature.h"
#include "symma/tasks/supervised.h"

namespace symma {
namespace {

std::string base64(const uint8_t* bytes, int64_t n) {
  static const char* letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (int64_t i = 0; i < n; i += 3) {
    const uint32_t word =
        bytes[i] << 16 | (i + 1 < n ? bytes[i + 1] << 8 : 0) | (i + 2 < n ? bytes[i + 2] : 0);
    out += letters[word >> 18];
    out += letters[word >> 12 & 63];
    out += i + 1 < n ? letters[word >> 6 & 63] : '=';
    out += i + 2 < n ? letters[word & 63] : '=';
  }
  return out;
}

// What a number of the model stands for in the data: shift + scale x.
struct Measure {
  double shift = 0, scale = 1;

  // To a ten-thousandth of the scale's power of ten: more is not to be seen.
  Json of(double x) const {
    if (!std::isfinite(x)) return nullptr;
    const double places = 4 - std::floor(std::log10(scale)), p = std::pow(10, std::abs(places));
    const double y = shift + scale * x;
    return places >= 0 ? std::round(y * p) / p : std::round(y / p) * p;
  }
};

// The units of what goes in, one for each of `d` columns, and of what comes out; where the data have no
// other, those of the model.
struct Measures {
  std::vector<Measure> in;
  Measure out;

  Measures(const Signature& s, int64_t d) : in(static_cast<size_t>(d)) {
    if (std::ssize(s.input_shift) == d) {
      for (size_t k = 0; k < in.size(); ++k) in[k] = {s.input_shift[k], s.input_scale[k]};
    }
    if (s.target_shift.size() == 1) out = {s.target_shift[0], s.target_scale[0]};
  }
};

Json list(const Tensor& t, const Measure& unit = {}) {
  const Tensor d = t.to(at::kCPU, at::kDouble).contiguous().view(-1);
  Json out = Json::array();
  for (int64_t i = 0; i < d.numel(); ++i) out.push_back(unit.of(d.data_ptr<double>()[i]));
  return out;
}

// The columns across and up, where they have names.
void name_axes(Json& task, const std::string& across, const std::string& up) {
  if (!across.empty() && !up.empty()) task["axes"] = {across, up};
}

// Places of a task's query that hold points, [n]: others only fill the tensor.
Tensor asked(const Episodes& d) {
  const int64_t n = d.query_x.size(1);
  return d.query_weight.defined() ? d.query_weight.flatten().nonzero().flatten() : at::arange(n);
}

Json curve(const SupervisedBatch& batch, const Tensor& before, const Tensor& after) {
  const Episodes& d = batch.data();
  return {{"support", {{"x", list(d.support_x)}, {"y", list(d.support_y)}}},
          {"truth", {{"x", list(d.curve_x)}, {"y", list(d.curve_y)}}},
          {"before", list(batch.predict(before, d.curve_x))},
          {"after", list(batch.predict(after, d.curve_x))}};
}

// A task of one number in and one out of which no true curve is known: predictions over the range of its
// points, in the units of the data.
Json scatter(const SupervisedBatch& batch, const Tensor& before, const Tensor& after, const Signature& s) {
  constexpr int64_t kPoints = 60;
  const Episodes& d = batch.data();
  const Measures units(s, 1);
  const Measure &in = units.in[0], &out = units.out;
  const Tensor real = asked(d), qx = d.query_x.flatten().index_select(0, real),
               qy = d.query_y.flatten().index_select(0, real);
  const Tensor all = at::cat({d.support_x.flatten(), qx});
  const Tensor grid = at::linspace(all.min().item<double>(), all.max().item<double>(), kPoints, all.options())
                          .view({1, kPoints, 1});
  Json task{{"support", {{"x", list(d.support_x, in)}, {"y", list(d.support_y, out)}}},
            {"query", {{"x", list(qx, in)}, {"y", list(qy, out)}}},
            {"truth", {{"x", list(grid, in)}, {"y", Json(std::vector<std::nullptr_t>(kPoints, nullptr))}}},
            {"before", list(batch.predict(before, grid), out)},
            {"after", list(batch.predict(after, grid), out)}};
  if (s.inputs.size() == 1) name_axes(task, s.inputs[0], s.target);
  return task;
}

// What is drawn is ink; of a colour image, how dark it is.
Json image(Tensor x /*[h, w, channels]*/) {
  if (x.size(2) > 1) x = 1 - x.mean(2);
  const Tensor bytes = (x.clamp(0, 1) * 255).round().to(at::kByte).contiguous();
  return base64(bytes.data_ptr<uint8_t>(), bytes.numel());
}

Json images(const SupervisedBatch& batch, const Tensor& after) {
  const Episodes& d = batch.data();
  const Tensor predicted = batch.predict(after, d.query_x).argmax(2);
  Json support = Json::array(), query = Json::array();
  for (int64_t i = 0; i < d.support_x.size(1); ++i)
    support.push_back({{"pixels", image(d.support_x[0][i])}, {"label", d.support_y[0][i].item<int64_t>()}});
  // A row of the picture for each class is enough to look at.
  for (int64_t i = 0; i < std::min<int64_t>(15, d.query_x.size(1)); ++i) {
    query.push_back({{"pixels", image(d.query_x[0][i])},
                     {"label", d.query_y[0][i].item<int64_t>()},
                     {"predicted", predicted[0][i].item<int64_t>()}});
  }
  return {{"height", d.support_x.size(2)},
          {"width", d.support_x.size(3)},
          {"support", support},
          {"query", query}};
}

Json points(const SupervisedBatch& batch, const Tensor& after, const Signature& s) {
  const Episodes& d = batch.data();
  const Measures units(s, 2);
  const auto pairs = [&](const Tensor& x) {
    Json out = Json::array();
    for (int64_t i = 0; i < x.size(1); ++i)
      out.push_back({units.in[0].of(x[0][i][0].item<double>()), units.in[1].of(x[0][i][1].item<double>())});
    return out;
  };
  const Tensor real = asked(d), qx = d.query_x.index_select(1, real);
  Json task{{"support", {{"x", pairs(d.support_x)}, {"label", list(d.support_y)}}},
            {"query",
             {{"x", pairs(qx)},
              {"label", list(d.query_y.index_select(1, real))},
              {"predicted", list(batch.predict(after, qx).argmax(2))}}}};
  if (s.inputs.size() == 2) name_axes(task, s.inputs[0], s.inputs[1]);
  return task;
}

// An episode of a world, to its end. Of a long one every second step is shown, or every third ..., so that a
// page has at most so many pictures.
Json world(const ControlBatch& batch, const Tensor& row, Rng rng) {
  constexpr size_t kMost = 200;
  const auto pictures = batch.watch(0, row, rng);
  Json frames = Json::array();
  if (pictures.empty()) return {{"frames", frames}};
  const size_t last = pictures.size() - 1, every = std::max<size_t>(1, (last + kMost - 1) / kMost);
  for (size_t s = 0; s <= last; s = s < last ? std::min(s + every, last) : s + 1)
    frames.push_back({{"svg", pictures[s].svg}, {"earned", pictures[s].earned}, {"step", s}});
  return {{"frames", frames}};
}

}  // namespace

Json gallery(const Subject& subject, Split split, int64_t tasks, int64_t steps, Rng rng,
             const std::string& row) {
  at::NoGradGuard no_grad;
  const int64_t agents = subject.state.theta.size(0);
  const TaskSpec spec = subject.family.spec();
  const auto* signed_by = dynamic_cast<const HasSignature*>(&subject.family);
  const Signature told = signed_by ? signed_by->signature() : Signature();
  Json drawn = Json::array();
  std::string kind;
  for (int64_t t = 0; t < tasks; ++t) {
    const int64_t agent = t % agents;
    const std::vector<int64_t> who{kEveryone};
    const auto batch = subject.family.sample(subject.model, asks_for(who, rng.split("task", t)), split);
    const auto* points_of = dynamic_cast<const SupervisedBatch*>(batch.get());
    const auto* worlds = dynamic_cast<const ControlBatch*>(batch.get());
    if (!points_of && !worlds) return nullptr;
    std::vector<Tensor> rows;
    {
      at::AutoGradMode on(true);
      const std::vector<int64_t> when{0, steps};
      rows = subject.learner.adapt(subject.state.rows(agent, agent + 1), *batch, when, rng.split("adapt", t));
    }
    if (worlds) {
      kind = "world";
      Json one = world(*worlds, rows[1], rng.split("watch", t));
      if (one["frames"].empty()) return nullptr;
      one["title"] = row + " " + std::to_string(agent);
      one["steps"] = steps;
      drawn.push_back(one);
      continue;
    }
    const Episodes& d = points_of->data();
    Json one;
    if (d.curve_x.defined()) {
      kind = "curve";
      one = curve(*points_of, rows[0], rows[1]);
    } else if (spec.kind == Kind::kRegression && d.support_x.dim() == 3 && d.support_x.size(2) == 1 &&
               d.support_y.size(2) == 1) {
      kind = "curve";
      one = scatter(*points_of, rows[0], rows[1], told);
    } else if (spec.kind == Kind::kClassification && d.support_x.dim() == 5) {
      kind = "images";
      one = images(*points_of, rows[1]);
    } else if (spec.kind == Kind::kClassification && d.support_x.dim() == 3 && d.support_x.size(2) == 2) {
      kind = "points";
      one = points(*points_of, rows[1], told);
    } else {
      return nullptr;
    }
    one["title"] = row + " " + std::to_string(agent) + (d.titles.empty() ? "" : ", " + d.titles[0]);
    one["steps"] = steps;
    drawn.push_back(one);
  }
  return {{"kind", kind}, {"tasks", drawn}};
}

}  // namespace symma
