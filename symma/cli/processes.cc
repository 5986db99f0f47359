#include "symma/cli/processes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <tuple>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/transports/zmq.h"

namespace symma {
namespace {

constexpr int kMostAgain = 3;

volatile std::sig_atomic_t asked_to_end = 0;

void on_terminate(int) {
  asked_to_end = 1;
}

// A port of this machine that nobody listens at.
int free_port() {
  const int s = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(a);
  const bool ok = ::bind(s, reinterpret_cast<sockaddr*>(&a), size) == 0 &&
                  ::getsockname(s, reinterpret_cast<sockaddr*>(&a), &size) == 0;
  ::close(s);
  if (!ok) throw UserError("processes", "no port of this machine is free", "end some programs");
  return ntohs(a.sin_port);
}

// The words that this program was called with, but for those that are the parent's alone.
std::vector<std::string> own_words() {
  std::vector<std::string> words;
  std::string word;
  for (const char c : read_file("/proc/self/cmdline")) {
    if (c != '\0') {
      word += c;
      continue;
    }
    words.push_back(word);
    word.clear();
  }
  std::vector<std::string> out;
  for (size_t i = 0; i < words.size(); ++i) {
    const bool parents = words[i] == "--processes" || words[i] == "--threads";
    if (parents) ++i;  // and its value
    if (parents || words[i].starts_with("--processes=") || words[i].starts_with("--threads=")) continue;
    out.push_back(words[i]);
  }
  return out;
}

// The secret that all processes of a user's fleets share, from a file that only the user can read. The first
// process makes it where it is not there yet.
std::string secret_of_user(const TransportOptions& o, bool first) {
  namespace fs = std::filesystem;
  std::string path = o.key;
  if (path.empty()) {
    const char *config = std::getenv("XDG_CONFIG_HOME"), *home = std::getenv("HOME");
    if ((config == nullptr || *config == '\0') && (home == nullptr || *home == '\0'))
      throw UserError("transport.key", "is not set, and there is no home to keep a key in",
                      "name a file that all processes of the fleet can read");
    path = (config != nullptr && *config != '\0' ? fs::path(config) : fs::path(home) / ".config") / "symma" /
           "fleet.key";
    if (first && !fs::exists(path)) {
      make_folder(fs::path(path).parent_path().string());
      const std::string beside = path + fmt::format(".{}", ::getpid()), secret = new_secret() + "\n";
      const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600);
      const bool ok =
          fd >= 0 && ::write(fd, secret.data(), secret.size()) == static_cast<ssize_t>(secret.size());
      if (fd >= 0) ::close(fd);
      // Whoever is first makes it; all read what is there then.
      if (ok) (void)!::link(beside.c_str(), path.c_str());
      ::unlink(beside.c_str());
    }
    for (int k = 0; k < 100 && !fs::exists(path); ++k)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    throw UserError(path, "is not there",
                    "copy it from the first process's machine, or name another with transport.key");
  if ((info.st_mode & 077) != 0)
    throw UserError(path, "can be read by others",
                    "chmod 600 it, after making a new one if they may have read it");
  std::string secret = read_file(path);
  while (!secret.empty() && std::isspace(static_cast<unsigned char>(secret.back()))) secret.pop_back();
  if (secret.size() < 32)
    throw UserError(path, "is no key: it has fewer than 32 characters",
                    "remove it, and a new one will be made");
  return secret;
}

}  // namespace

int64_t processes_here() {
  for (const char* name :
       {"SYMMA_PLACES", "LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"})
    if (const char* value = std::getenv(name)) return std::max(1, std::atoi(value));
  return 1;
}

std::vector<char*> argv_of(std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

int start_processes(int64_t processes, int threads) {
  std::vector<std::string> words = own_words();
  words.emplace_back("--threads");
  words.push_back(std::to_string(threads));
  const std::vector<char*> arguments = argv_of(words);
  ::setenv("SYMMA_PLACES", std::to_string(processes).c_str(), 1);
  ::setenv("SYMMA_PORT", std::to_string(free_port()).c_str(), 1);
  ::setenv("SYMMA_SECRET", new_secret().c_str(), 1);
  std::vector<std::vector<char>> places;
  std::vector<pid_t> children;
  const pid_t parent = ::getpid();
  const auto begin = [&](int64_t p) {
    ::setenv("SYMMA_PLACE", std::to_string(p).c_str(), 1);
    const pid_t child = ::fork();
    if (child < 0) throw UserError("processes", "no more can be started", "start fewer");
    if (child == 0) {
      std::signal(SIGINT, SIG_DFL);
      std::signal(SIGTERM, SIG_DFL);
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      if (::getppid() != parent) ::_exit(1);
      ::execv("/proc/self/exe", arguments.data());
      ::_exit(127);
    }
    return child;
  };
  for (int64_t p = 0; p < processes; ++p) children.push_back(begin(p));
  std::vector<int> again(processes, 0);  // how often each was started anew
  // Ctrl-C reaches the children by themselves, and they end as one process does; so does what ends this one.
  std::signal(SIGINT, SIG_IGN);
  struct sigaction end {};
  end.sa_handler = on_terminate;
  ::sigaction(SIGTERM, &end, nullptr);
  int first = 1, left = static_cast<int>(processes);
  while (left > 0) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, 0);
    if (pid < 0) {
      if (errno != EINTR) break;
      if (asked_to_end != 0)
        for (const pid_t child : children)
          if (child > 0) ::kill(child, SIGTERM);
      continue;
    }
    const auto it = std::find(children.begin(), children.end(), pid);
    if (it == children.end()) continue;
    const int64_t place = it - children.begin();
    *it = 0;
    const bool back = place > 0 && WIFSIGNALED(status) && asked_to_end == 0 && WTERMSIG(status) != SIGTERM &&
                      WTERMSIG(status) != SIGINT && again[place] < kMostAgain;
    if (WIFSIGNALED(status))
      std::fprintf(stderr, "\nsymma: process %ld of %ld was ended by signal %d%s\n", static_cast<long>(place),
                   static_cast<long>(processes), WTERMSIG(status),
                   back        ? "; it is started again, and takes up its agents as they were saved"
                   : place > 0 ? "; the others go on without its agents"
                               : "");
    if (back) {
      ++again[place];
      *it = begin(place);
      continue;
    }
    --left;
    if (place == 0) first = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    // Without the first nobody goes on; who still waits for it to come up need not.
    if (place == 0 && first != 0)
      for (const pid_t child : children)
        if (child > 0) ::kill(child, SIGTERM);
  }
  return first;
}

std::pair<std::string, int64_t> host_and_port(const std::string& address, const std::string& place) {
  const std::string head = "tcp://", s = address.starts_with(head) ? address.substr(head.size()) : address;
  const size_t colon = s.rfind(':');
  const std::string host = s.substr(0, colon), port = colon == std::string::npos ? "" : s.substr(colon + 1);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (host.empty() || host.find('/') != std::string::npos || error != std::errc() ||
      end != port.data() + port.size() || number < 1 || number > 65535)
    throw UserError(place, "is \"" + address + "\"", "write host:port, such as 10.0.0.5:7000");
  return {host, number};
}

std::unique_ptr<Transport> meet_others(const Launch& launch, const TransportOptions& o,
                                       const std::vector<std::vector<int64_t>>& shares) {
  Meeting m;
  m.place = launch.place;
  m.parts = shares;
  m.patience = o.patience;
  m.start = o.start;
  if (!launch.host.empty()) m.host = launch.host;
  m.port = launch.port;
  if (!o.first.empty()) {
    std::tie(m.host, m.port) = host_and_port(o.first, "transport.first");
  } else if (launch.host == "?") {
    throw UserError("transport.first", launch.by + " does not say on which machine the first process runs",
                    "set it to that machine's name and a free port, as host:port");
  }
  m.secret = launch.secret.empty() ? secret_of_user(o, launch.place == 0) : launch.secret;
  return meet(m);
}

}  // namespace symma
