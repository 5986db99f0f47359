#include "symma/transports/letter_box.h"

#include <set>
#include <utility>

namespace symma {

const LetterBox::Held& LetterBox::held(size_t part) const {
  static const Held nothing;
  const auto it = held_.find(part);
  return it == held_.end() ? nothing : it->second;
}

bool LetterBox::has(Letter::Kind kind, int64_t round, int64_t from) const {
  return entries_.contains({kind, round, from});
}

void LetterBox::put(Letter letter, size_t part) {
  take(letter.kind, letter.round, letter.from);
  Held& held = held_[part];
  ++held.letters, held.bytes += static_cast<int64_t>(letter.bytes.size());
  const Key key{letter.kind, letter.round, letter.from};
  entries_.emplace(key, Entry{std::move(letter), part});
}

Letter LetterBox::out(Entries::iterator it) {
  Held& held = held_[it->second.part];
  --held.letters, held.bytes -= static_cast<int64_t>(it->second.letter.bytes.size());
  Letter letter = std::move(it->second.letter);
  entries_.erase(it);
  return letter;
}

std::optional<Letter> LetterBox::take(Letter::Kind kind, int64_t round, int64_t from) {
  const auto it = entries_.find({kind, round, from});
  if (it == entries_.end()) return std::nullopt;
  return out(it);
}

Post LetterBox::take(Letter::Kind kind, int64_t round, std::span<const int64_t> from) {
  Post post;
  for (const int64_t f : from) {
    if (auto letter = take(kind, round, f))
      post.came.push_back(std::move(*letter));
    else
      post.missing.push_back(f);
  }
  const auto end = entries_.lower_bound({kind, round, INT64_MIN});
  for (auto it = entries_.lower_bound({kind, INT64_MIN, INT64_MIN}); it != end;) out(it++);
  return post;
}

void LetterBox::settle(Letter::Kind kind, int64_t round, std::vector<int64_t>& open) const {
  std::set<int64_t> there;
  for (auto it = entries_.lower_bound({kind, round, INT64_MIN});
       it != entries_.end() && std::get<0>(it->first) == kind; ++it)
    there.insert(std::get<2>(it->first));
  std::erase_if(open, [&](int64_t f) { return there.contains(f); });
}

Post LetterBox::newest(Letter::Kind kind, int64_t oldest, std::span<const int64_t> from) {
  std::map<int64_t, int64_t> last;  // round of the newest, by sender
  for (auto it = entries_.lower_bound({kind, INT64_MIN, INT64_MIN});
       it != entries_.end() && std::get<0>(it->first) == kind; ++it)
    last[std::get<2>(it->first)] = std::get<1>(it->first);
  erase_if([&](const Key& key, const Entry&) {
    return std::get<0>(key) == kind && std::get<1>(key) < last.at(std::get<2>(key));
  });
  Post post;
  for (const int64_t f : from) {
    const auto it = last.find(f);
    if (it == last.end() || it->second < oldest)
      post.missing.push_back(f);
    else
      post.came.push_back(entries_.at({kind, it->second, f}).letter);
  }
  return post;
}

void LetterBox::erase_if(const std::function<bool(const Key&, const Entry&)>& f) {
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto here = it++;
    if (f(here->first, here->second)) out(here);
  }
}

void LetterBox::forget(Letter::Kind kind) {
  erase_if([&](const Key& key, const Entry&) { return std::get<0>(key) == kind; });
}

bool LetterBox::forget_oldest(size_t part) {
  const auto rank = [](const Key& key) {
    const Letter::Kind kind = std::get<0>(key);
    return std::pair(kind == Letter::Kind::kGather || kind == Letter::Kind::kTold, std::get<1>(key));
  };
  auto oldest = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it)
    if (it->second.part == part && std::get<1>(it->first) >= 0 &&
        (oldest == entries_.end() || rank(it->first) < rank(oldest->first)))
      oldest = it;
  if (oldest == entries_.end()) return false;
  out(oldest);
  return true;
}

void LetterBox::forget_part(size_t part) {
  erase_if([&](const Key&, const Entry& entry) { return entry.part == part; });
}

}  // namespace symma
