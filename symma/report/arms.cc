#include "symma/report/arms.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>

#include "symma/core/csv.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/eval/statistics.h"
#include "symma/report/data.h"
#include "symma/report/format.h"
#include "symma/report/words.h"

namespace symma {
namespace {

constexpr size_t kFewestForBootstrap = 5;

// The settings without what tells no arms apart: the seed, and words for people.
std::map<std::string, Json> flat(const Json& settings) {
  std::map<std::string, Json> out;
  for (const auto& [section, values] : settings.items()) {
    for (const auto& [key, value] : values.items()) {
      if (section.empty() && (key == "seed" || key == "name" || key == "description")) continue;
      out[section.empty() ? key : section + "." + key] = value;
    }
  }
  return out;
}

std::string shown(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "-" : value.dump();
}

// Keys whose values differ between arms. Options of a kind that only follow from the kind are left out where
// the kind differs.
std::vector<std::string> differing(const std::vector<std::map<std::string, Json>>& all) {
  std::vector<std::string> keys, out;
  for (const auto& one : all)
    for (const auto& [key, value] : one)
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  const auto at = [](const std::map<std::string, Json>& one, const std::string& key) {
    const auto it = one.find(key);
    return it == one.end() ? Json(nullptr) : it->second;
  };
  for (const auto& key : keys) {
    std::vector<Json> values;
    for (const auto& one : all)
      if (one.contains(key)) values.push_back(one.at(key));
    if (std::any_of(values.begin(), values.end(), [&](const Json& v) { return v != values.front(); }))
      out.push_back(key);
  }
  // What follows from the kind of a part sets nothing apart beside it: only what differs within a kind does.
  std::erase_if(out, [&](const std::string& key) {
    const std::string kind = key.substr(0, key.rfind('.') + 1) + "kind";
    if (key == kind || std::find(out.begin(), out.end(), kind) == out.end()) return false;
    return std::none_of(all.begin(), all.end(), [&](const auto& a) {
      return std::any_of(all.begin(), all.end(), [&](const auto& b) {
        return at(a, kind) == at(b, kind) && at(a, key) != at(b, key);
      });
    });
  });
  // A setting that some arms lack, as options of another kind, sets apart only where nothing else does.
  if (out.empty()) {
    for (const auto& key : keys)
      if (std::any_of(all.begin(), all.end(),
                      [&](const auto& one) { return at(one, key) != at(all[0], key); }))
        out.push_back(key);
  }
  return out;
}

// "kind" alone says which kind where no other key that differs ends so.
std::map<std::string, std::string> short_names(const std::vector<std::string>& keys) {
  std::map<std::string, int> count;
  const auto ending = [](const std::string& key) { return key.substr(key.rfind('.') + 1); };
  for (const auto& key : keys) ++count[ending(key)];
  std::map<std::string, std::string> out;
  for (const auto& key : keys) {
    const bool kind = key.ends_with(".kind");
    out[key] = kind ? key.substr(0, key.rfind('.')) : count[ending(key)] > 1 ? key : ending(key);
  }
  return out;
}

void pool(Arm& arm) {
  std::sort(arm.runs.begin(), arm.runs.end(), [](const Run* a, const Run* b) { return a->seed < b->seed; });
  const bool higher = arm.runs.front()->eval->higher_is_better;
  for (const int64_t step : arm.runs.front()->eval->steps) {
    std::vector<double> means;
    double alone = std::nan("");
    for (const Run* r : arm.runs) {
      const auto at = std::find(r->eval->steps.begin(), r->eval->steps.end(), step) - r->eval->steps.begin();
      if (at == static_cast<std::ptrdiff_t>(r->eval->steps.size())) break;
      means.push_back(r->eval->mean[static_cast<size_t>(at)]);
      alone = r->eval->ci95[static_cast<size_t>(at)];
    }
    if (means.size() < arm.runs.size()) continue;
    const Summary s = summarise(means, higher);
    arm.steps.push_back(step);
    arm.seeds.push_back(means);
    arm.mean.push_back(s.mean);
    arm.ci95.push_back(means.size() == 1 ? alone : s.ci95);
    if (means.size() >= kFewestForBootstrap && s.diverged == 0) {
      const auto [low, high] = interquartile_interval({means});
      arm.iqm.push_back(interquartile_mean(means));
      arm.low.push_back(low), arm.high.push_back(high);
    }
  }
  if (arm.iqm.size() < arm.steps.size()) arm.iqm.clear(), arm.low.clear(), arm.high.clear();
}

std::vector<int64_t> common(const std::vector<Arm>& arms) {
  std::vector<int64_t> out;
  for (const int64_t s : arms.front().steps)
    if (std::all_of(arms.begin(), arms.end(), [&](const Arm& a) { return a.place(s) >= 0; }))
      out.push_back(s);
  return out;
}

// What intervals of these arms are over.
std::string sample_words(const std::vector<Arm>& arms) {
  const auto several = [](const Arm& a) { return a.runs.size() > 1; };
  if (std::none_of(arms.begin(), arms.end(), several)) return "over the tasks of one run";
  const bool all = std::all_of(arms.begin(), arms.end(), several);
  return std::string("over seeds, by Student's t") + (all ? "" : ", and of one seed over its tasks");
}

double mean_bits(const Arm& a) {
  double sum = 0;
  for (const Run* r : a.runs) sum += r->exchange.bits / static_cast<double>(a.runs.size());
  return sum;
}

double mean_seconds(const Arm& a) {
  double sum = 0;
  for (const Run* r : a.runs) sum += r->wall_s / static_cast<double>(a.runs.size());
  return sum;
}

}  // namespace

int64_t Arm::place(int64_t after) const {
  const auto it = std::find(steps.begin(), steps.end(), after);
  return it == steps.end() ? -1 : it - steps.begin();
}

std::vector<Arm> arms_of(const std::vector<Run>& runs) {
  std::vector<Arm> arms;
  std::vector<std::map<std::string, Json>> settings;
  std::string metric;
  for (const Run& r : runs) {
    if (!r.eval) continue;
    if (metric.empty()) metric = r.eval->metric;
    if (r.eval->metric != metric) continue;
    const auto mine = flat(r.settings);
    const auto it = std::find(settings.begin(), settings.end(), mine);
    if (it == settings.end()) {
      settings.push_back(mine);
      arms.emplace_back();
      arms.back().runs.push_back(&r);
    } else {
      Arm& arm = arms[static_cast<size_t>(it - settings.begin())];
      const bool known = std::any_of(arm.runs.begin(), arm.runs.end(),
                                     [&](const Run* other) { return other->seed == r.seed; });
      (known ? arm.again : arm.runs).push_back(&r);
    }
  }
  const auto keys = differing(settings);
  const auto names = short_names(keys);
  std::map<std::string, int> labels;
  for (size_t i = 0; i < arms.size(); ++i) {
    for (const auto& key : keys) {
      const auto it = settings[i].find(key);
      if (it == settings[i].end()) continue;
      arms[i].values[key] = it->second;
      arms[i].label +=
          fmt::format("{}{} {}", arms[i].label.empty() ? "" : ", ", names.at(key), shown(it->second));
    }
    if (arms[i].label.empty()) arms[i].label = arms[i].runs.front()->name;
    if (const int times = ++labels[arms[i].label]; times > 1) arms[i].label += fmt::format(" #{}", times);
    pool(arms[i]);
  }
  return arms;
}

std::vector<std::string> left_out(const std::vector<Run>& runs) {
  std::vector<std::string> out;
  const auto first = std::find_if(runs.begin(), runs.end(), [](const Run& r) { return r.eval.has_value(); });
  for (const Run& r : runs) {
    const std::string name = std::filesystem::path(r.folder).filename().string();
    if (!r.eval)
      out.push_back(name + ": was not evaluated");
    else if (r.eval->metric != first->eval->metric)
      out.push_back(
          fmt::format("{}: is judged by {}, and others by {}", name, r.eval->metric, first->eval->metric));
  }
  return out;
}

std::vector<std::string> run_folders(const std::vector<std::string>& named, bool* any) {
  namespace fs = std::filesystem;
  std::vector<std::string> out;
  if (any) *any = false;
  for (const auto& folder : named) {
    const fs::path runs = fs::path(folder) / "runs";
    std::error_code ec;
    if (is_there(fs::path(folder) / "summary.json") || !fs::is_directory(runs, ec)) {
      out.push_back(folder);
      continue;
    }
    if (any) *any = true;
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(runs)) {
      if (is_there(entry.path() / "summary.json") && is_there(entry.path() / "metrics.jsonl"))
        found.push_back(entry.path().string());
    }
    std::sort(found.begin(), found.end());
    if (found.empty()) throw UserError(folder, "holds no finished run", "let symma sweep finish some");
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

Contender contender(const Arm& arm, int64_t steps, const std::vector<Arm>& all) {
  const auto s = static_cast<size_t>(arm.place(steps));
  // Pairs by seed need the same seeds everywhere.
  const auto seeds = [](const Arm& a) {
    std::vector<int64_t> out;
    for (const Run* r : a.runs) out.push_back(r->seed);
    return out;
  };
  const bool same = std::all_of(all.begin(), all.end(), [&](const Arm& a) { return seeds(a) == seeds(arm); });
  return {arm.label, arm.runs.size() == 1 ? arm.runs.front()->folder : "", arm.mean[s], arm.ci95[s],
          same && arm.runs.size() > 1 ? arm.seeds[s] : std::vector<double>{}};
}

namespace {

// The mean of the last validations of an arm's runs after so many steps of adaptation; NaN where one is not
// finite, and nothing where there is none.
std::optional<double> last_validation(const Arm& a, int64_t steps) {
  double sum = 0;
  for (const Run* r : a.runs) {
    const Training& t = r->training;
    const auto at = std::find(t.steps.begin(), t.steps.end(), steps);
    if (t.validation.empty() || at == t.steps.end()) return {};
    sum += t.validation.back().mean.at(static_cast<size_t>(at - t.steps.begin()));
  }
  return sum / static_cast<double>(a.runs.size());
}

// Who is best is told on test tasks, and the best of several looks better there than on others: settings are
// chosen by validation, and judged on test tasks once.
std::string chosen_words(const std::vector<Arm>& arms, int64_t steps, bool html) {
  const Evaluation& e = *arms.front().runs.front()->eval;
  std::string out = fmt::format(
      "That is on test tasks, and the best of {} arms looks better on them than it is. ", arms.size());
  std::vector<double> scores;
  for (const Arm& a : arms) {
    const auto last = last_validation(a, steps);
    if (!last) return out + "Some have no validation to choose by: lower eval.every or log_every.";
    scores.push_back(*last);
  }
  size_t best = 0;
  const auto worth = [&](size_t i) {
    return !std::isfinite(scores[i]) ? -INFINITY : e.higher_is_better ? scores[i] : -scores[i];
  };
  for (size_t i = 1; i < arms.size(); ++i)
    if (worth(i) > worth(best)) best = i;
  if (!std::isfinite(scores[best])) return out + "No arm's last validation is finite.";
  const auto k = static_cast<size_t>(arms[best].place(steps));
  const std::string label = html ? "<strong>" + escape(arms[best].label) + "</strong>" : arms[best].label;
  return out + fmt::format("The last validation chooses {} ({}), which has {} there.", label,
                           score(scores[best], e.percent()),
                           with_interval(arms[best].mean[k], arms[best].ci95[k], e.percent()));
}

}  // namespace

std::string arms_standing(const std::vector<Arm>& arms, bool html) {
  if (arms.size() < 2) return "";
  const auto steps = common(arms);
  if (steps.empty()) return "";
  std::vector<Contender> all;
  all.reserve(arms.size());
  for (const Arm& a : arms) all.push_back(contender(a, steps.back(), arms));
  return standing_line(all, *arms.front().runs.front()->eval, steps.back(), html) + " " +
         chosen_words(arms, steps.back(), html);
}

std::vector<std::string> counted_once(const std::vector<Arm>& arms) {
  std::vector<std::string> out;
  for (const Arm& a : arms) {
    for (const Run* r : a.again) {
      const auto first = std::find_if(a.runs.begin(), a.runs.end(),
                                      [&](const Run* other) { return other->seed == r->seed; });
      out.push_back(
          fmt::format("counted once: {} and {}, of the same settings and seed", (*first)->folder, r->folder));
    }
  }
  return out;
}

std::string arms_text(const std::vector<Arm>& arms, const std::vector<std::string>& out_of_it) {
  std::string last;
  for (const auto& line : out_of_it) last += "left out: " + line + "\n";
  if (arms.empty()) return "no run was evaluated\n" + last;
  const Evaluation& e = *arms.front().runs.front()->eval;
  const auto steps = common(arms);
  std::vector<std::vector<std::string>> rows(1, {"arm", "seeds"});
  for (const int64_t s : steps) rows[0].push_back(fmt::format("{} @{}", e.metric, s));
  const bool enough = std::all_of(arms.begin(), arms.end(), [](const Arm& a) { return !a.iqm.empty(); });
  if (enough) rows[0].push_back(fmt::format("iqm @{}", steps.empty() ? 0 : steps.back()));
  rows[0].insert(rows[0].end(), {"sent", "time"});
  for (const Arm& a : arms) {
    rows.push_back({a.label, std::to_string(a.runs.size())});
    for (const int64_t s : steps) {
      const auto k = static_cast<size_t>(a.place(s));
      rows.back().push_back(with_interval(a.mean[k], a.ci95[k], e.percent()));
    }
    if (enough)
      rows.back().push_back(fmt::format("{} ({} to {})", score(a.iqm.back(), e.percent()),
                                        score(a.low.back(), e.percent()), score(a.high.back(), e.percent())));
    rows.back().push_back(bits(mean_bits(a)));
    rows.back().push_back(duration(mean_seconds(a)));
  }
  std::vector<int64_t> widths(rows[0].size(), 0);
  for (const auto& row : rows)
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], width(row[c]));
  std::string out;
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) {
      const int64_t pad = widths[c] - width(row[c]);
      out += c == 0 ? fmt::format("{}{:{}}", row[c], "", pad) : fmt::format("  {:{}}{}", "", pad, row[c]);
    }
    out += "\n";
  }
  out += fmt::format("{}: mean ± 95 % interval {}, after @ steps of adaptation, {} is better\n", e.metric,
                     sample_words(arms), e.higher_is_better ? "higher" : "lower");
  if (const auto words = arms_standing(arms, false); !words.empty()) out += words + "\n";
  for (const auto& line : counted_once(arms)) out += line + "\n";
  return out + last;
}

Json arms_json(const std::vector<Arm>& arms) {
  Json out = Json::array();
  for (const Arm& a : arms) {
    const auto last = a.steps.empty() ? std::nullopt : last_validation(a, a.steps.back());
    Json one{{"label", a.label},
             {"values", a.values},
             {"seeds", Json::array()},
             {"runs", Json::array()},
             {"steps", a.steps},
             {"mean", list_of(a.mean)},
             {"ci95", list_of(a.ci95)},
             {"bits", mean_bits(a)},
             {"seconds", json_of(mean_seconds(a))},
             {"validation", json_of(last.value_or(std::nan("")))},
             {"over", a.runs.size() > 1 ? "seeds" : "tasks"}};
    if (!a.iqm.empty())
      one["iqm"] = list_of(a.iqm), one["iqm_low"] = list_of(a.low), one["iqm_high"] = list_of(a.high);
    for (size_t r = 0; r < a.runs.size(); ++r) {
      one["seeds"].push_back(a.runs[r]->seed);
      Json means = Json::array();
      for (const auto& of_step : a.seeds) means.push_back(json_of(of_step[r]));
      one["runs"].push_back({{"folder", std::filesystem::path(a.runs[r]->folder).filename().string()},
                             {"seed", a.runs[r]->seed},
                             {"mean", means}});
    }
    out.push_back(one);
  }
  return out;
}

std::string arms_csv(const std::vector<Arm>& arms) {
  if (arms.empty()) return "";
  const Evaluation& e = *arms.front().runs.front()->eval;
  std::vector<std::string> keys;
  for (const Arm& a : arms)
    for (const auto& [key, value] : a.values.items())
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  std::string out = "arm,seed,run";
  for (const auto& key : keys) out.append(",").append(csv_cell(key));
  out += fmt::format(",steps,{},bits,seconds\n", csv_cell(e.metric));
  for (const Arm& a : arms) {
    for (size_t r = 0; r < a.runs.size(); ++r) {
      for (size_t s = 0; s < a.steps.size(); ++s) {
        const Run& run = *a.runs[r];
        out += fmt::format("{},{},{}", csv_cell(a.label), run.seed,
                           csv_cell(std::filesystem::path(run.folder).filename().string()));
        for (const auto& key : keys)
          out.append(",").append(csv_cell(a.values.contains(key) ? shown(a.values[key]) : ""));
        out += fmt::format(",{},", a.steps[s]);
        if (std::isfinite(a.seeds[s][r])) out += fmt::format("{:.9g}", a.seeds[s][r]);
        out += fmt::format(",{:.0f},{:.3f}\n", run.exchange.bits, run.wall_s);
      }
    }
  }
  return out;
}

Json arms_data(const std::vector<Arm>& arms) {
  Json out = Json::array();
  for (const Arm& a : arms) {
    const Evaluation& e = *a.runs.front()->eval;
    std::vector<double> lower, upper;
    for (size_t s = 0; s < a.steps.size(); ++s)
      lower.push_back(a.mean[s] - a.ci95[s]), upper.push_back(a.mean[s] + a.ci95[s]);
    Json one{{"label", a.label},        {"metric", e.metric},
             {"percent", e.percent()},  {"chance", json_of(e.chance)},
             {"steps", a.steps},        {"mean", list_of(a.mean)},
             {"ci95", list_of(a.ci95)}, {"lower", list_of(lower)},
             {"upper", list_of(upper)}};
    // Along training: validations of all seeds, round by round, while all have one.
    std::vector<double> round, seconds, bits, env_steps, mean, low, high;
    size_t rows = a.runs.front()->training.validation.size();
    for (const Run* r : a.runs) rows = std::min(rows, r->training.validation.size());
    for (size_t k = 0; k < rows; ++k) {
      std::vector<double> values;
      double s = 0, b = 0, w = 0;
      const auto n = static_cast<double>(a.runs.size());
      for (const Run* r : a.runs) {
        const Validation& v = r->training.validation[k];
        values.push_back(v.mean.back());
        s += v.seconds / n, b += v.bits / n, w += v.env_steps / n;
      }
      const Summary sum = summarise(values, e.higher_is_better);
      round.push_back(a.runs.front()->training.validation[k].round);
      seconds.push_back(s), bits.push_back(b), env_steps.push_back(w), mean.push_back(sum.mean);
      low.push_back(sum.mean - sum.ci95), high.push_back(sum.mean + sum.ci95);
    }
    one["validation"] = {{"round", list_of(round)}, {"seconds", list_of(seconds)},
                         {"bits", list_of(bits)},   {"env_steps", list_of(env_steps)},
                         {"mean", list_of(mean)},   {"lower", list_of(low)},
                         {"upper", list_of(high)}};
    out.push_back(one);
  }
  return out;
}

namespace {

// Each arm's mean with its interval, and a mark for each seed: the best first. Stands without a script.
std::string dot_plot(const std::vector<Arm>& arms, int64_t steps) {
  const Evaluation& e = *arms.front().runs.front()->eval;
  std::vector<const Arm*> order;
  order.reserve(arms.size());
  for (const Arm& a : arms) order.push_back(&a);
  const auto mean = [&](const Arm* a) { return a->mean[static_cast<size_t>(a->place(steps))]; };
  const auto ci = [&](const Arm* a) { return a->ci95[static_cast<size_t>(a->place(steps))]; };
  std::stable_sort(order.begin(), order.end(), [&](const Arm* a, const Arm* b) {
    const double x = mean(a), y = mean(b);
    if (!std::isfinite(x) || !std::isfinite(y)) return std::isfinite(x) && !std::isfinite(y);
    return e.higher_is_better ? x > y : x < y;
  });
  double lo = INFINITY, hi = -INFINITY;
  const auto take = [&](double x) {
    if (std::isfinite(x)) lo = std::min(lo, x), hi = std::max(hi, x);
  };
  for (const Arm* a : order) {
    take(mean(a));
    for (double x : a->seeds[static_cast<size_t>(a->place(steps))]) take(x);
  }
  if (!std::isfinite(lo)) return "";
  const double spread = std::max(hi - lo, 1e-12 + 0.02 * std::abs(hi));
  lo -= 0.15 * spread, hi += 0.15 * spread;  // a longer interval runs out of the frame
  if (std::isfinite(e.chance)) lo = std::min(lo, e.chance), hi = std::max(hi, e.chance);
  constexpr double kRow = 26, kW = 640, kLeft = 12, kRight = 12;
  const double height = kRow * 2 * static_cast<double>(order.size()) + 34;
  const auto x = [&](double v) {
    return kLeft + (std::clamp(v, lo, hi) - lo) / (hi - lo) * (kW - kLeft - kRight);
  };
  std::string out = fmt::format(
      "<svg class=\"plot dots\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"means with intervals\">", kW,
      height);
  const double raw = (hi - lo) / 5, base = std::pow(10, std::floor(std::log10(raw)));
  const double step = base * (raw / base <= 1 ? 1 : raw / base <= 2 ? 2 : raw / base <= 5 ? 5 : 10);
  for (double t = std::ceil(lo / step) * step; t <= hi + 1e-9 * step; t += step) {
    const double v = std::abs(t) < 1e-9 * step ? 0 : t;
    out += fmt::format(
        "<path class=\"grid\" d=\"M{0:.1f},0V{1:.1f}\"/><text class=\"tick\" x=\"{0:.1f}\" "
        "y=\"{2:.1f}\">{3}</text>",
        x(v), height - 24, height - 8,
        e.percent() ? fmt::format("{:.4g} %", 100 * v) : fmt::format("{:.4g}", v));
  }
  if (std::isfinite(e.chance))
    out += fmt::format("<path class=\"truth\" d=\"M{0:.1f},0V{1:.1f}\"><title>guessing</title></path>",
                       x(e.chance), height - 24);
  for (size_t k = 0; k < order.size(); ++k) {
    const Arm& a = *order[k];
    const double y = kRow * (2 * static_cast<double>(k) + 1.5), m = mean(&a), c = ci(&a);
    const std::string words = with_interval(m, c, e.percent());
    out +=
        fmt::format("<text class=\"name{}\" x=\"{}\" y=\"{:.1f}\">{}: {}</text>",
                    a.label.size() + words.size() > 40 ? " long" : "", kLeft, y - 13, escape(a.label), words);
    if (!std::isfinite(m)) continue;
    for (double s : a.seeds[static_cast<size_t>(a.place(steps))])
      if (std::isfinite(s))
        out += fmt::format("<circle class=\"seed\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\"/>", x(s), y);
    if (std::isfinite(c))
      out += fmt::format("<path class=\"interval\" d=\"M{:.1f},{:.1f}H{:.1f}\"/>", x(m - c), y, x(m + c));
    out += fmt::format("<circle class=\"mean\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\"/>", x(m), y);
  }
  return out + "</svg>";
}

}  // namespace

std::string arms_html(const std::vector<Arm>& arms, const std::string& title,
                      const std::vector<std::string>& failed, const std::vector<std::string>& out_of_it) {
  size_t runs = 0;
  for (const Arm& a : arms) runs += a.runs.size();
  std::string out =
      fmt::format("<article id=\"sweep\"><header><p class=\"kicker\">{}</p><h1>{} runs, {} arms</h1>",
                  escape(title), runs, arms.size());
  if (const auto words = arms_standing(arms, true); !words.empty())
    out += "<p class=\"headline\">" + words + "</p>";
  for (const auto& f : failed) out += "<p class=\"caution\">Failed: " + escape(f) + "</p>";
  for (const auto& f : counted_once(arms)) out += "<p class=\"caution\">" + escape(f) + "</p>";
  for (const auto& line : out_of_it) out += "<p class=\"caution\">Left out: " + escape(line) + "</p>";
  out += "</header>";
  if (arms.empty()) return out + "<p>No run was evaluated.</p></article>";
  const Evaluation& e = *arms.front().runs.front()->eval;
  const auto steps = common(arms);
  const std::string over = sample_words(arms);
  out += "<section><h3>Scores</h3><div class=\"stack\">";
  if (!steps.empty()) {
    out += fmt::format(
        "<div class=\"card\"><h4>{} after {} steps of adaptation, the best first</h4>{}<p "
        "class=\"note\">Filled: mean; "
        "bar: 95 % interval {}; rings: runs.{}</p></div>",
        escape(e.metric), steps.back(), dot_plot(arms, steps.back()), over,
        std::isfinite(e.chance) ? " Dashed: guessing." : "");
  }
  out +=
      "<div class=\"card\"><div class=\"wide\"><table><thead><tr><th scope=\"col\">arm</th><th scope=\"col\" "
      "class=\"number\">seeds</th>";
  for (const int64_t s : steps)
    out += fmt::format("<th scope=\"col\" class=\"number\">{} after {}</th>", escape(e.metric), s);
  out +=
      "<th scope=\"col\" class=\"number\">sent</th><th scope=\"col\" "
      "class=\"number\">time</th></tr></thead><tbody>";
  for (const Arm& a : arms) {
    out += fmt::format("<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td>", escape(a.label),
                       a.runs.size());
    for (const int64_t s : steps) {
      const auto k = static_cast<size_t>(a.place(s));
      std::string iqm;
      if (!a.iqm.empty())
        iqm = fmt::format("<br><span class=\"median\">iqm {} ({} to {})</span>", score(a.iqm[k], e.percent()),
                          score(a.low[k], e.percent()), score(a.high[k], e.percent()));
      out += fmt::format("<td class=\"number\">{}{}</td>", with_interval(a.mean[k], a.ci95[k], e.percent()),
                         iqm);
    }
    out += fmt::format("<td class=\"number\">{}</td><td class=\"number\">{}</td></tr>", bits(mean_bits(a)),
                       duration(mean_seconds(a)));
  }
  out += fmt::format(
      "</tbody></table></div><p class=\"note\">Means ± 95 % interval {}.</p></div></div></section>", over);
  const auto chart = [](const char* kind, size_t index, const std::string& name, const std::string& note) {
    return fmt::format(
        "<div class=\"card\"><h4>{}</h4><div class=\"canvas\"><canvas data-chart=\"{}\" data-index=\"{}\" "
        "role=\"img\" "
        "aria-label=\"{}\"></canvas></div><p class=\"note\">{}</p></div>",
        name, kind, index, name, note);
  };
  out +=
      "<section class=\"training\" data-shared=\"arms\"><h3>Curves</h3><div class=\"legend "
      "shared\"></div><div class=\"cards\">";
  if (steps.size() > 1)
    out += chart("arms_eval", 0, "Adaptation to unseen tasks", "Means; bands: 95 % intervals " + over + ".");
  out += chart("arms_validation", 0, "Validation score along training",
               "Means over seeds after the most steps of adaptation, with 95 % intervals.");
  out += "</div>";
  // Small multiples, where one chart holds too many lines.
  constexpr size_t kMany = 6, kMost = 36;
  if (arms.size() > kMany && arms.size() <= kMost) {
    out += "<div class=\"small\">";
    for (size_t i = 0; i < arms.size(); ++i) out += chart("arm_validation", i, escape(arms[i].label), "");
    out += "</div>";
  }
  out +=
      "</section><section><h3>Runs</h3><div class=\"card\"><div class=\"wide tall\"><table><thead><tr><th "
      "scope=\"col\">run</th><th "
      "scope=\"col\">arm</th><th scope=\"col\" class=\"number\">seed</th><th scope=\"col\" "
      "class=\"number\">score</th></tr></thead><tbody>";
  for (const Arm& a : arms) {
    for (const Run* r : a.runs) {
      const std::string name = std::filesystem::path(r->folder).filename().string();
      out += fmt::format(
          "<tr><th scope=\"row\"><a href=\"runs/{0}/report.html\">{0}</a></th><td "
          "class=\"words\">{1}</td><td "
          "class=\"number\">{2}</td><td class=\"number\">{3}</td></tr>",
          escape(name), escape(a.label), r->seed,
          with_interval(r->eval->mean.back(), r->eval->ci95.back(), e.percent()));
    }
  }
  return out + "</tbody></table></div></div></section></article>";
}

}  // namespace symma
