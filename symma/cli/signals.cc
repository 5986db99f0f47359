#include "symma/cli/signals.h"

#include <csignal>

#include "symma/core/interrupt.h"

namespace symma {
namespace {

volatile std::sig_atomic_t stopping = 0, saving = 0;

// What asks for an end is heard soon, and all is saved first; the same again ends the program at once.
void on_stop(int signal) {
  stopping = signal;
  ask_to_stop();
  std::signal(signal, SIG_DFL);
}

void on_save(int) {
  saving = 1;
}

}  // namespace

void listen_to_signals() {
  const auto on = [](int signal, void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    ::sigaction(signal, &action, nullptr);
  };
  on(SIGINT, on_stop);
  on(SIGTERM, on_stop);
  on(SIGXCPU, on_stop);  // ulimit -t
  // Under nohup a terminal may go.
  struct sigaction before {};
  if (::sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) on(SIGHUP, on_stop);
  on(SIGUSR1, on_save);
}

int stopped_by() {
  return stopping;
}

bool save_asked() {
  const bool asked = saving != 0;
  saving = 0;
  return asked;
}

}  // namespace symma
