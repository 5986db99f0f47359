// The parsers of files and messages from outside, one by one: bytes in, nothing out. A UserError is an
// answer; anything else that leaves a parser is a fault.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>

namespace fuzz {

using Parser = std::function<void(std::span<const uint8_t>)>;

// By name; and of each the ending of the files that it reads, for corpora and for damage by form.
struct Target {
  Parser parse;
  std::string ending;
};
const std::map<std::string, Target>& parsers();

}  // namespace fuzz
