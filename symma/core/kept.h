// What was made of files, shared while somebody holds it.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace symma {

// When a file was written and how long it is; nothing where that can't be known.
inline std::optional<std::pair<std::filesystem::file_time_type, uintmax_t>> stamp_of(
    const std::string& file) {
  std::error_code ec;
  const auto written = std::filesystem::last_write_time(file, ec);
  const uintmax_t size = ec ? 0 : std::filesystem::file_size(file, ec);
  return ec ? std::nullopt : std::optional(std::pair(written, size));
}

// make() under `key`: the same object while somebody holds it and none of the files has changed. What files
// hold does not depend on who asked first, so that it is kept changes no result. Each caller has its own
// keys.
template <class T, class Make>
std::shared_ptr<const T> kept(const std::string& key, const std::vector<std::string>& files, Make make) {
  struct Kept {
    std::vector<decltype(stamp_of(key))> stamps;
    std::weak_ptr<const T> made;
  };
  static std::mutex lock;
  static std::map<std::string, Kept> all;
  const std::lock_guard guard(lock);
  Kept now;
  bool known = true;
  for (const auto& file : files) known = now.stamps.emplace_back(stamp_of(file)).has_value() && known;
  if (const auto it = all.find(key); known && it != all.end() && it->second.stamps == now.stamps) {
    if (auto there = it->second.made.lock()) return there;
  }
  std::shared_ptr<const T> made = make();
  now.made = made;
  all[key] = std::move(now);
  return made;
}

}  // namespace symma
