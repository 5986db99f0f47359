// Keys in files, and the list of who may join: what is read is what was written, and each fault of a list is
// told with its place.
#include "symma/transports/members.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "cli/program.h"
#include "symma/core/errors.h"

namespace symma {
namespace {

namespace fs = std::filesystem;

template <class Work>
std::string fault(Work work) {
  try {
    work();
  } catch (const UserError& e) {
    return e.what();
  }
  return "";
}

TEST(Keys, AreReadAsTheyWereWrittenAndByTheirOwnerAlone) {
  program::TempDir at;
  const std::string file = at / "north.key";
  const Key open = make_key(file);
  EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(public_key(read_key(file)), open);
  EXPECT_EQ(public_key_of(text_of(open), "here"), open);
  EXPECT_NE(make_key(at / "south.key"), open);
  const std::string before = program::slurp(file);
  EXPECT_TRUE(program::holds(fault([&] { make_key(file); }), "north.key: is there already"));
  EXPECT_EQ(program::slurp(file), before);
  fs::permissions(file, fs::perms::group_read, fs::perm_options::add);
  EXPECT_TRUE(program::holds(fault([&] { read_key(file); }), "can be read by others"));
  EXPECT_TRUE(program::holds(fault([&] { read_key(at / "none.key"); }), "symma key makes one"));
  for (const std::string& text :
       {std::string(), std::string("secret\n"), before + before, std::string(64, 'g')}) {
    program::spill(at / "bad.key", text);
    fs::permissions(at / "bad.key", fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_TRUE(program::holds(fault([&] { read_key(at / "bad.key"); }), "is no secret key")) << text;
  }
  EXPECT_NE(fault([&] { make_key(at / "no/where.key"); }), "");
  EXPECT_TRUE(
      program::holds(fault([] { public_key_of("3f", "x.toml:3"); }), "x.toml:3: \"3f\" is no public key"));
}

TEST(Agents, AreWrittenAsPeopleDo) {
  EXPECT_EQ(agents_of("3", ""), (std::vector<int64_t>{3}));
  EXPECT_EQ(agents_of("12-15", ""), (std::vector<int64_t>{12, 13, 14, 15}));
  EXPECT_EQ(agents_of("0,3-4,9", ""), (std::vector<int64_t>{0, 3, 4, 9}));
  for (const char* text : {"0", "12-15", "0,3-4,9"}) EXPECT_EQ(agents_text(agents_of(text, "")), text);
  for (const char* text : {"", "a", "-1", "3-", "-", "4-3", "3,3", "3-5,4", "1,", ",1", "1 2", "0x3", "1.5",
                           "3-4-5", "99999999999999999999", "0-99999999999", "0-2000000000"})
    EXPECT_TRUE(program::holds(fault([&] { agents_of(text, "--agents"); }), "--agents: ")) << text;
}

TEST(Members, EachFaultOfAListIsToldWithItsPlace) {
  program::TempDir at;
  const std::string file = at / "members.txt", a(64, 'a'), b(64, 'b');
  program::spill(file, "# who may join\n\n4-5  " + b + "  the south  # by phone\n2,3 " + a + "\n");
  const auto members = read_members(file, 6);
  ASSERT_EQ(members.size(), 2u);
  EXPECT_EQ(members[0].agents, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(text_of(members[1].key), b);
  EXPECT_EQ(members[1].name, "the south");
  const std::map<std::string, std::string> faults{
      {"", "names nobody"},
      {"# nobody\n", "names nobody"},
      {"4-5\n", "members.txt:1: has no public key"},
      {"4-5 abc\n", "members.txt:1: \"abc\" is no public key"},
      {"\nx " + a + "\n", "members.txt:2: \"x\" names no agents"},
      {"5-6 " + a + "\n", "members.txt:1: names agent 6, and the fleet has 6"},
      {"2,4-5 " + a + "\n", "members.txt:1: agents of one member stand side by side"},
      {"2-3 " + a + "\n4-5 " + a + "\n", "members.txt:2: has the key of line 1"},
      {"2-4 " + a + "\n4-5 " + b + "\n", "members.txt:2: names agent 4, as line 1 does"},
      {"0-5 " + a + "\n", "gives agent 0 away"},
      {"2 " + a + "\n4-5 " + b + "\n", "leaves out agent 3"},
      {"2-4 " + a + "\n", "leaves out agent 5"}};
  for (const auto& [text, words] : faults) {
    program::spill(file, text);
    const std::string said = fault([&] { read_members(file, 6); });
    EXPECT_TRUE(program::holds(said, words)) << text << said;
  }
}

}  // namespace
}  // namespace symma
