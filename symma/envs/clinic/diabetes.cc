// Insulin for a patient with type 1 diabetes: simglucose 0.2.11's rules (UVa/Padova 2008), by steps of three
// minutes or from meal to meal.
//
// dose = "pump": two numbers, basal and bolus in U/min, every 3 minutes, as in the original. Seen are what
// the sensor read in the step (its mean), what it read 15 and 30 minutes before, the meal announced in it
// (g/min), the hour, and insulin given that still acts (U, halved every 90 minutes). dose = "meals": basal
// insulin is given as the patient needs it at rest, and a number a in [-1, 1] at each meal says how many
// times the population's dose is given: 6^a (g / 15 + (BG - 140) / 50 where BG > 150). Seen are the hour, the
// meal, the sensor and its change in 15 minutes, and of the time since the dose before: the highest, the
// lowest and the mean reading, that dose's a, and its meal.
//
// All numbers seen are in hundreds (mg/dl, g) but hours, in days, units and a. What a reader may not expect:
// the bolus for a meal is given in the step after the one in which it is announced. In the original the
// sensor shows what it read last until it reads again, so a step's mean holds the reading before two times
// (`hold`); the golden day of all patients has a reading a minute.
//
// Reward: "risk", minus what the step adds to the day's mean risk; "range", what it adds to the share of time
// from 70 to 180 mg/dl, less that below 70; "change", the original's, what the risk of the reading fell by,
// whose sum is the first less the last. An episode ends below 10 or above 600 mg/dl, and what is left of it
// counts as such, so dying early saves nothing.
#include "symma/envs/clinic/diabetes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "symma/core/csv.h"
#include "symma/core/errors.h"
#include "symma/envs/clinic/ward.h"
#include "symma/envs/copies.h"
#include "symma/envs/drawing.h"

namespace symma {
namespace {

constexpr int64_t kMadeUp = 20, kMadeUpTest = 10;  // patients, where no file names any
constexpr int64_t kMarks = 96;                     // of a day, for drawing: one every 15 minutes
constexpr double kReach = 6;                       // of the number set at a meal

struct DiabetesOptions : CopyOptions {
  std::string data, test_data, dose = "pump", meals = "fixed", reward = "risk";
  std::vector<std::string> train, test;
  bool noise = true, hold = false;
  int64_t days = 1;
  double spread = 0.2, test_spread = 0.2;
  DiabetesOptions() { limit = kStepsADay; }
  void fields(Fields& f) {
    f.add("data", data, "folder of patients.csv and clinic.csv; none: patients are made up");
    f.add("test_data", test_data,
          "the same, or one file, of patients for testing alone: one's own, as number after the others");
    f.add("train", train,
          "names of patients to train with, \"adult#*\" for all that begin so; none: the rest");
    f.add("test", test, "names of patients for testing; none, and no test_data: every third");
    f.add("dose", dose, "what is set: the pump's rates every 3 minutes, or the dose at each meal")
        .one_of({"pump", "meals"});
    f.add("meals", meals, "the same five every day, or up to six by chance").one_of({"fixed", "random"});
    f.add("reward", reward,
          "minus the mean risk; time in range less time below; the original's change of risk")
        .one_of({"risk", "range", "change"});
    f.add("noise", noise, "whether the sensor errs");
    f.add("hold", hold,
          "whether it shows its last reading for the minutes between, as in the original, so a "
          "step's mean holds the one before twice");
    f.add("days", days, "of an episode, which begins at midnight, at rest").at_least(1).at_most(14);
    f.add("spread", spread, "by which share constants of a patient differ, at most, where they vary")
        .at_least(0)
        .below(1);
    f.add("test_spread", test_spread, "the same of patients for testing").at_least(0).below(1);
    level_fields(f);
    CopyOptions::fields(f);
  }
};

// Those for training, then those for testing.
struct Roster {
  std::vector<Patient> patients;
  int64_t train = 0;

  static bool named(const std::vector<std::string>& words, const std::string& name) {
    return std::any_of(words.begin(), words.end(), [&](const std::string& w) {
      return w.ends_with('*') ? name.starts_with(w.substr(0, w.size() - 1)) : w == name;
    });
  }

  explicit Roster(const DiabetesOptions& o) {
    std::vector<Patient> rest;
    if (o.data.empty()) {
      for (int64_t i = 0; i < kMadeUp + kMadeUpTest; ++i) {
        Patient p = made_up_patient(Rng(2008).split("patient", static_cast<uint64_t>(i)));
        p.name = fmt::format("made_up#{:03}", i + 1);
        rest.push_back(std::move(p));
      }
    } else {
      rest = *read_patients(o.data);
    }
    std::vector<std::string> names;
    names.reserve(rest.size());
    for (const Patient& p : rest) names.push_back(p.name);
    for (const auto* words : {&o.train, &o.test}) {
      for (const auto& w : *words) {
        if (std::any_of(names.begin(), names.end(), [&](const auto& n) { return named({w}, n); })) continue;
        throw UserError(std::string("[task.world] ") + (words == &o.train ? "train" : "test"),
                        "\"" + w + "\" is no patient of " + (o.data.empty() ? "those made up" : o.data),
                        suggestion(w, names));
      }
    }
    std::vector<Patient> test;
    const bool every_third = o.test.empty() && o.test_data.empty() && o.train.empty();
    for (size_t i = 0; i < rest.size(); ++i) {
      const bool trains = !o.train.empty() && named(o.train, rest[i].name);
      const bool tests = every_third ? i % 3 == 2 && rest.size() > 2 : named(o.test, rest[i].name);
      if (trains && tests)
        throw UserError("[task.world] test", "\"" + rest[i].name + "\" is named in train, too",
                        "nobody is judged on who was learned from: name it once");
      if (tests || (!o.train.empty() && !trains && o.test.empty() && o.test_data.empty()))
        test.push_back(rest[i]);
      else if (trains || o.train.empty())
        patients.push_back(rest[i]);
    }
    if (!o.test_data.empty()) {
      const auto own = read_patients(o.test_data);
      for (const Patient& p : *own) {
        const auto same = [&](const Patient& other) { return other.name == p.name; };
        if (std::any_of(patients.begin(), patients.end(), same))
          throw UserError("[task.world] test_data", "\"" + shown(p.name) + "\" is trained with, too",
                          "nobody is judged on who was learned from: name others in train, or rename the "
                          "patient where it is another");
        test.push_back(p);
      }
    }
    if (patients.empty())
      throw UserError("[task.world] train", "no patient is left to train with", "name fewer in test");
    train = static_cast<int64_t>(patients.size());
    if (test.empty()) test.push_back(patients.back());  // one patient: it is all there is
    patients.insert(patients.end(), test.begin(), test.end());
  }
};

class Diabetes final : public ContinuousCopies, public Judged, public ClinicView {
 public:
  using Options = DiabetesOptions;

  Diabetes(const Options& o, int64_t copies) : Diabetes(o, copies, std::make_shared<const Roster>(o)) {}

  const std::vector<Score>& score_names() const override {
    static const std::vector<Score> names{{"time_in_range", true},
                                          {"below_70", false},
                                          {"above_180", false},
                                          {"risk", false},
                                          {"mean_glucose", false}};
    return names;
  }
  std::vector<double> scores(int64_t e) const override {
    const Course& c = wards_[e].course;
    const double n = std::max(1.0, c.steps);
    return {c.within / n, c.below / n, c.above / n, c.risk / n, c.sum / n};
  }

  const Patient& patient(int64_t e) const override { return wards_[e].patient; }
  double announced(int64_t e) const override { return wards_[e].announced; }
  double sensed(int64_t e) const override { return wards_[e].sensed[0]; }
  int64_t numbers() const override { return by_meal_ ? 1 : 2; }
  void set(int64_t e, double bolus, float* to) const override {
    if (by_meal_) {
      const double usual = population_dose(wards_[e]);
      to[0] = static_cast<float>(
          usual <= 0 || bolus <= 0 ? -1 : std::clamp(std::log(bolus / usual) / std::log(kReach), -1.0, 1.0));
    } else {
      to[0] = static_cast<float>(wards_[e].patient.basal());
      to[1] = static_cast<float>(bolus / static_cast<double>(kStepMinutes));
    }
  }

  std::string text(int64_t e) const override {
    const Ward& w = wards_[e];
    const auto s = scores(e);
    return fmt::format(
        "{}, day {}, {:02}:{:02}: {:.0f} mg/dl (the sensor reads {:.0f}), {} g announced, {:.1f} U still "
        "act\n"
        "so far {:.0f}% of the time in 70 to 180, {:.0f}% below, {:.0f}% above; mean {:.0f} mg/dl\n",
        w.patient.name, w.minute / kMinutesADay + 1, w.minute / 60 % 24, w.minute % 60,
        glucose(w.patient, w.body), w.sensed[0], w.announced, w.active, 100 * s[0], 100 * s[1], 100 * s[2],
        s[4]);
  }

  // The day so far: glucose over the band of 70 to 180, meals below it, boluses above.
  std::string svg(int64_t e) const override {
    const Ward& w = wards_[e];
    constexpr double left = 36, width = 384, bottom = 210, scale = 0.55;
    Drawing p(left + width + 10, 250);
    const auto y = [&](double mg_dl) { return bottom - scale * std::clamp(mg_dl, 0.0, 350.0); };
    p.text(left + width / 2, 12, 12,
           fmt::format("{}, day {}, {:02}:{:02}, {:.0f} mg/dl", w.patient.name, w.minute / kMinutesADay + 1,
                       w.minute / 60 % 24, w.minute % 60, glucose(w.patient, w.body)));
    p.rect(left, y(350), width, bottom - y(350), "#f4f4f4");
    p.rect(left, y(180), width, y(70) - y(180), "#d5ecd5");
    for (const double level : {70.0, 180.0, 300.0})
      p.text(left - 16, y(level) + 4, 10, fmt::format("{:.0f}", level));
    const int64_t today = std::min((w.minute - 1) / kMinutesADay, o_.days - 1) * kMarks;
    const double step = width / static_cast<double>(kMarks);
    double before = 0;
    for (int64_t k = 0; k < kMarks; ++k) {
      const double x = left + step * static_cast<double>(k), g = w.glucose_marks[today + k];
      if (g > 0 && before > 0)
        p.line(x - step, y(before), x, y(g), g < 70 ? "#c0392b" : g > 180 ? "#e08000" : "#2c7a2c", 2);
      before = g;
      if (const double grams = w.meal_marks[today + k]; grams > 0) {
        p.rect(x - 2, bottom - grams / 4, 5, grams / 4, "#8c6d31");
        p.text(x, bottom + 12, 9, fmt::format("{:.0f} g", grams));
      }
      if (const double units = w.dose_marks[today + k]; units > 0.05) {
        p.circle(x, y(330), 2 + std::sqrt(units), "#1f77b4", 0.7);
        p.text(x, y(330) - 8, 9, fmt::format("{:.1f} U", units));
      }
    }
    for (int h = 0; h <= 24; h += 6) p.text(left + width / 24 * h, bottom + 26, 10, fmt::format("{} h", h));
    return p.svg();
  }

 private:
  enum Part { kPatient, kVmx, kKp3, kF, kKabs, kPortion, kIll };

  struct Ward {
    Patient patient;  // as the task alters it; what follows changes
    Body body;
    DayMeals meals;
    SensorNoise sensor;
    Course course;
    int64_t minute = 0;
    double reading = 0;               // that the sensor shows until its next
    std::array<double, 11> sensed{};  // means of the last steps, newest first
    double announced = 0, active = 0, read_risk = 0;
    double highest = 0, lowest = 0, sum = 0, count = 0, last_a = 0, last_grams = 0;  // since the dose before
    std::vector<double> glucose_marks, meal_marks, dose_marks;                       // [days kMarks]
  };

  Diabetes(const Options& o, int64_t copies, std::shared_ptr<const Roster> roster)
      : ContinuousCopies(make_spec(o, copies), limited(o), make_parameters(o, *roster),
                         static_cast<int64_t>(16 + 12 + 7 + 6 + 14 + 9 + 3 * kMarks * o.days)),
        o_(o),
        by_meal_(o.dose == "meals"),
        total_(static_cast<double>(o.days * kStepsADay)),
        roster_(std::move(roster)),
        wards_(copies) {
    for (Ward& w : wards_) {
      for (auto* marks : {&w.glucose_marks, &w.meal_marks, &w.dose_marks}) marks->assign(kMarks * o.days, 0);
    }
  }

  // An episode is over at midnight, whatever the limit.
  static CopyOptions limited(const Options& o) {
    CopyOptions out = o;
    const int64_t most = o.dose == "pump" ? kStepsADay : o.meals == "fixed" ? 5 : 6;
    // A limit of a day's steps is what is there before somebody sets one.
    out.limit = o.limit == kStepsADay ? most * o.days : std::min(o.limit, most * o.days);
    return out;
  }

  static EnvSpec make_spec(const Options& o, int64_t copies) {
    const bool meals = o.dose == "meals";
    EnvSpec s;
    s.name = "diabetes";
    s.variant = fmt::format("simglucose 0.2.11, {}{} meals, {}, {} day{}{}, reward {}",
                            o.data.empty() ? "patients made up, " : "", o.meals,
                            meals ? "a dose a meal" : "the pump every 3 minutes", o.days,
                            o.days == 1 ? "" : "s", o.noise ? "" : ", a sensor that does not err", o.reward);
    s.copies = copies;
    s.agents = 1;
    s.agent_names = {"clinic"};
    s.obs = meals ? 9 : 6;
    s.actions = meals ? 1 : 2;
    if (meals) {
      s.action_names = {"dose"};
      s.action_low = {-1}, s.action_high = {1};
    } else {
      s.action_names = {"basal", "bolus"};
      s.action_low = {0, 0}, s.action_high = {30, 30};
    }
    return s;
  }

  static std::vector<TaskParameter> make_parameters(const Options& o, const Roster& r) {
    const auto train = static_cast<double>(r.train), all = static_cast<double>(r.patients.size());
    std::vector<TaskParameter> out;
    out.push_back({.name = "patient",
                   .doc = "number, from 0: those to train with, then those for testing",
                   .value = 0,
                   .whole = true,
                   .train = {0, train - 1},
                   .test = {train, all - 1},
                   .ood = {train, all - 1},
                   .may = {0, all - 1}});
    const std::array<std::pair<const char*, const char*>, 4> scaled{
        {{"vmx", "how much insulin lets tissue take up"},
         {"kp3", "how much it holds back the liver"},
         {"f", "share of a meal that is absorbed"},
         {"kabs", "how fast it is"}}};
    for (const auto& [name, doc] : scaled)
      out.push_back({.name = name,
                     .doc = std::string(doc) + ": times the patient's",
                     .value = 1,
                     .train = {1 - o.spread, 1 + o.spread},
                     .test = {1 - o.test_spread, 1 + o.test_spread},
                     .ood = {1 + o.spread, 1 + 2 * o.spread},
                     .may = {0, 5},
                     .above = true});
    out.push_back({.name = "portion",
                   .doc = "what meals are multiplied by",
                   .value = 1,
                   .train = {0.7, 1.3},
                   .test = {0.7, 1.3},
                   .ood = {1.3, 1.6},
                   .may = {0, 5}});
    out.push_back({.name = "ill",
                   .doc = "1: a day of illness, with vmx at .7",
                   .value = 0,
                   .whole = true,
                   .train = {0, 0},
                   .test = {0, 0},
                   .ood = {1, 1},
                   .may = {0, 1}});
    return out;
  }

  void settle(int64_t e) {
    const double* t = task(e);
    Patient& p = wards_[e].patient;
    p = roster_->patients[static_cast<size_t>(t[kPatient])];
    p.Vmx *= t[kVmx] * (t[kIll] == 1 ? 0.7 : 1);
    // Production at rest stays what it is, so that the patient still is at rest at midnight.
    p.kp1 += (t[kKp3] - 1) * p.kp3 * p.Ib;
    p.kp3 *= t[kKp3];
    p.f *= t[kF], p.kabs *= t[kKabs];
  }

  void begin(int64_t e, Rng episode) override {
    Ward& w = wards_[e];
    settle(e);
    w.body = {};
    w.body.x = w.patient.start;
    w.sensor = {}, w.course = {};
    w.minute = 0, w.announced = w.active = 0;
    for (auto* marks : {&w.glucose_marks, &w.meal_marks, &w.dose_marks})
      std::fill(marks->begin(), marks->end(), 0.0);
    w.reading = read(w, error(w, episode));
    w.sensed.fill(w.reading);
    w.read_risk = glucose_risk(w.reading);
    w.last_a = w.last_grams = 0;
    look_back(w);
    if (by_meal_) until_a_meal(e, episode);
  }

  static void look_back(Ward& w) { w.highest = w.lowest = w.sensed[0], w.sum = w.count = 0; }

  double error(Ward& w, Rng episode) const { return o_.noise ? w.sensor.next(episode) : 0; }
  static double read(const Ward& w, double error) {
    return std::clamp(glucose(w.patient, w.body) + error, 39.0, 600.0);
  }

  // One step of 3 minutes. False where the patient did not live through it.
  bool live(int64_t e, double basal, double bolus, Rng episode) {
    Ward& w = wards_[e];
    const double rate = pumped(basal) + pumped(bolus);
    const double off = error(w, episode);
    double shown = 0, mean = 0;
    w.announced = 0;
    for (int64_t m = 0; m < kStepMinutes; ++m) {
      if (w.minute % kMinutesADay == 0) {
        const auto day = static_cast<uint64_t>(w.minute / kMinutesADay);
        w.meals = o_.meals == "fixed" ? fixed_meals() : random_meals(episode.split("meals", day));
      }
      double grams = 0;
      for (size_t k = 0; k < 6; ++k) {
        if (w.meals.grams[k] > 0 && w.meals.minute[k] == static_cast<double>(w.minute % kMinutesADay))
          grams += w.meals.grams[k] * task(e)[kPortion];
      }
      w.announced += grams;
      live_a_minute(w.patient, w.body, grams, rate);
      ++w.minute;
      if (!o_.hold || w.minute % kStepMinutes == 0) w.reading = read(w, off);
      shown += w.reading, mean += glucose(w.patient, w.body);
    }
    mean /= kStepMinutes;
    std::copy_backward(w.sensed.begin(), w.sensed.end() - 1, w.sensed.end());
    w.sensed[0] = shown / kStepMinutes;
    w.highest = std::max(w.highest, w.sensed[0]), w.lowest = std::min(w.lowest, w.sensed[0]);
    w.sum += w.sensed[0], ++w.count;
    constexpr double kHalving = 0.97715997;  // 2^(-3/90)
    w.active = w.active * kHalving + (rate - w.patient.basal()) * static_cast<double>(kStepMinutes);
    w.course.add(mean);
    const int64_t mark = (w.minute - 1) / 15;
    w.glucose_marks[mark] = mean;
    w.meal_marks[mark] += w.announced;
    w.dose_marks[mark] += pumped(bolus) * static_cast<double>(kStepMinutes);
    return mean >= 10 && mean <= 600 && std::isfinite(mean);
  }

  bool over(const Ward& w) const { return w.minute >= o_.days * kMinutesADay; }

  // With basal insulin alone, until a meal is announced or the episode is over.
  bool until_a_meal(int64_t e, Rng episode) {
    Ward& w = wards_[e];
    w.announced = 0;
    while (w.announced == 0 && !over(w)) {
      if (!live(e, w.patient.basal(), 0, episode)) return false;
    }
    return true;
  }

  static double population_dose(const Ward& w) {
    const double bg = w.sensed[0];
    return w.announced / 15 + (bg > 150 ? (bg - 140) / 50 : 0);
  }

  bool advance(int64_t e, const float* a, int64_t, Rng episode, float* reward) override {
    Ward& w = wards_[e];
    const Course before = w.course;
    bool alive = true;
    if (!by_meal_) {
      alive = live(e, a[0], a[1], episode);
    } else if (!over(w)) {
      const double bolus = population_dose(w) * std::pow(kReach, static_cast<double>(a[0]));
      w.last_a = a[0], w.last_grams = w.announced;
      look_back(w);
      alive = live(e, w.patient.basal(), bolus / static_cast<double>(kStepMinutes), episode);
      // A meal in the very step of a dose is met by the next one.
      if (alive && w.announced == 0) alive = until_a_meal(e, episode);
    }
    if (!alive) {
      const double low = glucose(w.patient, w.body) < 100 ? 1 : 601;
      w.course.add(low, total_ - w.course.steps);
    }
    const Course& now = w.course;
    if (o_.reward == "change") {
      const double risk = glucose_risk(w.sensed[0]);
      reward[0] = static_cast<float>(w.read_risk - risk);
      w.read_risk = risk;
    } else if (o_.reward == "risk") {
      reward[0] = static_cast<float>(-(now.risk - before.risk) / total_);
    } else {
      reward[0] = static_cast<float>((now.within - before.within - (now.below - before.below)) / total_);
    }
    return !alive || (by_meal_ && over(w));
  }

  void observe(int64_t e, float* obs, bool*) const override {
    const Ward& w = wards_[e];
    const auto put = [&](double x) { *obs++ = static_cast<float>(x); };
    const double hour = static_cast<double>(w.minute % kMinutesADay) / kMinutesADay;
    if (!by_meal_) {
      put(w.sensed[0] / 100), put(w.sensed[5] / 100), put(w.sensed[10] / 100);
      put(w.announced / kStepMinutes / 100), put(hour), put(w.active);
      return;
    }
    put(hour), put(w.announced / 100), put(w.sensed[0] / 100), put((w.sensed[0] - w.sensed[5]) / 100);
    put(w.highest / 100), put(w.lowest / 100), put((w.count > 0 ? w.sum / w.count : w.sensed[0]) / 100);
    put(w.last_a), put(w.last_grams / 100);
  }

  void visit(int64_t e, Cargo& cargo) override {
    Ward& w = wards_[e];
    cargo(w.body.x.data(), 13), cargo(w.body.planned), cargo(w.body.before), cargo(w.body.eaten);  // 16
    cargo(w.meals.minute.data(), 6), cargo(w.meals.grams.data(), 6);                               // 12
    cargo(w.sensor.e, {"the sensor's error", -100, 100}), cargo(w.sensor.knots.data(), 4);
    cargo(w.sensor.drawn, {"the sensor's knots", 0, kMostCounted}),
        cargo(w.sensor.reading, {"the sensor's readings", 0, 4});  // 7
    for (double* x :
         {&w.course.steps, &w.course.within, &w.course.below, &w.course.above, &w.course.risk, &w.course.sum})
      cargo(*x);  // 6
    // A patient who lives has a step before it.
    const int64_t day_ends = o_.days * kMinutesADay;
    cargo(w.body.eating);
    cargo(w.minute, {"the minute", 0, by_meal_ || ended(e) ? day_ends : day_ends - kStepMinutes});
    cargo(w.reading), cargo(w.sensed.data(), 11);  // 14
    for (double* x :
         {&w.announced, &w.active, &w.read_risk, &w.highest, &w.lowest, &w.sum, &w.count, &w.last_a})
      cargo(*x);  // 8
    cargo(w.last_grams);
    const int64_t marks = kMarks * o_.days;
    for (auto* m : {&w.glucose_marks, &w.meal_marks, &w.dose_marks}) cargo(m->data(), marks);
    if (!cargo.loading()) return;
    if (w.minute % kStepMinutes != 0)
      throw UserError(place(e), fmt::format("minute {} is within a step", w.minute),
                      fmt::format("a step is {} minutes", kStepMinutes));
    settle(e);
  }

  const Options o_;
  const bool by_meal_;
  const double total_;  // steps of an episode
  std::shared_ptr<const Roster> roster_;
  std::vector<Ward> wards_;  // [E]
};

SYMMA_REGISTER(Env, "diabetes", Diabetes, "insulin for virtual patients, each a task",
               "UVa/Padova 2008 by simglucose 0.2.11; Dalla Man et al. 2007");

}  // namespace
}  // namespace symma
