// symma-engine: every command, over libsymma. What `symma` becomes for whatever takes tensors.
#include <unistd.h>

#include "symma/cli/program.h"
#include "symma/core/pages.h"

int main(int argc, char** argv) {
  symma::keep_pages();
  const int status = symma::run_program(argc, argv, symma::every_command());
#ifdef NDEBUG  // sanitizers report at the end of a whole exit
  // All is written, and what holds files or processes is gone. libtorch would now take down its operators one
  // by one, an eighth of the time of a short command.
  ::_exit(status);
#endif
  return status;
}
