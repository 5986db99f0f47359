#include "symma/core/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/options.h"
#include "symma/core/record.h"

namespace symma {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

const std::map<std::string, at::ScalarType>& types() {
  static const std::map<std::string, at::ScalarType> t = {{"F32", at::kFloat}, {"F64", at::kDouble},
                                                          {"I64", at::kLong},  {"I32", at::kInt},
                                                          {"U8", at::kByte},   {"BOOL", at::kBool}};
  return t;
}

constexpr uint64_t kMostBytes = uint64_t{1} << 50;

std::string type_word(at::ScalarType type) {
  for (const auto& [word, t] : types()) {
    if (t == type) return word;
  }
  TORCH_CHECK(false, "safetensors: no word for type ", type);
}

}  // namespace

namespace {

// The head of a file, and its tensors where they are: a fleet's state is large.
struct Laid {
  std::string head;
  std::vector<Tensor> held;
  std::vector<std::string_view> parts() const {
    std::vector<std::string_view> out{head};
    for (const Tensor& t : held) out.emplace_back(static_cast<const char*>(t.data_ptr()), t.nbytes());
    return out;
  }
};

Laid laid_out(const Safetensors& content) {
  Laid out;
  Json header = Json::object();
  if (!content.metadata.empty()) header["__metadata__"] = content.metadata;
  size_t end = 0;
  for (const auto& [name, tensor] : content.tensors) {
    out.held.push_back(tensor.detach().to(at::kCPU).contiguous());
    const Tensor& t = out.held.back();
    const size_t begin = end;
    end += t.nbytes();
    header[name] = {
        {"dtype", type_word(t.scalar_type())}, {"shape", t.sizes().vec()}, {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data starts aligned
  const uint64_t length = text.size();
  out.head = std::string(reinterpret_cast<const char*>(&length), 8) + text;
  return out;
}

}  // namespace

void write_safetensors(const std::string& path, const Safetensors& content, Readers readers) {
  const Laid laid = laid_out(content);
  write_file(path, laid.parts(), readers);
}

std::string to_safetensors(const Safetensors& content) {
  const Laid laid = laid_out(content);
  std::string out;
  for (const std::string_view part : laid.parts()) out += part;
  return out;
}

Safetensors read_safetensors(const std::string& path) {
  return of_safetensors(read_file(path), path);
}

Safetensors of_safetensors(std::string_view bytes, const std::string& path) {
  const auto bad = [&](const std::string& why) {
    return UserError(
        path, why,
        "it may be cut short or from another program; name a checkpoint.safetensors that symma wrote");
  };
  uint64_t length = 0;
  if (bytes.size() < 8) throw bad("is too short for a safetensors file");
  std::memcpy(&length, bytes.data(), 8);
  if (length > bytes.size() - 8) throw bad("is not a safetensors file, or is truncated in its header");
  const Json header = parse_json(std::string_view(bytes).substr(8, length));
  if (!header.is_object()) throw bad("has no safetensors header");
  const size_t start = 8 + length;
  Safetensors out;
  std::map<uint64_t, uint64_t> taken;  // where tensors begin and end: none may lie upon another
  try {
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") {
        out.metadata = entry.get<std::map<std::string, std::string>>();
        continue;
      }
      const auto word = entry.at("dtype").get<std::string>();
      if (!types().contains(word)) throw bad("holds type " + word + ", which is not read here");
      for (const char* key : {"shape", "data_offsets"}) {
        for (const auto& n : entry.at(key)) {
          if (!n.is_number_unsigned() || n.get<uint64_t>() > kMostBytes)
            throw bad("has a size that is none in tensor " + name);
        }
      }
      const auto shape = entry.at("shape").get<std::vector<int64_t>>();
      const auto offsets = entry.at("data_offsets").get<std::array<uint64_t, 2>>();
      // The shape is untrusted: check the byte count before anything of that size is allocated.
      uint64_t count = 1, steps = 1;
      for (int64_t n : shape) {
        // Steps from row to row must be numbers too, where a size is 0.
        const auto size = static_cast<uint64_t>(n);
        if (__builtin_mul_overflow(steps, std::max<uint64_t>(size, 1), &steps) || steps > kMostBytes)
          throw bad("has an impossible shape in tensor " + name);
        count *= size;
      }
      if (offsets[1] < offsets[0] || offsets[1] > bytes.size() - start)
        throw bad("is truncated: tensor " + name + " is not whole");
      if (__builtin_mul_overflow(count, static_cast<uint64_t>(at::elementSize(types().at(word))), &count) ||
          count != offsets[1] - offsets[0]) {
        throw bad("has sizes that do not agree for tensor " + name);
      }
      if (offsets[1] > offsets[0]) {
        const auto after = taken.lower_bound(offsets[0]);
        const bool upon = (after != taken.end() && after->first < offsets[1]) ||
                          (after != taken.begin() && std::prev(after)->second > offsets[0]);
        if (upon) throw bad("has tensors that lie upon each other: " + name);
        taken[offsets[0]] = offsets[1];
      }
      // A byte of an untrusted file need not be a bool.
      const bool truths = types().at(word) == at::kBool;
      Tensor t = at::empty(shape, truths ? at::kByte : types().at(word));
      if (t.nbytes() > 0) std::memcpy(t.data_ptr(), bytes.data() + start + offsets[0], t.nbytes());
      out.tensors[name] = truths ? t.ne(0) : t;
    }
  } catch (const nlohmann::json::exception&) {
    throw bad("has a header that is not of safetensors' form");
  }
  return out;
}

}  // namespace symma
