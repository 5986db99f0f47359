#include "symma/nn/model.h"

namespace symma {

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
