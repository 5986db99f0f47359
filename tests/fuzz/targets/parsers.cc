#include "fuzz/targets/parsers.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "symma/core/csv.h"
#include "symma/core/errors.h"
#include "symma/core/options.h"
#include "symma/core/record.h"
#include "symma/runtime/symma_runtime.h"
#include "symma/tasks/tree.h"
#include "symma/transports/envelope.h"
#ifndef SYMMA_WITHOUT_TENSORS  // clang 14 and 16 can't read libtorch 1.13 in C++20
#include "symma/core/safetensors.h"
#include "symma/exchange/wire.h"
#include "symma/tasks/pictures.h"
#endif

namespace fuzz {
namespace {

using Bytes = std::span<const uint8_t>;

// A file in memory, for parsers that open what they read.
class InMemory {
 public:
  explicit InMemory(Bytes bytes) : fd_(::memfd_create("input", MFD_CLOEXEC)) {
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n = ::write(fd_, bytes.data() + done, bytes.size() - done);
      if (n <= 0) std::abort();
      done += static_cast<size_t>(n);
    }
  }
  ~InMemory() { ::close(fd_); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

std::string text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void table(Bytes bytes) {
  const auto csv = symma::CsvFile::load(InMemory(bytes).path());
  for (size_t r = 0; r < csv.rows.size(); ++r)
    for (size_t c = 0; c < csv.header.size(); ++c) try {
        if (!csv.missing(r, c)) (void)csv.number(r, c);
      } catch (const symma::UserError&) {  // a word
      }
}

void records(Bytes bytes) {
  (void)symma::read_records(InMemory(bytes).path());
}

void json(Bytes bytes) {
  const auto tree = symma::parse_json(text(bytes));
  if (!tree.is_discarded()) (void)tree.dump(-1, ' ', false, symma::Json::error_handler_t::replace);
}

void experiment(Bytes bytes) {
  (void)symma::Config::parse(text(bytes), "input");
}

void archive(Bytes bytes) {
  symma::read_tree(
      InMemory(bytes).path(), [](const auto&) { return true; }, [](const auto&, const auto&) {});
}

void exported(Bytes bytes) {
  const InMemory file(bytes);
  char why[200];
  symma_model* const model = symma_open(file.path().c_str(), 4, 4, why, sizeof why);
  if (!model) return;
  const int64_t in = symma_inputs(model), out = symma_outputs(model);
  if (in > 0 && in < 1000 && out > 0 && out < 1000) {
    const std::vector<double> x(static_cast<size_t>(4 * in), 0.5);
    std::vector<double> y(static_cast<size_t>(4 * out), 0);
    (void)symma_adapt(model, 4, x.data(), y.data(), 2);
    (void)symma_predict(model, 4, x.data(), y.data());
  }
  symma_close(model);
}

void message(Bytes bytes) {
  (void)symma::open(bytes, 3, 12);
}

#ifndef SYMMA_WITHOUT_TENSORS
void tensors(Bytes bytes) {
  const auto read = symma::of_safetensors(text(bytes), "input");
  // What was taken can be written, and read again.
  (void)symma::of_safetensors(symma::to_safetensors(read), "written");
}

void picture(Bytes bytes) {
  (void)symma::read_picture(text(bytes), "input", 8, 3);
}

void letter(Bytes bytes) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    const auto content = symma::unpack(bytes, 2, 4, type);
    if (content && symma::unpack(symma::pack(*content, type), 2, 4, type).has_value() == false)
      throw std::logic_error("a letter that was taken is refused when packed again");
  }
}
#endif

}  // namespace

const std::map<std::string, Target>& parsers() {
  static const std::map<std::string, Target> all{
      {"table", {table, ".csv"}},
      {"records", {records, ".jsonl"}},
      {"json", {json, ".json"}},
      {"experiment", {experiment, ".toml"}},
      {"archive", {archive, ".zip"}},
      {"message", {message, ".message"}},
      {"exported", {exported, ".symma"}},
#ifndef SYMMA_WITHOUT_TENSORS
      {"tensors", {tensors, ".safetensors"}},
      {"picture", {picture, ".png"}},
      {"letter", {letter, ".letter"}},
#endif
  };
  return all;
}

}  // namespace fuzz
