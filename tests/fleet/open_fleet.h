// A fleet that others join, as tests see it: the first process's folder, and what its roster says.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/program.h"
#include "symma/core/record.h"
#include "symma/fleet/roster.h"
#include "transports/ports.h"

namespace symma {

// Each who takes part has a folder and a home of its own; the first process is `fleet`, and its run `run`.
class OpenFleet : public testing::Test {
 protected:
  // What stands in the experiment of all: where the first process listens.
  std::string first_line() const { return "first = \"127.0.0.1:" + std::to_string(port) + "\"\n"; }

  std::unique_ptr<program::Process> start(const std::string& who, const program::Words& arguments) {
    program::Words words{"env", "HOME=" + (at / who)};
    const program::Words line = program::command_line(arguments);
    words.insert(words.end(), line.begin(), line.end());
    return std::make_unique<program::Process>(words, at / who);
  }

  size_t rows() const { return program::lines(program::slurp(at / "fleet/run/metrics.jsonl")).size(); }
  void goes_on() const {
    const size_t goal = rows() + 5;
    ASSERT_TRUE(program::wait_until([&] { return rows() >= goal; }));
  }
  // Lines of the roster that have `key`.
  std::vector<Json> told(const char* key) const {
    std::vector<Json> out;
    for (const Json& line : read_roster(at / "fleet/run"))
      if (line.contains(key)) out.push_back(line);
    return out;
  }
  std::vector<int64_t> there() const {
    const auto lines = told("there");
    return lines.empty() ? std::vector<int64_t>{} : lines.back()["there"].get<std::vector<int64_t>>();
  }
  void replays() const {
    const auto again = program::run_well({"replay", "run"}, at / "fleet");
    EXPECT_TRUE(program::holds(again.out, "the same bits for all 6 agents")) << again.out;
  }

  program::TempDir at;
  const int port = free_port();
  std::unique_ptr<program::Process> first;
};

}  // namespace symma
