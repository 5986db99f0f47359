// symma: many agents that learn how to learn, and share what they have learned.
#include "symma/cli/program.h"

int main(int argc, char** argv) {
  return symma::run_program(argc, argv);
}
