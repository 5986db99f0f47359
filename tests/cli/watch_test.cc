// symma watch: what it serves, to whom, and a growing run in a real browser.
#include <optional>

#include "cli/browser.h"

namespace {

using namespace program;

class Watch : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!holds(run_well({"--help"}, at_.path()).out, "watch"))
      GTEST_SKIP() << "built without cpp-httplib: symma watch was not tried";
    if (!there("curl")) GTEST_SKIP() << "no curl here: symma watch was not tried";
  }
  bool there(const std::string& program) {
    return Process({"sh", "-c", "command -v " + program}, at_.path()).wait().code == 0;
  }
  // Serves `folder`, and keeps the address that it printed.
  void serve(const std::string& folder) {
    server_.emplace(
        Words{"sh", "-c", std::string("exec '") + SYMMA_PROGRAM + "' watch " + folder + " --quiet >address"},
        at_.path());
    for (int k = 0; k < 300 && !holds(slurp(at_ / "address"), "\n"); ++k)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const auto said = lines(slurp(at_ / "address"));
    ASSERT_FALSE(said.empty());
    base_ = said[0].substr(0, said[0].find("/?")), token_ = said[0].substr(said[0].find("token=") + 6);
    EXPECT_TRUE(base_.starts_with("http://127.0.0.1:")) << base_;
    EXPECT_EQ(token_.size(), 32u);
  }
  std::string get(const std::string& path, const Words& more = {}) {
    Words words{"curl", "-s", "-m", "20", "-w", "\n%{http_code}", "--path-as-is", base_ + path};
    words.insert(words.end(), more.begin(), more.end());
    return Process(words, at_.path()).wait().out;
  }
  std::string with_token(const std::string& path) {
    return get(path + (holds(path, "?") ? "&" : "?") + "token=" + token_);
  }
  TempDir at_;
  std::optional<Process> server_;
  std::string base_, token_;
};

TEST_F(Watch, ServesItsFolderToWhoHasTheToken) {
  spill(at_ / "e.toml", kSines);
  run_well({"train", "e.toml", "--out", "runs/a", "--quiet"}, at_.path());
  run_well({"train", "e.toml", "--out", "elsewhere", "--quiet"}, at_.path());
  fs::create_directory_symlink(at_.path() / "elsewhere", at_.path() / "runs/link");
  fs::create_directories(at_.path() / "runs/b");
  for (const char* file : {"experiment.toml", "metrics.jsonl", "summary.json"})
    fs::create_symlink(at_.path() / "elsewhere" / file, at_.path() / "runs/b" / file);
  serve("runs");
  for (const char* path : {"/", "/page?name=a", "/data?name=a", "/events", "/nothing"}) {
    EXPECT_TRUE(get(path).ends_with("403")) << path;
    EXPECT_TRUE(get(path, {"-H", "Cookie: symma=" + token_}).ends_with("403")) << path;
  }
  EXPECT_TRUE(get("/?token=" + std::string(token_.size(), '0')).ends_with("403"));
  EXPECT_TRUE(get("/?token=").ends_with("403"));
  const std::string list = with_token("/");
  EXPECT_TRUE(list.ends_with("200") && holds(list, "page?name=a")) << list.substr(0, 300);
  EXPECT_FALSE(holds(list, "name=link") || holds(list, "name=b\"") || holds(list, "elsewhere\""));
  EXPECT_TRUE(holds(with_token("/page?name=a"), "unseen test tasks"));
  EXPECT_TRUE(with_token("/data?name=a").ends_with("200"));
  // A scorecard that is being made is one already, and shows what has been begun for it.
  fs::create_directories(at_.path() / "runs/card/runs");
  fs::copy(at_.path() / "runs/a", at_.path() / "runs/card/runs/base-1");
  spill(at_ / "runs/card/plan.json", "{}");
  EXPECT_TRUE(holds(with_token("/"), "<td>scorecard</td>"));
  const std::string card = with_token("/page?name=card");
  EXPECT_TRUE(card.ends_with("200") && holds(card, "being made") && holds(card, "name=card/runs/base-1"))
      << card;
  // Nothing outside its folder, by whatever name.
  for (const char* out :
       {"../elsewhere", "..%2Felsewhere", "/etc", "..", "a/../../elsewhere", "link", "b", "%00", "a%00"})
    for (const char* kind : {"page", "data", "events"})
      EXPECT_TRUE(with_token(std::string("/") + kind + "?name=" + out).ends_with("404"))
          << kind << " " << out;
  for (const char* path :
       {"/../elsewhere/summary.json", "/a/summary.json", "/%2e%2e/elsewhere/summary.json", "/etc/passwd"})
    EXPECT_TRUE(with_token(path).ends_with("404")) << path;
  // From a page elsewhere that points its own name here; and nothing is done but read.
  EXPECT_TRUE(get("/page?name=a&token=" + token_, {"-H", "Host: elsewhere.example"}).ends_with("403"));
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH"})
    EXPECT_TRUE(get("/page?name=a&token=" + token_, {"-X", method}).ends_with("403")) << method;
  fs::remove_all(at_ / "runs/a");
  EXPECT_TRUE(with_token("/page?name=a").ends_with("404"));
  fs::remove_all(at_ / "runs");
  EXPECT_TRUE(with_token("/").ends_with("200"));
  EXPECT_TRUE(with_token("/page?name=a").ends_with("404"));
  server_->send(SIGTERM);
  EXPECT_EQ(server_->wait().code, 0);
}

// The run grows while the page is open: the page takes up new numbers without being loaded again, and its
// curves get longer. Nothing sticks out on a phone, whatever the folder and the run are called.
TEST_F(Watch, AGrowingRunInABrowser) {
  if (!Browser::there()) GTEST_SKIP() << "no chromium here: no growing run was watched";
  spill(at_ / "e.toml", kSines);
  const std::string folder = "runs_in_a_folder_whose_name_is_longer_than_any_phone_is_wide",
                    name = "a" + std::string(60, 'b'), place = folder + "/" + name;
  Process training(command_line({"train", "e.toml", "--set", "rounds=4000000", "--set", "log_every=50",
                                 "--out", place, "--quiet"}),
                   at_.path());
  ASSERT_TRUE(wait_until([&] { return lines(slurp(at_ / (place + "/metrics.jsonl"))).size() > 2; }));
  serve(folder);
  EXPECT_TRUE(holds(with_token("/"), "not finished"));
  Browser browser(at_.path() / "browser");
  const auto settled = [&] { return browser.number("document.documentElement.dataset.charts") > 0; };
  for (const auto& [width, dark] : {std::pair{1200, false}, {390, true}}) {
    browser.open(base_ + "/page?name=" + name + "&token=" + token_, width, dark);
    ASSERT_TRUE(browser.ready() && wait_until(settled)) << browser.evaluate("document.title");
    const std::string points =
        "[...document.querySelectorAll('canvas')].map(c => Chart.getChart(c)).filter(c => c)"
        ".reduce((n, c) => n + c.data.datasets.reduce((m, d) => m + d.data.length, 0), 0)";
    const double before = browser.number(points);
    EXPECT_GT(before, 0);
    browser.evaluate("window.here = 1");
    EXPECT_TRUE(wait_until([&] { return browser.number("document.documentElement.dataset.grown") >= 2; }));
    EXPECT_TRUE(wait_until([&] { return browser.number(points) > before; })) << before << " points";
    EXPECT_EQ(browser.evaluate("window.here"), 1) << "the page was loaded again";
    EXPECT_EQ(browser.evaluate("document.documentElement.dataset.error"), Json());
    EXPECT_LE(browser.number("document.documentElement.scrollWidth"), width);
  }
  browser.open(base_ + "/", 390);
  EXPECT_TRUE(holds(browser.evaluate("document.body.innerText").dump(), "not finished"));
  EXPECT_LE(browser.number("document.documentElement.scrollWidth"), 390);
  EXPECT_EQ(browser.complaints(), Words{});
  // The folder goes while pages are open: the list notices, and the server stays.
  training.send(SIGKILL);
  training.wait();
  fs::remove_all(at_ / place);
  EXPECT_TRUE(wait_until(
      [&] { return holds(browser.evaluate("document.body.innerText").dump(), "No run is here"); }));
  server_->send(SIGTERM);
  EXPECT_EQ(server_->wait().code, 0);
}

}  // namespace
