#include "symma/transports/hall.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "symma/core/tensor.h"

namespace symma {

class Hall::Seat final : public Transport {
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
      const size_t seat = hall_.seat_of(to);
      if (hall_.gone_[seat] || done[seat]) continue;
      done[seat] = true;
      hall_.boxes_[seat][{letter.kind, letter.round, letter.from}] = letter;
    }
    hall_.came_.notify_all();
  }

  Post collect(Letter::Kind kind, int64_t round, std::span<const int64_t> from) override {
    std::unique_lock lock(hall_.mutex_);
    auto& box = hall_.boxes_[me_];
    const auto there = [&] {
      // Whoever has said something later will not say this any more.
      std::set<int64_t> past;
      for (auto it = box.upper_bound({kind, round, INT64_MAX});
           it != box.end() && std::get<0>(it->first) == kind; ++it)
        past.insert(std::get<2>(it->first));
      return std::all_of(from.begin(), from.end(), [&](int64_t f) {
        return hall_.gone_[hall_.seat_of(f)] || box.contains({kind, round, f}) || past.contains(f);
      });
    };
    hall_.came_.wait_for(lock, std::chrono::duration<double>(hall_.patience_), there);
    Post post;
    for (const int64_t f : from) {
      auto it = box.find({kind, round, f});
      if (it == box.end()) {
        post.missing.push_back(f);
      } else {
        post.came.push_back(std::move(it->second));
        box.erase(it);
      }
    }
    // What came too late for its round is of no use to a later one.
    std::erase_if(box, [&](const auto& entry) {
      return std::get<0>(entry.first) == kind && std::get<1>(entry.first) < round;
    });
    return post;
  }

 private:
  Hall& hall_;
  size_t me_;
};

Hall::Hall(std::vector<std::vector<int64_t>> parts, double patience)
    : parts_(std::move(parts)), patience_(patience), boxes_(parts_.size()), gone_(parts_.size(), false) {
  for (size_t p = 0; p < parts_.size(); ++p) {
    for (const int64_t id : parts_[p]) {
      if (home_.size() <= static_cast<size_t>(id)) home_.resize(id + 1);
      home_[id] = p;
    }
  }
  home_.push_back(home_.at(0));  // the server
}

std::unique_ptr<Transport> Hall::seat(size_t part) {
  return std::make_unique<Seat>(*this, part);
}

void Hall::leave(size_t part) {
  const std::lock_guard lock(mutex_);
  gone_[part] = true;
  came_.notify_all();
}

size_t Hall::seat_of(int64_t address) const {
  return address < 0 ? static_cast<size_t>(-1 - address) : home_.at(address);
}

}  // namespace symma
