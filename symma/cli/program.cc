#include "symma/cli/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <new>
#include <sstream>
#include <system_error>

#include "symma/cli/commands.h"
#include "symma/core/errors.h"
#include "symma/core/version.h"

namespace symma {
namespace {

// Where a standard stream is closed, the next file would take its place, and be written into by mistake.
void open_standard_streams() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) == -1 && errno == EBADF && ::open("/dev/null", O_RDWR) < 0) return;
  }
}

int refuse(const std::string& why) {
  std::fprintf(stderr, "symma: %s\n", one_line(why).c_str());
  return 2;
}

// What was written to standard output has arrived, or the program did not do what it was asked to.
int delivered(int status, int error) {
  if (std::fflush(stdout) != 0) error = errno;
  std::cout.flush();  // what CLI11 prints
  if (std::ferror(stdout) == 0 && std::cout.good()) return status;
  if (error == EPIPE) return 128 + SIGPIPE;
  const std::string why = error != 0 ? std::string(": ") + std::strerror(error) : "";
  return std::max(
      status, refuse("standard output: cannot be written" + why + "; free some space, or write elsewhere"));
}

}  // namespace

void make_parser(CLI::App& app, const Commands& commands) {
  app.name("symma");  // whatever path it was called by
  app.description("symma: many agents that learn how to learn, and share what they have learned");
  app.set_version_flag("--version", SYMMA_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  const auto threads = std::make_shared<int>(0);
  const auto libraries = std::make_shared<std::vector<std::string>>();
  app.add_option("--threads", *threads,
                 "threads to use; 0: all processors that it may use. Results do not depend on it")
      ->check(CLI::Range(0, 1024));
  app.add_option("--load", *libraries, "shared libraries with parts of your own")
      ->take_all()
      ->allow_extra_args(false);
  app.parse_complete_callback([threads, libraries, begin = commands.begin] {
    if (begin) begin(*threads, *libraries);
  });
  commands.add(app);
}

std::string one_line(const std::string& text, size_t most) {
  std::string out;
  const auto continues = [&](size_t at) { return at < text.size() && (text[at] & 0xC0) == 0x80; };
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const size_t n = c < 0x80                ? 1
                     : c >= 0xC2 && c < 0xE0 ? 2
                     : c >= 0xE0 && c < 0xF0 ? 3
                     : c >= 0xF0 && c < 0xF5 ? 4
                                             : 0;
    bool whole = n > 0;
    for (size_t k = 1; k < n; ++k) whole = whole && continues(i + k);
    // U+0080 to U+009F are controls too, and some terminals obey them.
    const bool control =
        c < 0x20 || c == 0x7F || (c == 0xC2 && whole && static_cast<unsigned char>(text[i + 1]) < 0xA0);
    if (!whole || control)
      out += c == '\n' || c == '\t' || c == '\r' ? ' ' : '?';
    else
      out.append(text, i, n);
    i += whole ? n : 1;
  }
  if (out.size() <= most) return out;
  const auto middle = [&](size_t at) { return (out[at] & 0xC0) == 0x80; };
  size_t left = most / 2, right = out.size() - most / 2;
  while (left > 0 && middle(left)) --left;
  while (right < out.size() && middle(right)) ++right;
  return out.substr(0, left) + " ... " + out.substr(right);
}

int run_command(int argc, char** argv, const Commands& commands) {
  CLI::App app;
  make_parser(app, commands);
  // Told here, since CLI11 says only that some argument was not expected.
  std::vector<std::string> known;
  for (const auto* c : app.get_subcommands([](CLI::App*) { return true; })) known.push_back(c->get_name());
  if (argc > 1 && argv[1][0] != '-' && std::find(known.begin(), known.end(), argv[1]) == known.end()) {
    return refuse("\"" + one_line(argv[1], 100) + "\" is not a command; " + suggestion(argv[1], known));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    std::ostringstream out, err;
    const int status = app.exit(e, out, err);
    std::fputs(out.str().c_str(), stdout);
    return status;
  } catch (const CLI::ParseError& e) {
    return refuse(one_line(e.what(), 400) + "; see symma --help");
  }
  return 0;
}

int run_program(int argc, char** argv, const Commands& commands) {
  return run_guarded([&] { return run_command(argc, argv, commands); });
}

int run_guarded(const std::function<int()>& act) {
  open_standard_streams();
  // A reader that had enough is an error of writing like any other: what a run learned is saved first.
  std::signal(SIGPIPE, SIG_IGN);
  int status = 1, error = 0;
  try {
    status = act();
  } catch (const Stopped& by) {
    status = 128 + by.signal;
  } catch (const UserError& e) {
    status = refuse(e.what());
  } catch (const std::filesystem::filesystem_error& e) {
    status = refuse(e.path1().string() + ": " + e.code().message() + "; check the path and its permissions");
  } catch (const std::exception& e) {
    const auto* system = dynamic_cast<const std::system_error*>(&e);
    // libtorch's own words go on with a stack; the first line is the reason.
    const std::string all = e.what(), why = all.substr(0, all.find('\n'));
    const bool memory = dynamic_cast<const std::bad_alloc*>(&e) ||
                        dynamic_cast<const std::length_error*>(&e) ||
                        why.find("allocate memory") != std::string::npos ||
                        why.find("Storage size calculation overflowed") != std::string::npos;
    if (system && std::ferror(stdout)) {
      status = 0, error = system->code().value();
    } else if (memory) {
      status = refuse("not enough memory; ask for fewer agents, tasks, shots or parameters");
    } else {
      std::fprintf(stderr, "symma: internal error: %s\n", one_line(why).c_str());
    }
  }
  return delivered(status, error);
}

}  // namespace symma
