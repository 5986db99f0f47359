// Folders of runs as symma train writes them, made up, for tests of the page.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/options.h"
#include "symma/report/report.h"

namespace symma {

inline Json evaluation(double scale, int64_t agents) {
  Json e = {{"split", "test"},
            {"metric", "mse"},
            {"higher_is_better", false},
            {"protocol", "support and query apart"},
            {"tasks", 600},
            {"steps", {0, 1, 5, 10}}};
  const auto scaled = [&](std::vector<double> xs) {
    for (double& x : xs) x *= scale;
    return Json(xs);
  };
  e["mean"] = scaled({3.125, 0.890625, 0.45, 0.36});
  e["ci95"] = scaled({0.25, 0.0625, 0.036, 0.02});
  e["median"] = scaled({2.875, 0.71, 0.3, 0.2});
  e["q1"] = scaled({1.125, 0.33, 0.12, 0.08});
  e["q3"] = scaled({4.875, 1.2, 0.58, 0.45});
  for (int64_t a = 0; a < agents; ++a) {
    const auto d = static_cast<double>(a) / 64;
    e["per_agent"].push_back({3.0 + d, 0.875 + d, 0.4375 + d, 0.34375 + d});
  }
  return e;
}

inline Json summary(const std::string& name) {
  const std::vector<std::pair<int, int>> pairs = {{0, 2}, {1, 2}, {2, 3}, {2, 4}, {3, 4}, {4, 5}};
  Json s = {{"symma", "0.1.0"},
            {"experiment", name},
            {"description", "shares < half & \"more\""},
            {"seed", 1},
            {"agents", 6},
            {"rounds", 20000},
            {"wall_s", 94.5},
            {"tasks_per_s", 12700.0},
            {"parameters", 1761},
            {"device", "cpu"},
            {"threads", 2},
            {"finished", true},
            {"task", "sinusoid"},
            {"model", "mlp"},
            {"learner", "maml"}};
  s["settings"] = {{"", {{"seed", 1}}},
                   {"task", {{"amplitude", {0.1, 5.0}}, {"shots", 10}}},
                   {"learner", {{"inner_rate", 0.01}, {"note", "<script>alert(1)</script>"}}},
                   {"exchange", {{"topology", "edges"}}}};
  for (int a = 0; a < 6; ++a) s["agent_share"].push_back(fmt::format("amplitude {}-{} <of> 6", a, a + 1));
  s["eval"] = evaluation(1, 6);
  s["exchange"] = {{"topology", "edges"}, {"strategy", "adapt-then-combine"}, {"rounds", 20000},
                   {"bits", 13524480000}, {"disagreement", 0.0021},           {"lambda2", 0.864},
                   {"server", false}};
  for (const auto& [a, b] : pairs) {
    s["exchange"]["edges"].push_back({{"from", a}, {"to", b}, {"bits", 1127040000}});
    s["exchange"]["edges"].push_back({{"from", b}, {"to", a}, {"bits", 1127040000}});
  }
  return s;
}

inline std::string metrics(int rows) {
  std::string out;
  for (int k = 1; k <= rows; ++k) {
    Json row = {{"round", 100 * k},
                {"seconds", 0.5 * k},
                {"tasks", 600 * k},
                {"loss", 4.0 / k},
                {"disagreement", 1.0 / (k * k)},
                {"bits", 67622400 * k}};
    for (int a = 0; a < 6; ++a) row["loss_per_agent"].push_back(4.0 / k + 0.125 * a);
    if (k == 3) row["loss"] = nullptr;  // one diverged
    if (k % 5 == 0)
      row["validation"] = {{"metric", "mse"}, {"steps", {0, 1}}, {"mean", {3.0 + 1.0 / k, 1.0 + 1.0 / k}}};
    out += row.dump() + "\n";
  }
  return out;
}

inline Json curves() {
  const Json xs = {-5.0, -2.5, 0.0, 2.5, 5.0};
  return {{"kind", "curve"},
          {"tasks",
           {{{"title", "agent 0, amplitude 2.1 <phase> 0.4"},
             {"support", {{"x", {-1.0, 2.0}}, {"y", {0.5, 1.5}}}},
             {"truth", {{"x", xs}, {"y", {1.0, -1.0, 0.0, 1.0, -1.0}}}},
             {"before", {0.1, 0.2, 0.3, 0.4, nullptr}},
             {"after", {0.9, -0.9, 0.0, 0.9, -0.9}},
             {"steps", 10}}}}};
}

inline Json images() {
  const std::string pixels = "AP8A/wD/AP8A";  // 3 x 3
  return {{"kind", "images"},
          {"tasks",
           {{{"title", "five-way"},
             {"steps", 3},
             {"height", 3},
             {"width", 3},
             {"support", {{{"pixels", pixels}, {"label", 0}}, {{"pixels", pixels}, {"label", 1}}}},
             {"query",
              {{{"pixels", pixels}, {"label", 0}, {"predicted", 0}},
               {{"pixels", pixels}, {"label", 1}, {"predicted", 0}}}}}}}};
}

inline Json points() {
  return {
      {"kind", "points"},
      {"tasks",
       {{{"title", "moons"},
         {"support", {{"x", {{0.0, 1.0}, {2.0, 3.0}}}, {"label", {0, 1}}}},
         {"query",
          {{"x", {{0.5, 1.0}, {2.0, 2.5}, {1.0, 1.0}}}, {"label", {0, 1, 1}}, {"predicted", {0, 1, 0}}}}}}}};
}

inline size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++n;
  return n;
}

inline Json page_data(const std::string& page) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const size_t from = page.find(open) + open.size();
  return Json::parse(page.substr(from, page.find("</script>", from) - from));
}

class Report : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ =
        (std::filesystem::temp_directory_path() / ("symma_report_" + std::to_string(::getpid()))).string();
    make_folder(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::string run(const std::string& name, const Json& s, const Json& gallery = curves(), int rows = 20) {
    const std::string folder = root_ + "/" + name;
    make_folder(folder);
    write_file(folder + "/summary.json", s.dump(1));
    write_file(folder + "/metrics.jsonl", metrics(rows));
    if (!gallery.is_null()) write_file(folder + "/gallery.json", gallery.dump());
    return folder;
  }

  // The page of one run must fail in one line that holds these words.
  void expect_error(const std::string& folder, const std::vector<std::string>& words) {
    try {
      report_html({folder});
      ADD_FAILURE() << "no error for " << folder;
    } catch (const UserError& e) {
      for (const auto& w : words) EXPECT_NE(std::string(e.what()).find(w), std::string::npos) << e.what();
      EXPECT_EQ(count(e.what(), "\n"), 0u) << e.what();
    }
  }

  std::string root_;
};

}  // namespace symma
