#include "dataloader/tar_reader.h"

#include <gtest/gtest.h>

#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/dataloader/tar_bytes.h"

namespace crescendo::dataloader {

namespace {

using Members = std::vector<std::pair<std::string, std::string>>;

Members read_tar(const Bytes& bytes) {
  TarReader reader(bytes, "x.tar");
  Members members;
  while (const auto member = reader.next()) {
    members.emplace_back(member->name, text_of(reader.read()));
  }
  return members;
}

std::string error_of(const Bytes& bytes) {
  return data_error_text([&] { read_tar(bytes); });
}

constexpr const char* kHint = "; the shard is cut short or damaged, copy or pack it again";

TEST(TarReaderTest, ReadsUstarPaxAndGnuNames) {
  const std::string long_name = "folder/" + std::string(150, 'n') + ".txt";
  const Bytes tar = TarBytes()
                        .add("a.txt", "ustar")
                        .add_pax(long_name, "pax")
                        .add_gnu(long_name, "gnu")
                        .add("b.txt", "")
                        .add("c.txt", std::string(1000, 'c'))
                        .end()
                        .bytes();
  const Members expected{{"a.txt", "ustar"},
                         {long_name, "pax"},
                         {long_name, "gnu"},
                         {"b.txt", ""},
                         {"c.txt", std::string(1000, 'c')}};
  EXPECT_EQ(read_tar(tar), expected);
  EXPECT_EQ(read_tar(gzip(tar)), expected);
}

TEST(TarReaderTest, ReadsAFileByItsPath) {
  const TemporaryFolder folder;
  write_bytes(folder / "a.tar", tar_of({{"a.txt", "A"}}));
  TarReader reader(folder / "a.tar");
  EXPECT_EQ(reader.name(), (folder / "a.tar").string());
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(text_of(reader.read()), "A");
  EXPECT_FALSE(reader.next());
}

TEST(TarReaderTest, KeepsNamesOfEveryScript) {
  const std::string name = "\u00FC/\u732B \U0001F431.txt";
  EXPECT_EQ(read_tar(TarBytes().add(name, "u").add_pax(name, "p").add_gnu(name, "g").end().bytes()),
            (Members{{name, "u"}, {name, "p"}, {name, "g"}}));
}

TEST(TarReaderTest, KeepsTheBytesOfANameThatIsNotUtf8) {
  EXPECT_EQ(read_tar(tar_of({{"a\xFF.txt", "A"}, {"b.txt", "B"}})),
            (Members{{"a\xFF.txt", "A"}, {"b.txt", "B"}}));
}

TEST(TarReaderTest, TellsSizeAndPlaceOfTheData) {
  const Bytes tar =
      TarBytes().add("a.txt", std::string(600, 'a')).add_pax("b.txt", "bb").end().bytes();
  TarReader reader(tar, "x.tar");
  const auto first = reader.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->size, 600U);
  EXPECT_EQ(first->offset, 512U);
  const auto second = reader.next();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->size, 2U);
  EXPECT_EQ(second->offset, 512U + 1024 + 1024 + 512);
}

TEST(TarReaderTest, PassesOverMembersThatAreNotRead) {
  const Bytes tar = tar_of({{"a", std::string(5000, 'a')}, {"b", "B"}, {"c", "C"}});
  TarReader reader(tar, "x.tar");
  reader.next();
  reader.next();
  const auto third = reader.next();
  ASSERT_TRUE(third);
  EXPECT_EQ(third->name, "c");
  EXPECT_EQ(text_of(reader.read()), "C");
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.next());
}

TEST(TarReaderTest, PassesOverFoldersLinksAndDevices) {
  const Bytes tar = TarBytes()
                        .add("folder/", "", '5')
                        .add("hard.txt", "", '1')
                        .add("soft.txt", "", '2')
                        .add("device", "", '3')
                        .add("a.txt", "A")
                        .add("pipe", "", '6')
                        .end()
                        .bytes();
  EXPECT_EQ(read_tar(tar), (Members{{"a.txt", "A"}}));
}

TEST(TarReaderTest, ReadsATarWithoutMembers) {
  EXPECT_EQ(read_tar(TarBytes().end().bytes()), Members());
  EXPECT_EQ(read_tar(TarBytes().end().end().end().bytes()), Members());
}

TEST(TarReaderTest, RefusesWhatIsNoTar) {
  EXPECT_EQ(error_of({}),
            std::string("x.tar: the file is empty; expected a tar archive (byte 0)") + kHint);
  const std::string html = error_of(bytes_of("<html>404</html>" + std::string(2000, ' ')));
  EXPECT_TRUE(html.starts_with("x.tar: Unrecognized archive format (byte ")) << html;
  EXPECT_TRUE(html.ends_with(kHint)) << html;
}

TEST(TarReaderTest, DemandsTheEndOfArchiveMark) {
  const TarBytes tar = TarBytes().add("a.txt", "A");
  const std::string message =
      "x.tar: no end-of-archive mark, so members may be missing (byte 1024, at or after member "
      "'a.txt')";
  EXPECT_EQ(error_of(tar.bytes()), message + kHint);
  for (const std::size_t zeros : {1U, 511U, 512U, 1023U}) {
    EXPECT_NE(error_of(TarBytes(tar).append(std::string(zeros, '\0')).bytes()), "") << zeros;
  }
  EXPECT_EQ(error_of(TarBytes(tar).append(std::string(1024, '\0')).bytes()), "");
}

TEST(TarReaderTest, AcceptsTapeBlocking) {
  EXPECT_EQ(read_tar(TarBytes().add("a.txt", "A").end().append(std::string(200'000, '\0')).bytes()),
            (Members{{"a.txt", "A"}}));
}

TEST(TarReaderTest, RefusesConcatenatedTars) {
  const Bytes two = TarBytes().add("a.txt", "A").end().add("b.txt", "B").end().bytes();
  const std::string message =
      "x.tar: data after the end of the archive at byte 1024; concatenated tars are not supported, "
      "extract and pack them anew";
  EXPECT_EQ(error_of(two), message);
  EXPECT_EQ(error_of(gzip(two)), message);
  EXPECT_EQ(
      error_of(TarBytes().add("a.txt", "A").end().append(std::string(300'000, '\0') + "x").bytes()),
      message);
}

TEST(TarReaderTest, RefusesASparseMember) {
  const std::string records =
      pax_record("GNU.sparse.size", "1000") + pax_record("GNU.sparse.numblocks", "1") +
      pax_record("GNU.sparse.offset", "0") + pax_record("GNU.sparse.numbytes", "4");
  const std::string message =
      error_of(TarBytes().add("pax", records, 'x').add("a.txt", "abcd").end().bytes());
  EXPECT_TRUE(message.starts_with("x.tar: a sparse member; expected plain files (byte "))
      << message;
  EXPECT_TRUE(message.ends_with(std::string(", at or after member 'a.txt')") + kHint)) << message;
}

// Memory in one piece for what these headers claim would end the test.
TEST(TarReaderTest, BelievesNoSizeWithoutTheBytes) {
  const std::string base256("\x80\0\0\0\x40\0\0\0\0\0\0\0", 12);  // 2^62
  for (const std::string& size : {std::string("77777777777"), base256}) {
    const Bytes tar = TarBytes().add_claim("a.txt", size).append("a few bytes").bytes();
    TarReader reader(tar, "x.tar");
    EXPECT_NE(data_error_text([&] {
                if (reader.next()) reader.read();
              }),
              "");
  }
}

TEST(TarReaderTest, BelievesNoSizeOfAPaxHeader) {
  EXPECT_NE(error_of(TarBytes().add_claim("pax", "07777777777").append("12 path=x\n").bytes()), "");
  for (const char* size : {"9223372036854775807", "18446744073709551615", "-1", "x"}) {
    const Bytes tar =
        TarBytes().add("pax", pax_record("size", size), 'x').add("a.txt", "A").end().bytes();
    EXPECT_NE(error_of(tar), "") << size;
  }
}

TEST(TarReaderTest, NamesTheMemberAndTheByteOfTheDamage) {
  Bytes tar = tar_of({{"a.txt", "A"}, {"b.txt", "B"}});
  tar[1024 + 5] ^= std::byte{1};
  const std::string message = error_of(tar);
  EXPECT_EQ(
      message,
      std::string("x.tar: Damaged tar archive (byte 1536, at or after member 'a.txt')") + kHint);
}

TEST(TarReaderTest, ReportsAGzipWithAWrongChecksumAtItsEnd) {
  Bytes tar = gzip(tar_of({{"a.txt", "A"}}));
  tar[tar.size() - 8] ^= std::byte{1};
  EXPECT_EQ(error_of(tar),
            "x.tar: damaged gzip stream: incorrect data check; the file is corrupt, copy it again");
}

}  // namespace

}  // namespace crescendo::dataloader
