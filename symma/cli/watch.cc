// symma watch DIR: runs and sweeps of a folder in the browser, live and done.
//
// A second process that reads files and nothing else. It listens on loopback alone, answers only who has the
// token of its address, and serves nothing but pages and numbers of runs within the folder. What grows is
// told by server-sent events.
#include <fmt/format.h>
#include <httplib.h>
#include <sodium.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>

#include "symma/cli/commands.h"
#include "symma/cli/program.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/record.h"
#include "symma/core/version.h"
#include "symma/report/format.h"
#include "symma/report/page.h"
#include "symma/report/report.h"
#include "symma/report/scorecard.h"

namespace symma {
namespace {

namespace fs = std::filesystem;

std::atomic<bool> watching{true};

std::string new_token() {
  if (sodium_init() < 0) throw UserError("symma watch", "the system gives no random numbers", "");
  unsigned char bytes[16];
  randombytes_buf(bytes, sizeof bytes);
  std::string out;
  for (unsigned char b : bytes) out += fmt::format("{:02x}", b);
  return out;
}

// As it may stand in an address's query.
std::string query_word(const std::string& s) {
  std::string out;
  for (const unsigned char c : s)
    out += std::isalnum(c) || c == '_' || c == '.' || c == '/' || c == '-'
               ? std::string(1, static_cast<char>(c))
               : fmt::format("%{:02X}", c);
  return out;
}

bool same(const std::string& a, const std::string& b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

struct Seen {
  std::string name;  // its path within the folder
  std::string kind;  // "run", "sweep", "scorecard"
  std::string state;
};

// Whether a link below leads out of the root: such a folder is not shown.
bool leads_out(const fs::path& root, const fs::path& folder) {
  std::error_code e;
  for (fs::recursive_directory_iterator it(folder, e), end; !e && it != end; it.increment(e)) {
    if (!it->is_symlink(e)) continue;
    const fs::path target = fs::canonical(it->path(), e);
    if (e || std::mismatch(root.begin(), root.end(), target.begin(), target.end()).first != root.end())
      return true;
  }
  return false;
}

// What stands in the folder, no deeper than four levels; nothing that leads out of it.
std::vector<Seen> look(const fs::path& root) {
  std::vector<Seen> out;
  const auto visit = [&](auto&& self, const fs::path& folder, int depth) -> void {
    std::error_code e;
    const std::string name = folder == root ? "." : fs::relative(folder, root, e).string();
    const bool run = fs::exists(folder / "metrics.jsonl", e), runs = fs::is_directory(folder / "runs", e);
    if ((run || runs) && leads_out(root, folder)) return;
    if (run) out.push_back({name, "run", fs::exists(folder / "summary.json", e) ? "done" : "not finished"});
    if (runs) {
      int64_t done = 0, all = 0;
      for (fs::directory_iterator it(folder / "runs", e), end; !e && it != end; it.increment(e)) {
        ++all;
        done += fs::exists(it->path() / "summary.json", e);
      }
      // A folder that only happens to hold one of this name is neither.
      const bool card = fs::exists(folder / "plan.json", e);
      if (card || fs::exists(folder / "sweep.json", e))
        out.push_back(
            {name, card ? "scorecard" : "sweep", fmt::format("{} of {} runs begun are done", done, all)});
    }
    if (run || depth == 4) return;
    std::vector<fs::path> below;
    for (fs::directory_iterator it(folder, e), end; !e && it != end; it.increment(e))
      if (it->is_directory(e) && !it->is_symlink(e)) below.push_back(it->path());
    std::sort(below.begin(), below.end());
    for (const auto& b : below) self(self, b, depth + 1);
  };
  visit(visit, root, 0);
  return out;
}

// What changes when a run or a sweep grows.
std::string stamp(const fs::path& folder) {
  std::string out;
  std::error_code ec;
  for (const char* file : {"metrics.jsonl", "summary.json", "sweep.json", "scorecard.json"}) {
    const auto size = fs::file_size(folder / file, ec);
    out += ec ? "-," : fmt::format("{},", size);
  }
  for (fs::directory_iterator it(folder / "runs", ec), end; !ec && it != end; it.increment(ec))
    out += fs::exists(it->path() / "summary.json", ec) ? "d" : ".";
  return out;
}

// The list itself: what is there, and how far.
std::string stamp(const std::vector<Seen>& all) {
  std::string out;
  for (const Seen& s : all) out += s.name + s.state + "\n";
  return out;
}

// A browser that left is noticed by this.
bool say_alive(httplib::DataSink& sink) {
  const std::string alive = ": here\n\n";
  return sink.write(alive.data(), alive.size());
}

// Of the list, and of a scorecard that is being made: the page anew.
constexpr const char* kLiveTable =
    "<script>(() => { const events = new EventSource('/events' + location.search);"
    "for (const kind of ['grown', 'done']) events.addEventListener(kind, () => location.reload()); })();"
    "</script>";

// One request at a time, however often the run grows meanwhile. Where none is answered any more, the page
// stays as it is.
constexpr const char* kLive =
    "<script>(() => { const at = new URL(location), name = at.searchParams.get('name');"
    "const events = new EventSource('/events?name=' + encodeURIComponent(name));"
    "let asks = false, again = false;"
    "events.addEventListener('grown', async () => { again = true; if (asks) return; asks = true;"
    "while (again) { again = false;"
    "const data = await fetch('/data?name=' + encodeURIComponent(name)).then(r => r.ok ? r.json() : "
    "null).catch(() => null);"
    "if (data) { window.symmaUpdate(data); document.documentElement.dataset.grown = "
    "Number(document.documentElement.dataset.grown || 0) + 1; } } asks = false; });"
    "events.addEventListener('done', () => location.reload()); })();</script>";

class Watch {
 public:
  explicit Watch(fs::path root) : root_(std::move(root)), token_(new_token()) {}

  void serve(int port, bool quiet) {
    httplib::Server server;
    server.new_task_queue = [] { return new httplib::ThreadPool(64); };  // each open page holds one
    server.set_pre_routing_handler([&](const httplib::Request& q, httplib::Response& r) {
      r.set_header("Cache-Control", "no-store");
      r.set_header("X-Content-Type-Options", "nosniff");
      r.set_header("Referrer-Policy", "no-referrer");
      if (allowed(q, r)) return httplib::Server::HandlerResponse::Unhandled;
      r.status = 403;
      r.set_content("This page needs the token that symma watch printed.\n", "text/plain");
      return httplib::Server::HandlerResponse::Handled;
    });
    server.Get(
        "/", [&](const httplib::Request&, httplib::Response& r) { r.set_content(list_page(), "text/html"); });
    server.Get("/page", [&](const httplib::Request& q, httplib::Response& r) { answer(q, r, true); });
    server.Get("/data", [&](const httplib::Request& q, httplib::Response& r) { answer(q, r, false); });
    server.Get("/events", [&](const httplib::Request& q, httplib::Response& r) { events(q, r); });
    const int bound = port == 0 ? server.bind_to_any_port("127.0.0.1")
                                : (server.bind_to_port("127.0.0.1", port) ? port : -1);
    if (bound < 0)
      throw UserError(fmt::format("--port {}", port), "is in use", "choose another, or leave it out");
    port_ = bound;
    fmt::print("http://127.0.0.1:{}/?token={}\n", bound, token_);
    if (!quiet) fmt::print("Ctrl-C ends it; what it shows goes on without it.\n");
    std::fflush(stdout);
    std::signal(SIGINT, [](int) { watching = false; });
    std::signal(SIGTERM, [](int) { watching = false; });
    std::thread end([&] {
      while (watching) std::this_thread::sleep_for(std::chrono::milliseconds(100));
      server.stop();
    });
    server.listen_after_bind();
    watching = false;
    end.join();
  }

 private:
  // By the token in the address, once; then by a cookie of it, so that links need none. Only from this
  // machine's own name, which a page elsewhere that points its name here has not.
  bool allowed(const httplib::Request& q, httplib::Response& r) const {
    const std::string host = q.get_header_value("Host");
    if (host != fmt::format("127.0.0.1:{}", port_) && host != fmt::format("localhost:{}", port_))
      return false;
    if (q.method != "GET") return false;
    if (q.has_param("token") && same(q.get_param_value("token"), token_)) {
      r.set_header("Set-Cookie", fmt::format("symma{}={}; HttpOnly; SameSite=Strict; Path=/", port_, token_));
      return true;
    }
    const std::string cookies = q.get_header_value("Cookie"), mine = fmt::format("symma{}=", port_);
    const size_t at = cookies.find(mine);
    return at != std::string::npos && same(cookies.substr(at + mine.size(), token_.size()), token_);
  }

  // The folder of a name that the list has; nothing of any other.
  std::optional<fs::path> folder_of(const std::string& name, std::string* kind = nullptr) const {
    for (const Seen& s : look(root_)) {
      if (s.name != name) continue;
      if (kind) *kind = s.kind;
      return s.name == "." ? root_ : root_ / s.name;
    }
    return std::nullopt;
  }

  // The page may ask this server for what is new, and nobody else for anything.
  static std::string live(std::string html, const char* script) {
    const std::string images = "img-src data:";
    html.replace(html.find(images), images.size(), images + "; connect-src 'self'");
    html.insert(html.rfind("</body>"), script);
    return html;
  }

  std::string list_page() const {
    const auto all = look(root_);
    return table_page("watch", root_.string(), all.empty() ? "<p>No run is here yet.</p>" : "", all);
  }

  static std::string table_page(const std::string& kicker, const std::string& title, const std::string& words,
                                const std::vector<Seen>& all) {
    std::string body = "<article><header><p class=\"kicker\">" + escape(kicker) + "</p><h1>" + escape(title) +
                       "</h1></header>" + words;
    body +=
        "<div class=\"card\"><div class=\"wide\"><table><thead><tr><th scope=\"col\">name</th><th "
        "scope=\"col\">kind</th><th "
        "scope=\"col\">state</th></tr></thead><tbody>";
    for (const Seen& s : all)
      body += fmt::format(
          "<tr><th scope=\"row\" class=\"path\"><a "
          "href=\"/page?name={}\">{}</a></th><td>{}</td><td>{}</td></tr>",
          escape(query_word(s.name)), escape(s.name), s.kind, s.state);
    body += "</tbody></table></div></div></article>";
    const Json none = Json::array();
    return live(page_of("watch", SYMMA_VERSION, body, {{"runs", none}, {"groups", none}}), kLiveTable);
  }

  // The scorecard, or what has been run for it so far.
  std::string card_page(const std::string& name, const fs::path& folder) const {
    const std::string file = (folder / "scorecard.json").string();
    if (is_there(file)) return scorecard_html(read_json(file));
    std::vector<Seen> its;
    for (const Seen& s : look(root_))
      if (s.kind == "run" && (name == "." || s.name.starts_with(name + "/"))) its.push_back(s);
    return table_page(name, "A scorecard that is being made",
                      "<p>Its page comes with the last run. What has been begun:</p>", its);
  }

  void answer(const httplib::Request& q, httplib::Response& r, bool page) const {
    std::string kind;
    const auto folder = folder_of(q.get_param_value("name"), &kind);
    if (!folder) return gone(r);
    try {
      if (kind == "scorecard")
        return r.set_content(card_page(q.get_param_value("name"), *folder), "text/html");
      if (!page) return r.set_content(script_json(report_data({folder->string()})), "application/json");
      r.set_content(live(report_html({folder->string()}), kLive), "text/html");
    } catch (const std::exception& e) {  // a file that is being written, damaged, or no longer there
      r.status = 503;
      r.set_content(one_line(e.what()) + "\n", "text/plain");
    }
  }

  static void gone(httplib::Response& r) {
    r.status = 404;
    r.set_content("There is no such run here, or no longer.\n", "text/plain");
  }

  // An event whenever what a name stands for has grown, or without a name the list; as long as it is open.
  void events(const httplib::Request& q, httplib::Response& r) const {
    const bool one = q.has_param("name");
    const auto folder = one ? folder_of(q.get_param_value("name")) : std::optional(root_);
    if (!folder) return gone(r);
    const auto done = [folder, one] {
      std::error_code e;
      return one && (fs::exists(*folder / "summary.json", e) || fs::exists(*folder / "scorecard.json", e));
    };
    const auto now = [this, folder, one] { return one ? stamp(*folder) : stamp(look(root_)); };
    auto last = std::make_shared<std::string>(now());
    auto finished = std::make_shared<bool>(done());
    r.set_chunked_content_provider("text/event-stream", [=](size_t, httplib::DataSink& sink) {
      for (int k = 0; k < 20 && watching; ++k) {
        std::this_thread::sleep_for(std::chrono::milliseconds(250));
        const std::string fresh = now();
        if (fresh == *last) continue;
        *last = fresh;
        const bool end = done() && !*finished;
        *finished = *finished || end;
        const std::string word = fmt::format("event: {}\ndata: 1\n\n", end ? "done" : "grown");
        return sink.write(word.data(), word.size());
      }
      return watching && say_alive(sink);
    });
  }

  fs::path root_;
  std::string token_;
  int port_ = 0;
};

}  // namespace

void add_watch(CLI::App& app) {
  struct Arguments {
    std::string folder = "runs";
    int port = 0;
    bool quiet = false;
  };
  auto a = std::make_shared<Arguments>();
  auto* c = app.add_subcommand("watch", "runs and sweeps of a folder in the browser, while they grow");
  c->add_option("folder", a->folder, "the folder that holds them; runs unless given");
  c->add_option("--port", a->port, "on 127.0.0.1; 0: any that is free")->check(CLI::Range(0, 65535));
  c->add_flag("--quiet", a->quiet, "print the address and no more");
  c->callback([a] {
    std::error_code ec;
    const fs::path root = fs::canonical(a->folder, ec);
    if (ec || !fs::is_directory(root)) throw UserError(a->folder, "is no folder", "name one that holds runs");
    Watch(root).serve(a->port, a->quiet);
  });
}

}  // namespace symma
