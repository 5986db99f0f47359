// Letters that have come and were not asked for yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "symma/exchange/transport.h"

namespace symma {

class LetterBox {
 public:
  // How much of one part lies here.
  struct Held {
    size_t letters = 0;
    int64_t bytes = 0;
  };
  const Held& held(size_t part) const;

  bool has(Letter::Kind, int64_t round, int64_t from) const;
  // A letter of part `part`. One of the same kind, round and sender is replaced.
  void put(Letter, size_t part);
  // Takes one out, if it is there.
  std::optional<Letter> take(Letter::Kind, int64_t round, int64_t from);
  // The letters of a round from each of `from`. What came too late for its round is of no use to a later one,
  // and goes.
  Post take(Letter::Kind, int64_t round, std::span<const int64_t> from);
  // Erases from `open` those of whom something of this round or a later one is here: lines keep the order, so
  // that who has said something later will not say this any more.
  void settle(Letter::Kind, int64_t round, std::vector<int64_t>& open) const;
  // The newest letter of each of `from`, of round `oldest` or later, which stays; older ones of theirs go.
  Post newest(Letter::Kind, int64_t oldest, std::span<const int64_t> from);
  void forget(Letter::Kind);
  void forget_part(size_t part);
  // Makes room: forgets a part's letter of the oldest round, of exchanges before all else; none of what is
  // said before all rounds. False where there is none.
  bool forget_oldest(size_t part);

 private:
  using Key = std::tuple<Letter::Kind, int64_t, int64_t>;  // kind, round, sender
  struct Entry {
    Letter letter;
    size_t part = 0;
  };
  using Entries = std::map<Key, Entry>;
  Letter out(Entries::iterator);
  void erase_if(const std::function<bool(const Key&, const Entry&)>&);

  Entries entries_;
  std::map<size_t, Held> held_;  // by part
};

}  // namespace symma
