// The page in a real browser: every chart is drawn, light, dark, on a phone, and without a script; nothing is
// complained about. Skipped aloud where there is no Chromium.
#include <cstdlib>

#include "report/runs.h"

namespace symma {
namespace {

class Browser : public Report {
 protected:
  void SetUp() override {
    Report::SetUp();
    for (const char* name : {"chromium", "chromium-browser", "google-chrome"}) {
      if (browser_.empty() && std::system(fmt::format("command -v {} >/dev/null 2>&1", name).c_str()) == 0)
        browser_ = name;
    }
    if (browser_.empty()) GTEST_SKIP() << "no chromium here: the page's script was not run";
  }
  // The page's elements once its scripts have run. `script` runs after them.
  std::string dom(const std::string& page, const std::string& flags = "", const std::string& script = "") {
    const std::string path = root_ + "/page.html";
    std::string text = page;
    if (!script.empty()) text.insert(text.rfind("</body>"), "<script>" + script + "</script>");
    write_file(path, text);
    const std::string command = fmt::format(
        "HOME={0} timeout 100 {1} --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage "
        "--user-data-dir={0}/browser {3} --enable-logging=stderr --virtual-time-budget=5000 --dump-dom "
        "file://{2} >{0}/dom.html 2>{0}/log.txt",
        root_, browser_, path, flags);
    const int status = std::system(command.c_str());
    const std::string log = read_file(root_ + "/log.txt");
    EXPECT_EQ(status, 0) << log;
    // That a frame without scripts runs none is as it should be.
    EXPECT_EQ(count(log, "CONSOLE") - count(log, "Blocked script execution"), 0u) << log;
    return read_file(root_ + "/dom.html");
  }
  void expect_drawn(const std::string& page, const std::string& flags = "") {
    const std::string found = dom(page, flags);
    EXPECT_EQ(count(found, "data-error="), 0u);
    const size_t charts = count(page, " data-index=\"");
    EXPECT_NE(found.find(fmt::format("data-charts=\"{}\"", charts)), std::string::npos)
        << found.substr(0, 300);
  }
  std::string one() {
    Json wild = summary("wild");
    wild["eval"]["mean"][3] = nullptr;
    wild["ood"] = evaluation(2, 6);
    return report_html({run("a", wild)});
  }
  std::string browser_;
};

TEST_F(Browser, DrawsEveryChart) {
  expect_drawn(one());
  Json accuracy = summary("accuracy <&> '");
  accuracy["eval"]["metric"] = "accuracy";
  accuracy["eval"]["chance"] = 0.2;
  for (const char* key : {"mean", "median", "q1", "q3"}) accuracy["eval"][key] = {0.2, 0.5, 0.75, 0.875};
  Json stopped = summary("stopped");
  stopped.erase("eval");
  Json hundred = summary("hundred");
  hundred["agents"] = 100;
  hundred.erase("agent_share");
  hundred["eval"] = evaluation(1, 100);
  const auto page = report_html({run("b", summary("b")), run("c", accuracy, images()),
                                 run("d", stopped, points()), run("e", hundred, nullptr)});
  expect_drawn(page);
  expect_drawn(page, "--blink-settings=preferredColorScheme=0");
}

// Nothing is wider than a phone but what scrolls in its own box; the legend's words are all there.
TEST_F(Browser, FitsAPhone) {
  std::vector<std::string> folders;
  folders.reserve(10);
  for (int i = 0; i < 10; ++i)
    folders.push_back(run(fmt::format("r{}", i),
                          summary(fmt::format("a_rather_long_name_of_an_experiment_{}", i)), nullptr));
  const std::string found =
      dom(report_html(folders), "--window-size=390,2000",
          "document.documentElement.dataset.wide = [...document.querySelectorAll('.legend button, h1, h2, "
          ".card')]"
          ".filter(e => e.getBoundingClientRect().right > 500).length;"
          "document.documentElement.dataset.colors = new Set([...document.querySelectorAll('#comparison "
          ".legend')][0]"
          ".querySelectorAll('i').length ? [...[...document.querySelectorAll('#comparison "
          ".legend')][0].querySelectorAll('i')].map(i => "
          "i.style.borderTopColor) : []).size;");
  EXPECT_NE(found.find("data-wide=\"0\""), std::string::npos) << found.substr(0, 400);
  EXPECT_NE(found.find("data-colors=\"10\""), std::string::npos) << found.substr(0, 400);  // eight, once
}

TEST_F(Browser, RunningMeansEndInNoSpike) {
  // A level line with noise and one wild last row; a falling line, which the mean of one side would lean
  // from.
  const std::string found =
      dom(one(), "",
          "const n = 400, noise = [...Array(n)].map((_, i) => 1 + 0.2 * Math.sin(12.9898 * i * i)); noise[n "
          "- 1] = 3;"
          "const level = window.symmaRunning(noise), falling = window.symmaRunning([...Array(n)].map((_, i) "
          "=> 10 - i / 100));"
          "document.documentElement.dataset.spike = level[n - 1] < 1.9 ? 'none' : level[n - 1];"
          "document.documentElement.dataset.lean = Math.max(...falling.map((y, i) => Math.abs(y - (10 - i / "
          "100)))) < 1e-9 ? 'none' : 'some';"
          // The last row is of two rounds where the others are of seven, and as high as the one before it.
          "const rounds = [...Array(n)].map((_, i) => i < n - 1 ? 7 * i : 7 * n - 12), late = [...noise];"
          "late[n - 1] = late[n - 2] = 2; const end = window.symmaRunning(late, rounds);"
          "document.documentElement.dataset.jog = Math.abs(end[n - 1] - end[n - 2]) < 0.02 ? 'none' : end[n "
          "- 1] - "
          "end[n - 2];");
  EXPECT_NE(found.find("data-jog=\"none\""), std::string::npos) << found.substr(0, 300);
  EXPECT_NE(found.find("data-spike=\"none\""), std::string::npos) << found.substr(0, 300);
  EXPECT_NE(found.find("data-lean=\"none\""), std::string::npos) << found.substr(0, 300);
}

TEST_F(Browser, LegendsToggleAndChartsAreSaved) {
  const std::string found =
      dom(one(), "",
          "const canvas = document.querySelector('canvas[data-chart=loss]'), csv = window.symmaSaved(canvas, "
          "'csv'), svg = window.symmaSaved(canvas, 'svg');"
          "const parsed = new DOMParser().parseFromString(svg, 'image/svg+xml');"
          "const d = document.documentElement.dataset;"
          "d.csv = csv.split('\\n').length; d.svg = parsed.querySelector('parsererror') ? 'broken' : "
          "parsed.querySelectorAll('g path').length;"
          "const b = document.querySelector('.legend button'); b.click(); d.pressed = "
          "b.getAttribute('aria-pressed');");
  EXPECT_NE(found.find("data-csv=\"42\""), std::string::npos)
      << found.substr(0, 300);  // 2 x 20 rows, a head, an end
  EXPECT_NE(found.find("data-svg=\"2\""), std::string::npos) << found.substr(0, 300);
  EXPECT_NE(found.find("data-pressed=\"false\""), std::string::npos) << found.substr(0, 300);
}

// Colours of lines and of small words against their ground, by WCAG's ratio: 3 for marks, 4.5 for words.
TEST_F(Browser, ColoursStandOut) {
  const std::string script =
      "const css = getComputedStyle(document.documentElement), hex = n => css.getPropertyValue('--' + "
      "n).trim();"
      "const lum = h => { const c = [1, 3, 5].map(k => parseInt(h.slice(k, k + 2), 16) / 255).map(c => c <= "
      "0.03928 ? c / 12.92 : Math.pow((c + 0.055) / 1.055, 2.4));"
      " return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };"
      "const ratio = (a, b) => { const x = lum(hex(a)), y = lum(hex(b)); return (Math.max(x, y) + 0.05) / "
      "(Math.min(x, y) + 0.05); };"
      "const low = [...Array(8).keys()].map(i => 'c' + i).filter(c => ratio(c, 'card') < 3).concat(['ink', "
      "'muted', 'accent', 'good', 'bad'].filter(c => ratio(c, 'card') < 4.5));"
      "document.documentElement.dataset.low = low.join(' ') || 'none';";
  for (const std::string flags : {"", "--blink-settings=preferredColorScheme=0"}) {
    const std::string found = dom(one(), flags, script);
    EXPECT_NE(found.find("data-low=\"none\""), std::string::npos) << flags << found.substr(0, 400);
  }
}

TEST_F(Browser, TablesStayWithoutAScript) {
  // In a frame that may run no script, seen from outside it.
  std::string text = Json(one()).dump();
  for (size_t at = 0; (at = text.find("</", at)) != std::string::npos; at += 3) text.replace(at, 2, "<\\/");
  const std::string found =
      dom("<!doctype html><html><body><iframe sandbox=\"allow-same-origin\" width=\"1000\" "
          "height=\"3000\"></iframe>"
          "<script>const f = document.querySelector('iframe'), d = document.documentElement.dataset;"
          "f.onload = () => { const inside = f.contentDocument, words = inside.body.innerText;"
          "d.said = words.includes('Charts need JavaScript'); d.tables = words.includes('quartiles');"
          "d.charts = inside.documentElement.dataset.charts || 'none';"
          "d.empty = [...inside.querySelectorAll('.canvas')].filter(c => c.offsetHeight > 0).length; };"
          "f.srcdoc = " +
          text + ";</script></body></html>");
  for (const char* word :
       {"data-said=\"true\"", "data-tables=\"true\"", "data-charts=\"none\"", "data-empty=\"0\""})
    EXPECT_NE(found.find(word), std::string::npos) << word << found.substr(0, 300);
}

}  // namespace
}  // namespace symma
