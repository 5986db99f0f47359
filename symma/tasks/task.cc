#include "symma/tasks/task.h"

namespace symma {

const char* split_name(Split split) {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kValidation:
      return "validation";
    case Split::kTest:
      return "test";
    case Split::kOod:
      return "ood";
  }
  TORCH_CHECK(false, "no such split");
}

}  // namespace symma
