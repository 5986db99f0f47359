#include "symma/transports/members.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <map>
#include <sstream>

#include "symma/core/errors.h"
#include "symma/core/files.h"
#include "symma/core/tensor.h"

namespace symma {
namespace {

constexpr int64_t kMostMembers = int64_t{1} << 31;

// Lines without what follows a #, by number; empty ones left out.
std::vector<std::pair<int64_t, std::string>> lines_of(const std::string& text) {
  std::vector<std::pair<int64_t, std::string>> out;
  std::istringstream in(text);
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    line = line.substr(0, line.find('#'));
    const size_t last = line.find_last_not_of(" \t\r");
    if (last != std::string::npos) out.emplace_back(number, line.substr(0, last + 1));
  }
  return out;
}

}  // namespace

Key make_key(const std::string& path) {
  TORCH_CHECK(sodium_init() >= 0, "libsodium does not start");
  Key secret{};
  randombytes_buf(secret.data(), secret.size());
  const Key open = public_key(secret);
  const std::string name = std::filesystem::path(path).stem().string();
  const std::string text = fmt::format(
      "# The secret key of {}, made by symma key. Keep it to yourself.\n# Its public key: {}\n{}\n", name,
      text_of(open), text_of(secret));
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const int error = errno;
  if (fd < 0 && error == EEXIST)
    throw UserError(path, "is there already",
                    "see its public key with --show, or remove it where nobody needs it any more");
  if (fd < 0)
    throw UserError(path, std::string("cannot be written: ") + std::strerror(error),
                    "name a folder that is there and that you may write");
  const bool whole =
      ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  ::close(fd);
  if (!whole) {
    ::unlink(path.c_str());
    throw UserError(path, "cannot be written", "free some space");
  }
  return open;
}

Key read_key(const std::string& path) {
  struct stat is {};
  if (::stat(path.c_str(), &is) != 0)
    throw UserError(path, std::string("cannot be read: ") + std::strerror(errno),
                    "name a key file; symma key makes one");
  if (S_ISREG(is.st_mode) && (is.st_mode & 077) != 0)
    throw UserError(path, "can be read by others",
                    "chmod 600 it, after making a new one if they may have read it");
  const auto lines = lines_of(read_file(path));
  const std::optional<Key> key = lines.size() == 1 ? key_of(lines[0].second) : std::nullopt;
  if (!key) throw UserError(path, "is no secret key", "name a key file; symma key makes one");
  return *key;
}

Key public_key_of(const std::string& text, const std::string& place) {
  const std::optional<Key> key = key_of(text);
  if (!key)
    throw UserError(place, "\"" + text + "\" is no public key",
                    "it is 64 characters of 0-9 and a-f; symma key --show prints that of a key file");
  return *key;
}

std::vector<int64_t> agents_of(const std::string& text, const std::string& place) {
  const auto no = [&] {
    return UserError(place, "\"" + text + "\" names no agents", "write them as 12-15, or as 3,8-9");
  };
  std::vector<int64_t> out;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) {
    int64_t a = 0, b = 0;
    const char* const end = part.data() + part.size();
    auto [next, error] = std::from_chars(part.data(), end, a);
    if (error != std::errc() || a < 0) throw no();
    b = a;
    if (next != end) {
      if (*next != '-') throw no();
      const auto [last, bad] = std::from_chars(next + 1, end, b);
      if (bad != std::errc() || last != end) throw no();
    }
    if (b < a || b >= kMostMembers || (!out.empty() && a <= out.back())) throw no();
    // What a line claims is not allocated before it is known to be small.
    if (b - a >= 10'000'000) throw no();
    for (int64_t k = a; k <= b; ++k) out.push_back(k);
  }
  if (out.empty() || text.back() == ',') throw no();
  return out;
}

std::string agents_text(const std::vector<int64_t>& agents) {
  std::string out;
  for (size_t i = 0; i < agents.size();) {
    size_t j = i;
    while (j + 1 < agents.size() && agents[j + 1] == agents[j] + 1) ++j;
    out += fmt::format("{}{}", out.empty() ? "" : ",", agents[i]);
    if (j > i) out += fmt::format("-{}", agents[j]);
    i = j + 1;
  }
  return out;
}

std::vector<Member> read_members(const std::string& path, int64_t agents) {
  std::vector<Member> out;
  std::map<Key, int64_t> keys;
  std::map<int64_t, int64_t> lines;  // of agents
  for (const auto& [number, line] : lines_of(read_file(path))) {
    const std::string place = fmt::format("{}:{}", path, number);
    std::istringstream words(line);
    std::string who, key;
    Member m;
    words >> who >> key >> std::ws;
    std::getline(words, m.name);
    if (key.empty())
      throw UserError(place, "has no public key", "write agents, key and name, such as 12-15 3f...a9 north");
    m.agents = agents_of(who, place);
    m.key = public_key_of(key, place);
    if (m.agents.back() >= agents)
      throw UserError(
          place, fmt::format("names agent {}, and the fleet has {}", m.agents.back(), agents),
          agents == 1 ? "ask for more agents" : fmt::format("agents are numbered 0 to {}", agents - 1));
    if (m.agents.back() - m.agents.front() + 1 != static_cast<int64_t>(m.agents.size()))
      throw UserError(place, "agents of one member stand side by side", "give each stretch a key of its own");
    if (const auto [it, fresh] = keys.emplace(m.key, number); !fresh)
      throw UserError(place, fmt::format("has the key of line {}", it->second), "a key is of one member");
    for (const int64_t a : m.agents)
      if (const auto [it, fresh] = lines.emplace(a, number); !fresh)
        throw UserError(place, fmt::format("names agent {}, as line {} does", a, it->second),
                        "an agent is of one member");
    out.push_back(std::move(m));
  }
  if (out.empty())
    throw UserError(path, "names nobody", "write a line for each who may join: agents, public key, name");
  std::sort(out.begin(), out.end(),
            [](const Member& a, const Member& b) { return a.agents.front() < b.agents.front(); });
  if (out[0].agents.front() == 0)
    throw UserError(path, "gives agent 0 away", "the first process keeps it, and what the list leaves out");
  for (int64_t a = out[0].agents.front(); a < agents; ++a)
    if (!lines.contains(a))
      throw UserError(path, fmt::format("leaves out agent {}, after others that it names", a),
                      "the first process has agents 0 to some other; let members have all after that");
  return out;
}

}  // namespace symma
