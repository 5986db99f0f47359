// Graphs of operations in the ONNX format (opset 13, IR version 8), written as protocol buffers by hand: the
// messages used are ModelProto, GraphProto, NodeProto, TensorProto, ValueInfoProto and AttributeProto of
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "symma/core/tensor.h"

namespace symma {

class OnnxGraph {
 public:
  using Name = std::string;
  struct Attribute {
    std::string name;
    enum { kInt, kFloat, kInts, kText } kind;
    int64_t i = 0;
    float f = 0;
    std::vector<int64_t> ints = {};
    std::string text = {};
  };
  static Attribute whole(std::string name, int64_t i) { return {std::move(name), Attribute::kInt, i}; }
  static Attribute real(std::string name, float f) { return {std::move(name), Attribute::kFloat, 0, f}; }
  static Attribute list(std::string name, std::vector<int64_t> v) {
    return {std::move(name), Attribute::kInts, 0, 0, std::move(v)};
  }

  // An input or output of the whole; a size is a number, or a word where it is free. Types: kFloat, kDouble,
  // kLong.
  Name input(const Name& name, at::ScalarType, const std::vector<std::string>& sizes);
  void output(const Name& value, const Name& name, at::ScalarType, const std::vector<std::string>& sizes);

  Name constant(const Tensor& value, const std::string& hint = "c");  // float32, float64 or int64
  Name number(double x, at::ScalarType = at::kFloat);
  Name ints(const std::vector<int64_t>& values);
  Name op(const std::string& type, const std::vector<Name>& inputs, const std::vector<Attribute>& = {});

  // What the file says of itself.
  void about(const std::string& key, const std::string& value) { about_[key] = value; }
  std::string bytes(const std::string& name, const std::string& version) const;

 private:
  std::string nodes_, constants_, inputs_, outputs_;
  std::map<std::string, Name> known_;  // small constants, by their bytes
  std::map<std::string, std::string> about_;
  int64_t next_ = 0;
};

}  // namespace symma
