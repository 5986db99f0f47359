// Parts written in Python, each an object of Python behind the engine's interface. Calls come from any of the
// engine's threads and take the interpreter's lock; what an object raises arrives as itself where the engine
// was called. `name` is the part's, for messages.
#ifndef SYMMA_PYTHON_FOREIGN_H
#define SYMMA_PYTHON_FOREIGN_H

#include "bind.h"
#include "symma/envs/env.h"
#include "symma/exchange/aggregator.h"
#include "symma/exchange/compressor.h"
#include "symma/learners/learner.h"

namespace symma::python {

using Object = std::shared_ptr<nb::object>;

std::unique_ptr<TaskFamily> foreign_family(const nb::object&, const std::string& name);
std::unique_ptr<Env> foreign_world(const nb::object&, const std::string& name, int64_t copies);
std::unique_ptr<Model> foreign_model(const nb::object&, const std::string& name);
std::unique_ptr<Learner> foreign_learner(const nb::object&, const std::string& name);
std::unique_ptr<Aggregator> foreign_aggregator(const nb::object&, const std::string& name);
std::unique_ptr<Compressor> foreign_compressor(const nb::object&, const std::string& name);

// A shape, for people: "[3, 4]".
inline std::string words(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// What an object says of itself, as settings.
inline Json told(const nb::object& o, const char* name) {
  return from_python(o.attr(name), name);
}

}  // namespace symma::python

#endif
