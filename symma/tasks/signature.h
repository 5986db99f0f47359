// What goes into a model and comes out of it, in the words and the units of the data.
#pragma once

#include <string>
#include <vector>

namespace symma {

struct Signature {
  std::string form;                                // of an input, in words
  std::vector<std::string> inputs;                 // its columns' names; empty where they have none
  std::vector<double> input_shift, input_scale;    // what a model sees is (x - shift) / scale; empty: x
  std::string target;                              // the name of what is predicted
  std::vector<double> target_shift, target_scale;  // a prediction is shift + scale y; empty: y
  std::vector<std::string> labels;  // classes in the order of the outputs; empty where each task has its own
  // Of players: what they do, by name, in the order of the outputs. Where they set numbers, how those come
  // from the outputs ("clipped", "squashed"), and the bounds, the same for every player; else empty.
  std::vector<std::string> actions;
  std::string head;
  std::vector<double> low, high;
};

// Optional: a family that knows it.
class HasSignature {
 public:
  virtual ~HasSignature() = default;
  virtual Signature signature() const = 0;
};

}  // namespace symma
