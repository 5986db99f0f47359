// symma-engine: every command, over libsymma. What `symma` becomes for whatever takes tensors.
#include "symma/cli/program.h"
#include "symma/core/pages.h"

int main(int argc, char** argv) {
  symma::keep_pages();
  return symma::run_program(argc, argv, symma::every_command());
}
