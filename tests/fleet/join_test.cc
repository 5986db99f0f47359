// A fleet that others join, over the real program: newcomers from folders and homes of their own begin with
// the mean of their neighbours, are judged before they have learned anything, learn, leave and come again,
// and a replay gives the same bits. Who is not to come is refused in one line, and disturbs nobody.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <filesystem>
#include <thread>

#include "cli/program.h"
#include "fleet/fleets.h"
#include "fleet/open_fleet.h"
#include "symma/core/record.h"
#include "symma/fleet/roster.h"
#include "symma/transports/doors.h"

namespace symma {
namespace {

namespace fs = std::filesystem;
using program::Process;
using program::Words;

const std::string kFleet = R"(agents = 6
rounds = 100000000
tasks = 2
log_every = 10
checkpoint_every = 100
[task]
kind = "sinusoid"
[model]
hidden = [8, 6]
[exchange]
topology = "ring"
[eval]
every = 100000000
tasks = 6
steps = [0, 1]
validation_tasks = 4
[transport]
key = "fleet.key"
members = "members.txt"
patience = 3
)";

// A fleet of agents 0 and 1, which two others may join: 2 and 3, and 4 and 5. Each in a folder of its own,
// with a home of its own.
class Joining : public OpenFleet {
 protected:
  void SetUp() override {
    const std::string text = kFleet + first_line();
    std::map<std::string, std::string> open;
    for (const char* who : {"fleet", "north", "south", "stranger"}) {
      fs::create_directories(at / who);
      program::spill(at / (std::string(who) + "/exp.toml"), text);
      const auto key = program::run_well({"key", who}, at / who);
      open[who] = key.out;
      EXPECT_EQ(key.out.size(), 64 + 2 + std::string(who).size() + 1) << key.out;
    }
    fleet_key = open["fleet"].substr(0, 64);
    program::spill(at / "fleet/members.txt", "2-3 " + open["north"] + "4-5 " + open["south"]);
  }

  void begin(const Words& more = {}) {
    Words words{"train", "exp.toml", "--stay", "--out", "run"};
    words.insert(words.end(), more.begin(), more.end());
    first = start("fleet", words);
    goes_on();
  }
  // Options of `more` take the place of the usual ones.
  Words words_of(const std::string& agents, const std::string& key, const Words& more = {}) const {
    Words words{"join", "exp.toml", "--agents", agents};
    const Words usual{
        "--fleet", "tcp://127.0.0.1:" + std::to_string(port), "--key", key, "--fleet-key", fleet_key, "--out",
        "mine"};
    for (size_t k = 0; k < usual.size(); k += 2)
      if (std::find(more.begin(), more.end(), usual[k]) == more.end())
        words.insert(words.end(), {usual[k], usual[k + 1]});
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  std::unique_ptr<Process> join(const std::string& who, const std::string& agents, const Words& more = {}) {
    return start(who, words_of(agents, who + ".key", more));
  }

  void wait_for(const std::vector<int64_t>& agents) const {
    ASSERT_TRUE(program::wait_until([&] { return there() == agents; })) << Json(there());
  }
  // All end when the first is asked to; and what the run became is what a replay becomes.
  void end(const std::vector<Process*>& others) {
    goes_on();
    first->send(SIGTERM);
    const auto r = first->wait();
    EXPECT_EQ(r.code, 128 + SIGTERM) << r.err;
    for (Process* p : others) {
      const auto o = p->wait();
      EXPECT_EQ(o.code, 0) << o.err;
      EXPECT_TRUE(program::holds(o.err, "the fleet was stopped after round")) << o.err;
    }
    replays();
  }

  std::string fleet_key;
};

const std::vector<int64_t> kFirst{0, 1}, kWithNorth{0, 1, 2, 3}, kAll{0, 1, 2, 3, 4, 5};

TEST_F(Joining, NewcomersBeginWithTheirNeighboursMeanAndAreJudgedAtOnce) {
  begin();
  const auto north = join("north", "2-3");
  wait_for(kWithNorth);
  goes_on();
  const auto south = join("south", "4-5");
  wait_for(kAll);
  ASSERT_TRUE(program::wait_until([&] { return told("newcomers").size() == 2; }));
  // What members say of their waits is written down as they say it, a second apart.
  ASSERT_TRUE(program::wait_until([&] {
    std::set<int> waited;
    for (const Json& line : told("waits"))
      for (const Json& w : line["waits"])
        if (w["letters"] > 0) waited.insert(line["process"].get<int>());
    return waited == std::set<int>{0, 1, 2};
  }));
  end({north.get(), south.get()});
  const auto came = told("with");
  ASSERT_EQ(came.size(), 2u);
  for (const Json& line : came) EXPECT_EQ(line["with"], "neighbours");
  // Each row that one of the north began with is the mean of its neighbours' on the ring: 1 of agent 2, and
  // all that was known, 0 and 1, of agent 3.
  EXPECT_EQ(came[0]["rows"].size(), 2u);
  EXPECT_EQ(told("newcomers")[0]["newcomers"], (std::vector<int64_t>{2, 3}));
  // Nothing of the members is in the fleet's folder but what they sent, and the other way round.
  EXPECT_TRUE(fs::exists(at / "north/mine/run.id"));
  EXPECT_FALSE(fs::exists(at / "north/mine/metrics.jsonl"));
}

// The figures of the roster are those of the summary, and they are of the rows that newcomers began with.
TEST_F(Joining, TheSummarySaysHowNewcomersWere) {
  // Slow enough for one to come while it lasts.
  const Words some{"--set", "rounds=1500", "--set", "tasks=40", "--set", "model.hidden=[40, 40]"};
  begin(some);
  const auto north = join("north", "2-3", some);
  const auto r = north->wait();
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_TRUE(program::holds(r.err, "judged before having learned anything: mse")) << r.err;
  EXPECT_TRUE(program::holds(r.err, "the fleet is done after round 1500")) << r.err;
  const auto done = first->wait();
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_TRUE(program::holds(done.out, "agents 2-3 came after round ")) << done.out;
  const Json summary = read_json(at / "fleet/run/summary.json");
  ASSERT_EQ(summary["newcomers"].size(), 1u);
  const Json& one = summary["newcomers"][0];
  EXPECT_EQ(one["agents"], (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(one["before_learning"], told("newcomers")[0]["judged"]);
  EXPECT_EQ(summary["eval"]["judged_agents"], kWithNorth);
  EXPECT_TRUE(one["at_end"][1].is_number());
  EXPECT_LT(one["at_end"][1].get<double>(), one["before_learning"]["mean"][0].get<double>());
}

TEST_F(Joining, WhoLeavesIsGoneAndComesAgainWithItsAgents) {
  begin();
  auto north = join("north", "2-3");
  wait_for(kWithNorth);
  goes_on();
  north->send(SIGTERM);
  const auto left = north->wait();
  EXPECT_EQ(left.code, 128 + SIGTERM) << left.err;
  EXPECT_TRUE(program::holds(left.err, "left after round")) << left.err;
  wait_for(kFirst);
  goes_on();
  north = join("north", "2-3");
  wait_for(kWithNorth);
  ASSERT_TRUE(program::wait_until([&] { return told("with").size() == 2; }));
  EXPECT_EQ(told("with")[1]["with"], "file");
  EXPECT_GT(told("with")[1]["of"], told("with")[0]["round"]);
  goes_on();
  // Killed, it is gone as well.
  north->send(SIGKILL);
  north->wait();
  wait_for(kFirst);
  north = join("north", "2-3");
  wait_for(kWithNorth);
  end({north.get()});
}

// ---- Who is refused. A member is there all the while, and stays; and a replay says that nothing but what
// the roster has was done to the fleet.
class Refused : public Joining {
 protected:
  void SetUp() override {
    Joining::SetUp();
    begin();
    north = join("north", "2-3");
    wait_for(kWithNorth);
    roster = told("there").size();
  }
  void TearDown() override {
    EXPECT_EQ(told("there").size(), roster);
    EXPECT_EQ(there(), kWithNorth);
    end({north.get()});
  }
  void refused(const std::string& who, const std::string& agents, const Words& words,
               const Words& more = {}) {
    Words all = more;
    all.push_back("--quiet");
    const auto start = std::chrono::steady_clock::now();
    const auto r = join(who, agents, all)->wait();
    program::expect_refusal(r, words);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(40));
    EXPECT_EQ(fs::exists(at / (who + "/mine")), who == "north");
    goes_on();
  }
  std::unique_ptr<Process> north;
  size_t roster = 0;
};

TEST_F(Refused, TheWrongKey) {
  refused("stranger", "4-5", {"--key", "does not know this key", "list of members"});
}

TEST_F(Refused, NoKey) {
  refused("south", "4-5", {"none.key", "symma key makes one"}, {"--key", "none.key"});
  Words words{"join", "exp.toml", "--agents", "4-5"};
  program::expect_refusal(start("south", words)->wait(), {"--key"});
}

TEST_F(Refused, AnothersAgents) {
  refused("south", "2-3", {"this key is of agents 4-5"});
  refused("south", "0-1", {"this key is of agents 4-5"});
  refused("south", "4", {"this key is of agents 4-5"});
  refused("south", "6", {"--agents", "numbered 0 to 5"});
}

TEST_F(Refused, ASecondTime) {
  refused("north", "2-3", {"mine", "another symma is training in it"});
  refused("north", "2-3", {"agents 2-3 are there already"}, {"--out", "other"});
}

TEST_F(Refused, AnotherExperimentOrFleet) {
  refused("south", "4-5", {"its experiment is another", "seed"}, {"--set", "seed=9"});
  refused("south", "4-5", {"its experiment is another", "rounds"}, {"--set", "rounds=7"});
  refused("south", "4-5", {"--fleet-key", "does not have that key"}, {"--fleet-key", std::string(64, 'a')});
}

// Bytes that are no ZeroMQ, an empty greeting, the greeting of one without a key, and lines that stay silent.
TEST_F(Refused, GarbageOnTheSocket) {
  const auto line = [&] {
    const int s = ::socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in a = here(port);
    EXPECT_EQ(::connect(s, reinterpret_cast<const sockaddr*>(&a), sizeof(a)), 0);
    return s;
  };
  std::string plain("\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL", 16);
  plain.resize(64, '\0');
  const std::string ready("\x04\x19\x05READY\x0bSocket-Type\0\0\0\x04PUSH", 27);
  std::string noise;
  for (uint32_t k = 0, dice = 7; k < 100000; ++k)
    noise += static_cast<char>((dice = dice * 1664525u + 1013904223u) >> 24);
  std::vector<int> silent;
  for (const std::string& bytes : {std::string("GET / HTTP/1.1\r\n\r\n"), noise, plain + ready,
                                   plain.substr(0, 11), std::string(100000, '\xff'), std::string()}) {
    for (int k = 0; k < 20; ++k) {
      const int s = line();
      (void)!::send(s, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (k % 2 == 0)
        ::close(s);
      else
        silent.push_back(s);
    }
    goes_on();
  }
  for (const int s : silent) ::close(s);
}

TEST_F(Joining, WhatAFleetNeedsToBeJoinedIsAskedForBeforeAnythingBegins) {
  const std::string text = program::slurp(at / "fleet/exp.toml");
  const auto refused = [&](const Words& words, const Words& more) {
    Words all{"train", "exp.toml", "--stay", "--out", "run"};
    all.insert(all.end(), more.begin(), more.end());
    program::expect_refusal(program::run(all, at / "fleet"), words);
    EXPECT_FALSE(fs::exists(at / "fleet/run"));
  };
  refused({"transport.members", "is not set"}, {"--set", "transport.members=\"\""});
  refused({"transport.key", "is not set"}, {"--set", "transport.key=\"\""});
  refused({"transport.first", "is not set"}, {"--set", "transport.first=\"\""});
  refused({"transport.first", "host:port"}, {"--set", "transport.first=\"here\""});
  refused({"transport.fleet_key", fleet_key},
          {"--set", "transport.fleet_key=\"" + std::string(64, 'b') + "\""});
  refused({"--stay", "several"}, {"--processes", "2"});
  program::spill(at / "fleet/members.txt", "4-5 " + fleet_key + "\n");
  refused({"members.txt", "own key"}, {});
  fs::permissions(at / "fleet/fleet.key", fs::perms::others_read, fs::perm_options::add);
  refused({"fleet.key", "can be read by others"}, {});
}

}  // namespace
}  // namespace symma
