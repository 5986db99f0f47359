// Letters over ZeroMQ: what is sent comes, once and to whom it is for; who is not of the fleet is not let in;
// what is no message is dropped; and who cannot be reached is not waited for.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

#include "symma/core/errors.h"
#include "symma/core/rng.h"
#include "symma/transports/entrance.h"
#include "symma/transports/envelope.h"
#include "symma/transports/line.h"
#include "symma/transports/zmq.h"
#include "transports/ports.h"

namespace symma {
namespace {

Meeting meeting(int64_t place, int64_t at, const std::string& secret = "one secret of a fleet of three") {
  return {place, {{0, 1}, {2}, {3, 4}}, "127.0.0.1", at, secret, 0.5, 20};
}

// What each of three processes does with its transport.
void in_three(const std::function<void(int64_t place, Transport&)>& work) {
  const int64_t at = free_port();
  std::vector<std::thread> threads;
  for (int64_t p = 0; p < 3; ++p)
    threads.emplace_back([&, p] {
      const auto lines = meet(meeting(p, at));
      work(p, *lines);
    });
  for (auto& t : threads) t.join();
}

TEST(Zmq, LettersComeToWhomTheyAreFor) {
  in_three([](int64_t place, Transport& t) {
    const std::vector<std::vector<int64_t>> mine{{0, 1}, {2}, {3, 4}};
    EXPECT_EQ(t.roster().ids, (std::vector<int64_t>{0, 1, 2, 3, 4}));
    for (int64_t round = 1; round <= 50; ++round) {
      std::vector<int64_t> others;
      for (int64_t p = 0; p < 3; ++p)
        if (p != place) others.insert(others.end(), mine[p].begin(), mine[p].end());
      for (const int64_t id : mine[place])
        t.send({id, others, round, Letter::Kind::kSaid, Bytes(2000, static_cast<uint8_t>(10 * id + round))});
      const Post post = t.collect(Letter::Kind::kSaid, round, others);
      ASSERT_TRUE(post.missing.empty()) << place << " " << round;
      ASSERT_EQ(post.came.size(), others.size());
      for (size_t k = 0; k < others.size(); ++k) {
        EXPECT_EQ(post.came[k].from, others[k]);
        EXPECT_EQ(post.came[k].round, round);
        EXPECT_EQ(post.came[k].bytes, Bytes(2000, static_cast<uint8_t>(10 * others[k] + round)));
      }
    }
  });
}

TEST(Zmq, WhoIsGoneIsMissingAndWaitedForOnce) {
  in_three([](int64_t place, Transport& t) {
    const std::vector<std::vector<int64_t>> mine{{0, 1}, {2}, {3, 4}};
    for (int64_t round = 1; round <= 6; ++round) {
      if (place == 2 && round == 4) return;
      std::vector<int64_t> others;
      for (int64_t p = 0; p < 3; ++p)
        if (p != place) others.insert(others.end(), mine[p].begin(), mine[p].end());
      for (const int64_t id : mine[place]) t.send({id, others, round, Letter::Kind::kSaid, {1}});
      const auto start = std::chrono::steady_clock::now();
      const Post post = t.collect(Letter::Kind::kSaid, round, others);
      const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      EXPECT_EQ(post.missing, round < 4 ? std::vector<int64_t>{} : std::vector<int64_t>({3, 4})) << round;
      if (round == 6) {
        EXPECT_LT(took, 0.4);
      }
    }
    EXPECT_EQ(t.roster().ids, (std::vector<int64_t>{0, 1, 2}));
  });
}

// One that stood still has many rounds of letters before it, and then what the first tells it. On the old
// code the letters of rounds that nobody asks for any more left no room, and it waited for that in vain.
TEST(Zmq, WhatCameLastIsHeardAfterAFlood) {
  constexpr int64_t kRounds = 2000;
  in_three([](int64_t place, Transport& t) {
    if (place == 0) {
      for (int64_t round = 1; round <= kRounds; ++round) {
        t.send({0, {2}, round, Letter::Kind::kSaid, {1}});
        if (round % 100 == 0) t.send({-1, {-2}, round, Letter::Kind::kTold, {1}});
      }
      t.send({-1, {-2}, kRounds + 1, Letter::Kind::kTold, {7}});
    }
    if (place == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      const int64_t first = -1;
      const Post told = t.collect(Letter::Kind::kTold, kRounds + 1, {&first, 1});
      ASSERT_EQ(told.came.size(), 1u);
      EXPECT_EQ(told.came[0].bytes, Bytes{7});
      // And of the rounds the last are there.
      const int64_t zero = 0;
      EXPECT_EQ(t.collect(Letter::Kind::kSaid, kRounds, {&zero, 1}).came.size(), 1u);
    }
    // All stay until it has heard.
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
  });
}

// Three processes, of which the third asks to be let in again. The first lets it in when told to; what it has
// written for others to hear of that is `directory`.
struct Comeback : testing::Test {
  static Comings& door(Transport& t) { return dynamic_cast<Comings&>(t); }
  static void pause(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }
  void let_third_in(Transport& t) {
    while (door(t).knocking().empty()) pause(10);
    const std::string where = door(t).directory();
    door(t).let_in(2, "come in");
    door(t).there({true, true, true}, where);
    const std::lock_guard lock(mutex);
    directory = where;
  }
  std::string heard_of_it() {
    for (;; pause(10)) {
      const std::lock_guard lock(mutex);
      if (!directory.empty()) return directory;
    }
  }
  std::mutex mutex;
  std::string directory;
  std::atomic<int> done = 0;
};

// The first may have heard the last that the third said before it asks, and says to all that it is there. On
// the old code the second then waited for one that waits at the door, which opens once the second has gone
// on.
TEST_F(Comeback, WhoWaitsAtTheDoorIsNotWaitedFor) {
  in_three([&](int64_t place, Transport& t) {
    if (place == 2) door(t).knock();
    if (place == 1) {
      pause(300);
      t.roster();  // it hears the knock
      door(t).there({true, true, true}, "");
      const std::vector<int64_t> third{3, 4};
      EXPECT_EQ(t.collect(Letter::Kind::kSaid, 1, third).missing, third);
    }
    if (place == 0) {
      for (int k = 0; k < 300 && done == 0; ++k) pause(10);
      let_third_in(t);
    }
    ++done;
    while (done < 3) pause(10);
  });
}

// One that was out of reach may have gone further than the others before it comes back, and says these rounds
// anew. On the old code the second took what it had said the first time.
TEST_F(Comeback, WhatItSaidBeforeIsOver) {
  in_three([&](int64_t place, Transport& t) {
    const std::vector<int64_t> third{3, 4};
    const auto say = [&](uint8_t what) {
      for (int64_t round = 1; round <= 3; ++round)
        for (const int64_t id : third) t.send({id, {0, 2}, round, Letter::Kind::kAnswer, {what}});
    };
    if (place == 2) {
      say(7);
      EXPECT_EQ(door(t).knock(), "come in");
      pause(300);  // the others ask before it has said anything
      say(8);
    }
    if (place == 0) pause(300), let_third_in(t);
    if (place == 1) door(t).there({true, true, true}, heard_of_it());
    if (place < 2)
      for (int64_t round = 1; round <= 3; ++round) {
        const Post post = t.collect(Letter::Kind::kAnswer, round, third);
        ASSERT_EQ(post.came.size(), 2u) << place << " " << round;
        for (const Letter& letter : post.came) {
          EXPECT_EQ(letter.bytes, Bytes{8}) << place << " " << round;
          EXPECT_EQ(letter.life, 1);
        }
      }
    ++done;
    while (done < 3) pause(10);
  });
}

// What is under way as a line breaks is said again, whatever number of messages a round has. On the old code
// it was the last four.
TEST(Lines, WhatWasUnderWayIsSaidAgain) {
  const Key ours = key_of_place("a secret", 1), theirs = key_of_place("a secret", 0);
  const std::string at = "tcp://127.0.0.1:" + std::to_string(free_port());
  const Context context(zmq_ctx_new());
  const Curve here{context.get(), ours, 1, -1}, there{context.get(), theirs, 1, -1};
  Doorkeeper doorkeeper(context.get());
  doorkeeper.know(public_key(ours), 1);
  const auto listen = [&] {
    Socket inbox = there.inbox();
    for (int k = 0; k < 100 && zmq_bind(inbox.get(), at.c_str()) != 0; ++k)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return inbox;
  };
  Socket inbox = listen();
  std::set<std::string> heard;
  {
    Line line(here, public_key(theirs), at);
    const auto until = [&](const auto& is_so) {
      for (int k = 0; k < 500 && !is_so(); ++k) {
        line.look();
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      return is_so();
    };
    ASSERT_TRUE(until([&] { return line.up(); }));
    for (int64_t round = 1; round <= 9; ++round)
      for (int k = 0; k < 10; ++k) {
        const std::string text = std::to_string(round) + "." + std::to_string(k);
        Upto upto;
        upto.see({1, {0}, round, Letter::Kind::kKnown, {}});
        line.send(Bytes(text.begin(), text.end()), upto);
      }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    inbox.reset();  // with all that came, and was not heard
    ASSERT_TRUE(until([&] { return !line.up(); }));
    inbox = listen();
    char text[16];
    ASSERT_TRUE(until([&] {
      for (int n; (n = zmq_recv(inbox.get(), text, sizeof(text), ZMQ_DONTWAIT)) >= 0;)
        heard.insert(std::string(text, static_cast<size_t>(n)));
      return heard.contains("9.9");
    }));
  }
  for (const char* round : {"7.", "8.", "9."})
    for (int k = 0; k < 10; ++k) EXPECT_TRUE(heard.contains(round + std::to_string(k))) << round << k;
  EXPECT_FALSE(heard.contains("6.9"));
  inbox.reset();
  zmq_ctx_shutdown(context.get());
  doorkeeper.join();
}

TEST(Zmq, AnotherSecretIsNotLetIn) {
  const int64_t at = free_port();
  std::thread stranger([&] {
    Meeting m = meeting(1, at, "another secret, of somebody else");
    m.start = 2;
    EXPECT_THROW(meet(m), UserError);
  });
  Meeting m = meeting(0, at);
  m.start = 2;
  try {
    meet(m);
    FAIL() << "a stranger was let in";
  } catch (const UserError& e) {
    EXPECT_NE(std::string(e.what()).find("did not come"), std::string::npos) << e.what();
  }
  stranger.join();
}

// ---- Who joins a fleet that stays.

Key secret(uint8_t of) {
  Key key{};
  key.fill(of);
  return key;
}

// The first of a fleet of agents 0 and 1, and of two members: 2, and 3 with 4.
Meeting staying(int64_t at) {
  Meeting m = meeting(0, at, "");
  m.keys = Keyring{secret(1), {public_key(secret(1)), public_key(secret(2)), public_key(secret(3))}};
  m.stay = true;
  m.refuses = [](const std::string& about) -> std::optional<std::pair<std::string, std::string>> {
    if (about == "the same") return {};
    return std::pair("its experiment is " + about, "take ours");
  };
  return m;
}

Meeting joining(int64_t at, uint8_t key, std::vector<int64_t> agents) {
  Meeting m;
  m.port = at, m.patience = 0.5, m.start = 6;
  m.keys = Keyring{secret(key), {public_key(secret(1))}};
  m.joins = std::move(agents);
  m.about = "the same";
  return m;
}

// The first answers those who knock until the joining is over.
std::string refused(const Meeting& joins, int64_t at) {
  const auto first = meet(staying(at));
  std::string why = "nothing";
  std::atomic<bool> over = false;
  std::thread other([&] {
    try {
      meet(joins);
    } catch (const UserError& e) {
      why = e.what();
    }
    over = true;
  });
  while (!over) {
    auto& comings = dynamic_cast<Comings&>(*first);
    for (const int64_t p : comings.knocking()) comings.let_in(p, "come in");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  other.join();
  EXPECT_EQ(first->roster().ids, (std::vector<int64_t>{0, 1})) << why;
  return why;
}

bool has(const std::string& text, const std::string& word) {
  return text.find(word) != std::string::npos;
}

TEST(Join, StrangersAndThoseWhoAskForOthersAreRefusedAtOnce) {
  const auto start = std::chrono::steady_clock::now();
  int64_t at = free_port();
  EXPECT_TRUE(has(refused(joining(at, 9, {2}), at), "does not know this key"));
  at = free_port();
  EXPECT_TRUE(has(refused(joining(at, 2, {3, 4}), at), "this key is of agents 2"));
  at = free_port();
  Meeting other = joining(at, 2, {2});
  other.about = "another";
  EXPECT_TRUE(has(refused(other, at), "its experiment is another; take ours"));
  at = free_port();
  Meeting elsewhere = joining(at, 2, {2});
  elsewhere.keys->known = {public_key(secret(8))};
  EXPECT_TRUE(has(refused(elsewhere, at), "does not have that key"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

// Two that come one after the other, of which none knew the other: they talk. What the second says counts
// from when it is let in, and not before.
TEST(Join, MembersHearEachOtherOnceTheyAreLetIn) {
  const int64_t at = free_port();
  const auto first = meet(staying(at));
  auto& door = dynamic_cast<Comings&>(*first);
  std::unique_ptr<Lines> two, three;
  const auto come = [&](std::unique_ptr<Lines>& lines, uint8_t key, const std::vector<int64_t>& agents,
                        std::vector<bool> there) {
    std::thread other([&] { lines = meet(joining(at, key, agents)); });
    std::vector<int64_t> who;
    while (who.empty()) who = door.knocking(), std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const std::string where = door.directory();
    for (const int64_t p : who) door.let_in(p, "come in");
    door.there(there, where);
    other.join();
    lines->there(there, "");
    return where;
  };
  come(two, 2, {2}, {true, true, false});
  EXPECT_EQ(two->place(), 1);
  EXPECT_EQ(two->parts(), (std::vector<std::vector<int64_t>>{{0, 1}, {2}, {3, 4}}));
  EXPECT_EQ(two->entry(), "come in");
  const std::string where = come(three, 3, {3, 4}, {true, true, true});
  EXPECT_EQ(three->place(), 2);
  // To the second it is outside still.
  const std::vector<int64_t> they{3, 4};
  for (const int64_t id : they) three->send({id, {0, 2}, 1, Letter::Kind::kSaid, {7}});
  const std::vector<int64_t> it{2};
  std::thread asks([&] { three->collect(Letter::Kind::kSaid, 1, it); });  // which sends what waits
  EXPECT_TRUE(first->collect(Letter::Kind::kSaid, 1, they).missing.empty());
  EXPECT_EQ(two->collect(Letter::Kind::kSaid, 1, they).missing, they);
  two->there({true, true, true}, where);
  two->send({2, {3}, 1, Letter::Kind::kSaid, {5}});
  EXPECT_TRUE(two->collect(Letter::Kind::kSaid, 1, they).missing.empty());
  asks.join();
  EXPECT_EQ(first->roster().ids, (std::vector<int64_t>{0, 1, 2, 3, 4}));
}

// A member of the list asks for agents of another, thousands of times in a message: it is answered once a
// second. On the old code each answer was a socket for three seconds, there were none left for who came
// next, and that ended the fleet.
TEST(Join, WhoAsksWithoutEndTakesNothingFromOthers) {
  const int64_t at = free_port();
  const auto first = meet(staying(at));
  auto& door = dynamic_cast<Comings&>(*first);
  const Context context(zmq_ctx_new());
  const Curve curve{context.get(), secret(3), 1, -1};
  const Key fleet = public_key(secret(1));
  // Where it says that it listens it does, and counts what it is told.
  Doorkeeper doorkeeper(context.get());
  doorkeeper.know(fleet, 0);
  const Socket inbox = curve.inbox(), line = curve.outbox(fleet);
  const std::string here = "tcp://127.0.0.1:" + std::to_string(free_port());
  ASSERT_EQ(zmq_bind(inbox.get(), here.c_str()), 0);
  ASSERT_EQ(zmq_connect(line.get(), ("tcp://127.0.0.1:" + std::to_string(at)).c_str()), 0);
  Bytes letters;
  for (int64_t k = 0; k < 3000; ++k)
    put_letter(letters, {-3, {-1}, -1, Letter::Kind::kGather, bytes_of(Hello{here, k, {2}, "the same"})});
  const Bytes message = sealed(2, 0, letters);
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  int told = 0, sent = 0;
  const auto flood = [&](double until) {
    while (seconds() < until) {
      zmq_send(line.get(), message.data(), message.size(), 0), ++sent;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      first->roster();  // it hears
      char text[4096];
      while (zmq_recv(inbox.get(), text, sizeof(text), ZMQ_DONTWAIT) >= 0) ++told;
    }
  };
  flood(2.5);
  std::unique_ptr<Lines> two;
  std::thread other([&] { two = meet(joining(at, 2, {2})); });
  while (door.knocking().empty()) flood(seconds() + 0.1);
  EXPECT_EQ(door.knocking(), std::vector<int64_t>{1});
  EXPECT_NO_THROW(door.let_in(1, "come in"));
  other.join();
  ASSERT_TRUE(two);
  EXPECT_EQ(two->entry(), "come in");
  flood(seconds() + 0.5);  // the last answer comes
  EXPECT_GE(told, 1);
  EXPECT_LE(told, seconds() + 1) << sent << " messages";
  zmq_ctx_shutdown(context.get());
  doorkeeper.join();
}

// The highest number of a file that is open.
rlim_t highest_file() {
  rlim_t most = 0;
  for (const auto& file : std::filesystem::directory_iterator("/proc/self/fd"))
    most = std::max<rlim_t>(most, std::stoul(file.path().filename()));
  return most;
}

// On the old code the fleet ended with "is no address", whatever there was no more of.
TEST(Join, WhoCannotBeLetInNowIsLetInLater) {
  const int64_t at = free_port();
  const auto first = meet(staying(at));
  auto& door = dynamic_cast<Comings&>(*first);
  std::unique_ptr<Lines> two;
  std::thread other([&] { two = meet(joining(at, 2, {2})); });
  while (door.knocking().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  rlimit usual{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
  rlimit few = usual;
  // No file is to be had, and what is open stays so.
  const rlim_t high = highest_file();
  std::vector<int> filled;
  for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) {
    filled.push_back(fd);
    if (static_cast<rlim_t>(fd) > high) break;
  }
  few.rlim_cur = static_cast<rlim_t>(filled.back()) + 1;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  EXPECT_NO_THROW(door.let_in(1, "not now"));
  door.there({true, true, false}, door.directory());
  const std::vector<int64_t> it{2};
  EXPECT_EQ(first->collect(Letter::Kind::kSaid, 1, it).missing, it);
  EXPECT_EQ(door.knocking(), std::vector<int64_t>{1});
  for (const int fd : filled) ::close(fd);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &usual), 0);
  door.let_in(1, "come in");
  other.join();
  ASSERT_TRUE(two);
  EXPECT_EQ(two->entry(), "come in");
}

TEST(Envelope, OpensWhatWasSealed) {
  Bytes letters;
  put_letter(letters, {3, {0, 5, -1}, 17, Letter::Kind::kAnswer, {1, 2, 3}});
  put_letter(letters, {-2, {}, -1, Letter::Kind::kTold, {}});
  const auto opened = open(sealed(1, 6, letters), 2, 6);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->place, 1);
  EXPECT_EQ(opened->life, 6);
  EXPECT_EQ(opened->letters.at(1).life, 6);
  ASSERT_EQ(opened->letters.size(), 2u);
  EXPECT_EQ(opened->letters[0].to, (std::vector<int64_t>{0, 5, -1}));
  EXPECT_EQ(opened->letters[0].bytes, (Bytes{1, 2, 3}));
  EXPECT_EQ(opened->letters[1].from, -2);
}

// Cut, bent and invented messages: each is refused or is letters between addresses that there are, and
// nothing is allocated by what they claim.
TEST(Envelope, GarbageIsRefused) {
  Bytes letters;
  for (int64_t k = 0; k < 4; ++k) put_letter(letters, {k, {0, 1}, k, Letter::Kind::kSaid, Bytes(9, 7)});
  const Bytes good = sealed(0, 0, letters);
  EXPECT_FALSE(open(good, 0, 6));
  for (size_t n = 0; n < good.size(); ++n) {
    const auto cut = open(std::span(good).first(n), 2, 6);
    if (cut) {
      EXPECT_LT(cut->letters.size(), 4u);
    }
  }
  Draws d(Rng(1));
  for (int k = 0; k < 20000; ++k) {
    Bytes bent = good;
    for (int64_t n = 1 + d.below(4); n > 0; --n)
      bent[d.below(static_cast<int64_t>(bent.size()))] = d.word() & 255;
    const auto opened = open(bent, 2, 6);
    if (!opened) continue;
    EXPECT_LT(opened->place, 2);
    for (const Letter& letter : opened->letters) {
      EXPECT_GE(letter.from, -2);
      EXPECT_LT(letter.from, 6);
      EXPECT_LE(letter.bytes.size(), bent.size());
    }
  }
}

}  // namespace
}  // namespace symma
