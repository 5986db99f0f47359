// Numbers of arrays and tensors of Python's, as the engine takes them.
#ifndef SYMMA_PYTHON_NUMBERS_H
#define SYMMA_PYTHON_NUMBERS_H

#include "bind.h"
#include "symma/core/errors.h"

namespace symma::python {

// Numbers of an array, read through the buffer protocol: a task of a few points is copied in a microsecond.
class Numbers {
 public:
  Numbers(nb::handle h, const std::string& place) : place_(place) {
    nb::object o = nb::borrow(h);
    if (o.is_none()) throw UserError(place, "is None", "return numpy arrays or tensors");
    if (THPVariable_Check(o.ptr())) {
      tensor_ = THPVariable_Unpack(o.ptr()).detach().cpu().contiguous();
      shape_.assign(tensor_.sizes().begin(), tensor_.sizes().end());
      return;
    }
    if (!open(o)) {
      o = nb::module_::import_("numpy").attr("ascontiguousarray")(o);
      if (!open(o)) {
        o = o.attr("astype")("float64");
        if (!open(o)) throw UserError(place, "is no array of numbers", "return numpy arrays or tensors");
      }
    }
  }
  ~Numbers() {
    if (buffer_.obj) PyBuffer_Release(&buffer_);
  }
  Numbers(const Numbers&) = delete;
  Numbers& operator=(const Numbers&) = delete;

  const std::vector<int64_t>& shape() const { return shape_; }
  bool whole() const { return buffer_.obj ? kind_ == 'i' : at::isIntegralType(tensor_.scalar_type(), true); }

  void copy(float* to) const { each(to); }
  void copy(int64_t* to) const { each(to); }

 private:
  bool open(const nb::object& o) {
    if (PyObject_GetBuffer(o.ptr(), &buffer_, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) != 0) {
      PyErr_Clear();
      buffer_.obj = nullptr;
      return false;
    }
    const std::string format = buffer_.format ? buffer_.format : "B";
    kind_ = format == "f" || format == "d"                                 ? 'f'
            : std::string("?bBhHiIlLqQ").find(format) != std::string::npos ? 'i'
                                                                           : 0;
    code_ = format[0];
    if (!kind_) {
      PyBuffer_Release(&buffer_);
      buffer_.obj = nullptr;
      return false;
    }
    shape_.assign(buffer_.shape, buffer_.shape + buffer_.ndim);
    return true;
  }
  template <class From, class To>
  void cast(const void* from, To* to, int64_t n) const {
    const auto* f = static_cast<const From*>(from);
    for (int64_t i = 0; i < n; ++i) {
      if constexpr (std::is_floating_point_v<From>) {
        if (!std::isfinite(f[i]))
          throw UserError(place_, fmt::format("holds {}", f[i]), "give finite numbers");
      }
      to[i] = static_cast<To>(f[i]);
    }
  }
  template <class To>
  void each(To* to) const {
    if (!buffer_.obj) {
      const Tensor d = tensor_.to(at::kDouble);
      return cast<double>(d.data_ptr(), to, d.numel());
    }
    const int64_t n = buffer_.len / buffer_.itemsize;
    switch (code_) {
      case 'f':
        return cast<float>(buffer_.buf, to, n);
      case 'd':
        return cast<double>(buffer_.buf, to, n);
      case '?':
      case 'B':
        return cast<uint8_t>(buffer_.buf, to, n);
      case 'b':
        return cast<int8_t>(buffer_.buf, to, n);
      case 'h':
        return cast<int16_t>(buffer_.buf, to, n);
      case 'H':
        return cast<uint16_t>(buffer_.buf, to, n);
      case 'i':
        return cast<int32_t>(buffer_.buf, to, n);
      case 'I':
        return cast<uint32_t>(buffer_.buf, to, n);
      case 'L':
      case 'Q':
        return cast<uint64_t>(buffer_.buf, to, n);
      default:
        return cast<int64_t>(buffer_.buf, to, n);
    }
  }

  std::string place_;
  Py_buffer buffer_{};
  Tensor tensor_;
  std::vector<int64_t> shape_;
  char kind_ = 0, code_ = 0;
};

}  // namespace symma::python

#endif
