#include "dataloader/shard_index.h"

#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/dataloader/tar_bytes.h"

namespace crescendo::dataloader {

namespace {

const std::string kAnew = "; make the index anew: crescendo index --force SHARD";
const std::string kHeader = R"({"crescendo_index":1,"samples":1,"shard_bytes":4096})";
const std::string kSample = R"({"key":"a","members":[["jpg",512,5,7],["txt",1536,0,0]]})";

ShardIndex parse(const std::string& text) { return parse_shard_index(text, "x.index", 4096); }

/// What is wrong with a line of a sample.
std::string line_error(const std::string& line) {
  return data_error_text([&] { parse(kHeader + "\n" + line + "\n"); });
}

TEST(ShardIndexTest, ComesBackAsWritten) {
  const TemporaryFolder folder;
  const auto shard = folder / "a.tar";
  write_bytes(shard, Bytes(2048));
  const ShardIndex index{.samples = {{"d/a", {{"jpg", 512, 5, 7}, {"txt", 1024, 0, 0}}},
                                     {"猫\"\n", {{"", 1536, 1, 9}}}},
                         .shard_bytes = 2048};
  write_shard_index(shard, index);
  EXPECT_EQ(read_shard_index(shard), index);
  EXPECT_EQ(indexed_sample_count(shard), 2U);
  EXPECT_EQ(read_file(index_path(shard)).substr(0, 123),
            "{\"crescendo_index\":1,\"samples\":2,\"shard_bytes\":2048}\n"
            "{\"key\":\"d/a\",\"members\":[[\"jpg\",512,5,7],[\"txt\",1024,0,0]]}\n"
            "{\"key\":\"猫");
}

TEST(ShardIndexTest, IndexesEveryFormOfHeader) {
  const TemporaryFolder folder;
  const std::string long_name = "d/" + std::string(150, 'n') + ".JPG";
  const auto shard = folder / "a.tar";
  const Bytes tar = TarBytes()
                        .add("d/", "", '5')
                        .add_pax("猫.seg.png", "pax")
                        .add_gnu(long_name, "gnu")
                        .add("__meta__", "not a sample")
                        .add("a.jpg", std::string(1000, 'x'))
                        .add("a.txt", "")
                        .add("a.txt", "twice")
                        .end()
                        .bytes();
  write_bytes(shard, tar);
  const ShardIndex index = index_shard(shard);
  EXPECT_EQ(index.shard_bytes, tar.size());
  ASSERT_EQ(index.samples.size(), 3U);
  EXPECT_EQ(index.samples[0].key, "猫");
  EXPECT_EQ(index.samples[1].key, "d/" + std::string(150, 'n'));
  EXPECT_EQ(index.samples[2].members.size(), 3U);
  const auto text_at = [&](std::size_t sample, std::size_t member) {
    const IndexedMember& place = index.samples[sample].members[member];
    return text_of(std::span(tar).subspan(place.offset, place.size));
  };
  EXPECT_EQ(index.samples[0].members[0].suffix, "seg.png");
  EXPECT_EQ(index.samples[1].members[0].suffix, "jpg");
  EXPECT_EQ(text_at(0, 0), "pax");
  EXPECT_EQ(text_at(1, 0), "gnu");
  EXPECT_EQ(text_at(2, 0), std::string(1000, 'x'));
  EXPECT_EQ(text_at(2, 1), "");
  EXPECT_EQ(text_at(2, 2), "twice");
  EXPECT_EQ(index.samples[0].members[0].crc32, 0x898812AAU);  // of Python's zlib
  write_shard_index(shard, index);
  EXPECT_EQ(read_shard_index(shard), index);
}

TEST(ShardIndexTest, RefusesToIndexWhatCannotBeReadAtRandom) {
  const TemporaryFolder folder;
  const auto shard = folder / "a.tar";
  write_bytes(shard, gzip(tar_of({{"a.txt", "x"}})));
  EXPECT_EQ(data_error_text([&] { index_shard(shard); }),
            shard.string() +
                ": compressed with gzip, so its samples cannot be read at random; expected a plain "
                "tar");
  write_bytes(shard, tar_of({{"a\xff.txt", "x"}}));
  EXPECT_EQ(
      data_error_text([&] { index_shard(shard); }),
      shard.string() + ": byte 512: the name of a member is not UTF-8, an index cannot hold it");
  write_bytes(shard, TarBytes().add("a.txt", "x").bytes());
  EXPECT_EQ(data_error_text([&] { index_shard(shard); }),
            shard.string() +
                ": no end-of-archive mark, so members may be missing (byte 1024, at or after "
                "member 'a.txt'); the shard is cut short or damaged, copy or pack it again");
  EXPECT_EQ(error_text([&] { index_shard(folder.path()); }),
            folder.path().string() + ": no regular file, so it cannot be read at random");
  EXPECT_EQ(error_text([&] { index_shard(folder / "no"); }),
            (folder / "no").string() + ": cannot open: No such file or directory");
}

TEST(ShardIndexTest, NamesFileAndLineOfWhatIsMalformed) {
  EXPECT_EQ(parse(kHeader + "\n" + kSample + "\n").samples.size(), 1U);
  const std::string line1 = "x.index: line 1: expected ";
  const std::string line2 = "x.index: line 2: expected ";
  const auto header_error = [](const std::string& text) {
    return data_error_text([&] { parse(text); });
  };
  EXPECT_EQ(header_error(""), line1 + "a line with its end, the index is cut short" + kAnew);
  EXPECT_EQ(header_error("[]\n"), line1 + "a JSON object of 3 keys" + kAnew);
  EXPECT_EQ(header_error(R"({"crescendo_index":2,"samples":1,"shard_bytes":1})"
                         "\n"),
            line1 + "crescendo_index 1" + kAnew);
  EXPECT_EQ(header_error(R"({"crescendo_index":1,"sample":1,"shard_bytes":1})"
                         "\n"),
            line1 + "a key 'samples'" + kAnew);
  EXPECT_EQ(header_error(R"({"crescendo_index":1,"samples":-1,"shard_bytes":1})"
                         "\n"),
            line1 + "samples as a whole number from 0" + kAnew);
  EXPECT_EQ(header_error(R"({"crescendo_index":1,"samples":1,"shard_bytes":7})"
                         "\n"),
            line1 + "a shard of 7 bytes, found one of 4096" + kAnew);
  EXPECT_EQ(header_error(kHeader + "\n"), "x.index: expected 1 samples, found 0" + kAnew);
  EXPECT_EQ(header_error(kHeader + "\n" + kSample),
            line2 + "a line with its end, the index is cut short" + kAnew);
  EXPECT_EQ(line_error("{"), line2 + "a JSON object of 2 keys" + kAnew);
  EXPECT_EQ(line_error(R"({"key":"","members":[["jpg",0,5,7]]})"), line2 + "a key" + kAnew);
  EXPECT_EQ(line_error(R"({"key":"a","members":[]})"), line2 + "a list of members" + kAnew);
  EXPECT_EQ(line_error(R"({"key":"a","members":[["jpg",0,5]]})"),
            line2 + "each member as [SUFFIX, OFFSET, SIZE, CRC32]" + kAnew);
  EXPECT_EQ(line_error(R"({"key":"a","members":[["jpg",0.5,5,7]]})"),
            line2 + "an offset as a whole number from 0" + kAnew);
  EXPECT_EQ(line_error(R"({"key":"a","members":[["jpg",0,5,4294967296]]})"),
            line2 + "a CRC-32 of 32 bits" + kAnew);
  EXPECT_EQ(line_error(R"({"key":"a","members":[["jpg",512,5,7],["txt",516,5,7]]})"),
            line2 + "members one behind the other" + kAnew);
  EXPECT_EQ(line_error(R"({"key":"a","members":[["jpg",4092,5,7]]})"),
            line2 + "members within the 4096 bytes of the shard" + kAnew);
  EXPECT_EQ(line_error(R"({"key":"a","members":[["jpg",18446744073709551615,2,7]]})"),
            line2 + "members within the 4096 bytes of the shard" + kAnew);
  EXPECT_EQ(line_error(std::string((1 << 20) + 1, 'x')), line2 + "at most 1048576 bytes" + kAnew);
  EXPECT_EQ(line_error(fmt::format("{0}\n{0}", kSample)),
            "x.index: line 3: expected samples one behind the other" + kAnew);
}

TEST(ShardIndexTest, CountsByTheFirstLineAndPassesOverAStaleIndex) {
  const TemporaryFolder folder;
  const auto shard = folder / "a.tar";
  write_bytes(shard, Bytes(4096));
  EXPECT_EQ(indexed_sample_count(shard), std::nullopt);
  write_file_atomically(index_path(shard), kHeader + "\nwhatever follows");
  EXPECT_EQ(indexed_sample_count(shard), 1U);
  write_bytes(shard, Bytes(4608));
  EXPECT_EQ(indexed_sample_count(shard), std::nullopt);
  EXPECT_EQ(data_error_text([&] { read_shard_index(shard); }),
            index_path(shard).string() +
                ": line 1: expected a shard of 4096 bytes, found one of 4608" + kAnew);
  write_file_atomically(index_path(shard), "nonsense\n");
  EXPECT_EQ(data_error_text([&] { indexed_sample_count(shard); }),
            index_path(shard).string() + ": line 1: expected a JSON object of 3 keys" + kAnew);
}

}  // namespace

}  // namespace crescendo::dataloader
