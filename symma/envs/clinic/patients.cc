// Patients from files, and made up.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "symma/core/csv.h"
#include "symma/core/errors.h"
#include "symma/core/kept.h"
#include "symma/envs/clinic/patient.h"

namespace symma {
namespace {

struct Constant {
  const char* name;
  double Patient::*at;
  double low, high;  // both included
};

// Far beyond any patient; what lies outside is a slip of units or columns.
constexpr double kTiny = 1e-9;
const std::vector<Constant> kConstants{{"BW", &Patient::BW, 2, 500},
                                       {"Ib", &Patient::Ib, 0, 1e4},
                                       {"kabs", &Patient::kabs, kTiny, 10},
                                       {"kmax", &Patient::kmax, kTiny, 5},
                                       {"kmin", &Patient::kmin, 0, 5},
                                       {"b", &Patient::b, kTiny, 1 - 1e-6},
                                       {"d", &Patient::d, 1e-6, 1},
                                       {"Vg", &Patient::Vg, 0.1, 50},
                                       {"Vi", &Patient::Vi, 1e-3, 5},
                                       {"Vmx", &Patient::Vmx, 0, 10},
                                       {"Km0", &Patient::Km0, kTiny, 1e5},
                                       {"k2", &Patient::k2, 0, 5},
                                       {"k1", &Patient::k1, 0, 5},
                                       {"p2u", &Patient::p2u, 0, 5},
                                       {"m1", &Patient::m1, 0, 5},
                                       {"m2", &Patient::m2, 0, 5},
                                       {"m4", &Patient::m4, 0, 5},
                                       {"m30", &Patient::m30, 0, 5},
                                       {"ki", &Patient::ki, 0, 5},
                                       {"kp1", &Patient::kp1, 0, 1000},
                                       {"kp2", &Patient::kp2, 0, 5},
                                       {"kp3", &Patient::kp3, 0, 5},
                                       {"f", &Patient::f, 0, 1},
                                       {"ke1", &Patient::ke1, 0, 5},
                                       {"ke2", &Patient::ke2, 0, 1e4},
                                       {"Fsnc", &Patient::Fsnc, 0, 100},
                                       {"Vm0", &Patient::Vm0, 0, 1e4},
                                       {"kd", &Patient::kd, 0, 5},
                                       {"ksc", &Patient::ksc, kTiny, 5},
                                       {"ka1", &Patient::ka1, 0, 5},
                                       {"ka2", &Patient::ka2, 0, 5},
                                       {"u2ss", &Patient::u2ss, 0, 100}};

double between(const CsvFile& file, size_t row, const std::string& name, double low, double high) {
  const size_t c = file.column(name);
  if (file.missing(row, c))
    throw UserError(file.place(row, c), "is empty",
                    fmt::format("give a number from {:g} to {:g}", low, high));
  const double x = file.number(row, c);
  if (x < low || x > high)
    throw UserError(file.place(row, c), fmt::format("is {:g}", x),
                    fmt::format("{:g} to {:g} would be right", low, high));
  return x;
}

std::shared_ptr<const std::vector<Patient>> read(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ec;
  const bool folder = fs::is_directory(path, ec);
  const CsvFile file = CsvFile::load(folder ? (fs::path(path) / "patients.csv").string() : path);
  const size_t name = file.column("Name");
  const auto has = [](const CsvFile& f, const std::string& column) {
    return std::find(f.header.begin(), f.header.end(), column) != f.header.end();
  };
  // What the clinic knows of a patient: beside the constants, or in the folder's other file.
  std::map<std::string, std::pair<double, double>> doses;
  const bool beside = has(file, "CR") && has(file, "CF");
  if (!beside) {
    const CsvFile clinic =
        CsvFile::load((folder ? fs::path(path) : fs::path(path).parent_path()) / "clinic.csv");
    for (size_t r = 0; r < clinic.rows.size(); ++r)
      doses[clinic.rows[r][clinic.column("Name")]] = {between(clinic, r, "CR", 0.5, 500),
                                                      between(clinic, r, "CF", 0.5, 2000)};
  }
  auto out = std::make_shared<std::vector<Patient>>();
  for (size_t r = 0; r < file.rows.size(); ++r) {
    Patient p;
    p.name = file.rows[r][name];
    for (const Constant& c : kConstants) p.*c.at = between(file, r, c.name, c.low, c.high);
    for (int i = 0; i < 13; ++i) p.start[i] = between(file, r, fmt::format("x0_{}", i + 1), 0, 1e6);
    if (p.kmin > p.kmax)
      throw UserError(file.place(r, file.column("kmin")),
                      fmt::format("{:g} is above kmax, {:g}", p.kmin, p.kmax),
                      "a full stomach empties no slower than kmin and no faster than kmax");
    const double rest = p.start[12] / p.Vg;
    if (rest < 40 || rest > 400)
      throw UserError(file.place(r, file.column("x0_13")),
                      fmt::format("starts with {:.0f} mg/dl below the skin", rest),
                      "40 to 400 would be right");
    if (beside) {
      p.ratio = between(file, r, "CR", 0.5, 500), p.factor = between(file, r, "CF", 0.5, 2000);
    } else {
      const auto found = doses.find(p.name);
      if (found == doses.end())
        throw UserError(file.place(r, name), "\"" + shown(p.name) + "\" is not in clinic.csv",
                        "give the patient a row there, or columns CR and CF here");
      std::tie(p.ratio, p.factor) = found->second;
    }
    for (const Patient& other : *out) {
      if (other.name == p.name)
        throw UserError(file.place(r, name), "\"" + shown(p.name) + "\" is there twice",
                        "name each patient once");
    }
    out->push_back(std::move(p));
  }
  if (out->empty()) throw UserError(file.path, "has no patients", "give each a row");
  return out;
}

}  // namespace

std::shared_ptr<const std::vector<Patient>> read_patients(const std::string& path) {
  std::error_code ec;
  const bool folder = std::filesystem::is_directory(path, ec);
  const auto file = folder ? std::filesystem::path(path) / "patients.csv" : std::filesystem::path(path);
  return kept<std::vector<Patient>>(path, {file.string(), (file.parent_path() / "clinic.csv").string()},
                                    [&] { return read(path); });
}

// Ranges are about the middle half of the published population's; what follows from them at rest is computed.
Patient made_up_patient(Rng rng) {
  Draws d(rng);
  Patient p;
  p.name = "made up";
  // Between low and high, evenly in the logarithm.
  const auto from = [&](double low, double high) { return low * std::pow(high / low, d.uniform()); };
  p.BW = from(40, 90);
  p.Ib = from(95, 120);
  p.kabs = from(0.06, 0.3), p.kmax = from(0.03, 0.05), p.kmin = from(0.006, 0.012);
  p.b = from(0.63, 0.85), p.d = from(0.12, 0.2);
  p.Vg = from(1.75, 1.95), p.Vi = from(0.04, 0.06);
  p.Vmx = from(0.035, 0.11), p.Km0 = from(210, 250);
  p.k1 = from(0.055, 0.08), p.p2u = from(0.03, 0.05);
  p.m1 = from(0.15, 0.28), p.m2 = from(0.22, 0.35), p.m4 = 0.4 * p.m2, p.m30 = 1.5 * p.m1;
  p.ki = from(0.006, 0.0105), p.kp2 = from(0.0027, 0.0063), p.kp3 = from(0.007, 0.012);
  p.f = 0.9, p.ke1 = 0.0005, p.ke2 = 339, p.Fsnc = 1;
  p.kd = from(0.015, 0.018), p.ksc = from(0.068, 0.1), p.ka1 = from(0.003, 0.0041),
  p.ka2 = from(0.013, 0.0196);
  const double made = from(2.3, 3), rest = from(136, 146), tissue = from(0.35, 0.8);  // EGPb, Gb, Gtb / Gpb
  const double plasma = rest * p.Vg, own = plasma * tissue, insulin = p.Ib * p.Vi;
  p.k2 = (p.Fsnc - made + p.k1 * plasma) / own;
  p.Vm0 = (made - p.Fsnc) * (p.Km0 + own) / own;
  p.kp1 = made + p.kp2 * plasma + p.kp3 * p.Ib;
  const double liver = insulin * p.m2 / (p.m1 + p.m30);
  p.u2ss = (p.m2 + p.m4) * insulin - p.m1 * liver;
  const double first = p.u2ss / (p.ka1 + p.kd);
  p.start = {0, 0, 0, plasma, own, insulin, 0, p.Ib, p.Ib, liver, first, p.kd * first / p.ka2, plasma};
  // The clinic's rules of thumb, from what a day takes: half of it is basal.
  const double daily = 2 * 1440 * p.basal();
  p.ratio = 450 / daily, p.factor = 1700 / daily;
  return p;
}

}  // namespace symma
