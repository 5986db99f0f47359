// What the sources of the extension share: how tensors, settings and errors cross.
//
// at::Tensor is torch.Tensor: the extension is linked to the libtorch that the user's torch brings, so
// nothing is copied and autograd goes through. Settings and rows of the log are JSON here and dicts there.
#ifndef SYMMA_PYTHON_BIND_H  // not by #pragma once: a precompiled copy out of a cache counts as another file
#define SYMMA_PYTHON_BIND_H

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>
#include <torch/csrc/autograd/python_variable.h>

#include "symma/core/options.h"
#include "symma/core/rng.h"
#include "symma/core/tensor.h"
#include "symma/tasks/task.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace nanobind::detail {

template <>
struct type_caster<at::Tensor> {
  NB_TYPE_CASTER(at::Tensor, const_name("torch.Tensor"))
  bool from_python(handle src, uint8_t, cleanup_list*) noexcept {
    if (!THPVariable_Check(src.ptr())) return false;
    value = THPVariable_Unpack(src.ptr());
    return true;
  }
  static handle from_cpp(const at::Tensor& t, rv_policy, cleanup_list*) noexcept {
    return t.defined() ? handle(THPVariable_Wrap(t)) : none().release();
  }
};

}  // namespace nanobind::detail

namespace symma::python {

nb::object to_python(const Json&);
// Whole numbers, numbers, strings, truth, None, and lists and dicts of them; numpy's too. Throws UserError
// that names `place` for all else.
Json from_python(nb::handle, const std::string& place);

nb::dict to_python(const Scores&);

// A tensor or an array of numbers as a tensor on the CPU. Throws UserError at `place`.
Tensor tensor_from(nb::handle, const std::string& place);

Split split_of(const std::string& name);  // throws UserError

// An array of numpy's that shows a tensor's memory, and keeps it alive.
nb::object view_of(const Tensor&, bool writable);

// Calls what is written in Python from wherever the engine is. What it raises goes on as an exception of C++,
// through whichever threads there are, and arrives where the engine was called as itself.
template <class F>
auto in_python(F&& call) {
  nb::gil_scoped_acquire gil;
  return call();
}

// An object of Python's that is let go of with the lock held, from any thread.
std::shared_ptr<nb::object> keep(nb::object);

void bind_fleet(nb::module_&);
void bind_training(nb::module_&);
void bind_federation(nb::module_&);
void bind_worlds(nb::module_&);
void bind_parts(nb::module_&);

}  // namespace symma::python

#endif
