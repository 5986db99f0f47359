// Letters without waiting for a round: of each agent the newest, as long as it is not too old.
#pragma once

#include <algorithm>
#include <utility>

#include "symma/exchange/transport.h"

namespace symma {

// An ability of transports.
class Newest {
 public:
  virtual ~Newest() = default;
  // The newest letter of this kind of each of `from`, of round `oldest` or later. Waits for those who have
  // sent none, as long as the transport is patient, and for none where `oldest` is 0 or less. A letter is
  // there until a newer one has come.
  virtual Post newest(Letter::Kind, int64_t oldest, std::span<const int64_t> from) = 0;
};

// What agents say is taken as it comes, up to `staleness` rounds old; all else waits as ever. So no process
// is more than that ahead of one that it hears.
class FreeRunning final : public Transport {
 public:
  // `letters` and `newest` are one transport.
  FreeRunning(Transport& letters, Newest& newest, int64_t staleness)
      : letters_(letters), newest_(newest), staleness_(staleness) {}
  Roster roster() override { return letters_.roster(); }
  void send(Letter letter) override { letters_.send(std::move(letter)); }
  Post collect(Letter::Kind kind, int64_t round, std::span<const int64_t> from) override {
    return kind == Letter::Kind::kSaid ? newest_.newest(kind, round - staleness_, from)
                                       : letters_.collect(kind, round, from);
  }

 private:
  Transport& letters_;
  Newest& newest_;
  int64_t staleness_;
};

}  // namespace symma
