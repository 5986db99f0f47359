// Letters between threads of one process: parts of a fleet that live side by side, as they would in processes
// of their own.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "symma/exchange/transport.h"

namespace symma {

class Hall {
 public:
  // Agents of each part; where agent 0 is, the server is. `patience` in seconds.
  Hall(std::vector<std::vector<int64_t>> parts, double patience);
  // What a part sends and hears by; used from one thread. The hall outlives it.
  std::unique_ptr<Transport> seat(size_t part);
  // A part that is gone hears nothing and is waited for by nobody.
  void leave(size_t part);

 private:
  class Seat;
  // Where an address is: an agent, the server, or -1 - p for part p itself.
  size_t seat_of(int64_t address) const;

  const std::vector<std::vector<int64_t>> parts_;
  const double patience_;
  std::vector<size_t> home_;  // of each agent, and of the server
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<std::map<std::tuple<Letter::Kind, int64_t, int64_t>, Letter>> boxes_;  // by kind, round, sender
  std::vector<bool> gone_;
};

}  // namespace symma
