// Signals that ask a training to end, or to save: heard soon, and all is saved first.
#pragma once

namespace symma {

// From here on SIGINT, SIGTERM, SIGHUP (not under nohup) and SIGXCPU are kept here and asked for by name; the
// same again ends the program at once.
void listen_to_signals();
// Which one came; 0: none.
int stopped_by();
// Whether SIGUSR1 came since it was asked last.
bool save_asked();

}  // namespace symma
