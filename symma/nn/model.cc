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

}  // namespace symma
