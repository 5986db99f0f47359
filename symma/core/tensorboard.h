// Scalars for TensorBoard: an event file of TFRecords, each a hand-encoded Event protobuf.
// Framing: little-endian length (8 bytes), masked crc32c of it, payload, masked crc32c of the payload
// (tensorflow/core/lib/io/record_writer). Fields: tensorflow/core/util/event.proto, framework/summary.proto.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace symma {

// CRC-32C (Castagnoli), as RFC 3720 defines it.
uint32_t crc32c(std::string_view bytes);

// Takes out of the event files in `folder` what they hold of steps from `step` on: a run that goes on from
// before them writes them again. A record cut short, and what follows it, goes too.
void forget_steps_from(const std::string& folder, int64_t step);

class EventFile {
 public:
  // A new file events.out.tfevents.<seconds>.<host>.<process>.<count> in `folder`, which must exist. A run
  // that goes on after round r passes first_step = r + 1: readers then drop what a killed run had written
  // from there on. first_step < 0 starts anew. Throws UserError where the file cannot be written.
  explicit EventFile(const std::string& folder, int64_t first_step = -1);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  // Appends one scalar. wall_time in seconds since 1970; below zero it is now. A killed program loses at most
  // the record it was writing.
  void add(const std::string& tag, int64_t step, double value, double wall_time = -1);

  const std::string& path() const { return path_; }

 private:
  void append(const std::string& event);

  std::string path_;
  int fd_ = -1;
};

}  // namespace symma
