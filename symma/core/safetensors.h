// The safetensors file format: an 8-byte length, a JSON header, raw little-endian tensors.
// Source: https://huggingface.co/docs/safetensors, "Format".
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "symma/core/files.h"
#include "symma/core/tensor.h"

namespace symma {

struct Safetensors {
  TensorDict tensors;
  std::map<std::string, std::string> metadata;
};

// Types float32, float64, int64, int32, uint8 and bool. Replaces the file as a whole.
void write_safetensors(const std::string& path, const Safetensors& content, Readers = Readers::kAll);

// Throws UserError for a file that is missing, truncated, or not safetensors.
Safetensors read_safetensors(const std::string& path);

// The same in memory; `place` names the bytes in what is thrown.
std::string to_safetensors(const Safetensors& content);
Safetensors of_safetensors(std::string_view bytes, const std::string& place);

}  // namespace symma
