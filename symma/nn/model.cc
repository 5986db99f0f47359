#include "symma/nn/model.h"

#include <atomic>

namespace symma {
namespace {

std::atomic<int64_t> blocks_of{0};  // 0: by the model

}  // namespace

int64_t piece_size(const Model& model, at::Device device) {
  if (!device.is_cpu()) return std::clamp<int64_t>((int64_t{1} << 27) / model.layout().size(), 1, 1 << 16);
  return std::clamp<int64_t>((int64_t{1} << 18) / model.layout().size(), 1, 256);
}

int64_t block_size(const Model& model) {
  const int64_t set = blocks_of;
  return set > 0 ? set : piece_size(model);
}

BlocksOf::BlocksOf(int64_t agents) {
  blocks_of = agents;
}
BlocksOf::~BlocksOf() {
  blocks_of = 0;
}

std::vector<Rng> split_keys(Rng rng, std::string_view name, int64_t n) {
  std::vector<Rng> out;
  out.reserve(n);
  for (int64_t i = 0; i < n; ++i) out.push_back(rng.split(name, static_cast<uint64_t>(i)));
  return out;
}

std::vector<Rng> split_each(std::span<const Rng> keys, std::string_view name, uint64_t index) {
  std::vector<Rng> out;
  out.reserve(keys.size());
  for (const Rng& key : keys) out.push_back(key.split(name, index));
  return out;
}

int64_t Layout::Entry::size() const {
  int64_t n = 1;
  for (int64_t s : shape) n *= s;
  return n;
}

int64_t Layout::add(std::string name, std::vector<int64_t> shape, bool buffer) {
  entries_.push_back({std::move(name), std::move(shape), size_, buffer});
  size_ += entries_.back().size();
  return entries_.back().offset;
}

const Layout::Entry& Layout::at(const std::string& name) const {
  for (const auto& e : entries_) {
    if (e.name == name) return e;
  }
  TORCH_CHECK(false, "layout has no entry ", name);
}

Tensor Layout::view(const Tensor& theta, const std::string& name) const {
  const Entry& e = at(name);
  std::vector<int64_t> shape{theta.size(0)};
  shape.insert(shape.end(), e.shape.begin(), e.shape.end());
  return theta.narrow(1, e.offset, e.size()).reshape(shape);
}

std::vector<Tensor> Layout::split(const Tensor& theta) const {
  std::vector<int64_t> sizes;
  for (const auto& e : entries_) sizes.push_back(e.size());
  std::vector<Tensor> parts = at::split_with_sizes(theta, sizes, 1);
  for (size_t i = 0; i < parts.size(); ++i) {
    std::vector<int64_t> shape{theta.size(0)};
    shape.insert(shape.end(), entries_[i].shape.begin(), entries_[i].shape.end());
    parts[i] = parts[i].view(shape);
  }
  return parts;
}

}  // namespace symma
