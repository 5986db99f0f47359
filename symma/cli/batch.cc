#include "symma/cli/batch.h"
#include "symma/core/record.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>

#include "symma/cli/commands.h"
#include "symma/cli/processes.h"
#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/parallel.h"
#include "symma/fleet/sweep.h"
#include "symma/report/format.h"
#include "symma/report/sweep_folder.h"

namespace symma {
namespace {

using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t told_to_end = 0;

void on_end(int signal) {
  told_to_end = signal;
}

// A child that is told to save where this program ends, however it ends.
pid_t start(const std::vector<std::string>& arguments, const std::string& log) {
  std::vector<std::string> words{"symma"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const std::vector<char*> argv = argv_of(words);
  const pid_t parent = ::getpid(), pid = ::fork();
  if (pid < 0) throw UserError("symma", "cannot start another process", "lower --jobs");
  if (pid > 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  // Ctrl-C reaches the whole foreground group; this program alone says what it means.
  ::setpgid(0, 0);
  const int to = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const int from = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(from, STDIN_FILENO);
  ::dup2(to, STDOUT_FILENO);
  ::dup2(to, STDERR_FILENO);
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  ::execv("/proc/self/exe", argv.data());
  ::_exit(127);
}

std::string last_line(const std::string& path) {
  std::ifstream in(path);
  std::string line, last;
  while (std::getline(in, line))
    if (!line.empty()) last = line;
  return last.starts_with("symma: ") ? last.substr(7) : last;
}

// Axes of two calls may end in the same word, as learner.order and task.order do, and then share folders.
void refuse_another(const std::string& folder, const Config& file, const Planned& p) {
  const std::string differs = other_settings(folder, laid_over(file, p.settings));
  if (!differs.empty())
    throw UserError(folder, "holds a run of other settings (" + differs + ")",
                    "choose another --out, or remove that folder");
}

int code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace

std::vector<Outcome> run_batch(const Batch& batch, const std::vector<Planned>& plan) {
  make_folder(in_folder(batch.folder, "runs"));
  make_folder(in_folder(batch.folder, "logs"));
  std::vector<Outcome> out(plan.size());
  std::vector<size_t> due;
  const Config file = Config::load(batch.file);
  for (size_t i = 0; i < plan.size(); ++i) {
    const std::string folder = in_folder(batch.folder, "runs/" + plan[i].name);
    if (is_done(folder))
      refuse_another(folder, file, plan[i]);
    else
      due.push_back(i);
  }
  const auto old_int = std::signal(SIGINT, on_end), old_term = std::signal(SIGTERM, on_end);
  const int each =
      batch.threads > 0 ? batch.threads : std::max<int>(1, threads() / static_cast<int>(batch.jobs));
  struct Under {
    size_t run;
    Clock::time_point since;
  };
  std::map<pid_t, Under> under;
  const auto begin = Clock::now();
  size_t next = 0, ended = 0;
  bool passed_on = false;
  if (!batch.quiet && due.size() < plan.size())
    std::fprintf(stderr, "%zu of %zu runs are done already\n", plan.size() - due.size(), plan.size());
  while (next < due.size() || !under.empty()) {
    while (!told_to_end && next < due.size() && under.size() < static_cast<size_t>(batch.jobs)) {
      const Planned& p = plan[due[next]];
      const std::string folder = in_folder(batch.folder, "runs/" + p.name);
      std::vector<std::string> words{"--threads", std::to_string(each), "train", batch.file};
      for (const auto& s : p.settings) words.insert(words.end(), {"--set", s});
      words.insert(words.end(), {"--out", folder, "--resume"});
      if (batch.until < 1) words.insert(words.end(), {"--until", fmt::format("{}", batch.until)});
      const std::string log = in_folder(batch.folder, "logs/" + p.name + ".log");
      std::filesystem::remove(log);
      under[start(words, log)] = {due[next], Clock::now()};
      ++next;
    }
    if (told_to_end && !passed_on) {
      for (const auto& [pid, u] : under) ::kill(pid, SIGTERM);
      passed_on = true;
    }
    if (under.empty()) break;
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, 0);
    const auto it = under.find(pid);
    if (it == under.end()) continue;  // interrupted, or not ours
    const size_t i = it->second.run;
    Outcome& o = out[i];
    o.ran = true;
    o.seconds = std::chrono::duration<double>(Clock::now() - it->second.since).count();
    under.erase(it);
    ++ended;
    if (told_to_end) continue;
    const int code = code_of(status);
    if (code != 0) {
      o.fate = Fate::kFailed;
      o.why = code == -SIGKILL ? "was killed, perhaps for want of memory"
              : code < 0       ? fmt::format("ended by signal {}", -code)
                               : last_line(in_folder(batch.folder, "logs/" + plan[i].name + ".log"));
    } else if (!is_done(in_folder(batch.folder, "runs/" + plan[i].name))) {
      o.fate = Fate::kStopped;
    }
    if (batch.quiet) continue;
    const double spent = std::chrono::duration<double>(Clock::now() - begin).count();
    const double left = spent / static_cast<double>(ended) * static_cast<double>(due.size() - ended);
    std::fprintf(stderr, "run %zu/%zu %s: %s in %s%s\n", plan.size() - due.size() + ended, plan.size(),
                 plan[i].name.c_str(),
                 o.fate == Fate::kFailed    ? ("FAILED, " + o.why).c_str()
                 : o.fate == Fate::kStopped ? "stopped as planned"
                                            : "done",
                 duration(o.seconds).c_str(),
                 ended < due.size() ? ("; about " + duration(left) + " left").c_str() : "");
  }
  std::signal(SIGINT, old_int);
  std::signal(SIGTERM, old_term);
  if (told_to_end) {
    std::fprintf(stderr, "stopped; what was begun is saved. The same command goes on\n");
    std::exit(128 + static_cast<int>(told_to_end));
  }
  return out;
}

}  // namespace symma
