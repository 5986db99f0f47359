// Writes the texts of answers.h: answers_main FILE. Part of the build alone.
#include "symma/cli/program.h"
#include "symma/cli/write_answers.h"

int main(int, char** argv) {
  return symma::run_guarded([&] {
    symma::write_answers(argv[1]);
    return 0;
  });
}
