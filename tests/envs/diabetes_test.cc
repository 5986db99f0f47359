// Diabetes against a golden day of simglucose 0.2.11's rules, for 19 patients, and the sheet's table of
// rules.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "envs/worlds.h"
#include "symma/core/csv.h"
#include "symma/core/safetensors.h"
#include "symma/core/series.h"
#include "symma/envs/clinic/diabetes.h"
#include "symma/envs/clinic/ward.h"
#include "symma/envs/script.h"

namespace symma {
namespace {

const std::string kData = SHARED_DATA "diabetes";

// All patients of the data, one a copy, in the file's order.
std::unique_ptr<Env> everyone(const std::string& more) {
  const auto n = static_cast<int64_t>(read_patients(kData)->size());
  auto env = make_world(
      "diabetes", n,
      fmt::format("data = \"{}\"\ntrain = [\"*\"]\nnoise = false\nauto_reset = false\n{}", kData, more));
  auto& tasks = dynamic_cast<HasTasks&>(*env);
  const auto k = static_cast<int64_t>(tasks.task_parameters().size());
  Tensor t = at::empty({n, k}, at::kDouble);
  for (int64_t j = 0; j < k; ++j) t.select(1, j).fill_(tasks.task_parameters()[j].value);
  t.select(1, 0).copy_(at::arange(n, at::kDouble));
  tasks.set_tasks(t);
  return env;
}

std::map<std::string, std::array<double, 5>> played(Env& env, const std::string& rule,
                                                    double* returned = nullptr) {
  const auto rival = make_script(rule);
  Frame f;
  env.reset(Rng(0), f);
  double sum = 0;
  while (!(f.terminated | f.truncated).all().item<bool>()) {
    env.step(scripted(*rival, env, f, Rng(0)), f);
    sum += f.reward.sum().item<double>();
  }
  if (returned) *returned = sum;
  std::map<std::string, std::array<double, 5>> out;
  std::map<std::string, double> count;
  const auto& judge = dynamic_cast<const Judged&>(env);
  const auto& clinic = dynamic_cast<const ClinicView&>(env);
  for (int64_t e = 0; e < env.spec().copies; ++e) {
    const auto group = clinic.patient(e).name.substr(0, clinic.patient(e).name.find('#'));
    const auto s = judge.scores(e);
    for (size_t k = 0; k < 5; ++k) out[group][k] += s[k];
    ++count[group];
  }
  for (auto& [group, s] : out) {
    for (double& x : s) x /= count[group];
  }
  return out;
}

TEST(Diabetes, GoldenDayOfAllPatients) {
  NEEDS_SHARED("diabetes/patients.csv");
  const auto golden = Series::load(kData + "/day_basal_bolus.csv.gz");
  auto env = everyone("");
  const auto rival = make_script("own_dose");
  const auto& clinic = dynamic_cast<const ClinicView&>(*env);
  const auto& saving = dynamic_cast<const Restorable&>(*env);
  Frame f;
  env->reset(Rng(0), f);
  double worst = 0;
  int64_t compared = 0;
  for (int64_t t = 0; t <= kStepsADay; ++t) {
    const int64_t minute = t * kStepMinutes;
    for (int64_t e = 0; e < env->spec().copies && minute % 5 == 0 && minute / 5 < golden->length(); ++e) {
      const Patient& p = clinic.patient(e);
      const Tensor s = saving.save(e);
      const double bg = s.data_ptr<double>()[s.numel() - saving.world_size() + 12] / p.Vg;
      const double off = std::abs(bg - golden->column(p.name)[minute / 5]);
      EXPECT_LT(off, 0.01) << p.name << ", minute " << minute;
      worst = std::max(worst, off), ++compared;
    }
    if (t < kStepsADay) env->step(scripted(*rival, *env, f, Rng(0)), f);
  }
  EXPECT_GE(compared, 96 * 19);
  EXPECT_TRUE(f.truncated.all().item<bool>());
  std::cout << "largest difference " << worst << " mg/dl of " << compared << "\n";
}

// The package itself, whose sensor holds its reading: glucose, readings, reward and doses of its own
// controller.
TEST(Diabetes, AgreesStepByStepWithTheOriginal) {
  NEEDS_SHARED("diabetes/patients.csv");
  const Safetensors golden = read_safetensors(SYMMA_SOURCE_DIR "/tests/golden/diabetes.safetensors");
  auto env = everyone("hold = true\nreward = \"change\"\n");
  const auto rival = make_script("own_dose");
  const auto& clinic = dynamic_cast<const ClinicView&>(*env);
  const auto& saving = dynamic_cast<const Restorable&>(*env);
  Frame f;
  env->reset(Rng(0), f);
  double worst = 0;
  for (int64_t t = 0; t < kStepsADay; ++t) {
    const Tensor actions = scripted(*rival, *env, f, Rng(0));
    env->step(actions, f);
    for (int64_t e = 0; e < env->spec().copies; ++e) {
      const Patient& p = clinic.patient(e);
      const auto there = golden.tensors.find(p.name);
      if (there == golden.tensors.end()) continue;
      const double* row = there->second[t].data_ptr<double>();  // glucose, reading, reward, basal, bolus
      const Tensor s = saving.save(e);
      const double bg = s.data_ptr<double>()[s.numel() - saving.world_size() + 12] / p.Vg;
      worst = std::max(worst, std::abs(bg - row[0]));
      ASSERT_NEAR(bg, row[0], 0.01) << p.name << ", step " << t;
      ASSERT_NEAR(clinic.sensed(e), row[1], 0.01);
      ASSERT_NEAR(f.reward[e][0].item<double>(), row[2], 0.01);
      ASSERT_NEAR(actions[e][0][0].item<double>(), row[3], 1e-6);
      ASSERT_NEAR(actions[e][0][1].item<double>(), row[4], 2e-3);
    }
  }
  EXPECT_EQ(golden.tensors.size(), 5u);
  std::cout << "largest difference " << worst << " mg/dl\n";
}

// Means of the sheet are over ten patients a group, of whom seven, seven and five are here: the others' mean
// must be possible. What is here was checked by the original, patient by patient, above.
TEST(Diabetes, RulesAreThoseOfTheSheet) {
  NEEDS_SHARED("diabetes/patients.csv");
  struct Row {
    std::string rule, group;
    std::array<double, 5> sheet;  // in range, below, above, risk, mean
    double here;                  // of ten
  };
  const std::vector<Row> table{{"own_dose", "adolescent", {.8245, 0, .1755, 4.178, 151.0}, 7},
                               {"own_dose", "adult", {.9640, 0, .0360, 2.287, 139.6}, 7},
                               {"own_dose", "child", {.7963, .0900, .1137, 5.874, 132.0}, 5},
                               {"population_dose", "adolescent", {.6988, .0233, .2779, 8.283, 168.6}, 7},
                               {"population_dose", "adult", {.6979, .0042, .2978, 6.021, 161.7}, 7},
                               {"population_dose", "child", {.7381, .1731, .0889, 9.172, 125.9}, 5},
                               {"basal_only", "adolescent", {.3287, 0, .6713, 31.14, 282.9}, 7},
                               {"basal_only", "adult", {.3370, 0, .6630, 21.79, 240.8}, 7},
                               {"basal_only", "child", {.3174, 0, .6826, 47.87, 393.6}, 5}};
  auto env = everyone("");
  std::string last;
  std::map<std::string, std::array<double, 5>> found;
  for (const Row& row : table) {
    double returned = 0;
    if (row.rule != last) {
      found = played(*env, row.rule, &returned);
      double risk = 0;
      for (const auto& [group, s] : found) risk += s[3] * (group == "child" ? 5 : 7);
      EXPECT_NEAR(returned, -risk, 1e-3) << "the return is minus the mean risk";
    }
    last = row.rule;
    const auto& ours = found.at(row.group);
    std::cout << row.rule << ", " << row.group
              << fmt::format(": {:.4f} {:.4f} {:.4f} {:.3f} {:.1f}\n", ours[0], ours[1], ours[2], ours[3],
                             ours[4]);
    for (size_t k = 0; k < 5; ++k) {
      const double others = (10 * row.sheet[k] - row.here * ours[k]) / (10 - row.here);
      const double most = k < 3 ? 1 : k == 3 ? 100 : 600;
      EXPECT_GT(others, -0.01) << row.rule << ", " << row.group << ", " << k;
      EXPECT_LT(others, most) << row.rule << ", " << row.group << ", " << k;
    }
    EXPECT_NEAR(ours[0] + ours[1] + ours[2], 1, 1e-9);
    EXPECT_NEAR(ours[0], row.sheet[0], 0.12) << row.rule << ", " << row.group;
  }
}

// Meals are doses of the same rule, whether each step is asked for or each meal.
TEST(Diabetes, MealsAndStepsAreOneDay) {
  NEEDS_SHARED("diabetes/patients.csv");
  auto steps = everyone(""), meals = everyone("dose = \"meals\"\n");
  EXPECT_EQ(meals->spec().limit, 5);
  for (const std::string rule : {"own_dose", "population_dose"}) {
    const auto a = played(*steps, rule), b = played(*meals, rule);
    for (const auto& [group, s] : a) {
      for (size_t k = 0; k < 5; ++k)
        EXPECT_NEAR(s[k], b.at(group)[k], k < 3 ? 1e-3 : 2e-3) << rule << ", " << group;
    }
  }
}

TEST(Diabetes, MadeUpPatientsAreAtRest) {
  for (uint64_t i = 0; i < 50; ++i) {
    const Patient p = made_up_patient(Rng(1).split("patient", i));
    Body body;
    body.x = p.start;
    const double before = glucose(p, body);
    for (int m = 0; m < 300; ++m) live_a_minute(p, body, 0, p.basal());
    EXPECT_NEAR(glucose(p, body), before, 1e-6);
    EXPECT_GT(p.k2, 0);
    EXPECT_GT(p.Vm0, 0);
  }
}

TEST(Diabetes, FoodIsKept) {
  const Patient p = made_up_patient(Rng(1));
  Body body;
  body.x = p.start;
  double appeared = 0;
  for (int m = 0; m < 3000; ++m) {
    const double gut = body.x[2];
    live_a_minute(p, body, m == 10 ? 60 : 0, p.basal());
    appeared += p.kabs * (gut + body.x[2]) / 2;
  }
  EXPECT_NEAR(appeared / 60000, 1, 2e-3) << "what is eaten is what comes through the gut";
}

TEST(Diabetes, TheSensorErrsAsTheSheetSays) {
  // e = .7 (e + N(0, 1)) has the deviation .7 / sqrt(1 - .49): quantiles of Johnson's curve follow exactly.
  std::vector<double> seen;
  for (uint64_t s = 0; s < 200; ++s) {
    SensorNoise noise;
    for (int k = 0; k < 500; ++k) {
      const double x = noise.next(Rng(3).split("stream", s));
      if (k > 50 && noise.reading == 0) seen.push_back(x);
    }
  }
  std::sort(seen.begin(), seen.end());
  const double sd = 0.7 / std::sqrt(0.51);
  for (const auto& [share, z] : {std::pair(0.1, -1.28155), std::pair(0.5, 0.0), std::pair(0.9, 1.28155)}) {
    const double truth = -5.47 + 15.9574 * std::sinh((z * sd + 0.5444) / 1.6898);
    EXPECT_NEAR(seen[static_cast<size_t>(share * static_cast<double>(seen.size()))], truth, 0.6) << share;
  }
}

TEST(Diabetes, RandomMealsAreThoseOfTheSheet) {
  double grams = 0, breakfasts = 0, snacks = 0;
  constexpr int kDays = 4000;
  for (uint64_t day = 0; day < kDays; ++day) {
    const DayMeals m = random_meals(Rng(5).split("day", day));
    for (size_t k = 0; k < 6; ++k) {
      grams += m.grams[k];
      if (m.grams[k] == 0) continue;
      EXPECT_GE(m.minute[k], 300);
      EXPECT_LE(m.minute[k], 1380);
    }
    breakfasts += m.minute[0] > 0, snacks += m.minute[1] > 0;
  }
  EXPECT_NEAR(breakfasts / kDays, .95, .015);
  EXPECT_NEAR(snacks / kDays, .3, .03);
  EXPECT_NEAR(grams / kDays, .95 * (45 + 70 + 80) + .3 * 30.25, 3);
}

TEST(Diabetes, WhoDiesSavesNothing) {
  auto env = make_world("diabetes", 1, "auto_reset = false\nnoise = false\n");
  Frame f;
  env->reset(Rng(0), f);
  double sum = 0;
  for (int64_t t = 0; t < 480 && !f.terminated.item<bool>(); ++t) {
    Tensor lots = at::zeros({1, 1, 2});
    lots[0][0][1] = 30.0;
    env->step(lots, f);
    sum += f.reward.item<double>();
  }
  EXPECT_TRUE(f.terminated.item<bool>());
  EXPECT_LT(sum, -75);
  const auto scores = dynamic_cast<const Judged&>(*env).scores(0);
  EXPECT_GT(scores[1], 0.75);
  EXPECT_NEAR(sum, -scores[3], 1e-3);
}

// A file with one cell or column altered.
std::string spoiled(const std::string& name, const std::string& column, const std::string& value) {
  CsvFile file = CsvFile::load(kData + "/patients.csv");
  const auto path = std::filesystem::path(testing::TempDir()) / name;
  std::ofstream out(path);
  const size_t c = file.column(column);
  const auto line = [&](auto cell) {
    std::string text;
    for (size_t k = 0; k < file.header.size(); ++k) {
      if (value == "gone" && k == c) continue;
      text += (text.empty() ? "" : ",") + cell(k);
    }
    out << text << "\n";
  };
  std::ifstream clinic(kData + "/clinic.csv");
  std::ofstream(path.parent_path() / "clinic.csv") << clinic.rdbuf();
  line([&](size_t k) { return file.header[k]; });
  for (size_t r = 0; r < 3; ++r) line([&](size_t k) { return r == 1 && k == c ? value : file.rows[r][k]; });
  return path.string();
}

// Several patients of one's own come after those trained with, each as the file has it.
TEST(Diabetes, OwnPatientsAreThoseOfTheFile) {
  NEEDS_SHARED("diabetes/patients.csv");
  const std::string file = spoiled("patients_own.csv", "Name", "adolescent#002");
  const auto env = make_world("diabetes", 3, fmt::format("test_data = \"{}\"\nnoise = false", file));
  auto& tasks = dynamic_cast<HasTasks&>(*env);
  const TaskParameter& patient = tasks.task_parameters()[0];
  ASSERT_EQ(patient.test[1] - patient.test[0], 2);
  Tensor t = at::empty({3, static_cast<int64_t>(tasks.task_parameters().size())}, at::kDouble);
  for (int64_t j = 0; j < t.size(1); ++j) t.select(1, j).fill_(tasks.task_parameters()[j].value);
  for (int64_t e = 0; e < 3; ++e) t[e][0] = patient.test[0] + static_cast<double>(e);
  tasks.set_tasks(t);
  Frame f;
  env->reset(Rng(0), f);
  const CsvFile rows = CsvFile::load(file);
  for (int64_t e = 0; e < 3; ++e) {
    const Patient& p = dynamic_cast<const ClinicView&>(*env).patient(e);
    EXPECT_EQ(p.name, rows.rows[e][rows.column("Name")]);
    EXPECT_EQ(p.BW, rows.number(e, rows.column("BW")));
    EXPECT_EQ(p.start[12], rows.number(e, rows.column("x0_13")));
  }
}

// Whoever is trained with is not judged, whichever option names it for testing.
TEST(Diabetes, NobodyIsJudgedWhoWasLearnedFrom) {
  NEEDS_SHARED("diabetes/patients.csv");
  const std::string file = spoiled("patients_again.csv", "Name", "adolescent#002");
  const auto with = [&](const std::string& train) {
    return error_of([&] {
      make_world("diabetes", 1,
                 fmt::format("data = \"{}\"\ntrain = [{}]\ntest_data = \"{}\"", kData, train, file));
    });
  };
  const std::string said = with("\"adolescent#002\"");
  EXPECT_NE(said.find("test_data: \"adolescent#002\" is trained with, too"), std::string::npos) << said;
  EXPECT_EQ(with("\"adult#*\""), "");
  EXPECT_NE(with(""), "") << "none named: all of data";
}

TEST(Diabetes, BadInputIsOneClearLine) {
  const auto says = [](const std::string& message, const std::vector<std::string>& words) {
    for (const auto& w : words) EXPECT_NE(message.find(w), std::string::npos) << w << ": " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  };
  const auto made = [](const std::string& options) {
    return error_of([&] { make_world("diabetes", 1, options); });
  };
  says(made("data = \"/nowhere\""), {"/nowhere"});
  says(made("train = [\"made_up#001\"]\ntest = [\"made_up#*\"]"), {"made_up#001", "train"});
  says(made("test = [\"adlt#001\"]"), {"adlt#001", "test"});
  auto env = make_world("diabetes", 1);
  auto& tasks = dynamic_cast<HasTasks&>(*env);
  const auto with = [&](int64_t k, double x) {
    Tensor t = at::zeros({1, 7}, at::kDouble);
    for (int64_t j = 0; j < 7; ++j) t[0][j] = tasks.task_parameters()[j].value;
    t[0][k] = x;
    return error_of([&] { tasks.set_tasks(t); });
  };
  says(with(0, 99), {"patient", "99"});
  says(with(1, 0), {"vmx", "0"});
  says(with(5, -1), {"portion", "-1"});
  says(with(6, 0.5), {"ill", "0.5"});
  NEEDS_SHARED("diabetes/patients.csv");
  const auto file = [&](const std::string& column, const std::string& value) {
    return made(fmt::format("test_data = \"{}\"", spoiled("patients_spoiled.csv", column, value)));
  };
  says(file("kp3", "gone"), {"patients_spoiled.csv", "kp3"});
  says(file("BW", "-3"), {"patients_spoiled.csv:3", "BW", "-3"});
  says(file("b", "1"), {"patients_spoiled.csv:3", "column b", "1"});
  says(file("Vg", "x"), {"patients_spoiled.csv:3", "Vg", "x"});
  says(file("kabs", ""), {"patients_spoiled.csv:3", "kabs", "empty"});
  says(file("kmin", "4"), {"patients_spoiled.csv:3", "kmin", "kmax"});
  says(file("x0_13", "4"), {"patients_spoiled.csv:3", "x0_13", "mg/dl"});
  says(file("Name", "adult#999"), {"patients_spoiled.csv:3", "adult#999", "clinic.csv"});
  says(file("Name", "adolescent#001"), {"patients_spoiled.csv:3", "twice"});
}

}  // namespace
}  // namespace symma
