#include "fuzz/child.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>

#include "symma/cli/program.h"

#if defined(__SANITIZE_ADDRESS__)
#define SYMMA_SANITIZED 1
#else
#define SYMMA_SANITIZED 0
#endif

namespace fuzz {
namespace {

constexpr double kMostMegabytes = 2048;
// What may be resident: under the address sanitizer also its shadow, an eighth of what was touched, and what
// was freed and is held back for a while, 256 MB.
constexpr double kMostResident = SYMMA_SANITIZED ? 1.125 * (kMostMegabytes + 256) : kMostMegabytes;

double processor_seconds(pid_t pid) {
  clockid_t clock{};
  timespec t{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &t) != 0) return 0;
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

[[noreturn]] void be(const std::vector<std::string>& arguments, const fs::path& folder, int said) {
  const int in = ::open("/dev/null", O_RDONLY), out = ::open("/dev/null", O_WRONLY);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(said, 2);
  // What it may take before it is told that there is no more: twice what it should.
  const rlimit most{static_cast<rlim_t>(2 * kMostMegabytes) << 20, static_cast<rlim_t>(2 * kMostMegabytes)
                                                                       << 20};
  if (!SYMMA_SANITIZED) ::setrlimit(RLIMIT_DATA, &most);
  const rlimit no_core{0, 0}, file{1 << 28, 1 << 28};
  ::setrlimit(RLIMIT_CORE, &no_core);
  std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &file);
  if (::chdir(folder.c_str()) != 0) ::_exit(120);
  std::vector<char*> argv{const_cast<char*>("symma"), const_cast<char*>("--threads"), const_cast<char*>("1")};
  for (const auto& word : arguments) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::_exit(symma::run_program(static_cast<int>(argv.size()) - 1, argv.data(), symma::every_command()));
}

}  // namespace

Ending run(const std::vector<std::string>& arguments, const fs::path& folder, double patience) {
  const int said = ::memfd_create("said", MFD_CLOEXEC);
  const auto start = std::chrono::steady_clock::now();
  const pid_t pid = ::fork();
  if (pid < 0) std::abort();
  if (pid == 0) be(arguments, folder, said);
  Ending e;
  int status = 0;
  rusage used{};
  for (int wait_us = 200;; wait_us = std::min(wait_us * 2, 20000)) {
    if (::wait4(pid, &status, WNOHANG, &used) == pid) break;
    const double clock = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double spent = std::max(processor_seconds(pid), clock / 3);
    if (!e.asked && spent > patience) e.asked = true, ::kill(pid, SIGTERM);
    if (!e.hung && spent > 2 * patience + 6) e.hung = true, ::kill(pid, SIGKILL);
    ::usleep(static_cast<useconds_t>(wait_us));
  }
  if (WIFEXITED(status)) e.code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) e.signal = WTERMSIG(status);
  e.seconds = static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
              1e-6 * static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
  e.megabytes = static_cast<double>(used.ru_maxrss) / 1024;
  const off_t size = ::lseek(said, 0, SEEK_END);
  e.said.resize(static_cast<size_t>(std::min<off_t>(size, 1 << 20)));
  if (!e.said.empty() && ::pread(said, e.said.data(), e.said.size(), 0) < 0) e.said.clear();
  ::close(said);
  return e;
}

std::string fault(const Ending& e, bool long_is_wrong) {
  if (e.hung) return "hung, and did not hear SIGTERM";
  if (e.asked && long_is_wrong) return "took longer than it may";
  if (e.asked && (e.signal == SIGTERM || e.code == 128 + SIGTERM)) return "";
  if (e.signal != 0) return "ended by signal " + std::to_string(e.signal);
  if (e.megabytes > kMostResident) return "held " + std::to_string(e.megabytes) + " MB";
  if (e.code == 0) return "";
  if (e.code != 2) return "exit " + std::to_string(e.code);
  // The last line is ours, short, and can be shown.
  std::string last = e.said;
  if (last.empty() || last.back() != '\n') return "a refusal without a line";
  last.pop_back();
  last = last.substr(last.rfind('\n') + 1);
  if (last.rfind("symma: ", 0) != 0) return "a refusal in other words than ours";
  if (last.size() > 700) return "a refusal of " + std::to_string(last.size()) + " bytes";
  for (const char c : last)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return "a control character in a refusal";
  // What is quoted is the user's own.
  std::string ours;
  bool quoted = false;
  for (const char c : last) {
    if (c == '"') quoted = !quoted;
    if (!quoted) ours += c;
  }
  for (const char* foreign : {"json.exception", "c10", "at::", "std::", "Exception raised", "basic_string"})
    if (ours.find(foreign) != std::string::npos) return std::string("a refusal in foreign words: ") + foreign;
  return "";
}

}  // namespace fuzz
