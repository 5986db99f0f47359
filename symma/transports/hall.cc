#include "symma/transports/hall.h"

#include <algorithm>
#include <chrono>

#include "symma/transports/free_running.h"

namespace symma {

class Hall::Seat final : public Transport, public Newest {
 public:
  Seat(Hall& hall, size_t me) : hall_(hall), me_(me) {}

  Roster roster() override {
    const std::lock_guard lock(hall_.mutex_);
    Roster out;
    for (size_t p = 0; p < hall_.parts_.size(); ++p) {
      if (hall_.gone_[p]) ++out.epoch;
      if (!hall_.gone_[p]) out.ids.insert(out.ids.end(), hall_.parts_[p].begin(), hall_.parts_[p].end());
    }
    std::sort(out.ids.begin(), out.ids.end());
    return out;
  }

  void send(Letter letter) override {
    const std::lock_guard lock(hall_.mutex_);
    std::vector<bool> done(hall_.parts_.size(), false);
    for (const int64_t to : letter.to) {
      const size_t seat = hall_.addresses_.part(to);
      if (hall_.gone_[seat] || done[seat]) continue;
      done[seat] = true;
      hall_.boxes_[seat].put(hall_.addresses_.for_part(letter, seat), hall_.addresses_.part(letter.from));
    }
    hall_.came_.notify_all();
  }

  Post collect(Letter::Kind kind, int64_t round, std::span<const int64_t> from) override {
    std::unique_lock lock(hall_.mutex_);
    LetterBox& box = hall_.boxes_[me_];
    wait(lock, from, [&](std::vector<int64_t>& open) { box.settle(kind, round, open); });
    return box.take(kind, round, from);
  }

  Post newest(Letter::Kind kind, int64_t oldest, std::span<const int64_t> from) override {
    std::unique_lock lock(hall_.mutex_);
    LetterBox& box = hall_.boxes_[me_];
    if (oldest > 0) wait(lock, from, [&](std::vector<int64_t>& open) { box.settle(kind, oldest, open); });
    return box.newest(kind, oldest, from);
  }

 private:
  // Until `settle` has erased all of `from` that are there.
  void wait(std::unique_lock<std::mutex>& lock, std::span<const int64_t> from, const auto& settle) {
    std::vector<int64_t> open(from.begin(), from.end());
    hall_.came_.wait_for(lock, std::chrono::duration<double>(hall_.patience_), [&] {
      settle(open);
      std::erase_if(open, [&](int64_t f) { return hall_.gone_[hall_.addresses_.part(f)]; });
      return open.empty();
    });
  }

  Hall& hall_;
  size_t me_;
};

Hall::Hall(std::vector<std::vector<int64_t>> parts, double patience)
    : parts_(std::move(parts)),
      patience_(patience),
      addresses_(parts_),
      boxes_(parts_.size()),
      gone_(parts_.size(), false) {}

std::unique_ptr<Transport> Hall::seat(size_t part) {
  return std::make_unique<Seat>(*this, part);
}

void Hall::leave(size_t part) {
  const std::lock_guard lock(mutex_);
  gone_[part] = true;
  came_.notify_all();
}

}  // namespace symma
