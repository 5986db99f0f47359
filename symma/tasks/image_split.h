// Who learns from which classes of images, and who is judged on which.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "symma/core/options.h"

namespace symma {

struct ImageSplitOptions {
  std::string split_by = "alphabet", deal = "alphabet";
  std::vector<std::string> train_alphabets, validation_alphabets, test_alphabets, ood_alphabets;
  double validation_fraction = 0.1, test_fraction = 0.2;
  void fields(Fields&);
};

// Classes by their numbers. No class is in two of the four.
struct ImageSplit {
  std::vector<std::vector<int64_t>> train;  // by agent
  std::vector<int64_t> train_all, validation, test, ood;
};

// Where classes rather than alphabets are kept apart, validation and test get `ways` of them at least.
// `alphabet_of` [classes] are places in `alphabets`. Where the test is in files of its own, `has_test` is
// false: no class is kept for it. Depends on names, their order and the options, not on any seed. Throws
// UserError for names that are unknown or in two lists, for too few classes, and for too many agents.
ImageSplit split_images(const std::vector<int64_t>& alphabet_of, const std::vector<std::string>& alphabets,
                        const ImageSplitOptions&, int64_t agents, int64_t ways, bool has_test);

}  // namespace symma
