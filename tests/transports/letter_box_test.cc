#include "symma/transports/letter_box.h"

#include <gtest/gtest.h>

namespace symma {
namespace {

using Kind = Letter::Kind;

Letter letter(int64_t from, int64_t round, size_t bytes, Kind kind = Kind::kSaid) {
  return {from, {}, round, kind, Bytes(bytes)};
}

TEST(LetterBox, CountsWhatOfEachPartLiesInIt) {
  LetterBox box;
  box.put(letter(3, 1, 10), 1);
  box.put(letter(4, 1, 5), 1);
  box.put(letter(5, 1, 7), 2);
  box.put(letter(3, 1, 20), 1);  // again: taken once
  EXPECT_EQ(box.held(1).letters, 2u);
  EXPECT_EQ(box.held(1).bytes, 25);
  EXPECT_EQ(box.take(Kind::kSaid, 1, 3)->bytes.size(), 20u);
  EXPECT_FALSE(box.take(Kind::kSaid, 1, 3));
  EXPECT_EQ(box.held(1).bytes, 5);
  box.forget_part(1);
  EXPECT_EQ(box.held(1).letters, 0u);
  EXPECT_EQ(box.held(1).bytes, 0);
  EXPECT_EQ(box.held(2).letters, 1u);
  EXPECT_EQ(box.held(9).letters, 0u);
}

TEST(LetterBox, WhoeverSpeaksOfALaterRoundIsNotWaitedForInThisOne) {
  LetterBox box;
  box.put(letter(1, 5, 1), 1);               // here
  box.put(letter(2, 6, 1), 2);               // has gone on
  box.put(letter(3, 4, 1), 3);               // still behind
  box.put(letter(4, 6, 1, Kind::kTold), 4);  // of another kind: says nothing about this one
  std::vector<int64_t> open{1, 2, 3, 4};
  box.settle(Kind::kSaid, 5, open);
  EXPECT_EQ(open, (std::vector<int64_t>{3, 4}));
}

// What makes room is the oldest of exchanges, then of the rows of the log, and never what was said before
// all.
TEST(LetterBox, MakesRoomFromTheOldestOn) {
  LetterBox box;
  box.put(letter(-1, -1, 1, Kind::kTold), 1);
  box.put(letter(-1, 3, 1, Kind::kTold), 1);
  for (const int64_t round : {9, 7, 8}) box.put(letter(1, round, 1), 1);
  box.put(letter(1, 6, 1, Kind::kMasked), 1);
  box.put(letter(2, 1, 1), 2);  // another's
  const auto left = [&] { return box.held(1).letters; };
  EXPECT_TRUE(box.forget_oldest(1));
  EXPECT_FALSE(box.has(Kind::kMasked, 6, 1));
  EXPECT_TRUE(box.forget_oldest(1));
  EXPECT_FALSE(box.has(Kind::kSaid, 7, 1));
  EXPECT_TRUE(box.forget_oldest(1) && box.forget_oldest(1));
  EXPECT_EQ(left(), 2u);
  EXPECT_TRUE(box.has(Kind::kTold, 3, -1));
  EXPECT_TRUE(box.forget_oldest(1));
  EXPECT_FALSE(box.forget_oldest(1));
  EXPECT_TRUE(box.has(Kind::kTold, -1, -1));
  EXPECT_EQ(box.held(2).letters, 1u);
}

TEST(LetterBox, ARoundThatIsTakenEndsThoseBeforeItOfItsKind) {
  LetterBox box;
  for (const int64_t round : {4, 5, 6}) box.put(letter(1, round, 1), 1);
  box.put(letter(1, 4, 1, Kind::kTold), 1);
  const Post post = box.take(Kind::kSaid, 5, std::vector<int64_t>{1, 2});
  ASSERT_EQ(post.came.size(), 1u);
  EXPECT_EQ(post.came[0].round, 5);
  EXPECT_EQ(post.missing, std::vector<int64_t>{2});
  EXPECT_FALSE(box.has(Kind::kSaid, 4, 1));
  EXPECT_TRUE(box.has(Kind::kSaid, 6, 1));
  EXPECT_TRUE(box.has(Kind::kTold, 4, 1));
  EXPECT_EQ(box.held(1).letters, 2u);
  box.forget(Kind::kTold);
  EXPECT_FALSE(box.has(Kind::kTold, 4, 1));
}

}  // namespace
}  // namespace symma
