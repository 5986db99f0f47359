// libFuzzer's entry: the parser that SYMMA_TARGET names, such as SYMMA_TARGET="table". Built by scripts/fuzz.
#include "fuzz/targets/parsers.h"
#include "symma/core/errors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto& target = fuzz::parsers().at(SYMMA_TARGET);
  try {
    target.parse({data, size});
  } catch (const symma::UserError&) {
  }
  return 0;
}
