// A fleet in hosts of its own, on a bad network (scripts/hosts), is the fleet in one process, bit for bit;
// the network is as bad as was asked for; and nothing is left of either, however it ends.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "cli/program.h"

namespace symma {
namespace {

constexpr int kSkipped = 77;

program::Words hosts(const program::Words& network, const program::Words& command) {
  program::Words words{SYMMA_SOURCE_DIR "/scripts/hosts"};
  words.insert(words.end(), network.begin(), network.end());
  words.emplace_back("--");
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

class Hosts : public testing::Test {
 protected:
  void SetUp() override {
    const auto r = program::Process(hosts({"--hosts", "1"}, {"true"}), at.path()).wait();
    if (r.code == kSkipped) GTEST_SKIP() << r.err;
    ASSERT_EQ(r.code, 0) << r.err;
  }
  program::TempDir at;
};

// What a run has kept, but for its time, and for what only those who may lose letters count.
auto kept(const std::string& run) {
  auto tensors = program::read_tensors(run + "/checkpoint.safetensors").tensors;
  for (const char* name : {"seconds", "exchange.heard", "exchange.asked"}) tensors.erase(name);
  return tensors;
}

constexpr const char* kFleet = R"(agents = 6
rounds = 25
tasks = 2
log_every = 10
checkpoint_every = 10
[task]
kind = "sinusoid"
[model]
hidden = [40, 40]
[exchange]
topology = "ring"
[eval]
tasks = 6
steps = [0, 1]
validation_tasks = 4
[transport]
patience = 60
)";

TEST_F(Hosts, ThreeOnABadNetworkHaveTheBitsOfOneProcess) {
  program::spill(at / "fleet.toml", kFleet);
  const std::vector<program::Words> ways{
      {},
      {"compression.kind=sign", "compression.gamma=0.5"},
      {"exchange.topology=star", "compression.kind=top_k", "exchange.every=5"}};
  for (size_t k = 0; k < ways.size(); ++k) {
    const std::string one = "one" + std::to_string(k), many = "many" + std::to_string(k);
    program::Words train{"train", "fleet.toml"};
    for (const auto& setting : ways[k]) train.insert(train.end(), {"--set", setting});
    program::Words alone = train, apart = train;
    alone.insert(alone.end(), {"--out", one});
    apart.insert(apart.end(), {"--out", many});
    program::run_well(alone, at.path());
    program::Words command{"env", "HOME=" + (at / "home")};
    for (const auto& word : program::command_line(apart)) command.push_back(word);
    const program::Words network{"--hosts", "3", "--delay", "10ms", "--loss", "5%", "--rate", "10Mbit"};
    const auto r = program::Process(hosts(network, command), at.path()).wait();
    ASSERT_EQ(r.code, 0) << r.err;
    EXPECT_FALSE(program::holds(r.err, " 0.0 % lost")) << r.err;
    const auto had = kept(at / one), has = kept(at / many);
    EXPECT_GT(had.size(), 5u);
    EXPECT_EQ(had.size(), has.size());
    for (const auto& [name, tensor] : had)
      EXPECT_TRUE(has.contains(name) && has.at(name) == tensor) << name << "\n" << r.err;
    EXPECT_EQ(program::slurp(at / (one + "/scores.csv")), program::slurp(at / (many + "/scores.csv")))
        << r.err << program::slurp(at / (many + "/roster.jsonl"));
    EXPECT_EQ(program::json_file(at / (one + "/summary.json"))["exchange"],
              program::json_file(at / (many + "/summary.json"))["exchange"]);
  }
}

// Times of TCP itself between two hosts, and how fast it brings a megabyte.
constexpr const char* kTimes = R"(import os, socket, time
if os.environ["RANK"] == "1":
    s = socket.create_server(("", 7000))
    c = s.accept()[0]
    c.recv(1)
    c.sendall(bytes(1000000))
    c.recv(1)
else:
    while True:
        t = time.monotonic()
        try:
            c = socket.create_connection(("10.77.0.2", 7000))
            break
        except ConnectionRefusedError:
            pass
    back = time.monotonic() - t
    c.sendall(b"x")
    got, t = len(c.recv(1)), time.monotonic()
    while got < 1000000:
        got += len(c.recv(65536))
    print(back, 8 * got / (time.monotonic() - t))
    c.sendall(b"x")
)";

TEST_F(Hosts, TheNetworkIsAsAsked) {
  program::spill(at / "times.py", kTimes);
  const program::Words network{"--hosts", "2", "--delay", "40ms", "--loss", "0%", "--rate", "4Mbit"};
  const auto r = program::Process(hosts(network, {"python3", "times.py"}), at.path()).wait();
  ASSERT_EQ(r.code, 0) << r.err;
  std::istringstream said(r.out);
  double back = 0, rate = 0;
  said >> back >> rate;
  EXPECT_GE(back, 0.080);
  EXPECT_LE(rate, 4.2e6);
  EXPECT_GT(rate, 0);  // how near it comes is the machine's: a busy one is slower
}

TEST_F(Hosts, TheFirstOnesStatusIsThatOfAll) {
  const auto r = program::Process(
                     hosts({"--hosts", "2"}, {"sh", "-c", "echo I am $RANK; exit $((RANK + 3))"}), at.path())
                     .wait();
  EXPECT_EQ(r.code, 3);
  EXPECT_EQ(r.out, "I am 0\n");
  EXPECT_TRUE(program::holds(r.err, "host 1 ended with 4: I am 1")) << r.err;
  const auto none = program::Process(hosts({}, {"/no/such/program"}), at.path()).wait();
  EXPECT_EQ(none.code, 2);
  EXPECT_EQ(program::lines(none.err).size(), 1u) << none.err;
}

TEST_F(Hosts, NothingIsLeftHoweverItEnds) {
  for (const int by : {SIGINT, SIGTERM, SIGKILL}) {
    const std::string mine = std::to_string(by);
    program::Process script(hosts({"--hosts", "3"}, {"sh", "-c",
                                                     "echo $$ > part." + mine + ".$RANK; mv part." + mine +
                                                         ".$RANK pid." + mine + ".$RANK; exec sleep 250"}),
                            at.path());
    std::vector<pid_t> pids;
    for (const char* k : {"0", "1", "2"}) {
      const std::string file = at / ("pid." + mine + "." + k);
      ASSERT_TRUE(program::wait_until([&] { return program::fs::exists(file); }));
      pids.push_back(std::atoi(program::slurp(file).c_str()));
    }
    script.send(by);
    const auto r = script.wait();
    if (by == SIGKILL)
      EXPECT_EQ(r.signal, SIGKILL);
    else
      EXPECT_EQ(r.code, 128 + by);
    for (const pid_t pid : pids)
      EXPECT_TRUE(program::wait_until([&] { return ::kill(pid, 0) != 0; })) << pid << " after signal " << by;
  }
}

}  // namespace
}  // namespace symma
