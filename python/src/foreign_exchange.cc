// Aggregators and compressors written in Python.
#include "foreign.h"
#include "symma/core/errors.h"

namespace symma::python {
namespace {

class ForeignAggregator : public Aggregator {
 public:
  ForeignAggregator(const nb::object& o, std::string name) : name_(std::move(name)), object_(keep(o)) {
    const Json l = told(o, "laws");
    laws_ = {l["robust"], l["translation"], l["scale"], l["permutation"], l["needs_rows"]};
  }
  Laws laws() const override { return laws_; }
  int64_t most_bad(int64_t n) const override {
    return in_python([&] { return nb::cast<int64_t>(object_->attr("most_bad")(n)); });
  }
  Tensor combine(const Inputs& in, Rng rng) const override {
    const Tensor row = in_python([&] {
      return tensor_from(object_->attr("combine")(in.rows, in.bad, in.centre, rng), name_ + ".combine");
    });
    if (row.dim() != 1 || row.size(0) != in.rows.size(1))
      throw UserError(name_ + ".combine", "returned shape " + words(row.sizes().vec()),
                      fmt::format("[{}] would be right", in.rows.size(1)));
    return row.to(in.rows.options());
  }

 private:
  std::string name_;
  Object object_;
  Laws laws_;
};

class ForeignCompressor : public Compressor {
 public:
  ForeignCompressor(const nb::object& o, std::string name) : name_(std::move(name)), object_(keep(o)) {}
  Bytes encode(const Tensor& row, Rng rng) const override {
    return in_python([&] {
      const nb::object bytes = object_->attr("encode")(row, rng);
      if (!PyBytes_Check(bytes.ptr()))
        throw UserError(name_ + ".encode", "returned no bytes", "return bytes");
      const auto* at = reinterpret_cast<const uint8_t*>(PyBytes_AS_STRING(bytes.ptr()));
      return Bytes(at, at + PyBytes_GET_SIZE(bytes.ptr()));
    });
  }
  Decoded decode(std::span<const uint8_t> bytes, int64_t size) const override {
    const Tensor row = in_python([&] {
      const nb::object told =
          object_->attr("decode")(nb::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size()), size);
      return told.is_none() ? Tensor() : tensor_from(told, name_ + ".decode");
    });
    if (!row.defined()) return {{}, name_ + ".decode returned None"};
    if (row.dim() != 1 || row.size(0) != size)
      return {{},
              fmt::format("{}.decode returned shape {}, and [{}] would be right", name_,
                          words(row.sizes().vec()), size)};
    return {row.to(at::kDouble), ""};
  }
  bool unbiased() const override {
    return in_python([&] { return nb::cast<bool>(object_->attr("unbiased")); });
  }
  double contraction(int64_t size) const override {
    return in_python([&] { return nb::cast<double>(object_->attr("contraction")(size)); });
  }

 private:
  std::string name_;
  Object object_;
};

}  // namespace

std::unique_ptr<Aggregator> foreign_aggregator(const nb::object& o, const std::string& name) {
  return std::make_unique<ForeignAggregator>(o, name);
}

std::unique_ptr<Compressor> foreign_compressor(const nb::object& o, const std::string& name) {
  return std::make_unique<ForeignCompressor>(o, name);
}

}  // namespace symma::python
