// The extension: symma._engine. Thin; what people call is Python, in python/symma.
#include <ATen/Parallel.h>
#include <dlfcn.h>

#include "bind.h"
#include "symma/core/errors.h"
#include "symma/core/parallel.h"
#include "symma/core/registry.h"
#include "symma/core/version.h"

namespace symma::python {
namespace {

nb::handle user_error;  // symma.UserError, once the package has handed it over

void translate(const std::exception_ptr& p, void*) {
  try {
    std::rethrow_exception(p);
  } catch (const UserError& e) {
    nb::object made = user_error.attr("_of_engine")(e.place(), e.wrong(), e.remedy());
    PyErr_SetObject(user_error.ptr(), made.ptr());
  } catch (const c10::Error& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what_without_backtrace());
  }
}

Json number_or(nb::handle h, const std::string& place) {
  // numpy's scalars say what they are by `item`.
  if (nb::hasattr(h, "item") && nb::hasattr(h, "dtype")) {
    nb::object plain = nb::hasattr(h, "tolist") ? h.attr("tolist")() : h.attr("item")();
    if (!plain.is(h)) return from_python(plain, place);
  }
  if (nb::hasattr(h, "__fspath__")) return from_python(h.attr("__fspath__")(), place);
  throw UserError(place, "is of type " + std::string(Py_TYPE(h.ptr())->tp_name),
                  "settings are numbers, strings, true or false, and lists and dicts of them");
}

Tensor shaped(const std::vector<int64_t>& shape, const std::function<Tensor(at::IntArrayRef)>& draw) {
  for (int64_t n : shape)
    if (n < 0) throw UserError("Key", "a size is negative", "give sizes of 0 or more");
  return draw(shape);
}

nb::object array(const Tensor& t) {
  return view_of(t, true);
}

}  // namespace

nb::object to_python(const Json& j) {
  switch (j.type()) {
    case Json::value_t::null:
      return nb::none();
    case Json::value_t::boolean:
      return nb::bool_(j.get<bool>());
    case Json::value_t::number_integer:
      return nb::int_(j.get<int64_t>());
    case Json::value_t::number_unsigned:
      return nb::int_(j.get<uint64_t>());
    case Json::value_t::number_float:
      return nb::float_(j.get<double>());
    case Json::value_t::string:
      return nb::str(j.get_ref<const std::string&>().c_str());
    case Json::value_t::array: {
      nb::list out;
      for (const auto& item : j) out.append(to_python(item));
      return out;
    }
    default: {
      nb::dict out;
      for (const auto& [key, value] : j.items()) out[nb::str(key.c_str())] = to_python(value);
      return out;
    }
  }
}

Json from_python(nb::handle h, const std::string& place) {
  if (h.is_none()) return Json();
  if (PyBool_Check(h.ptr())) return nb::cast<bool>(h);
  if (PyLong_Check(h.ptr())) {
    int overflow = 0;
    const long long n = PyLong_AsLongLongAndOverflow(h.ptr(), &overflow);
    if (overflow) throw UserError(place, "is a whole number of more than 64 bits", "give a smaller one");
    return static_cast<int64_t>(n);
  }
  if (PyFloat_Check(h.ptr())) return PyFloat_AS_DOUBLE(h.ptr());
  if (PyUnicode_Check(h.ptr())) return nb::cast<std::string>(h);
  if (PyDict_Check(h.ptr())) {
    Json out = Json::object();
    for (auto [key, value] : nb::borrow<nb::dict>(h)) {
      if (!PyUnicode_Check(key.ptr()))
        throw UserError(place, "has a key that is no string", "keys are names of settings");
      const auto name = nb::cast<std::string>(key);
      out[name] = from_python(value, place.empty() ? name : place + "." + name);
    }
    return out;
  }
  if (PyList_Check(h.ptr()) || PyTuple_Check(h.ptr())) {
    Json out = Json::array();
    for (nb::handle item : h) out.push_back(from_python(item, place));
    return out;
  }
  return number_or(h, place);
}

nb::dict to_python(const Scores& scores) {
  nb::dict out;
  for (const auto& [name, t] : scores)
    out[nb::str(name.c_str())] = array(t.to(at::kCPU, at::kDouble).contiguous());
  return out;
}

Split split_of(const std::string& name) {
  for (Split s : {Split::kTrain, Split::kValidation, Split::kTest, Split::kOod})
    if (name == split_name(s)) return s;
  throw UserError("split", "\"" + name + "\" is not known",
                  suggestion(name, {"train", "validation", "test", "ood"}));
}

nb::object view_of(const Tensor& t, bool writable) {
  std::vector<size_t> shape(t.sizes().begin(), t.sizes().end());
  auto* held = new Tensor(t);
  nb::capsule owner(held, [](void* p) noexcept { delete static_cast<Tensor*>(p); });
  const auto show = [&](auto number) -> nb::object {
    using T = decltype(number);
    void* at = t.data_ptr();
    if (writable)
      return nb::cast(nb::ndarray<nb::numpy, T>(at, shape.size(), shape.data(), owner),
                      nb::rv_policy::reference);
    return nb::cast(nb::ndarray<nb::numpy, const T>(at, shape.size(), shape.data(), owner),
                    nb::rv_policy::reference);
  };
  TORCH_CHECK(t.is_contiguous() && t.device().is_cpu(), "only what lies in one piece on the CPU is shown");
  switch (t.scalar_type()) {
    case at::kFloat:
      return show(float{});
    case at::kDouble:
      return show(double{});
    case at::kLong:
      return show(int64_t{});
    case at::kBool:
      return show(bool{});
    default:
      TORCH_CHECK(false, "no view of type ", t.scalar_type());
  }
}

std::shared_ptr<nb::object> keep(nb::object o) {
  return {new nb::object(std::move(o)), [](nb::object* p) {
            if (!Py_IsInitialized()) return;  // after the interpreter there is nobody to give it back to
            nb::gil_scoped_acquire gil;
            delete p;
          }};
}

}  // namespace symma::python

NB_MODULE(_engine, m) {
  using namespace symma;
  using namespace symma::python;
  nb::set_leak_warnings(false);  // parts that Python registered live as long as the process
  m.doc() = "The engine of symma, as it is. Use the package's own functions.";
  m.attr("version") = SYMMA_VERSION;
  nb::register_exception_translator(translate);
  m.def("set_user_error", [](nb::object type) { user_error = type.release(); });
  m.def("threads", &threads);
  m.def("set_threads", [](int n) {
    if (n < 0 || n > 1024)
      throw UserError("threads", std::to_string(n) + " is out of range", "0 (all cores) to 1024");
    nb::gil_scoped_release free;
    set_threads(n);
  });
  m.def("catalog", [] {
    Json all = Json::object();
    for (const auto& [kind, parts] : catalog())
      for (const auto& [name, part] : parts)
        all[kind][name] = {{"summary", part.summary}, {"source", part.source}, {"options", part.options()}};
    return to_python(all);
  });
  m.def("load", [](const std::string& library) {
    if (!dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL))
      throw UserError("load(\"" + library + "\")", dlerror(),
                      "name a shared library that was built against this libsymma");
  });
  nb::class_<Rng>(m, "Key",
                  "A stream of random numbers: a value of 64 bits, split by name and index, never advanced. "
                  "The same key gives the same numbers.")
      .def(nb::init<uint64_t>(), "seed"_a)
      .def(
          "__init__",
          [](Rng* self, nb::handle seed) {
            // numpy's whole numbers, and all else that is none.
            PyObject* index = PyIndex_Check(seed.ptr()) ? PyNumber_Index(seed.ptr()) : nullptr;
            uint64_t value = 0;
            const bool whole = index != nullptr && nb::try_cast<uint64_t>(nb::steal(index), value, false);
            PyErr_Clear();
            if (!whole)
              throw UserError("Key", "a seed is no " + nb::cast<std::string>(nb::repr(seed)),
                              "give a whole number of 0 or more, of 64 bits");
            new (self) Rng(value);
          },
          "seed"_a)
      .def(
          "split", [](const Rng& r, const std::string& name, uint64_t index) { return r.split(name, index); },
          "name"_a, "index"_a = 0,
          "An independent stream, named; splits of equal names and indices are equal.")
      .def_prop_ro("seed", &Rng::key, "The 64 bits, for generators of others.")
      .def(
          "uniform",
          [](const Rng& r, const std::vector<int64_t>& shape, double low, double high) {
            return array(shaped(shape, [&](at::IntArrayRef s) { return uniform(r, s, low, high); }));
          },
          "shape"_a = std::vector<int64_t>{}, "low"_a = 0., "high"_a = 1.,
          "Even numbers of [low, high): float32 array.")
      .def(
          "normal",
          [](const Rng& r, const std::vector<int64_t>& shape) {
            return array(shaped(shape, [&](at::IntArrayRef s) { return normal(r, s); }));
          },
          "shape"_a = std::vector<int64_t>{}, "Numbers of N(0, 1): float32 array.")
      .def(
          "permutation",
          [](const Rng& r, int64_t n) {
            if (n < 0) throw UserError("Key.permutation", "n is negative", "give 0 or more");
            return array(at::tensor(Draws(r).permutation(n), at::kLong));
          },
          "n"_a, "0 ... n - 1 in random order: int64 array.")
      .def(
          "choose",
          [](const Rng& r, int64_t n, int64_t k) {
            if (k < 0 || k > n)
              throw UserError("Key.choose", std::to_string(k) + " of " + std::to_string(n),
                              "choose from 0 to n");
            return array(at::tensor(Draws(r).choose(n, k), at::kLong));
          },
          "n"_a, "k"_a, "k distinct numbers of 0 ... n - 1: int64 array.")
      .def("__eq__", [](const Rng& a, const Rng& b) { return a.key() == b.key(); })
      .def("__hash__", [](const Rng& a) { return a.key(); })
      .def("__repr__", [](const Rng& a) { return "Key(" + std::to_string(a.key()) + ")"; })
      .def("__reduce__", [](nb::handle self) {
        return nb::make_tuple(self.attr("__class__"), nb::make_tuple(self.attr("seed")));
      });
  bind_worlds(m);
  bind_fleet(m);
  bind_training(m);
  bind_federation(m);
  bind_parts(m);
}
