// symma-engine: every command, over libsymma. What `symma` becomes for whatever takes tensors.
#include "symma/cli/program.h"

int main(int argc, char** argv) {
  return symma::run_program(argc, argv, symma::every_command());
}
