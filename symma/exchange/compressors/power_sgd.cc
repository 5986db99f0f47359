// PowerSGD: the row as a matrix M [m, c], sent as two thin factors: P = M Q, orthogonalised, then Q = M^T P,
// and M is about P Q^T. One step of subspace iteration from Q of the last message. Vogels et al. 2019,
// arXiv:1905.13727.
#include <cmath>

#include "symma/exchange/compressor.h"

namespace symma {
namespace {

class PowerSgd final : public Compressor, public WarmStart {
 public:
  struct Options {
    int64_t rank = 2;
    int64_t rows = 0;
    void fields(Fields& f) {
      f.add("rank", rank, "columns of the factors").at_least(1);
      f.add("rows", rows, "rows of the matrix that a row is folded into; 0 for about its square root")
          .at_least(0);
    }
  };
  explicit PowerSgd(Options o) : o_(o) {}
  bool unbiased() const override { return false; }
  // A projection: |x - C(x)| <= |x|, and no more than that from a cold start.
  double contraction(int64_t) const override { return 0; }

  Bytes encode(const Tensor& row, Rng rng) const override {
    Tensor memory;
    return encode_warm(row, memory, rng);
  }

  Bytes encode_warm(const Tensor& row, Tensor& memory, Rng rng) const override {
    const auto [m, c, rank] = shape(row.size(0));
    const Tensor padded = at::zeros({m * c}, at::kDouble);
    padded.narrow(0, 0, row.size(0)).copy_(row.detach());
    const Tensor matrix = padded.view({m, c});
    TORCH_CHECK(!memory.defined() || (memory.size(0) == c && memory.size(1) == rank), "a memory of ",
                memory.sizes(), " for factors of [", c, ", ", rank, "]");
    // A column that has shrunk to nothing would stay so: it starts anew.
    Tensor q = memory.defined() ? memory.clone() : at::zeros({c, rank}, at::kDouble);
    const Tensor fresh = normal(rng, {c, rank}, at::kDouble);
    for (int64_t j = 0; j < rank; ++j)
      if (!(q.select(1, j).norm().item<double>() > 1e-30)) q.select(1, j).copy_(fresh.select(1, j));
    // What is sent is float, and so is what both sides go on with.
    const Tensor p = orthonormal(at::matmul(matrix, q)).to(at::kFloat);
    const Tensor out = at::matmul(matrix.t(), p.to(at::kDouble)).to(at::kFloat);
    memory = out.to(at::kDouble);
    BitWriter w;
    for (const Tensor& factor : {p, out.contiguous()})
      for (int64_t i = 0; i < factor.numel(); ++i) w.put_float(factor.data_ptr<float>()[i]);
    return w.take();
  }

  Decoded decode(std::span<const uint8_t> bytes, int64_t size) const override {
    const auto [m, c, rank] = shape(size);
    const int64_t expected = 4 * rank * (m + c);
    if (static_cast<int64_t>(bytes.size()) != expected)
      return {{},
              "factors of " + std::to_string(bytes.size()) + " bytes instead of " + std::to_string(expected)};
    BitReader r(bytes);
    Tensor p = at::empty({m, rank}, at::kDouble), q = at::empty({c, rank}, at::kDouble);
    for (const Tensor& factor : {p, q})
      for (int64_t i = 0; i < factor.numel(); ++i) factor.data_ptr<double>()[i] = r.get_float();
    return {at::matmul(p, q.t()).reshape({m * c}).narrow(0, 0, size).clone(), ""};
  }

 private:
  struct Shape {
    int64_t m, c, rank;
  };
  Shape shape(int64_t size) const {
    const int64_t m = o_.rows > 0 ? std::min(o_.rows, size)
                                  : static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(size))));
    const int64_t c = (size + m - 1) / m;
    return {m, c, std::min({o_.rank, m, c})};
  }

  // Gram-Schmidt, twice, column by column; a column that depends on those before it becomes 0.
  static Tensor orthonormal(Tensor a) {
    for (int64_t j = 0; j < a.size(1); ++j) {
      Tensor column = a.select(1, j);
      const double before = column.norm().item<double>();
      for (int pass = 0; pass < 2; ++pass)
        for (int64_t i = 0; i < j; ++i) column.sub_(a.select(1, i) * a.select(1, i).dot(column));
      const double norm = column.norm().item<double>();
      if (norm > 1e-10 * before) {
        column.div_(norm);
      } else {
        column.zero_();
      }
    }
    return a;
  }
  Options o_;
};

SYMMA_REGISTER(Compressor, "power_sgd", PowerSgd, "two thin factors of the row folded into a matrix",
               "Vogels et al. 2019, arXiv:1905.13727");

}  // namespace
}  // namespace symma
