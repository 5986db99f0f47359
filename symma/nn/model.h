// A network, without its parameters: a pure function of rows.
//
// Row b of theta [B, P] holds all parameters of network b, laid out as `layout()` says. Row b works on x[b]
// alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "symma/core/registry.h"
#include "symma/core/rng.h"
#include "symma/core/tensor.h"

namespace symma {

// Where each parameter stands in a row.
class Layout {
 public:
  struct Entry {
    std::string name;            // "layer0.weight"
    std::vector<int64_t> shape;  // row-major within the row
    int64_t offset;
    bool buffer;  // a statistic, not learned: no gradient reaches it
    int64_t size() const;
  };

  // Appends an entry, and returns its offset.
  int64_t add(std::string name, std::vector<int64_t> shape, bool buffer = false);
  int64_t size() const { return size_; }  // P
  const std::vector<Entry>& entries() const { return entries_; }
  const Entry& at(const std::string& name) const;  // aborts where there is none

  // View of one entry in all rows, [B, shape...].
  Tensor view(const Tensor& theta /*[B, P]*/, const std::string& name) const;

  // All entries in all rows, in their order, [B, shape...] each. One operation for autograd, whose backward
  // writes each row once; the backward of view() writes a whole row for each entry.
  std::vector<Tensor> split(const Tensor& theta /*[B, P]*/) const;

 private:
  std::vector<Entry> entries_;
  int64_t size_ = 0;
};

// Whether a forward pass belongs to learning or to being judged. Only batch norm tells them apart.
enum class Mode { kTrain, kEval };

// Every layout ends with "head.weight" [F, out] and, but for `tabular` and `compartment`, "head.bias" [out]:
// the last linear layer over F features. That of `ranking` makes the outputs beyond its things alone.
class Model {
 public:
  virtual ~Model() = default;
  virtual const Layout& layout() const = 0;
  virtual Tensor init(std::span<const Rng> keys) const = 0;  // [B, P]: row b drawn from keys[b] alone
  virtual Tensor forward(const Tensor& theta /*[B,P]*/, const Tensor& x /*[B,K,in...]*/,
                         Mode) const = 0;  // [B, K, out]
  virtual Tensor features(const Tensor& theta /*[B,P]*/, const Tensor& x /*[B,K,in...]*/,
                          Mode) const = 0;  // [B, K, F]
};

// Optional: a model whose rows carry statistics of what they have seen (batch norm's running mean and
// variance).
class HasStatistics {
 public:
  virtual ~HasStatistics() = default;
  // The statistics' part of the rows moved toward those of x: [B, P], other columns as in theta.
  virtual Tensor observe(const Tensor& theta /*[B,P]*/, const Tensor& x /*[B,K,in...]*/) const = 0;
  virtual std::string protocol() const = 0;  // "transductive" or "running"
};

// What a model is made for: the sizes of one input, and the number of outputs.
struct ModelShape {
  std::vector<int64_t> in;  // {1}, or {28, 28, 1} (height, width, channels)
  int64_t out = 1;
};

using ModelRegistry = Registry<Model, const ModelShape&>;

// How many rows are worked on together: small nets are bound by the cost of starting operations and want
// many, big ones by the cache and want few. It goes by the model and the device, so results don't depend on
// threads. On a device, where starting an operation costs the same for thousands of rows, they are hundreds
// of times as many.
int64_t piece_size(const Model&, at::Device = at::kCPU);

// Agents whose rows may meet in one operation. A fleet is cut into blocks by the agents' numbers: agent a is
// in block a / block_size. Whatever is worked on stays inside a block, so libtorch and BLAS see the same
// shapes, and give the same bits, wherever the block is: in the whole fleet, alone, or in another process,
// which owns whole blocks.
int64_t block_size(const Model&);

// While it lives, blocks have `agents` agents: for tests, whose fleets would all fit in one.
class BlocksOf {
 public:
  explicit BlocksOf(int64_t agents);
  ~BlocksOf();
  BlocksOf(const BlocksOf&) = delete;
  BlocksOf& operator=(const BlocksOf&) = delete;
};

// n keys, key i split from `rng` by `name` and i.
std::vector<Rng> split_keys(Rng rng, std::string_view name, int64_t n);
// Each key split by `name`.
std::vector<Rng> split_each(std::span<const Rng> keys, std::string_view name, uint64_t index = 0);

}  // namespace symma
