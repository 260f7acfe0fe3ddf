#include "dataloader/indexed_shard.h"

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/dataloader/tar_bytes.h"

namespace crescendo::dataloader {

namespace {

class IndexedShardTest : public testing::Test {
 protected:
  void write(const Bytes& tar) {
    write_bytes(path_, tar);
    write_shard_index(path_, index_shard(path_));
  }

  std::string defect(std::uint64_t number, std::uint64_t max_sample_bytes = 1 << 20) const {
    OpenFiles files(2);
    const RawSample sample = IndexedShard(path_, max_sample_bytes, files).read(number);
    EXPECT_EQ(sample.defect.has_value(), sample.members.empty());
    return sample.key + ": " + sample.defect->cause + ": " + sample.defect->detail;
  }

  TemporaryFolder folder_;
  OpenFiles files_{2};
  std::filesystem::path path_ = folder_ / "a.tar";
};

TEST_F(IndexedShardTest, ReadsEachSampleAsTheSampleReaderDoes) {
  write(TarBytes()
            .add_pax("猫.png", "pixels")
            .add("b.TXT", "")
            .add("b.json", "{}")
            .add("c.txt", "1")
            .add("c.txt", "2")
            .end()
            .bytes());
  const IndexedShard shard(path_, 1 << 20, files_);
  TarReader archive(path_);
  SampleReader reader(archive, 1 << 20);
  std::uint64_t number = 0;
  while (const auto expected = reader.next()) {
    const RawSample sample = shard.read(number++);
    EXPECT_EQ(sample.key, expected->key);
    EXPECT_EQ(sample.shard, expected->shard);
    EXPECT_EQ(sample.defect.has_value(), expected->defect.has_value());
    ASSERT_EQ(sample.members.size(), expected->members.size());
    for (std::size_t i = 0; i < sample.members.size(); ++i) {
      EXPECT_EQ(sample.members[i].suffix, expected->members[i].suffix);
      EXPECT_EQ(sample.members[i].bytes, expected->members[i].bytes);
    }
  }
  EXPECT_EQ(shard.size(), number);
  EXPECT_EQ(defect(2), "c: duplicate member: 'c.txt' comes twice");
  EXPECT_EQ(defect(0, 5),
            "猫: sample too large: '猫.png' has 6 bytes; max_sample_bytes is 5 for all members");
}

TEST_F(IndexedShardTest, AShardWithoutSamplesHasNone) {
  write(tar_of({}));
  EXPECT_EQ(IndexedShard(path_, 1, files_).size(), 0U);
}

TEST_F(IndexedShardTest, ChangedBytesAreADefect) {
  Bytes tar = tar_of({{"a.txt", "hello"}, {"b.txt", "world"}});
  write(tar);
  tar[512] ^= std::byte{1};
  write_bytes(path_, tar);
  EXPECT_EQ(defect(0), "a: damaged shard: " + path_.string() +
                           ": 'a.txt' at byte 512 is not what its index tells (CRC-32); the shard "
                           "is changed or damaged, copy or index it again");
  EXPECT_FALSE(IndexedShard(path_, 10, files_).read(1).defect);
}

TEST_F(IndexedShardTest, AShardThatIsCutOrGoneLaterIsADefect) {
  write(tar_of({{"a.txt", "hello"}, {"b.txt", "world"}}));
  OpenFiles one(1);  // so that opening the index closes the shard
  const IndexedShard shard(path_, 100, one);
  std::filesystem::resize_file(path_, 1536 + 2);
  EXPECT_FALSE(shard.read(0).defect);
  EXPECT_EQ(shard.read(1).defect->detail,
            path_.string() + ": the file ends at byte 1538; expected 3 bytes more");
  std::filesystem::remove(path_);
  EXPECT_EQ(shard.read(1).key, "b");
  EXPECT_EQ(shard.read(1).defect->detail,
            path_.string() + ": cannot open: No such file or directory");
  EXPECT_THROW(one.get(0, path_), UserError);
}

TEST_F(IndexedShardTest, ReadsOnFromAShardThatIsOpenWhenItGoes) {
  write(tar_of({{"a.txt", "hello"}, {"b.txt", "world"}}));
  const IndexedShard shard(path_, 100, files_);
  EXPECT_FALSE(shard.read(0).defect);
  std::filesystem::remove(path_);
  std::filesystem::remove(index_path(path_));
  EXPECT_FALSE(shard.read(1).defect);
}

TEST_F(IndexedShardTest, KeepsNoMoreFilesOpenThanItMay) {
  OpenFiles files(3);
  const auto path = [&](std::uint64_t number) { return folder_ / fmt::format("{}", number); };
  for (std::uint64_t number = 0; number < 7; ++number) write_bytes(path(number), Bytes(number));
  std::vector<std::weak_ptr<const PlainFile>> all;
  for (std::uint64_t number = 0; number < 7; ++number) {
    all.push_back(files.get(number, path(number)));
    EXPECT_EQ(files.get(number, path(number)), all.back().lock());
    EXPECT_EQ(all.back().lock()->size(), number);
  }
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].expired(), i < 4) << i;
}

TEST_F(IndexedShardTest, RefusesAnIndexThatIsNotTheShards) {
  write(tar_of({{"a.txt", "hello"}}));
  const std::string anew = "; make the index anew: crescendo index --force " + path_.string();
  const std::string text = read_file(index_path(path_));
  write_file_atomically(index_path(path_), text.substr(0, text.size() - 1));
  EXPECT_EQ(data_error_text([&] { IndexedShard(path_, 1, files_); }),
            index_path(path_).string() + ": expected 1 samples, found 0" + anew);
  write_file_atomically(index_path(path_), text);
  write_bytes(path_, Bytes(7));
  EXPECT_EQ(data_error_text([&] { IndexedShard(path_, 1, files_); }),
            index_path(path_).string() + ": expected the index of this shard");
}

}  // namespace

}  // namespace crescendo::dataloader
