#include "dataloader/shard_list.h"

#include <gtest/gtest.h>

#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/dataloader/test_data.h"

namespace crescendo::dataloader {

namespace {

using Names = std::vector<std::string>;

TEST(BracesTest, ExpandAsBashDoes) {
  const std::vector<std::pair<std::string, Names>> cases{
      {"", {""}},
      {"a", {"a"}},
      {"{a,b}", {"a", "b"}},
      {"x{a,b}y", {"xay", "xby"}},
      {"{a,}", {"a", ""}},
      {"{,}", {"", ""}},
      {"{08..11}", {"08", "09", "10", "11"}},
      {"{8..11}", {"8", "9", "10", "11"}},
      {"{000..2}", {"000", "001", "002"}},
      {"{0..9..3}", {"0", "3", "6", "9"}},
      {"{00..10..5}", {"00", "05", "10"}},
      {"{0..3..0}", {"0", "1", "2", "3"}},
      {"{10..8}", {"10", "9", "8"}},
      {"{9..0..-4}", {"9", "5", "1"}},
      {"{-1..1}", {"-1", "0", "1"}},
      {"{-01..1}", {"-01", "000", "001"}},
      {"{5..5}", {"5"}},
      {"{c..a}", {"c", "b", "a"}},
      {"{a..e..2}", {"a", "c", "e"}},
      {"{a,b}{0..1}", {"a0", "a1", "b0", "b1"}},
      {"{a,b{1,2},c}", {"a", "b1", "b2", "c"}},
      {"{{a,b},{c,d}}", {"a", "b", "c", "d"}},
      {"{}", {"{}"}},
      {"{x}", {"{x}"}},
      {"{{a,b}}", {"{a}", "{b}"}},
      {"{1..b}", {"{1..b}"}},
      {"{1..2..3..4}", {"{1..2..3..4}"}},
      {"{1.5..2}", {"{1.5..2}"}},
      {"a,b", {"a,b"}},
  };
  for (const auto& [pattern, expected] : cases)
    EXPECT_EQ(expand_braces(pattern), expected) << pattern;
}

TEST(BracesTest, RefuseThoseThatDoNotMatch) {
  EXPECT_EQ(error_text([] { expand_braces("a-{000..009.tar"); }),
            "a-{000..009.tar: a brace '{' without its '}'");
  EXPECT_EQ(error_text([] { expand_braces("a}.tar"); }), "a}.tar: a brace '}' without its '{'");
  EXPECT_NE(error_text([] { expand_braces("{a,b}}"); }), "");
  EXPECT_NE(error_text([] { expand_braces("{{a,b}"); }), "");
}

TEST(BracesTest, RefuseMoreThanAMillionNames) {
  EXPECT_EQ(expand_braces("{1..1000}{1..10}").size(), 10'000U);
  EXPECT_EQ(error_text([] { expand_braces("{1..10000000}"); }),
            "1..10000000: expands to more than 1000000 names");
  EXPECT_EQ(error_text([] { expand_braces("{1..2000}{1..2000}"); }),
            "{1..2000}{1..2000}: expands to more than 1000000 names");
  EXPECT_NE(error_text([] { expand_braces("{-1000000000000..1000000000000}"); }), "");
  EXPECT_EQ(expand_braces("{1..99999999999999999999}"), Names{"{1..99999999999999999999}"});
}

class ShardListTest : public testing::Test {
 protected:
  void touch(const std::string& name) { write_bytes(folder_ / name, {}); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  Names expand(const std::string& pattern) const { return expand_shards(Names{path(pattern)}); }
  std::string error_of(const std::string& pattern) const {
    return error_text([&] { expand(pattern); });
  }

  TemporaryFolder folder_;
};

TEST_F(ShardListTest, KeepsTheOrderOfThePatterns) {
  for (const char* name : {"b-0.tar", "b-1.tar", "a-1.tar", "a-0.tar", "c.tar"}) touch(name);
  const Names patterns{path("b-{1..0}.tar"), path("a-*.tar"), path("c.tar")};
  EXPECT_EQ(expand_shards(patterns), (Names{path("b-1.tar"), path("b-0.tar"), path("a-0.tar"),
                                            path("a-1.tar"), path("c.tar")}));
}

TEST_F(ShardListTest, ExpandsGlobsSorted) {
  for (const char* name : {"b.tar", "a.tar", "10.tar", "9.tar", "x.txt"}) touch(name);
  EXPECT_EQ(expand("*.tar"), (Names{path("10.tar"), path("9.tar"), path("a.tar"), path("b.tar")}));
  EXPECT_EQ(expand("?.tar"), (Names{path("9.tar"), path("a.tar"), path("b.tar")}));
  EXPECT_EQ(expand("[ab].tar"), (Names{path("a.tar"), path("b.tar")}));
  EXPECT_EQ(expand("{a,[0-9]}.t*"), (Names{path("a.tar"), path("9.tar")}));
}

TEST_F(ShardListTest, AGlobTakesOnlyShards) {
  for (const char* name : {"00000.tar", "00000.parquet", "00000_stats.json", "00001.tar.gz",
                           "00001.tar.gz.index", "00002", "pack.json", "classes.txt"}) {
    touch(name);
  }
  EXPECT_EQ(expand("*"), (Names{path("00000.tar"), path("00001.tar.gz"), path("00002")}));
}

TEST_F(ShardListTest, TakesANameThatIsThereAsItIs) {
  for (const char* name : {"{0..1}.tar", "x[1].tar", "*.tar"}) {
    touch(name);
    EXPECT_EQ(expand(name), Names{path(name)});
  }
}

TEST_F(ShardListTest, NamesMissingShards) {
  touch("train-000.tar");
  touch("train-002.tar");
  const std::string folder = folder_.path().string();
  EXPECT_EQ(error_of("train-{000..003}.tar"), path("train-{000..003}.tar") +
                                                  ": missing shards: " + path("train-001.tar") +
                                                  ", " + path("train-003.tar") + "; the folder " +
                                                  folder + " holds train-000.tar, train-002.tar");
}

TEST_F(ShardListTest, NamesTheFirstFiveOfManyMissing) {
  const std::string folder = folder_.path().string();
  EXPECT_EQ(error_of("{1..12}.tar"), path("{1..12}.tar") + ": missing shards: " + path("1.tar") +
                                         ", " + path("2.tar") + ", " + path("3.tar") + ", " +
                                         path("4.tar") + ", " + path("5.tar") +
                                         " and 7 more; the folder " + folder + " is empty");
}

TEST_F(ShardListTest, NamesAFolderThatIsNotThere) {
  EXPECT_EQ(error_of("no/a.tar"), path("no/a.tar") + ": missing shards: " + path("no/a.tar") +
                                      "; the folder " + path("no") +
                                      " cannot be read: No such file or directory");
}

TEST_F(ShardListTest, NamesWhatIsThereInsteadOfAMatch) {
  touch("a.zip");
  EXPECT_EQ(error_of("*.tar"), path("*.tar") + ": no shard matches; the folder " +
                                   folder_.path().string() + " holds a.zip");
}

TEST_F(ShardListTest, RefusesAFolder) {
  touch("sub/a.tar");
  EXPECT_EQ(error_of("sub"),
            path("sub") + ": a folder; expected tar shards, for instance " + path("sub/*.tar"));
}

TEST_F(ShardListTest, RefusesAShardNamedTwice) {
  touch("a.tar");
  const Names patterns{path("a.tar"), path("*.tar")};
  EXPECT_EQ(error_text([&] { expand_shards(patterns); }),
            path("a.tar") + ": this shard is named twice");
}

TEST_F(ShardListTest, RefusesNoPatterns) {
  EXPECT_EQ(error_text([] { expand_shards({}); }),
            "data.shards: no shards given; expected paths, brace lists or globs of tars");
}

TEST(ShardEntryTest, CommandsAndStandardInputStandForThemselves) {
  EXPECT_EQ(expand_shards(Names{"pipe:cat /nowhere/{000..001}.tar | awk '{print}'", "-"}),
            (Names{"pipe:cat /nowhere/000.tar | awk '{print}'",
                   "pipe:cat /nowhere/001.tar | awk '{print}'", "-"}));
  EXPECT_EQ(error_text([] { expand_shards(Names{"-", "-"}); }), "-: this shard is named twice");
}

TEST(ShardEntryTest, AListNamesAPatternALine) {
  const TemporaryFolder folder;
  for (const char* name : {"a.tar", "b-0.tar", "b-1.tar", "c.tar"}) write_bytes(folder / name, {});
  const std::string base = folder.path().string() + "/";
  const std::string list = base + "list.txt";
  write_bytes(list, bytes_of("# of two\n\n  b-{0..1}.tar \r\npipe:cat x.tar\n" + base + "a.tar\n"));
  const Names expected{base + "b-0.tar", base + "b-1.tar", "pipe:cat x.tar", base + "a.tar"};
  EXPECT_EQ(expand_shards(Names{list}), expected);
  EXPECT_EQ(expand_shards(Names{"@" + list}), expected);
  write_bytes(folder / "other", bytes_of("?.tar"));
  EXPECT_EQ(expand_shards(Names{"@" + base + "other"}), (Names{base + "a.tar", base + "c.tar"}));
  write_bytes(list, bytes_of("a.tar\nno.tar\n"));
  EXPECT_EQ(error_text([&] { expand_shards(Names{list}); }),
            list + ": line 2: " + base + "no.tar: missing shards: " + base + "no.tar; the folder " +
                folder.path().string() +
                " holds a.tar, b-0.tar, b-1.tar, c.tar, list.txt and 1 more");
  write_bytes(list, bytes_of("# none\n"));
  EXPECT_EQ(error_text([&] { expand_shards(Names{list}); }),
            list + ": no shards in this list; expected a path, brace list, glob or pipe: a line");
  EXPECT_EQ(error_text([&] { expand_shards(Names{"@" + base + "no"}); }),
            base + "no: cannot read: No such file or directory");
}

}  // namespace

}  // namespace crescendo::dataloader
