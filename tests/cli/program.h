// Black-box tests of the built program: run it, read what it says and writes.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace program {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

// A folder that is gone when its owner is.
class TempDir {
 public:
  TempDir() {
    std::string name = (fs::temp_directory_path() / "symma_cli_XXXXXX").string();
    if (!::mkdtemp(name.data())) std::abort();
    path_ = name;
  }
  ~TempDir() {
    std::error_code ec;
    fs::remove_all(path_, ec);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string operator/(const std::string& file) const { return (path_ / file).string(); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

inline std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline void spill(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

inline Words lines(const std::string& text) {
  Words out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

inline bool holds(const std::string& text, const std::string& word) {
  return text.find(word) != std::string::npos;
}

struct Result {
  int code = -1;   // exit status; -1 where a signal ended it
  int signal = 0;  // the signal that ended it
  std::string out, err;
};

inline unsigned most_seconds = 300;  // that a process may take, before it is ended

// A program that runs in `folder`. Its standard output and error go to files; `most_seconds` at most;
// `most_bytes` limits the size of any file that it writes, as a full disk would, with EFBIG in place of
// ENOSPC.
class Process {
 public:
  Process(const Words& command, const fs::path& folder, rlim_t most_bytes = RLIM_INFINITY) {
    std::vector<char*> argv;
    for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    const std::string out = said_ / "out", err = said_ / "err";
    pid_ = ::fork();
    if (pid_ != 0) return;
    const int in = ::open("/dev/null", O_RDONLY), o = ::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600),
              e = ::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(in, 0);
    ::dup2(o, 1);
    ::dup2(e, 2);
    ::alarm(most_seconds);
    std::signal(SIGINT, SIG_DFL);
    if (most_bytes != RLIM_INFINITY) {
      std::signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{most_bytes, most_bytes};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    if (::chdir(folder.c_str()) == 0) ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  ~Process() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void send(int signal) const { ::kill(pid_, signal); }

  Result wait() {
    Result r;
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    if (WIFEXITED(status)) r.code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) r.signal = WTERMSIG(status);
    r.out = slurp(said_ / "out");
    r.err = slurp(said_ / "err");
    return r;
  }

 private:
  TempDir said_;
  pid_t pid_ = -1;
};

inline Words command_line(const Words& arguments) {
  Words command{SYMMA_PROGRAM, "--threads", "1"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

inline Result run(const Words& arguments, const fs::path& folder, rlim_t most_bytes = RLIM_INFINITY) {
  return Process(command_line(arguments), folder, most_bytes).wait();
}

// Runs, and fails the test where the program does.
inline Result run_well(const Words& arguments, const fs::path& folder) {
  Result r = run(arguments, folder);
  EXPECT_EQ(r.code, 0) << "signal " << r.signal << "\n" << r.err;
  return r;
}

// What the house asks of every refusal: exit code 2, and one line, the last, that holds all of `words`;
// before it at most the lines of a training that had begun.
inline void expect_refusal(const Result& r, const Words& words, bool began = false) {
  EXPECT_EQ(r.code, 2) << "signal " << r.signal << "\n" << r.err;
  const Words said = lines(r.err);
  ASSERT_FALSE(said.empty());
  if (!began) {
    EXPECT_EQ(said.size(), 1u) << r.err;
  }
  for (size_t i = 0; i + 1 < said.size(); ++i) {
    EXPECT_TRUE(said[i].starts_with("round ") || (i == 0 && holds(said[i], " parameters, topology ")))
        << said[i];
  }
  EXPECT_TRUE(said.back().starts_with("symma: ")) << r.err;
  for (const auto& word : words)
    EXPECT_TRUE(holds(said.back(), word)) << "no \"" << word << "\" in: " << said.back();
}

inline Words files_named(const fs::path& folder, const std::string& ending) {
  Words out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().string().ends_with(ending)) out.push_back(entry.path().string());
  }
  return out;
}

inline void expect_nothing_half_written(const fs::path& folder) {
  EXPECT_EQ(files_named(folder, ".part"), Words{});
}

inline Json json_file(const fs::path& path) {
  Json out = Json::parse(slurp(path), nullptr, false);
  EXPECT_FALSE(out.is_discarded()) << path;
  return out;
}

// A safetensors file, read without the program's own reader: eight bytes of length, a JSON header, the data.
struct Tensors {
  struct One {
    std::string dtype;
    std::vector<int64_t> shape;
    std::string bytes;
    bool operator==(const One&) const = default;
  };
  std::map<std::string, One> tensors;
  Json metadata;
};

inline Tensors read_tensors(const fs::path& path) {
  Tensors out;
  const std::string file = slurp(path);
  uint64_t length = 0;
  if (file.size() >= 8) std::memcpy(&length, file.data(), 8);
  const Json header =
      length > 0 && length <= file.size() - 8 ? Json::parse(file.substr(8, length), nullptr, false) : Json();
  EXPECT_TRUE(header.is_object()) << path;
  if (!header.is_object()) return out;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      out.metadata = entry;
      continue;
    }
    const auto at = entry["data_offsets"].get<std::vector<size_t>>();
    out.tensors[name] = {entry["dtype"], entry["shape"].get<std::vector<int64_t>>(),
                         file.substr(8 + length + at[0], at[1] - at[0])};
  }
  return out;
}

// Waits until `ready` holds; false after a minute.
template <class Ready>
bool wait_until(Ready ready) {
  for (int i = 0; i < 30000; ++i) {
    if (ready()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

inline uint32_t crc32(const std::string& bytes) {
  uint32_t c = 0xFFFFFFFFu;
  for (unsigned char b : bytes) {
    c ^= b;
    for (int k = 0; k < 8; ++k) c = (c >> 1) ^ (c & 1 ? 0xEDB88320u : 0);
  }
  return ~c;
}

// A grey PNG in the plainest form there is: one stored block of deflate (RFC 1950, 1951, 2083). width *
// height < 65,000.
inline std::string png(int width, int height, const std::vector<uint8_t>& grey) {
  const auto big = [](uint32_t x) {
    return std::string{static_cast<char>(x >> 24), static_cast<char>(x >> 16), static_cast<char>(x >> 8),
                       static_cast<char>(x)};
  };
  const auto chunk = [&](const std::string& kind, const std::string& data) {
    return big(static_cast<uint32_t>(data.size())) + kind + data + big(crc32(kind + data));
  };
  std::string raw;
  for (int y = 0; y < height; ++y)
    raw += '\0' + std::string(grey.begin() + y * width, grey.begin() + (y + 1) * width);
  uint32_t a = 1, b = 0;
  for (unsigned char x : raw) {
    a = (a + x) % 65521;
    b = (b + a) % 65521;
  }
  const auto n = static_cast<uint16_t>(raw.size());
  const auto little = [](uint16_t x) {
    return std::string{static_cast<char>(x & 255), static_cast<char>(x >> 8)};
  };
  const std::string stored =
      std::string("\x78\x01\x01") + little(n) + little(static_cast<uint16_t>(~n)) + raw + big(b << 16 | a);
  const std::string head =
      big(static_cast<uint32_t>(width)) + big(static_cast<uint32_t>(height)) + std::string("\x08\0\0\0\0", 5);
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", head) + chunk("IDAT", stored) + chunk("IEND", "");
}

// Drawings as alphabet/character/*.png: a character is a pattern of 4 x 4 patches, an image of it has some
// noise.
inline std::map<std::string, std::string> drawings(int alphabets, int characters, int images) {
  std::map<std::string, std::string> out;
  uint32_t dice = 7;
  const auto draw = [&] { return (dice = dice * 1664525u + 1013904223u) >> 16; };
  for (int a = 0; a < alphabets; ++a) {
    for (int c = 0; c < characters; ++c) {
      std::vector<bool> ink(16);
      for (size_t p = 0; p < 16; ++p) ink[p] = draw() % 2;
      for (int i = 0; i < images; ++i) {
        std::vector<uint8_t> grey(256);
        for (size_t p = 0; p < 256; ++p)
          grey[p] = ((ink[p / 64 * 4 + p % 16 / 4] ? 1u : 0u) ^ (draw() % 10 == 0 ? 1u : 0u)) ? 0 : 255;
        out["alphabet" + std::to_string(a) + "/character" + std::to_string(c) + "/" + std::to_string(i) +
            ".png"] = png(16, 16, grey);
      }
    }
  }
  return out;
}

inline void write_drawings(const fs::path& folder, int alphabets, int characters, int images) {
  for (const auto& [name, bytes] : drawings(alphabets, characters, images)) spill(folder / name, bytes);
}

// A small fleet on sine waves.
inline const std::string kSines = R"(agents = 2
rounds = 20
tasks = 2
[task]
kind = "sinusoid"
[model]
hidden = [8]
[eval]
tasks = 6
steps = [0, 1]
validation_tasks = 4
)";

// Tests of what is refused, each in a folder of its own.
class BadInput : public testing::Test {
 protected:
  // Trains with `text` as the experiment file and expects a refusal that leaves no run behind.
  void refused(const std::string& text, const Words& words, const Words& more = {}) {
    spill(at / "e.toml", text);
    Words command{"train", "e.toml", "--out", "run"};
    command.insert(command.end(), more.begin(), more.end());
    expect_refusal(run(command, at.path()), words);
    EXPECT_FALSE(fs::exists(at / "run")) << "a refused run left its folder";
    fs::remove_all(at / "run");
  }
  void refused_set(const std::string& setting, const Words& words) {
    SCOPED_TRACE(setting);
    refused(kSines, words, {"--set", setting});
  }

  TempDir at;
};

// The same with a run in it.
class BadRun : public BadInput {
 protected:
  void SetUp() override {
    spill(at / "e.toml", kSines);
    run_well({"train", "e.toml", "--out", "run"}, at.path());
    whole = slurp(at / "run/checkpoint.safetensors");
    summary = slurp(at / "run/summary.json");
  }
  // This checkpoint is refused by name, by `eval` and where asked by --resume, and it and the summary stay as
  // they are.
  void refused_checkpoint(const std::string& bytes, const Words& words, bool resume = false) {
    spill(at / "run/checkpoint.safetensors", bytes);
    Words all = words;
    all.push_back("run/checkpoint.safetensors");
    expect_refusal(run({"eval", "run"}, at.path()), all);
    if (resume) expect_refusal(run({"train", "--resume", "--out", "run"}, at.path()), all, true);
    EXPECT_EQ(slurp(at / "run/checkpoint.safetensors"), bytes);
    EXPECT_EQ(slurp(at / "run/summary.json"), summary);
    expect_nothing_half_written(at.path());
  }

  std::string whole, summary;
};

}  // namespace program
