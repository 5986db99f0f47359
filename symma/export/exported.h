// What leaves a run: one agent's model, with all that a reader needs to feed it and to understand it.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "symma/core/options.h"
#include "symma/fleet/experiment.h"
#include "symma/learners/descends.h"
#include "symma/nn/kernels/shape.h"
#include "symma/tasks/signature.h"

namespace symma {

struct Exported {
  const Experiment& of;
  int64_t agent = 0, steps = 0;  // steps: of adaptation, unless told otherwise
  Tensor row;                    // [P]
  Signature signature;
  std::optional<MlpShape> mlp;         // where the model is a perceptron
  std::optional<DescentRule> descent;  // how it adapts, where that is plain gradient descent

  const Json& model() const { return of.settings["model"]; }
  Tensor parameter(const std::string& name) const;  // in its shape
  int64_t in() const;                               // numbers in one input
};

Exported exported(const Experiment&, const State&, int64_t agent);

// The same in words, for a file's metadata: model, its settings, what goes in and comes out, how it adapts.
// JSON where a value is more than a word.
std::map<std::string, std::string> about(const Exported&);

// Files: the program's own for devices (runtime/model_file.h), source in C99, and ONNX; of the model alone,
// or of `steps` steps of adapting too, with the examples as inputs. Throw UserError for what a form cannot
// hold.
std::string model_file(const Exported&);
std::string c_source(const Exported&);
std::string onnx_model(const Exported&);
std::string onnx_adapting(const Exported&, int64_t steps);

}  // namespace symma
