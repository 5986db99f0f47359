// Letters between threads of one process: parts of a fleet that live side by side, as they would in processes
// of their own.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "symma/exchange/transport.h"
#include "symma/transports/addresses.h"
#include "symma/transports/letter_box.h"

namespace symma {

class Hall {
 public:
  // Agents of each part; where agent 0 is, the server is. `patience` in seconds.
  Hall(std::vector<std::vector<int64_t>> parts, double patience);
  // What a part sends and hears by, whose abilities are Newest; used from one thread. The hall outlives it.
  std::unique_ptr<Transport> seat(size_t part);
  // A part that is gone hears nothing and is waited for by nobody.
  void leave(size_t part);

 private:
  class Seat;
  const std::vector<std::vector<int64_t>> parts_;
  const double patience_;
  const Addresses addresses_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<LetterBox> boxes_;
  std::vector<bool> gone_;
};

}  // namespace symma
