// Tensors to a file and back, of every type that a State may hold.
#include "symma/core/safetensors.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "symma/core/errors.h"
#include "symma/core/files.h"

namespace symma {
namespace {

std::string temporary(const std::string& name) {
  return (std::filesystem::temp_directory_path() / ("symma_safetensors_" + name)).string();
}

TEST(Safetensors, EveryTypeComesBack) {
  Safetensors in;
  for (at::ScalarType type : {at::kFloat, at::kDouble, at::kLong, at::kInt, at::kByte, at::kBool})
    in.tensors[at::toString(type)] = at::tensor({0., 1., 3., 0., 7., 1.}).view({2, 3}).to(type);
  in.tensors["empty"] = at::empty({0, 4});
  in.tensors["scalar"] = at::full({}, 2.5);
  in.metadata["who"] = "symma";
  const std::string path = temporary("types");
  write_safetensors(path, in);
  const Safetensors out = read_safetensors(path);
  EXPECT_EQ(out.metadata, in.metadata);
  ASSERT_EQ(out.tensors.size(), in.tensors.size());
  for (const auto& [name, t] : in.tensors) {
    EXPECT_EQ(out.tensors.at(name).scalar_type(), t.scalar_type()) << name;
    EXPECT_TRUE(at::equal(out.tensors.at(name), t)) << name;
  }
  std::filesystem::remove(path);
}

TEST(Safetensors, AByteThatIsNoTruthValueIsTakenForTrue) {
  const std::string path = temporary("bool");
  const std::string header = R"({"b":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})";
  std::string bytes(8, '\0');
  bytes[0] = static_cast<char>(header.size());
  write_file(path, bytes + header + std::string("\0\1\2", 3));
  EXPECT_TRUE(at::equal(read_safetensors(path).tensors.at("b"), at::tensor({0, 1, 1}).to(at::kBool)));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace symma
