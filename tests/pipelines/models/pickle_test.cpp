#include "pipelines/models/pickle.h"

#include <gtest/gtest.h>

#include "tests/core/error_text.h"

namespace crescendo::pipelines {
namespace {

using namespace std::string_literals;
using Kind = PickleValue::Kind;

Pickle parse(const std::string& bytes) {
  return parse_pickle(std::as_bytes(std::span(bytes)), "f.pth");
}

std::string error_of(const std::string& bytes) {
  return data_error_text([&] { parse(bytes); });
}

TEST(PickleTest, NumbersOfEveryWidth) {
  EXPECT_EQ(parse("\x80\x02K\xFF."s).top().number, 255);
  EXPECT_EQ(parse("M\x01\x02."s).top().number, 0x201);
  EXPECT_EQ(parse("J\xFE\xFF\xFF\xFF."s).top().number, -2);
  EXPECT_EQ(parse("\x8A\x01\xFE."s).top().number, -2);
  EXPECT_EQ(parse("\x8A\x05\x01\x00\x00\x00\x01."s).top().number, 0x1'0000'0001);
  EXPECT_EQ(parse("\x8A\x00."s).top().number, 0);
  EXPECT_EQ(parse("G\x3F\xF8\x00\x00\x00\x00\x00\x00."s).top().real, 1.5);
}

TEST(PickleTest, ContainersAndTheMemo) {
  // {"a": (1, 1)} with the tuple's numbers put aside and taken back.
  const Pickle pickle = parse("\x80\x02}q\x00X\x01\x00\x00\x00\x61K\x01q\x01h\x01\x86s."s);
  ASSERT_EQ(pickle.top().kind, Kind::kDict);
  ASSERT_EQ(pickle.top().items.size(), 2U);
  EXPECT_EQ(pickle.at(pickle.top().items[0]).text, "a");
  const PickleValue& tuple = pickle.at(pickle.top().items[1]);
  ASSERT_EQ(tuple.items.size(), 2U);
  EXPECT_EQ(pickle.at(tuple.items[0]).number, 1);
  EXPECT_EQ(tuple.items[0], tuple.items[1]);
  const Pickle list = parse("](K\x01K\x02\x65K\x03\x61."s);
  EXPECT_EQ(list.top().items.size(), 3U);
}

TEST(PickleTest, CallsAreRecordedAndNotRun) {
  // What an attack looks like: os.system("touch here").
  const Pickle pickle = parse("cos\nsystem\nU\x0Atouch here\x85R."s);
  EXPECT_EQ(pickle.top().kind, Kind::kCall);
  EXPECT_EQ(pickle.top().text, "os system");
  EXPECT_EQ(pickle.at(pickle.top().items[0]).text, "touch here");
}

TEST(PickleTest, OrderedDictsAreDicts) {
  const Pickle pickle = parse("ccollections\nOrderedDict\n)R(U\x01xK\x07u}b."s);
  ASSERT_EQ(pickle.top().kind, Kind::kDict);
  EXPECT_EQ(pickle.at(pickle.top().items[1]).number, 7);
}

TEST(PickleTest, TellsWhereItEnds) { EXPECT_EQ(parse("K\x01.rest"s).byte_count, 3U); }

TEST(PickleTest, MalformedOnesAreNamed) {
  EXPECT_EQ(error_of(""), "f.pth: pickle: ends too early (at byte 0)");
  EXPECT_EQ(error_of("K"), "f.pth: pickle: ends too early (at byte 0)");
  EXPECT_EQ(error_of("."), "f.pth: pickle: takes an object that is not there (at byte 0)");
  EXPECT_EQ(error_of("K\x01t."), "f.pth: pickle: takes a mark that is not there (at byte 2)");
  EXPECT_EQ(error_of("(R."), "f.pth: pickle: takes an object that is not there (at byte 1)");
  EXPECT_EQ(error_of("K\x01K\x02R."), "f.pth: pickle: calls what is no name (at byte 4)");
  EXPECT_EQ(error_of("K\x01K\x02\x61."), "f.pth: pickle: appends to what is no list (at byte 4)");
  EXPECT_EQ(error_of("h\x05."), "f.pth: pickle: takes back what it never put aside (at byte 0)");
  EXPECT_EQ(error_of("i."), "f.pth: pickle: opcode 0x69 is none that weights need (at byte 0)");
  EXPECT_EQ(error_of("X\xFF\xFF\xFF\xFF."), "f.pth: pickle: ends too early (at byte 0)");
  EXPECT_EQ(error_of("cos\nsystem"), "f.pth: pickle: ends too early (at byte 0)");
}

}  // namespace
}  // namespace crescendo::pipelines
