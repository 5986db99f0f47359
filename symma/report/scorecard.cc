#include "symma/report/scorecard.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "symma/report/format.h"
#include "symma/report/page.h"

namespace symma {
namespace {

double value(const Json& x, const char* key) {
  return x.contains(key) && x.at(key).is_number() ? x.at(key).get<double>() : std::nan("");
}

struct Difference {
  double by = 0, ci95 = 0;  // positive: better, whichever way the score goes
  bool known = false;
  bool apart() const { return known && std::abs(by) > ci95; }
};

Difference difference(const Json& card, const Json& figure) {
  if (!figure.contains("gap") || !figure.at("gap").is_object()) return {};
  const double d = value(figure.at("gap"), "difference"), c = value(figure.at("gap"), "ci95");
  if (!std::isfinite(d) || !std::isfinite(c)) return {};
  return {card.at("higher_is_better").get<bool>() ? d : -d, c, true};
}

class Sentences {
 public:
  explicit Sentences(const Json& card) : card_(card), percent_(card.at("metric") == "accuracy") {}

  // In the order of the axes.
  std::vector<std::string> all() {
    if (const Json few = card_.value("ruled_by_few", Json()); few.is_object())
      out_.push_back(fmt::format(
          "A few tasks that went astray rule the means: of seed {} it is {} where the median is "
          "{}, so medians "
          "(--of median) say more",
          few.at("seed").dump(), three_digits(value(few, "mean")), three_digits(value(few, "median"))));
    each({"speed"}, [&](const Json& f) { speed(f); });
    each({"rival"}, [&](const Json& f) { rival(f); });
    each({"unseen"}, [&](const Json& f) { unseen(f); });
    each({"newcomer", "shots", "size", "noise"}, [&](const Json& f) { versus(f); });
    attacks();
    each({"fault"}, [&](const Json& f) { versus(f); });
    each({"graph"}, [&](const Json& f) { graph(f); });
    each({"agents"}, [&](const Json& f) { versus(f); });
    return out_;
  }

 private:
  std::string amount(double x, double c) const { return with_interval(std::abs(x), c, percent_); }

  template <class Say>
  void each(std::initializer_list<const char*> roles, const Say& say) {
    for (const char* role : roles)
      for (const Json& f : card_.at("figures"))
        if (f.value("role", "") == role) say(f);
  }

  static std::string what(const Json& f) { return f.at("what").get<std::string>(); }

  void graph(const Json& f) {
    const auto d = difference(card_, f);
    if (!d.known) return;
    const std::string who = "Sharing along " + what(f);
    out_.push_back(!d.apart()
                       ? fmt::format("{} is not told apart from no sharing ({})", who, amount(d.by, d.ci95))
                   : d.by > 0 ? fmt::format("{} is worth {}", who, amount(d.by, d.ci95))
                              : fmt::format("{} costs {}", who, amount(d.by, d.ci95)));
  }

  void rival(const Json& f) {
    const auto d = difference(card_, f);
    const std::string who = what(f), steps = after(), own = card_.value("learner", "the file's learner");
    if (!std::isfinite(value(f, "mean"))) {
      out_.push_back(fmt::format("{} diverges {}", who, steps));
    } else if (d.known) {
      out_.push_back(
          !d.apart()
              ? fmt::format("{} is not told apart from {} {} ({})", who, own, steps, amount(d.by, d.ci95))
          : d.by < 0 ? fmt::format("{} comes within {} of {} {}", who, amount(d.by, d.ci95), own, steps)
                     : fmt::format("{} is better than {} by {} {}", who, own, amount(d.by, d.ci95), steps));
    }
  }

  void unseen(const Json& f) {
    const auto d = difference(card_, f);
    if (!d.known) return;
    const std::string how = what(f);
    out_.push_back(!d.apart()
                       ? fmt::format("{} are not told apart from the test's ({})", how, amount(d.by, d.ci95))
                   : d.by < 0 ? fmt::format("{} are worse by {}", how, amount(d.by, d.ci95))
                              : fmt::format("{} are better by {}", how, amount(d.by, d.ci95)));
  }

  void versus(const Json& f) {
    const auto d = difference(card_, f);
    const std::string how = what(f);
    if (!std::isfinite(value(f, "mean"))) {
      out_.push_back(fmt::format("{}: what was learned is ruined", how));
    } else if (d.known) {
      out_.push_back(!d.apart() ? fmt::format("{}: not told apart ({})", how, amount(d.by, d.ci95))
                     : d.by < 0 ? fmt::format("{}: worse by {}", how, amount(d.by, d.ci95))
                                : fmt::format("{}: better by {}", how, amount(d.by, d.ci95)));
    }
  }

  // One sentence for each attack by so many agents: what it does to the mean, and to the best of the other
  // rules.
  void attacks() {
    std::vector<std::string> done;
    for (const Json& f : card_.at("figures")) {
      if (f.value("role", "") != "attack" || std::find(done.begin(), done.end(), what(f)) != done.end())
        continue;
      done.push_back(what(f));
      const Json* mean = nullptr;
      std::vector<const Json*> others;
      for (const Json& g : card_.at("figures")) {
        if (g.value("role", "") != "attack" || what(g) != what(f)) continue;
        if (g.value("rule", "mean") == "mean")
          mean = &g;
        else
          others.push_back(&g);
      }
      const bool higher = card_.at("higher_is_better").get<bool>();
      const auto badness = [&](const Json* g) {
        const double m = value(*g, "mean");
        return !std::isfinite(m) ? INFINITY : higher ? -m : m;
      };
      std::string line = mean ? " " + under_attack(*mean, "") : "";
      if (!others.empty()) {
        const Json& best =
            **std::min_element(others.begin(), others.end(),
                               [&](const Json* x, const Json* y) { return badness(x) < badness(y); });
        const std::string of =
            others.size() > 1 ? fmt::format(", the best of {} other rules,", others.size()) : "";
        line += (mean ? " and " : " ") + under_attack(best, of);
      }
      out_.push_back(what(f) + line);
    }
  }

  // "cost the median 0.030 ± 0.010"
  std::string under_attack(const Json& g, const std::string& of) const {
    std::string rule = g.value("rule", "mean");
    std::replace(rule.begin(), rule.end(), '_', ' ');
    rule += of;
    const auto d = difference(card_, g);
    const bool one = what(g).starts_with("One ");
    const auto verb = [&](const char* many) { return std::string(many) + (one ? "s" : ""); };
    if (!std::isfinite(value(g, "mean")) || ruined(g)) return fmt::format("{} the {}", verb("ruin"), rule);
    if (!d.known)
      return fmt::format("{} the {} at {}", verb("leave"), rule, score(value(g, "mean"), percent_));
    if (!d.apart())
      return fmt::format("{} the {} as it was, as far as can be told ({})", verb("leave"), rule,
                         amount(d.by, d.ci95));
    return fmt::format("{} the {} {}", verb(d.by < 0 ? "cost" : "help"), rule, amount(d.by, d.ci95));
  }

  // Worse, beyond its interval, than what nobody had to learn: the score before adapting, without an attack.
  bool ruined(const Json& f) const {
    const double before = value(card_, "before_adapting"), mean = value(f, "mean"), c = value(f, "ci95");
    if (!std::isfinite(before) || !std::isfinite(c)) return false;
    return card_.at("higher_is_better").get<bool>() ? mean + c < before : mean - c > before;
  }

  void speed(const Json& f) {
    if (std::isfinite(value(f, "mean"))) out_.push_back(fmt::format("{}: {}", what(f), quantity(f)));
  }

 public:
  static std::string quantity(const Json& f) {
    const double m = value(f, "mean"), c = value(f, "ci95");
    const auto unit = f.value("unit", "");
    const auto show = [&](double x) {
      return unit == "bits" ? bits(x) : unit == "seconds" ? duration(x) : grouped(x);
    };
    const std::string shown = std::isfinite(c) ? fmt::format("{} ± {}", show(m), show(c)) : show(m);
    return unit == "bits" || unit == "seconds" ? shown : shown + " " + unit;
  }

 private:
  std::string after() const {
    const auto s = card_.at("steps").back().get<int64_t>();
    return s == 0 ? "as trained" : fmt::format("after {} step{}", s, s == 1 ? "" : "s");
  }

  const Json& card_;
  bool percent_;
  std::vector<std::string> out_;
};

// Differences with their intervals around zero, better to the right.
std::string gap_plot(const Json& card, const std::vector<const Json*>& figures) {
  double most = 0;
  std::vector<std::pair<const Json*, Difference>> rows;
  for (const Json* f : figures) {
    const auto d = difference(card, *f);
    if (!d.known) continue;
    rows.emplace_back(f, d);
    most = std::max(most, std::abs(d.by) + std::min(d.ci95, 2 * std::abs(d.by) + d.ci95 / 2));
  }
  if (rows.size() < 2 || most == 0) return "";
  constexpr double kW = 640, kRow = 40;
  const double h = kRow * static_cast<double>(rows.size()) + 8, middle = kW / 2;
  const auto x = [&](double v) { return middle + std::clamp(v / most, -1., 1.) * (kW / 2 - 14); };
  std::string out = fmt::format(
      "<svg class=\"plot dots\" viewBox=\"0 0 {0} {1}\" role=\"img\" aria-label=\"differences with "
      "intervals\"><path "
      "class=\"truth\" d=\"M{2},0V{1}\"/>",
      kW, h, middle);
  for (size_t k = 0; k < rows.size(); ++k) {
    const auto& [f, d] = rows[k];
    const double y = kRow * (static_cast<double>(k) + 0.75);
    const std::string rule = f->contains("rule") ? ", " + f->at("rule").get<std::string>() : "";
    out += fmt::format("<text class=\"name\" x=\"8\" y=\"{:.1f}\">{}</text>", y - 12,
                       escape(f->at("what").get<std::string>() + rule));
    out += fmt::format(
        "<path class=\"interval\" d=\"M{:.1f},{:.1f}H{:.1f}\"/><circle class=\"mean\" cx=\"{:.1f}\" "
        "cy=\"{:.1f}\" r=\"5\"/>",
        x(d.by - d.ci95), y, x(d.by + d.ci95), x(d.by), y);
  }
  return out +
         "</svg><p class=\"note\">Differences with their 95 % intervals; to the right of the dashed line is "
         "better.</p>";
}

std::string axis_html(const Json& card, const std::string& axis, const std::string& title) {
  std::vector<const Json*> mine;
  for (const Json& f : card.at("figures"))
    if (f.at("axis") == axis) mine.push_back(&f);
  std::string out = "<section><h3>" + title + "</h3><div class=\"card\">";
  if (mine.empty()) {
    out += "<p class=\"note\">Nothing was measured here.</p>";
  } else {
    const bool percent = card.at("metric") == "accuracy";
    out += gap_plot(card, mine);
    const bool costs = axis == "scalability";
    out += fmt::format(
        "<div class=\"wide\"><table><thead><tr><th scope=\"col\">figure</th><th scope=\"col\" "
        "class=\"number\">value</th><th scope=\"col\" class=\"number\">difference</th>{}</tr></thead><tbody>",
        costs ? "<th scope=\"col\" class=\"number\">time of a run</th><th scope=\"col\" "
                "class=\"number\">sent</th>"
              : "");
    for (const Json* f : mine) {
      const auto d = difference(card, *f);
      const std::string shown = f->contains("unit")
                                    ? Sentences::quantity(*f)
                                    : with_interval(value(*f, "mean"), value(*f, "ci95"), percent);
      const std::string rule = f->contains("rule") ? ", " + f->at("rule").get<std::string>() : "";
      const double raw =
          f->contains("gap") && f->at("gap").is_object() ? value(f->at("gap"), "difference") : std::nan("");
      const std::string apart = d.known && !d.apart() ? ", not told apart" : "";
      out += fmt::format(
          "<tr><th scope=\"row\">{}<details><summary>command</summary><code>{}</code></details></th><td "
          "class=\"number\">{}</td><td class=\"number\">{}</td>{}</tr>",
          escape(f->at("what").get<std::string>() + rule), escape(f->at("command").get<std::string>()), shown,
          d.known ? with_interval(raw, d.ci95, percent) + apart : "",
          costs ? fmt::format("<td class=\"number\">{}</td><td class=\"number\">{}</td>",
                              duration(value(*f, "seconds")), bits(value(*f, "bits")))
                : "");
    }
    out += "</tbody></table></div>";
  }
  std::string left;
  int64_t many = 0;
  for (const Json& s : card.value("left_out", Json::array())) {
    if (s.value("axis", "") != axis) continue;
    ++many;
    left += fmt::format("<li>{}: {}</li>", escape(s.value("what", "")), escape(s.value("why", "")));
  }
  if (many > 0)
    out += fmt::format("<details><summary>{} figure{} left out, and why</summary><ul>{}</ul></details>", many,
                       many == 1 ? "" : "s", left);
  return out + "</div></section>";
}

}  // namespace

std::vector<std::string> scorecard_sentences(const Json& card) {
  return Sentences(card).all();
}

std::string scorecard_html(const Json& card) {
  const bool percent = card.at("metric") == "accuracy";
  std::string body =
      fmt::format("<article id=\"scorecard\"><header><p class=\"kicker\">scorecard</p><h1>{}</h1>",
                  escape(card.at("experiment").get<std::string>()));
  for (const Json& f : card.at("figures")) {
    if (f.at("id") != "base") continue;
    body += fmt::format(
        "<p class=\"headline\">{}{} {} on unseen tasks; {} {}, {} rounds each</p>",
        card.value("of", "mean") == "median" ? "median " : "", escape(card.at("metric").get<std::string>()),
        with_interval(value(f, "mean"), value(f, "ci95"), percent), card.at("seeds").dump(),
        card.at("seeds") == 1 ? "seed, intervals over its tasks" : "seeds, intervals over them",
        grouped(value(card, "rounds")));
  }
  if (card.value("shortened", false))
    body +=
        fmt::format("<p class=\"caution\">To fit the budget, runs have {} rounds and not the file's {}.</p>",
                    grouped(value(card, "rounds")), grouped(value(card, "rounds_asked")));
  for (const Json& f : card.value("failed", Json::array()))
    body += fmt::format("<p class=\"caution\">Failed: {}: {}.</p>", escape(f.value("run", "")),
                        escape(f.value("why", "")));
  body += "</header><section><h3>In words</h3><div class=\"card\"><ul>";
  for (const auto& s : scorecard_sentences(card)) body += "<li>" + escape(s) + ".</li>";
  body += "</ul></div></section>";
  body += axis_html(card, "efficiency", "Learning efficiency") +
          axis_html(card, "generalisation", "Generalisation") + axis_html(card, "robustness", "Robustness") +
          axis_html(card, "scalability", "Scalability") + "</article>";
  const Json none = Json::array();
  return page_of("scorecard of " + card.at("experiment").get<std::string>(), card.value("symma", ""), body,
                 {{"runs", none}, {"groups", none}, {"arms", none}});
}

}  // namespace symma
