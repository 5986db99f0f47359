#include "symma/report/report.h"

#include <set>

#include "report/runs.h"
#include "symma/report/assets.h"

namespace symma {
namespace {

TEST_F(Report, HasEverySectionAndTheHeadline) {
  Json s = summary("collaborate");
  s["ood"] = evaluation(2, 6);
  const std::string page = report_html({run("a", s)});
  EXPECT_NE(
      page.find("mse 0.360 ± 0.020 after 10 steps on 600 unseen test tasks; 6 agents on <code>edges</code>"),
      std::string::npos);
  for (const char* section : {"Adaptation", "Tasks", "Training", "Communication", "Agents", "Settings"}) {
    EXPECT_EQ(count(page, std::string("<h3>") + section + "</h3>"), 1u) << section;
  }
  for (const char* kind : {"eval", "ood", "loss", "validation", "disagreement", "agents_loss", "agents"}) {
    EXPECT_EQ(count(page, std::string("data-chart=\"") + kind + "\""), 1u) << kind;
  }
  EXPECT_EQ(count(page, "class=\"edge\""), 6u);
  EXPECT_EQ(count(page, "<g class=\"node\">"), 6u);
  EXPECT_EQ(count(page, "class=\"traffic\""), 0u);  // all edges carry the same, which the caption says once
  EXPECT_NE(page.find("1.13 Gbit each way on each of 6 edges"), std::string::npos);
  EXPECT_NE(page.find("13.5 Gbit (1.69 GB)"), std::string::npos);
  // Medians and quartiles stand beside the means.
  EXPECT_NE(
      page.find(
          "<th scope=\"row\">10</th><td class=\"number\">0.360 ± 0.020</td><td class=\"number\">0.200</td>"
          "<td class=\"number\">0.0800 – 0.450</td>"),
      std::string::npos);
  EXPECT_NE(page.find("support and query apart"), std::string::npos);
  EXPECT_NE(page.find("0.864"), std::string::npos);
}

TEST_F(Report, ChartsHoldTheFilesNumbers) {
  const Json s = summary("collaborate");
  const Json data = page_data(report_html({run("a", s)}));
  const Json& e = data["runs"][0]["eval"];
  for (const char* key : {"steps", "mean", "ci95", "median", "q1", "q3", "per_agent"})
    EXPECT_EQ(e[key], s["eval"][key]) << key;
  EXPECT_EQ(e["lower"], Json({2.875, 0.828125, 0.45 - 0.036, 0.36 - 0.02}));
  EXPECT_EQ(e["upper"], Json({3.375, 0.953125, 0.45 + 0.036, 0.36 + 0.02}));
  EXPECT_TRUE(e["log"]);
  const Json& t = data["runs"][0]["training"];
  ASSERT_EQ(t["loss"].size(), 20u);
  for (size_t k = 1; k <= 20; ++k) {
    EXPECT_EQ(t["round"][k - 1], 100.0 * static_cast<double>(k));
    EXPECT_EQ(t["seconds"][k - 1], 0.5 * static_cast<double>(k));
    EXPECT_EQ(t["bits"][k - 1], 67622400.0 * static_cast<double>(k));
    EXPECT_EQ(t["disagreement"][k - 1], 1.0 / static_cast<double>(k * k));
    EXPECT_EQ(t["loss"][k - 1], k == 3 ? Json(nullptr) : Json(4.0 / static_cast<double>(k)));
    EXPECT_EQ(t["loss_per_agent"][5][k - 1], 4.0 / static_cast<double>(k) + 0.625);
  }
  const Json& v = data["runs"][0]["validation"];
  EXPECT_EQ(v["round"], Json({500.0, 1000.0, 1500.0, 2000.0}));
  EXPECT_EQ(v["mean"][1], Json({1.0 + 1.0 / 5, 1.0 + 1.0 / 10, 1.0 + 1.0 / 15, 1.0 + 1.0 / 20}));
}

TEST_F(Report, ThinningLosesNoSpike) {
  const std::string folder = run("long", summary("long"), nullptr, 1);
  std::string rows;
  for (int k = 1; k <= 30000; ++k)
    rows += fmt::format("{{\"round\":{},\"loss\":{}}}\n", k,
                        k == 17777   ? "99.5"
                        : k == 23456 ? "null"
                                     : "1.0");
  write_file(folder + "/metrics.jsonl", rows);
  const Json t = page_data(report_html({folder}))["runs"][0]["training"];
  EXPECT_TRUE(t["thinned"]);
  EXPECT_LE(t["loss"].size(), 2000u);
  EXPECT_EQ(std::count(t["loss"].begin(), t["loss"].end(), Json(99.5)), 1);
  EXPECT_EQ(std::count(t["loss"].begin(), t["loss"].end(), Json(nullptr)), 1);
}

TEST_F(Report, NamesCannotBecomeMarkup) {
  Json s = summary("</script><img src=x onerror=alert(1)> & <b>");
  s["exchange"]["topology"] = "ed<ges>";
  const std::string page = report_html({run("a", s)});
  EXPECT_EQ(count(page, "<img"), 0u);
  EXPECT_EQ(count(page, "<b>"), 0u);
  EXPECT_EQ(count(page, "ed<ges>"), 0u);
  EXPECT_EQ(count(page, "<phase>"), 0u);
  EXPECT_EQ(count(page, "<of>"), 0u);
  EXPECT_EQ(count(page, "</script>"), 3u);  // the data, the charts, the page's own
  EXPECT_NE(page.find("shares &lt; half &amp; &quot;more&quot;"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;alert(1)&lt;/script&gt;"), std::string::npos);
  EXPECT_EQ(page_data(page)["runs"][0]["name"], s["experiment"]);
}

TEST_F(Report, LoadsNothing) {
  std::string page = report_html({run("a", summary("a"), images())});
  EXPECT_NE(page.find("Content-Security-Policy\" content=\"default-src 'none'"), std::string::npos);
  const size_t at = page.find(assets::chart_js);
  ASSERT_NE(at, std::string::npos);
  // Chart.js names two pages in its licence comments, and nothing else.
  EXPECT_EQ(
      count(std::string(assets::chart_js), "http://") + count(std::string(assets::chart_js), "https://"), 2u);
  page.erase(at, assets::chart_js.size());
  for (const char* load : {"http://", "https://", "src=", "@import", "url(\"", "<link", "fetch(", "import("})
    EXPECT_EQ(count(page, load), 0u) << load;
}

TEST_F(Report, DrawsEachKindOfTask) {
  const std::string curve = report_html({run("c", summary("c"), curves())});
  EXPECT_EQ(count(curve, "<path class=\"truth\""), 1u);
  EXPECT_EQ(count(curve, "<path class=\"before\""), 1u);
  EXPECT_EQ(count(curve, "<path class=\"after\""), 1u);
  EXPECT_EQ(count(curve, "<circle class=\"support\""), 2u);
  const std::string image = report_html({run("i", summary("i"), images())});
  EXPECT_EQ(count(image, "data-pixels=\"AP8A/wD/AP8A\""), 4u);
  EXPECT_EQ(count(image, "class=\"tile right\""), 1u);
  EXPECT_EQ(count(image, "class=\"tile wrong\""), 1u);
  EXPECT_NE(image.find("1 of 2 right"), std::string::npos);
  const std::string point = report_html({run("p", summary("p"), points())});
  EXPECT_EQ(count(point, "class=\"miss\""), 1u);
  EXPECT_NE(point.find("2 of 3 right"), std::string::npos);
  EXPECT_EQ(count(report_html({run("n", summary("n"), nullptr)}), "<h3>Tasks</h3>"), 0u);
}

TEST_F(Report, AMeanThatAFewTasksRuinIsPointedOut) {
  EXPECT_EQ(count(report_html({run("calm", summary("calm"))}), "class=\"caution\""), 0u);
  Json s = summary("wild");
  s["eval"]["mean"][3] = 812.5;
  EXPECT_NE(report_html({run("wild", s)}).find("After 10 steps the mean lies far outside the quartiles"),
            std::string::npos);
  s["eval"]["mean"][3] = nullptr;
  EXPECT_NE(report_html({run("worse", s)}).find("After 10 steps the mean is not finite: some tasks diverged"),
            std::string::npos);
}

TEST_F(Report, GraphsHaveTheirOwnShapes) {
  Json star = summary("star");
  star["exchange"] = {{"topology", "star"}, {"bits", 4096}, {"rounds", 1}, {"server", true}};
  for (int a = 0; a < 6; ++a)
    star["exchange"]["edges"].push_back({{"from", a}, {"to", 6}, {"bits", 1000 * (a + 1)}});
  const std::string page = report_html({run("star", star)});
  EXPECT_EQ(count(page, "<g class=\"node server\">"), 1u);
  EXPECT_EQ(count(page, "class=\"head\""), 6u);  // one way only
  for (const char* label : {">1.00 kbit<", ">6.00 kbit<"}) EXPECT_EQ(count(page, label), 1u) << label;

  Json torus = summary("torus");
  torus["exchange"] = {{"topology", "torus"}, {"bits", 4096}, {"rounds", 1}};
  for (int i = 0; i < 6; ++i) {  // 2 x 3
    for (const int to : {i / 3 * 3 + (i + 1) % 3, (i + 3) % 6})
      torus["exchange"]["edges"].push_back({{"from", i}, {"to", to}, {"bits", 8}});
  }
  const std::string grid = report_html({run("torus", torus)});
  std::set<std::string> rows;  // the distinct heights of the nodes: two rows
  for (size_t at = grid.find("<circle cx="); at != std::string::npos; at = grid.find("<circle cx=", at + 1)) {
    const size_t cy = grid.find("cy=\"", at) + 4;
    rows.insert(grid.substr(cy, grid.find('"', cy) - cy));
  }
  EXPECT_EQ(rows.size(), 2u);
}

// The summary of a large fleet says how many edges there are, and lists none.
TEST_F(Report, EdgesThatAreNotListedAreNotDenied) {
  Json ring = summary("ring");
  ring["agents"] = 3000;
  ring["eval"].erase("per_agent");
  ring.erase("agent_share");
  ring["exchange"] = {{"topology", "ring"},
                      {"bits", 37248000},
                      {"rounds", 2},
                      {"directed_edges", 6000},
                      {"edges", Json::array()}};
  const std::string page = report_html({run("ring", ring)});
  EXPECT_EQ(count(page, "do not share"), 0u);
  EXPECT_EQ(count(page, "too many to draw"), 1u);
  EXPECT_EQ(count(page, "<g class=\"node"), 0u);
}

TEST_F(Report, ComparesSeveralRuns) {
  Json alone = summary("alone");
  alone["eval"] = evaluation(4, 6);
  alone["exchange"] = {{"topology", "none"}, {"bits", 0}, {"edges", Json::array()}};
  const auto a = run("a", summary("edges")), b = run("b", alone);
  const std::string page = report_html({a, b});
  EXPECT_LT(page.find("id=\"comparison\""), page.find("id=\"run-0\""));
  for (const char* kind :
       {"compare", "compare_median", "compare_loss", "compare_validation", "compare_disagreement"}) {
    EXPECT_EQ(count(page, std::string("data-chart=\"") + kind + "\""), 1u) << kind;
  }
  EXPECT_NE(page.find("Lowest mse after 10 steps: <strong>edges</strong> 0.360 ± 0.020; then "
                      "<strong>alone</strong> 1.440 ± 0.080"),
            std::string::npos);
  EXPECT_EQ(page_data(page)["groups"], Json::parse(R"([{"metric": "mse", "runs": [0, 1], "log": true}])"));
  EXPECT_EQ(page_data(page)["runs"][1]["eval"]["mean"], alone["eval"]["mean"]);
  // Runs of one name are told apart.
  const auto c = run("c", summary("edges"));
  const Json data = page_data(report_html({a, c}));
  EXPECT_EQ(data["runs"][0]["name"], "edges (a)");
  EXPECT_EQ(data["runs"][1]["name"], "edges (c)");
}

// Attack by rule, coloured against the plain mean without attack, whichever run came first.
TEST_F(Report, AttacksAreHeldAgainstThePlainMean) {
  const auto fleet = [&](const std::string& name, const std::string& rule, const std::string& attack,
                         double scale) {
    Json s = summary(name);
    s["settings"]["aggregator"] = {{"kind", rule}};
    if (!attack.empty()) s["faults"] = {{"kind", attack}, {"agents", {1}}};
    s["eval"] = evaluation(scale, 6);
    return run(name, s);
  };
  // After 10 steps: krum .72 and the mean .36 in peace, .45 and 1.8 under attack. 1.5 times the mean's is
  // .54.
  const std::string page = report_html({fleet("a", "krum", "", 2), fleet("b", "mean", "", 1),
                                        fleet("c", "krum", "alie", 1.25), fleet("d", "mean", "alie", 5)});
  EXPECT_NE(page.find("reaches without attack"), std::string::npos);
  EXPECT_NE(page.find("what \"b\" reaches"), std::string::npos);
  EXPECT_NE(page.find("<td class=\"number fails\">0.720</td><td class=\"number bears\">0.360</td>"),
            std::string::npos);
  EXPECT_NE(page.find("<td class=\"number bears\">0.450</td><td class=\"number fails\">1.80</td>"),
            std::string::npos);
}

// Nobody is worse than himself, whatever sign scores have and whichever way is better.
TEST_F(Report, AttacksOnScoresOfEitherSign) {
  for (const bool higher : {false, true}) {
    for (const double base : {-0.36, 0.36}) {
      const auto fleet = [&](const std::string& name, const std::string& attack, double reached) {
        Json s = summary(name);
        if (!attack.empty()) s["faults"] = {{"kind", attack}, {"agents", {1}}};
        s["eval"] = evaluation(1, 6);
        s["eval"]["higher_is_better"] = higher;
        s["eval"]["mean"][3] = reached;
        return run(fmt::format("{}{}{}", name, higher, base), s);
      };
      const double way = higher ? -1 : 1;  // worse
      const std::string page =
          report_html({fleet("a", "", base), fleet("b", "alie", base + way * 0.02),
                       fleet("c", "ipm", base + way * 0.36), fleet("d", "sign_flip", base - way * 0.36)});
      EXPECT_EQ(count(page, "class=\"number bears\""), 3u) << higher << " " << base;
      EXPECT_EQ(count(page, "class=\"number fails\""), 1u) << higher << " " << base;
    }
  }
}

// What agents are judged on is said as it was.
TEST_F(Report, SaysWhoseTasksAgentsAreJudgedOn) {
  const std::string own = "Unseen tasks of each agent's own part", same = "The same unseen tasks for all";
  Json s = summary("x");
  const std::string all = report_html({run("all", s)});
  EXPECT_EQ(count(all, same), 1u);
  EXPECT_EQ(count(all, own), 0u);
  s["settings"]["eval"] = {{"from", "own"}};
  const std::string apart = report_html({run("own", s)});
  EXPECT_EQ(count(apart, own), 1u);
  EXPECT_EQ(count(apart, same), 0u);
}

TEST_F(Report, PrivacyStandsBesideTheScore) {
  Json s = summary("guarded");
  s["privacy"] = {{"statement", "epsilon 3.1 at delta 1e-05 for one agent"}};
  const std::string page = report_html({run("a", s), run("b", summary("open"))});
  EXPECT_NE(page.find("<td class=\"words\">epsilon 3.1 at delta 1e-05 for one agent</td>"),
            std::string::npos);
  EXPECT_NE(page.find("<td class=\"words\">nothing</td>"), std::string::npos);
  EXPECT_EQ(report_html({run("c", summary("c")), run("d", summary("d"))}).find("what is promised"),
            std::string::npos);
}

TEST_F(Report, RunsThatAllDivergedAreNotRanked) {
  Json s = summary("lost");
  s["eval"]["mean"] = {3.0, nullptr, nullptr, nullptr};
  s["eval"]["ci95"] = {0.1, nullptr, nullptr, nullptr};
  const std::string page = report_html({run("a", s), run("b", s)});
  EXPECT_EQ(page.find("Lowest mse"), std::string::npos);
  EXPECT_NE(page.find("No run's mean mse is finite after 10 steps"), std::string::npos);
}

TEST_F(Report, TheTerminalTableIsAligned) {
  Json other = summary("größer");
  other["eval"] = evaluation(4, 6);
  const std::string table = comparison_table({run("a", summary("edges")), run("b", other)});
  EXPECT_EQ(
      table,
      "run     learner  topology              mse @0                 mse @1                 mse @5     "
      "           mse @10       bits\n"
      "edges   maml     edges     3.12 ± 0.25 (2.88)  0.891 ± 0.062 (0.710)  0.450 ± 0.036 (0.300)  "
      "0.360 ± 0.020 (0.200)  13.5 Gbit\n"
      "größer  maml     edges      12.5 ± 1.0 (11.5)     3.56 ± 0.25 (2.84)     1.80 ± 0.14 (1.20)  "
      "1.440 ± 0.080 (0.800)  13.5 Gbit\n"
      "mse: mean ± 95 % interval (median) after @ steps of adaptation, lower is better\n"
      "Lowest mse after 10 steps: edges 0.360 ± 0.020; then größer 1.440 ± 0.080 (behind by 1.080 ± 0.082); "
      "not judged on the same tasks, so differences are of means.\n");
}

TEST_F(Report, AnUnfinishedRunHasAPage) {
  Json s = summary("stopped");
  s["finished"] = false;
  s.erase("eval");
  const auto folder = run("stopped", s, nullptr);
  write_file(folder + "/metrics.jsonl", "");
  const std::string page = report_html({folder});
  EXPECT_NE(page.find("Not evaluated yet"), std::string::npos);
  EXPECT_NE(page.find("unfinished"), std::string::npos);
  EXPECT_NE(comparison_table({folder}).find("stopped: not evaluated yet"), std::string::npos);
}

// While a run goes on there is no summary: what it tries is said by its file.
TEST_F(Report, ARunThatGoesOnSaysWhatItTries) {
  const auto folder = run("going", summary("going"), nullptr);
  std::filesystem::remove(folder + "/summary.json");
  const std::string top = "description = \"Three repetitions.\"\nseed = 4\nseeds = 3\nrounds = 70000\n";
  write_file(folder + "/experiment.toml", top +
                                              "[task]\nkind = \"sinusoid\"\n[learner]\nkind = \"anil\"\n"
                                              "[exchange]\ntopology = \"none\"\n");
  const std::string page = report_html({folder});
  for (const char* words : {"Three repetitions.", "anil · sinusoid · seed 4", " of 70,000", " seeds"})
    EXPECT_NE(page.find(words), std::string::npos) << words;
  for (const char* words : {"each for itself", "· ·", "<td class=\"words\">—"})
    EXPECT_EQ(page.find(words), std::string::npos) << words;
  write_file(folder + "/experiment.toml", "seed = \"four\"\n");
  expect_error(folder, {"experiment.toml:1", "seed", "whole number"});
}

// Repetitions of one agent are no agents beside each other, and are nowhere called so.
TEST_F(Report, SeedsOfOneRunAreRepetitions) {
  Json s = summary("seeds");
  s["settings"][""]["seeds"] = 6;
  s.erase("exchange");
  const std::string page = report_html({run("seeds", s, nullptr)});
  for (const char* words :
       {"6 seeds", "<h3>Repetitions</h3>", "Score by repetition", "\"one\":\"repetition\""})
    EXPECT_NE(page.find(words), std::string::npos) << words;
  const std::string shown =
      page.substr(page.find("<article"), page.find("</article>") - page.find("<article"));
  for (const char* words : {"<th scope=\"col\">agent</th>", "each agent", "Each agent", "by agent"})
    EXPECT_EQ(shown.find(words), std::string::npos) << words;
}

TEST_F(Report, DamagedFilesAreNamed) {
  expect_error(root_ + "/absent", {"/absent", "no such folder", "symma train"});
  EXPECT_THROW(report_html({}), UserError);

  const auto missing = run("missing", summary("x"));
  std::filesystem::remove(missing + "/metrics.jsonl");
  expect_error(missing, {"missing/metrics.jsonl", "no such file"});
  std::filesystem::remove(missing + "/summary.json");
  expect_error(missing, {"missing/summary.json", "no such file"});

  const auto bad = run("bad", summary("x"));
  write_file(bad + "/summary.json", "{\"experiment\": \"x\", ");
  expect_error(bad, {"bad/summary.json", "not JSON"});
  write_file(bad + "/summary.json", "[1, 2]");
  expect_error(bad, {"bad/summary.json", "not a JSON object"});

  const auto broken = [&](const std::string& pointer, const Json& value,
                          const std::vector<std::string>& words) {
    Json s = summary("x");
    s[Json::json_pointer(pointer)] = value;
    auto all = words;
    all.push_back("broken/summary.json");
    expect_error(run("broken", s), all);
  };
  broken("/agents", "six", {"\"agents\" is not a whole number"});
  broken("/agents", 0, {"\"agents\" is below 1"});
  broken("/eval/mean", {1.0, 2.0}, {"\"eval.mean\" has 2 numbers where 4 are due"});
  broken("/eval/median/0", "low", {"\"eval.median\" is not a number"});
  broken("/eval/per_agent/5", {1.0}, {"\"eval.per_agent\" has a list of 1 numbers for 4 steps"});
  broken("/exchange/edges/0/to", 6, {"joins 0 and 6, but there are 6 nodes"});
  broken("/agent_share", {"one"}, {"1 lines for 6 agents"});
  broken("/settings/task", 3, {"\"settings.task\" is not an object"});

  const auto rows = run("rows", summary("x"));
  write_file(rows + "/metrics.jsonl", "{\"round\": 1, \"loss\": 1}\nnonsense\n{\"round\": 2, \"loss\": 1}\n");
  expect_error(rows, {"rows/metrics.jsonl:2"});
  write_file(rows + "/metrics.jsonl", "{\"loss\": 1}\n");
  expect_error(rows, {"rows/metrics.jsonl", "\"round\""});

  expect_error(run("g1", summary("x"), Json::parse("{\"kind\": \"opera\", \"tasks\": []}")),
               {"g1/gallery.json", "opera"});
  Json short_curve = curves();
  short_curve["tasks"][0]["after"].erase(0);
  expect_error(run("g2", summary("x"), short_curve), {"g2/gallery.json", "differ in length"});
  Json cut = images();
  cut["tasks"][0]["support"][0]["pixels"] = "AP8A\"><";
  expect_error(run("g3", summary("x"), cut), {"g3/gallery.json", "not base64 of 3 x 3 bytes"});
  Json untitled = points();
  untitled["tasks"][0].erase("title");
  expect_error(run("g4", summary("x"), untitled), {"g4/gallery.json", "not a gallery"});
}

// A frame is called by the step that it shows; where frames do not say, each shows the next one.
TEST_F(Report, FramesAreCalledByTheirSteps) {
  const auto page = [&](const Json& frames) {
    return report_html({run("f", summary("f"),
                            {{"kind", "world"}, {"tasks", {{{"title", "agent 0"}, {"frames", frames}}}}})});
  };
  const std::string named = page({{{"svg", "a"}, {"earned", 0}, {"step", 0}},
                                  {{"svg", "b"}, {"earned", 1}, {"step", 2}},
                                  {{"svg", "c"}, {"earned", 1}, {"step", 3}}});
  EXPECT_EQ(count(named, "\"step\":2") + count(named, "\"step\":3"), 2u);
  EXPECT_NE(named.find("frames[frames.length - 1].step"), std::string::npos);
  const std::string old = page({{{"svg", "a"}, {"earned", 0}}, {{"svg", "b"}, {"earned", 1}}});
  EXPECT_EQ(count(old, "\"step\":0") + count(old, "\"step\":1"), 2u);
}

// Numbers in the data's own units may be long, and columns may be called anything.
TEST_F(Report, AxesOfDataHaveRoomAndNames) {
  Json wide = curves();
  Json& task = wide["tasks"][0];
  for (Json* ys : {&task["support"]["y"], &task["truth"]["y"], &task["before"], &task["after"]})
    for (Json& y : *ys)
      if (!y.is_null()) y = 1e5 * y.get<double>();
  task["axes"] = {"hour", "power <W>"};
  const std::string page = report_html({run("w", summary("w"), wide)});
  EXPECT_NE(page.find("across: hour · up: power &lt;W&gt;"), std::string::npos);
  // A tick ends where it is anchored, and begins inside of the picture: digits are about 6 wide.
  size_t sides = 0;
  for (size_t at = page.find("tick side"); at != std::string::npos; at = page.find("tick side", at + 1)) {
    const size_t x = page.find("x=\"", at) + 3, text = page.find('>', at) + 1;
    const auto letters = static_cast<double>(page.find('<', text) - text);
    EXPECT_GE(std::stod(page.substr(x)), 6 * letters) << page.substr(at, 80);
    ++sides;
  }
  EXPECT_GE(sides, 2u);
  EXPECT_EQ(report_html({run("n", summary("n"))}).find("across:"), std::string::npos);
}

TEST_F(Report, WritesTheFileWhole) {
  const auto folder = run("a", summary("a"));
  write_report({folder}, root_ + "/report.html");
  EXPECT_EQ(read_file(root_ + "/report.html"), report_html({folder}));
  EXPECT_FALSE(std::filesystem::exists(root_ + "/report.html.part"));
  EXPECT_THROW(write_report({folder}, root_ + "/absent/report.html"), UserError);
}

}  // namespace
}  // namespace symma
