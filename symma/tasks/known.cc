#include "symma/tasks/known.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "symma/core/errors.h"

namespace symma {
namespace {

namespace fs = std::filesystem;

class Hash {
 public:
  Hash() { crypto_generichash_init(&state_, nullptr, 0, kBytes); }
  void add(const std::string& bytes) {
    const uint64_t n = bytes.size();  // with its length, so that no two lists of files read alike
    crypto_generichash_update(&state_, reinterpret_cast<const unsigned char*>(&n), sizeof n);
    crypto_generichash_update(&state_, reinterpret_cast<const unsigned char*>(bytes.data()), n);
  }
  void add_file(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) throw UserError(file.string(), "cannot be read", "check its permissions");
    std::vector<char> buffer(1 << 16);
    while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())), in.gcount() > 0)
      crypto_generichash_update(&state_, reinterpret_cast<unsigned char*>(buffer.data()),
                                static_cast<uint64_t>(in.gcount()));
  }
  std::string word() {
    unsigned char out[kBytes];
    crypto_generichash_final(&state_, out, kBytes);
    std::string text;
    for (const unsigned char byte : out) text += fmt::format("{:02x}", byte);
    return text;
  }

 private:
  static constexpr size_t kBytes = 16;
  crypto_generichash_state state_;
};

// The regular files at or below a path, in the order of their places, through links but not around in them.
void files_below(const fs::path& top, std::vector<fs::path> above, std::vector<fs::path>& out) {
  std::error_code ec;
  if (!fs::is_directory(top, ec)) {
    if (fs::is_regular_file(top, ec)) out.push_back(top);
    return;
  }
  const fs::path real = fs::canonical(top, ec);
  if (std::find(above.begin(), above.end(), real) != above.end()) return;
  above.push_back(real);
  std::vector<fs::path> here;
  for (fs::directory_iterator at(top, ec), end; !ec && at != end; at.increment(ec))
    here.push_back(at->path());
  std::sort(here.begin(), here.end());
  for (const auto& path : here) files_below(path, above, out);
}

// Sizes and times, without reading: what tells most changes.
Source look(const fs::path& path, std::vector<fs::path>& files) {
  Source s;
  std::error_code ec;
  s.path = fs::weakly_canonical(fs::absolute(path, ec), ec).string();
  files_below(path, {}, files);
  for (const auto& file : files) {
    ++s.files;
    s.bytes += static_cast<int64_t>(fs::file_size(file, ec));
    // The clock of files counts from another year, in which all of ours are below 0.
    const auto time = std::chrono::file_clock::to_sys(fs::last_write_time(file, ec)).time_since_epoch();
    s.changed =
        std::max<int64_t>(s.changed, std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
  }
  return s;
}

bool same(const Source& was, const fs::path& path) {
  std::vector<fs::path> files;
  const Source now = look(path, files);
  if (now.files != was.files || now.bytes != was.bytes) return false;
  return now.changed == was.changed || source_of(path.string()).hash == was.hash;
}

std::vector<fs::path> places(const Source& s) {
  std::vector<fs::path> out;
  std::error_code ec;
  for (const fs::path& path : {fs::path(s.given), fs::path(s.path)})
    if (fs::exists(path, ec)) out.push_back(path);
  return out;
}

}  // namespace

std::string hash_of(const void* bytes, size_t n) {
  Hash hash;
  hash.add({static_cast<const char*>(bytes), n});
  return hash.word();
}

Source source_of(const std::string& path) {
  std::vector<fs::path> files;
  Source s = look(path, files);
  s.given = path;
  Hash hash;
  for (const auto& file : files) {
    if (files.size() > 1) hash.add(fs::relative(file, path).string());
    hash.add_file(file);
  }
  s.hash = hash.word();
  return s;
}

Json to_json(const std::vector<Source>& sources) {
  Json out = Json::array();
  for (const Source& s : sources)
    out.push_back({{"given", s.given},
                   {"path", s.path},
                   {"files", s.files},
                   {"bytes", s.bytes},
                   {"changed", s.changed},
                   {"hash", s.hash}});
  return out;
}

std::vector<Source> sources_in(const Json& known, const std::string& place) {
  std::vector<Source> out;
  try {
    for (const Json& s : known.at("sources"))
      out.push_back(
          {s.at("given"), s.at("path"), s.at("files"), s.at("bytes"), s.at("changed"), s.at("hash")});
  } catch (const nlohmann::json::exception&) {
    throw UserError(place, "is not what symma train wrote there", "restore it, or train again");
  }
  return out;
}

std::string what_changed(const std::vector<Source>& sources) {
  for (const Source& s : sources) {
    const auto there = places(s);
    if (there.empty()) continue;  // gone is not changed
    if (std::none_of(there.begin(), there.end(), [&](const fs::path& p) { return same(s, p); }))
      return s.given + " has changed";
  }
  return "";
}

std::vector<std::string> locate(const std::vector<Source>& sources) {
  std::vector<std::string> out;
  for (const Source& s : sources) {
    const auto there = places(s);
    if (there.empty())
      throw UserError(s.given, fmt::format("the data of this run are not there, nor at {}", s.path),
                      "put them back, or judge on other data (symma eval --data)");
    const auto it = std::find_if(there.begin(), there.end(), [&](const fs::path& p) { return same(s, p); });
    if (it == there.end())
      throw UserError(there[0].string(), "has changed since this run began",
                      "put it back as it was; what is there now can be judged on (symma eval --data), or "
                      "learned from in a new run");
    out.push_back(it->string());
  }
  return out;
}

}  // namespace symma
