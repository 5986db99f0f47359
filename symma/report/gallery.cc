#include "symma/report/gallery.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "symma/core/errors.h"
#include "symma/report/format.h"

namespace symma {
namespace {

constexpr double kW = 320, kH = 210, kLeft = 34, kRight = 8, kTop = 8, kBottom = 22;
constexpr double kLetter = 6;  // width of a tick's digit

class Axis {  // data to pixels, with some four round ticks
 public:
  Axis(double lo, double hi, double from, double to) : lo_(lo), hi_(hi), from_(from), to_(to) {
    if (!(hi_ > lo_)) {
      lo_ -= 0.5;
      hi_ += 0.5;
    }
    const double raw = (hi_ - lo_) / 4, base = std::pow(10, std::floor(std::log10(raw)));
    for (const double m : {1., 2., 5., 10.}) {
      if (m * base >= raw) {
        step_ = m * base;
        break;
      }
    }
  }
  double operator()(double x) const { return from_ + (x - lo_) / (hi_ - lo_) * (to_ - from_); }
  // The width of its longest tick.
  double room() const {
    size_t most = 0;
    for (const double t : ticks()) most = std::max(most, fmt::format("{:g}", t).size());
    return kLetter * static_cast<double>(most);
  }
  std::vector<double> ticks() const {
    std::vector<double> out;
    for (double t = std::ceil(lo_ / step_ - 1e-9); t * step_ <= hi_ + 1e-9 * step_; ++t)
      out.push_back(t == 0 ? 0 : t * step_);
    return out;
  }

 private:
  double lo_, hi_, from_, to_, step_ = 1;
};

// Where a frame begins beside the ticks of its axis.
double left_of(const Axis& y) {
  return std::max(kLeft, y.room() + 8);
}

// The names of the columns across and up, where the task has them.
std::string axes(const Json& task) {
  if (!task.contains("axes")) return "";
  return fmt::format("<p class=\"tally\">across: {} · up: {}</p>",
                     escape(task.at("axes").at(0).get<std::string>()),
                     escape(task.at("axes").at(1).get<std::string>()));
}

std::string frame(const Axis& x, const Axis& y) {
  std::string out;
  for (const double t : x.ticks()) {
    out += fmt::format(
        "<path class=\"grid\" d=\"M{0:.1f},{1}V{2}\"/><text class=\"tick\" x=\"{0:.1f}\" "
        "y=\"{3}\">{4:g}</text>",
        x(t), kTop, kH - kBottom, kH - 7, t);
  }
  for (const double t : y.ticks()) {
    out += fmt::format(
        "<path class=\"grid\" d=\"M{1},{0:.1f}H{2}\"/><text class=\"tick side\" x=\"{3}\" "
        "y=\"{0:.1f}\">{4:g}</text>",
        y(t), left_of(y), kW - kRight, left_of(y) - 5, t);
  }
  return out;
}

std::string line(const char* kind, const std::vector<double>& xs, const std::vector<double>& ys,
                 const Axis& x, const Axis& y) {
  std::string d;
  bool pen = false;  // a value that is not finite breaks the line
  for (size_t i = 0; i < xs.size(); ++i) {
    if (!std::isfinite(xs[i]) || !std::isfinite(ys[i])) {
      pen = false;
      continue;
    }
    // Far outside the frame coordinates stay bounded; the clip path hides them anyway.
    d += fmt::format("{}{:.1f},{:.1f}", pen ? "L" : "M", x(xs[i]), std::clamp(y(ys[i]), -2000., 2000.));
    pen = true;
  }
  return fmt::format("<path class=\"{}\" d=\"{}\"/>", kind, d);
}

std::vector<double> reals(const Json& list) {
  std::vector<double> out;
  for (const Json& x : list) out.push_back(x.is_null() ? std::nan("") : x.get<double>());
  return out;
}

std::pair<double, double> extent(const std::vector<double>& xs,
                                 std::pair<double, double> e = {INFINITY, -INFINITY}) {
  for (const double x : xs) {
    if (std::isfinite(x)) e = {std::min(e.first, x), std::max(e.second, x)};
  }
  return e;
}

[[noreturn]] void unequal(const std::string& what) {
  throw std::invalid_argument(what);
}

std::string curve(const Json& task, const std::string& id) {
  const auto tx = reals(task.at("truth").at("x")), ty = reals(task.at("truth").at("y"));
  const auto sx = reals(task.at("support").at("x")), sy = reals(task.at("support").at("y"));
  const auto before = reals(task.at("before")), after = reals(task.at("after"));
  // Where no curve is known to be true, points that were asked stand in for it.
  std::vector<double> qx, qy;
  if (task.contains("query")) qx = reals(task.at("query").at("x")), qy = reals(task.at("query").at("y"));
  if (qx.size() != qy.size()) unequal("the query points of a task have unequal x and y");
  if (tx.size() != ty.size() || before.size() != tx.size() || after.size() != tx.size())
    unequal("the curves of a task differ in length");
  if (sx.size() != sy.size()) unequal("the support points of a task have unequal x and y");
  const auto ex = extent(sx, extent(tx));
  auto ey = extent(sy, extent(qy, extent(ty)));
  if (!std::isfinite(ex.first) || !std::isfinite(ey.first)) unequal("a task has no finite point");
  const double room = std::max(ey.second - ey.first, 1e-9);
  // What the model draws may leave the frame, by half its height: a diverged curve must not flatten the
  // truth.
  const auto model = extent(after, extent(before, ey));
  ey = {std::max(model.first, ey.first - room / 2) - 0.05 * room,
        std::min(model.second, ey.second + room / 2) + 0.05 * room};
  const Axis y(ey.first, ey.second, kH - kBottom, kTop);
  const double left = left_of(y);
  const Axis x(ex.first, ex.second, left, kW - kRight);
  std::string points;
  for (size_t i = 0; i < qx.size(); ++i) {
    if (!std::isfinite(qx[i]) || !std::isfinite(qy[i])) continue;
    points +=
        fmt::format("<circle class=\"query\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"/>", x(qx[i]), y(qy[i]));
  }
  for (size_t i = 0; i < sx.size(); ++i) {
    if (!std::isfinite(sx[i]) || !std::isfinite(sy[i])) continue;
    points +=
        fmt::format("<circle class=\"support\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/>", x(sx[i]), y(sy[i]));
  }
  return fmt::format(
      "<svg class=\"plot\" viewBox=\"0 0 {} {}\" role=\"img\"><clipPath id=\"{}\"><rect x=\"{}\" y=\"{}\" "
      "width=\"{}\" "
      "height=\"{}\"/></clipPath>{}<g clip-path=\"url(#{})\">{}{}{}</g>{}</svg>{}",
      kW, kH, id, left, kTop, kW - left - kRight, kH - kTop - kBottom, frame(x, y), id,
      line("truth", tx, ty, x, y), line("before", tx, before, x, y), line("after", tx, after, x, y), points,
      axes(task));
}

// Shape and colour both tell the class, so that neither alone has to.
std::string mark(double x, double y, int64_t label, double r, const std::string& kind) {
  const int64_t k = ((label % 5) + 5) % 5;
  static constexpr std::array<int, 5> kSides = {0, 4, 3, 4, 6};
  const std::string cls = fmt::format("{} k{}", kind, k);
  if (kSides[static_cast<size_t>(k)] == 0)
    return fmt::format("<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\"/>", cls, x, y, r);
  const int sides = kSides[static_cast<size_t>(k)];
  const double turn = k == 1 ? M_PI / 4 : k == 3 ? 0 : -M_PI / 2;
  std::string points;
  for (int i = 0; i < sides; ++i) {
    const double a = turn + 2 * M_PI * i / sides;
    points += fmt::format("{:.1f},{:.1f} ", x + 1.25 * r * std::cos(a), y + 1.25 * r * std::sin(a));
  }
  return fmt::format("<polygon class=\"{}\" points=\"{}\"/>", cls, points);
}

std::string points(const Json& task) {
  std::vector<double> xs, ys;
  for (const char* part : {"support", "query"}) {
    if (task.at(part).at("x").size() != task.at(part).at("label").size())
      unequal("a task has unequal numbers of points and labels");
    for (const Json& p : task.at(part).at("x")) {
      xs.push_back(p.at(0).get<double>());
      ys.push_back(p.at(1).get<double>());
    }
  }
  if (task.at("query").at("predicted").size() != task.at("query").at("label").size())
    unequal("a task has unequal numbers of labels and predictions");
  const auto ex = extent(xs), ey = extent(ys);
  if (xs.empty() || !std::isfinite(ex.first) || !std::isfinite(ey.first))
    unequal("a task has no finite point");
  const double px = 0.06 * (ex.second - ex.first), py = 0.06 * (ey.second - ey.first);
  const Axis y(ey.first - py, ey.second + py, kH - kBottom, kTop);
  const Axis x(ex.first - px, ex.second + px, left_of(y), kW - kRight);
  std::string out =
      fmt::format("<svg class=\"plot\" viewBox=\"0 0 {} {}\" role=\"img\">{}", kW, kH, frame(x, y));
  size_t at = 0;
  int64_t right = 0;
  for (const Json& label : task.at("support").at("label")) {
    out += mark(x(xs[at]), y(ys[at]), label.get<int64_t>(), 5.5, "given");
    ++at;
  }
  const Json& query = task.at("query");
  for (size_t i = 0; i < query.at("label").size(); ++i, ++at) {
    const auto label = query.at("label")[i].get<int64_t>(),
               predicted = query.at("predicted")[i].get<int64_t>();
    right += label == predicted;
    out += mark(x(xs[at]), y(ys[at]), predicted, 3, "asked");
    if (label != predicted)
      out +=
          fmt::format("<circle class=\"miss\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"7.5\"/>", x(xs[at]), y(ys[at]));
  }
  return out + fmt::format("</svg>{}<p class=\"tally\">{} of {} right</p>", axes(task), right,
                           query.at("label").size());
}

std::string image(const Json& picture, int64_t height, int64_t width, const std::string& alt) {
  const auto pixels = picture.at("pixels").get<std::string>();
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '+' || c == '/' || c == '=';
  };
  if (!std::all_of(pixels.begin(), pixels.end(), allowed) ||
      static_cast<int64_t>(pixels.size()) != (height * width + 2) / 3 * 4) {
    unequal(fmt::format("an image is not base64 of {} x {} bytes", height, width));
  }
  return fmt::format(
      "<canvas class=\"image\" width=\"{}\" height=\"{}\" role=\"img\" aria-label=\"{}\" "
      "data-pixels=\"{}\"></canvas>",
      width, height, alt, pixels);
}

std::string images(const Json& task) {
  const auto height = task.at("height").get<int64_t>(), width = task.at("width").get<int64_t>();
  if (height < 1 || width < 1 || height > 1024 || width > 1024)
    unequal("an image's height or width is not in 1..1024");
  std::string given, asked;
  size_t right = 0;
  for (const Json& s : task.at("support")) {
    const auto label = s.at("label").get<int64_t>();
    given += fmt::format("<span class=\"tile\">{}<b>{}</b></span>",
                         image(s, height, width, fmt::format("class {}", label)), label);
  }
  for (const Json& q : task.at("query")) {
    const auto label = q.at("label").get<int64_t>(), predicted = q.at("predicted").get<int64_t>();
    const bool good = label == predicted;
    right += good;
    asked +=
        fmt::format("<span class=\"tile {}\">{}<b>{}</b></span>", good ? "right" : "wrong",
                    image(q, height, width, fmt::format("class {}, called {}", label, predicted)),
                    good ? fmt::format("✓ {}", predicted) : fmt::format("✗ {}, is {}", predicted, label));
  }
  return fmt::format(
      "<div class=\"episode\"><h5>learned from</h5><div class=\"tiles\">{}</div><h5>asked, and called: {} of "
      "{} right</h5>"
      "<div class=\"tiles\">{}</div></div>",
      given, right, task.at("query").size(), asked);
}

// A world's episode: the page plays its pictures. They are shown as images, in which no script runs.
std::string episode(const Json& task) {
  Json frames = Json::array();
  for (const Json& f : task.at("frames")) {
    // Galleries before long episodes were shown whole have a frame for each step.
    const int64_t step = f.contains("step") ? f.at("step").get<int64_t>() : std::ssize(frames);
    frames.push_back(
        {{"svg", f.at("svg").get<std::string>()}, {"earned", f.at("earned").get<double>()}, {"step", step}});
  }
  if (frames.empty()) unequal("an episode has no pictures");
  return fmt::format(
      "<div class=\"playback\"><img alt=\"the world\"><div><button type=\"button\">play</button> <input "
      "type=\"range\" min=\"0\" max=\"{}\" value=\"0\" aria-label=\"step\"> <output></output></div>"
      "<script type=\"application/json\">{}</script></div>",
      frames.size() - 1, script_json(frames));
}

}  // namespace

std::string gallery_html(const Run& run, const std::string& id) {
  if (run.gallery.is_null()) return "";
  const std::string file = run.folder + (run.folder.ends_with('/') ? "" : "/") + "gallery.json";
  const std::string remedy = "the file is damaged; evaluate this run again, or remove the file";
  try {
    const auto kind = run.gallery.at("kind").get<std::string>();
    if (kind != "curve" && kind != "images" && kind != "points" && kind != "world")
      throw UserError(file, "does not know the kind \"" + kind + "\"", remedy);
    std::string out = "<div class=\"gallery " + kind + "\">";
    int64_t count = 0;
    for (const Json& task : run.gallery.at("tasks")) {
      std::string title = task.at("title").get<std::string>();
      const int64_t s = task.contains("steps") ? task.at("steps").get<int64_t>() : 0;
      if (task.contains("steps") && (s > 0 || kind != "world")) {
        title += fmt::format(" · {} step{}", s, s == 1 ? "" : "s");
      }
      std::string drawn = kind == "curve"    ? curve(task, fmt::format("{}-{}", id, count))
                          : kind == "images" ? images(task)
                          : kind == "world"  ? episode(task)
                                             : points(task);
      out += fmt::format("<figure><figcaption>{}</figcaption>{}</figure>", escape(title), drawn);
      ++count;
    }
    if (count == 0) return "";
    std::string key;
    if (kind == "curve") {
      key =
          "<p class=\"key\"><span><i class=\"truth\"></i>truth</span> <span><i class=\"before\"></i>before "
          "adaptation</span> "
          "<span><i class=\"after\"></i>after adaptation</span> <span><i class=\"dot\"></i>points learned "
          "from</span>";
      if (run.gallery.at("tasks").front().contains("query"))
        key += " <span><i class=\"asked\"></i>points asked</span>";
      key += "</p>";
    } else if (kind == "points") {
      key =
          "<p class=\"key\">Large: learned from. Small: asked, coloured as predicted. <span><i "
          "class=\"ring\"></i>wrong</span></p>";
    }
    return key + out + "</div>";
  } catch (const Json::exception&) {
    throw UserError(file, "is not a gallery: something in it is missing, or of another kind", remedy);
  } catch (const std::invalid_argument& e) {
    throw UserError(file, e.what(), remedy);
  }
}

}  // namespace symma
