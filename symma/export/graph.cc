#include "symma/export/graph.h"

#include <cstring>

namespace symma {
namespace {

// Protocol buffers: a field is a tag (number, wire type) and a varint (0), or bytes with their length (2), or
// four bytes (5). https://protobuf.dev/programming-guides/encoding
void varint(std::string& out, uint64_t x) {
  while (x >= 128) out += static_cast<char>((x & 127) | 128), x >>= 7;
  out += static_cast<char>(x);
}
void int_field(std::string& out, uint64_t field, int64_t x) {
  varint(out, field << 3);
  varint(out, static_cast<uint64_t>(x));
}
void bytes_field(std::string& out, uint64_t field, const std::string& x) {
  varint(out, field << 3 | 2);
  varint(out, x.size());
  out += x;
}
void float_field(std::string& out, uint64_t field, float x) {
  varint(out, field << 3 | 5);
  out.append(reinterpret_cast<const char*>(&x), 4);
}

// TensorProto.DataType
int64_t data_type(at::ScalarType t) {
  switch (t) {
    case at::kFloat:
      return 1;
    case at::kLong:
      return 7;
    case at::kDouble:
      return 11;
    default:
      TORCH_CHECK(false, "onnx: no such type here");
  }
}

std::string value_info(const std::string& name, at::ScalarType type, const std::vector<std::string>& sizes) {
  std::string shape;
  for (const auto& size : sizes) {
    std::string dim;
    if (size.find_first_not_of("0123456789") == std::string::npos)
      int_field(dim, 1, std::stoll(size));  // dim_value
    else
      bytes_field(dim, 2, size);  // dim_param
    bytes_field(shape, 1, dim);
  }
  std::string tensor, kind, out;
  int_field(tensor, 1, data_type(type));
  bytes_field(tensor, 2, shape);
  bytes_field(kind, 1, tensor);
  bytes_field(out, 1, name);
  bytes_field(out, 2, kind);
  return out;
}

}  // namespace

OnnxGraph::Name OnnxGraph::input(const Name& name, at::ScalarType type,
                                 const std::vector<std::string>& sizes) {
  bytes_field(inputs_, 11, value_info(name, type, sizes));
  return name;
}

void OnnxGraph::output(const Name& value, const Name& name, at::ScalarType type,
                       const std::vector<std::string>& sizes) {
  std::string node;
  bytes_field(node, 1, value);
  bytes_field(node, 2, name);
  bytes_field(node, 4, "Identity");
  bytes_field(nodes_, 1, node);
  bytes_field(outputs_, 12, value_info(name, type, sizes));
}

OnnxGraph::Name OnnxGraph::constant(const Tensor& value, const std::string& hint) {
  const Tensor t = value.detach().to(at::kCPU).contiguous();
  std::string tensor;
  for (int64_t n : t.sizes()) int_field(tensor, 1, n);
  int_field(tensor, 2, data_type(t.scalar_type()));
  bytes_field(tensor, 9, {static_cast<const char*>(t.data_ptr()), t.nbytes()});  // raw_data, little-endian
  const auto [it, fresh] = known_.emplace(tensor, "");
  if (!fresh) return it->second;
  it->second = hint + std::to_string(next_++);
  bytes_field(tensor, 8, it->second);
  bytes_field(constants_, 5, tensor);
  return it->second;
}

OnnxGraph::Name OnnxGraph::number(double x, at::ScalarType type) {
  return constant(at::full({}, x, type));
}

OnnxGraph::Name OnnxGraph::ints(const std::vector<int64_t>& values) {
  return constant(at::tensor(values, at::kLong));
}

OnnxGraph::Name OnnxGraph::op(const std::string& type, const std::vector<Name>& inputs,
                              const std::vector<Attribute>& attributes) {
  const Name out = type + "_" + std::to_string(next_++);
  std::string node;
  for (const auto& in : inputs) bytes_field(node, 1, in);
  // A GRU's first output is every step's state, its second the last one.
  if (type == "GRU") bytes_field(node, 2, "");
  bytes_field(node, 2, out);
  bytes_field(node, 4, type);
  for (const Attribute& a : attributes) {
    std::string one;
    bytes_field(one, 1, a.name);
    switch (a.kind) {  // AttributeProto: f = 2, i = 3, s = 4, ints = 8, type = 20
      case Attribute::kFloat:
        float_field(one, 2, a.f);
        int_field(one, 20, 1);
        break;
      case Attribute::kInt:
        int_field(one, 3, a.i);
        int_field(one, 20, 2);
        break;
      case Attribute::kText:
        bytes_field(one, 4, a.text);
        int_field(one, 20, 3);
        break;
      case Attribute::kInts:
        for (int64_t i : a.ints) int_field(one, 8, i);
        int_field(one, 20, 7);
        break;
    }
    bytes_field(node, 5, one);
  }
  bytes_field(nodes_, 1, node);
  return out;
}

std::string OnnxGraph::bytes(const std::string& name, const std::string& version) const {
  std::string graph = nodes_, opset, out;
  bytes_field(graph, 2, name);
  graph += constants_ + inputs_ + outputs_;
  int_field(opset, 2, 13);
  int_field(out, 1, 8);  // ir_version
  bytes_field(out, 2, "symma");
  bytes_field(out, 3, version);
  bytes_field(out, 7, graph);
  bytes_field(out, 8, opset);
  for (const auto& [key, value] : about_) {
    std::string entry;
    bytes_field(entry, 1, key);
    bytes_field(entry, 2, value);
    bytes_field(out, 14, entry);
  }
  return out;
}

}  // namespace symma
