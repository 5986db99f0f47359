// symma: many agents that learn how to learn, and share what they have learned.
//
// The program itself holds what needs no tensors, and no libtorch, which takes half a second of processor
// time to load: pages and tables of runs, the list of parts, help. For all else it becomes the engine's
// program, with the same words, in the same process.
#include "symma/cli/front.h"
#include "symma/cli/program.h"

int main(int argc, char** argv) {
  return symma::run_guarded([&] { return symma::run_front(argc, argv, symma::kAnswers, SYMMA_ENGINE); });
}
