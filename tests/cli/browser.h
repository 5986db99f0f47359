// A real browser for tests: Chromium without a window, told what to do through a pipe by the DevTools
// protocol. https://chromedevtools.github.io/devtools-protocol/
#pragma once

#include <poll.h>

#include <cmath>

#include "cli/program.h"

namespace program {

class Browser {
 public:
  static bool there() { return std::system("command -v chromium >/dev/null 2>&1") == 0; }

  // Its profile lies in `folder`.
  explicit Browser(const fs::path& folder) {
    int commands[2], answers[2];
    if (::pipe2(commands, O_CLOEXEC) != 0 || ::pipe2(answers, O_CLOEXEC) != 0) std::abort();
    const std::string home = "HOME=" + folder.string(),
                      profile = "--user-data-dir=" + (folder / "profile").string(),
                      log = (folder / "browser.log").string();
    fs::create_directories(folder);
    pid_ = ::fork();
    if (pid_ == 0) {
      // It reads from 3 and writes to 4, whatever these are here.
      const int from = ::fcntl(commands[0], F_DUPFD, 10), to = ::fcntl(answers[1], F_DUPFD, 10),
                out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      ::dup2(out, 1), ::dup2(out, 2);
      ::dup2(from, 3), ::dup2(to, 4);
      ::alarm(600);
      ::execlp("env", "env", home.c_str(), "chromium", "--headless=new", "--remote-debugging-pipe",
               "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", profile.c_str(),
               "about:blank", nullptr);
      ::_exit(127);
    }
    ::close(commands[0]), ::close(answers[1]);
    to_ = commands[1], from_ = answers[0];
  }
  ~Browser() {
    ::close(to_);  // it ends with its pipe
    for (int i = 0; i < 100; ++i) {
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = 0;
      if (pid_ == 0) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    if (pid_ > 0) ::kill(pid_, SIGKILL), ::waitpid(pid_, nullptr, 0);
    ::close(from_);
  }
  Browser(const Browser&) = delete;
  Browser& operator=(const Browser&) = delete;

  // Opens a page, `width` pixels wide, light or dark; what is asked next is asked of it.
  void open(const std::string& url, int width = 1200, bool dark = false) {
    session_.clear();
    const Json page = call("Target.createTarget", {{"url", "about:blank"}});
    session_ = call("Target.attachToTarget", {{"targetId", page.value("targetId", "")}, {"flatten", true}})
                   .value("sessionId", "");
    call("Runtime.enable");
    call("Page.enable");
    call("Emulation.setDeviceMetricsOverride",
         {{"width", width}, {"height", 900}, {"deviceScaleFactor", 1}, {"mobile", false}});
    call("Emulation.setEmulatedMedia",
         {{"features", {{{"name", "prefers-color-scheme"}, {"value", dark ? "dark" : "light"}}}}});
    call("Page.navigate", {{"url", url}});
    ready_ = wait_until(
        [&] { return evaluate("document.readyState + location.href.slice(0, 5)") != "completeabout"; });
    ready_ = ready_ && wait_until([&] { return evaluate("document.readyState") == "complete"; });
  }
  bool ready() const { return ready_; }

  // The value of an expression in the page; null where it has none.
  Json evaluate(const std::string& expression) {
    const Json said = call("Runtime.evaluate",
                           {{"expression", expression}, {"returnByValue", true}, {"awaitPromise", true}});
    return said.contains("result") ? said["result"].value("value", Json()) : Json();
  }
  double number(const std::string& expression) {
    const Json value = evaluate("Number(" + expression + ")");
    return value.is_number() ? value.get<double>() : std::nan("");
  }

  // What its scripts threw, and what it complained of, since it began.
  const Words& complaints() const { return complaints_; }

 private:
  Json call(const std::string& method, const Json& parameters = Json::object()) {
    Json message{{"id", ++last_}, {"method", method}, {"params", parameters}};
    if (!session_.empty()) message["sessionId"] = session_;
    const std::string text = message.dump() + '\0';
    if (::write(to_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) return {};
    for (;;) {
      const Json said = hear();
      if (said.is_null()) {
        ADD_FAILURE() << "chromium did not answer " << method;
        return {};
      }
      if (said.value("id", 0) == last_) return said.value("result", Json::object());
      const std::string event = said.value("method", "");
      if (event == "Runtime.exceptionThrown" ||
          (event == "Runtime.consoleAPICalled" && said["params"].value("type", "") == "error"))
        complaints_.push_back(said["params"].dump());
    }
  }
  // The next message; null where none comes within a minute.
  Json hear() {
    for (;;) {
      const size_t end = heard_.find('\0');
      if (end != std::string::npos) {
        const Json said = Json::parse(heard_.substr(0, end), nullptr, false);
        heard_.erase(0, end + 1);
        return said;
      }
      pollfd ready{from_, POLLIN, 0};
      char bytes[65536];
      if (::poll(&ready, 1, 60000) <= 0) return {};
      const ssize_t n = ::read(from_, bytes, sizeof bytes);
      if (n <= 0) return {};
      heard_.append(bytes, static_cast<size_t>(n));
    }
  }

  pid_t pid_ = 0;
  int to_ = -1, from_ = -1, last_ = 0;
  bool ready_ = false;
  std::string session_, heard_;
  Words complaints_;
};

}  // namespace program
