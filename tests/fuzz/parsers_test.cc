// Each parser of files and messages from outside, on a few thousand damaged inputs: it takes them or throws a
// UserError. scripts/fuzz --parsers goes on from here with libFuzzer.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "export/exports.h"
#include "fuzz/mutate.h"
#include "fuzz/targets/parsers.h"
#include "symma/core/errors.h"
#include "symma/exchange/wire.h"
#include "symma/fleet/folder.h"
#include "symma/transports/envelope.h"

namespace fuzz {
namespace {

namespace fs = std::filesystem;

std::string text(const symma::Bytes& bytes) {
  return {bytes.begin(), bytes.end()};
}

std::string a_letter() {
  symma::Content content;
  content.form = symma::Form::kWhole;
  content.behind = {false, true};
  content.again = {true, false};
  content.row = at::tensor({1.0, -2.0, 0.5, 3.0}, at::kDouble);
  return text(symma::pack(content, at::kFloat));
}

std::string a_message() {
  symma::Bytes letters;
  for (int64_t from = 0; from < 3; ++from) {
    symma::Content content;
    content.form = symma::Form::kWhole;
    content.row = at::arange(16, at::kDouble);
    symma::put_letter(letters,
                      {from, {3, 4}, 7, symma::Letter::Kind::kSaid, symma::pack(content, at::kFloat)});
  }
  return text(symma::sealed(0, 0, letters));
}

std::string an_export() {
  const auto e = symma::experiment("agents = 1\n[task]\nkind = \"sinusoid\"\n[model]\nhidden = [4]\n");
  return symma::model_file(symma::exported(e, symma::start_run(e).learner, 0));
}

// What is there to be damaged: of the corpus, and made here for what no corpus has.
std::vector<std::string> whole(const std::string& name, const std::string& ending) {
  if (name == "letter") return {a_letter()};
  if (name == "message") return {a_message()};
  if (name == "exported") return {an_export()};
  if (name == "tensors") {
    symma::Safetensors some;
    some.tensors = {{"a", at::arange(6).view({2, 3})}, {"b", at::ones({2})}};
    some.metadata["of"] = "me";
    return {symma::to_safetensors(some)};
  }
  if (name == "json" || name == "records")
    return {R"({"round":1,"loss":0.5,"of":[1,2,{"a":null}]})"
            "\n"
            R"({"round":2,"loss":1e-3,"of":[]})"
            "\n"};
  std::vector<std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(SYMMA_SOURCE_DIR) / "tests/fuzz/corpus"))
    if (entry.path().extension() == ending) out.push_back(program::slurp(entry.path()));
  return out;
}

class Parsers : public testing::TestWithParam<std::string> {};

TEST_P(Parsers, TakeOrRefuse) {
  const Target& target = parsers().at(GetParam());
  const auto inputs = whole(GetParam(), target.ending);
  ASSERT_FALSE(inputs.empty());
  int taken = 0, refused = 0;
  const auto feed = [&](const std::string& input) {
    try {
      target.parse({reinterpret_cast<const uint8_t*>(input.data()), input.size()});
      ++taken;
    } catch (const symma::UserError&) {
      ++refused;
    } catch (const std::exception& e) {
      const fs::path kept = fs::temp_directory_path() / ("symma_parser_" + GetParam());
      program::spill(kept, input);
      FAIL() << "threw " << e.what() << "; the input is in " << kept;
    }
  };
  for (const auto& input : inputs) feed(input);
  EXPECT_EQ(refused, 0) << "refuses what is whole";
  Dice dice(1);
  for (int i = 0; i < 2000 && !HasFatalFailure(); ++i) {
    std::string input = mutate("x" + target.ending, dice.of(inputs), dice);
    for (size_t k = dice.below(3); k > 0; --k) input = mutate_bytes(input, dice);
    feed(input.substr(0, 1 << 20));
  }
  // What answers by a value refuses without a word; all others must have refused some.
  if (GetParam() != "letter" && GetParam() != "message" && GetParam() != "exported" && GetParam() != "json") {
    EXPECT_GT(refused, 20);
  }
  feed("");
  feed(std::string(1, '\0'));
}

INSTANTIATE_TEST_SUITE_P(, Parsers, testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const auto& [name, target] : parsers()) names.push_back(name);
                           return names;
                         }()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace fuzz
