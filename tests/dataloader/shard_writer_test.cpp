#include "dataloader/shard_writer.h"

#include <csignal>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "core/atomic_file.h"
#include "dataloader/sample_reader.h"
#include "dataloader/shard_index.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/dataloader/test_data.h"

namespace crescendo::dataloader {

namespace {

using Members = std::vector<std::pair<std::string, std::string>>;
using Samples = std::vector<std::pair<std::string, Members>>;

void write(ShardWriter& writer, const std::string& key, const Members& members) {
  std::vector<MemberView> views;
  for (const auto& [suffix, text] : members) {
    views.push_back({suffix, std::as_bytes(std::span(text))});
  }
  writer.write(key, views);
}

void write_all(ShardWriter& writer, const Samples& samples) {
  for (const auto& [key, members] : samples) write(writer, key, members);
  writer.finish();
}

Samples read_shards(const std::vector<std::filesystem::path>& shards) {
  Samples samples;
  for (const std::filesystem::path& shard : shards) {
    TarReader archive(shard);
    SampleReader reader(archive, 1 << 20);
    while (const auto sample = reader.next()) {
      EXPECT_FALSE(sample->defect);
      Members members;
      for (const RawMember& member : sample->members) {
        members.emplace_back(member.suffix, text_of(member.bytes));
      }
      samples.emplace_back(sample->key, std::move(members));
    }
  }
  return samples;
}

Samples odd_samples() {
  return {{"a", {{"jpg", "1"}, {"txt", ""}}},
          {"folder.d/" + std::string(200, 'n'), {{"jpg", std::string(5000, 'x')}}},
          {"\u00FC/\u732B \U0001F431", {{"seg.png", "2"}, {"json", "{}"}}},
          {"./dot", {{"txt", "3"}}},
          {"with space and 'quotes'", {{"txt", "4"}}}};
}

Samples numbered(int count) {
  Samples samples;
  for (int i = 0; i < count; ++i) samples.push_back({std::to_string(i), {{"txt", "sample"}}});
  return samples;
}

std::size_t file_count(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder),
                                                std::filesystem::directory_iterator()));
}

TEST(ShardWriterTest, WritesWhatIsReadBackEqual) {
  const TemporaryFolder folder;
  ShardWriter writer({.folder = folder.path()});
  write_all(writer, odd_samples());
  EXPECT_EQ(writer.shards(), std::vector{folder / "000000.tar"});
  EXPECT_EQ(read_shards(writer.shards()), odd_samples());
}

TEST(ShardWriterTest, WritesTheIndexThatReadingTheShardGives) {
  const TemporaryFolder folder;
  ShardWriter writer({.folder = folder.path(), .max_samples = 3});
  write_all(writer, odd_samples());
  ASSERT_EQ(writer.shards().size(), 2U);
  for (const std::filesystem::path& shard : writer.shards()) {
    EXPECT_EQ(read_shard_index(shard), index_shard(shard));
  }
}

TEST(ShardWriterTest, GoesOnBehindCompleteShards) {
  const TemporaryFolder folder;
  ShardWriter whole({.folder = folder / "whole", .max_samples = 2});
  write_all(whole, numbered(5));
  ShardWriter first({.folder = folder / "parts", .max_samples = 2});
  write_all(first, numbered(2));
  write_bytes(folder / "parts/000001.tar", bytes_of("of another run"));
  write_bytes(folder / "parts/000001.tar.index", bytes_of("of another run"));
  ShardWriter second({.folder = folder / "parts", .max_samples = 2, .complete_shards = 1});
  const Samples all = numbered(5);
  write_all(second, {all.begin() + 2, all.end()});
  EXPECT_EQ(second.shards().size(), 3U);
  for (const char* name : {"000000.tar", "000001.tar", "000002.tar", "000000.tar.index",
                           "000001.tar.index", "000002.tar.index"}) {
    EXPECT_EQ(read_file(folder / "parts" / name), read_file(folder / "whole" / name)) << name;
  }
}

// An index beside a shard of another content, but its size, would be believed.
TEST(ShardWriterTest, RemovesAnOldIndexBeforeItsShardIsReplaced) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "000000.tar.index/in_the_way");
  ShardWriter writer({.folder = folder.path()});
  EXPECT_ANY_THROW(write_all(writer, numbered(1)));
  EXPECT_FALSE(std::filesystem::exists(folder / "000000.tar"));
}

TEST(ShardWriterTest, WritesTheSameBytesAgain) {
  const TemporaryFolder folder;
  for (const char* name : {"one", "two"}) {
    ShardWriter writer({.folder = folder / name});
    write_all(writer, odd_samples());
  }
  const std::string bytes = read_file(folder / "one/000000.tar");
  EXPECT_GT(bytes.size(), 10'000U);
  EXPECT_EQ(bytes, read_file(folder / "two/000000.tar"));
}

// Owner, group, times and mode are the same on every machine.
TEST(ShardWriterTest, WritesNothingOfTheMachine) {
  const TemporaryFolder folder;
  ShardWriter writer({.folder = folder.path()});
  write_all(writer, {{"a", {{"txt", "1"}}}});
  const std::string header = read_file(folder / "000000.tar").substr(0, 512);
  EXPECT_EQ(header.substr(0, 6), std::string("a.txt\0", 6));
  EXPECT_EQ(header.substr(100, 6), "000644");
  EXPECT_EQ(header.substr(108, 6), "000000");
  EXPECT_EQ(header.substr(116, 6), "000000");
  EXPECT_EQ(header.substr(136, 11), "00000000000");
  EXPECT_EQ(header[156], '0');
  EXPECT_EQ(header.substr(265, 64), std::string(64, '\0'));
}

TEST(ShardWriterTest, BeginsANewShardWhenOneIsFull) {
  const TemporaryFolder folder;
  ShardWriter writer({.folder = folder.path(), .prefix = "train", .max_samples = 4});
  write_all(writer, numbered(10));
  EXPECT_EQ(writer.shards(), (std::vector{folder / "train-000000.tar", folder / "train-000001.tar",
                                          folder / "train-000002.tar"}));
  EXPECT_EQ(read_shards(writer.shards()), numbered(10));
  EXPECT_EQ(read_shards({writer.shards()[2]}).size(), 2U);
}

TEST(ShardWriterTest, BeginsANewShardAfterSoManyBytes) {
  const TemporaryFolder folder;
  ShardWriter writer({.folder = folder.path(), .max_bytes = 30'000});
  Samples samples;
  for (int i = 0; i < 10; ++i) {
    samples.push_back({std::to_string(i), {{"bin", std::string(10'000, 'b')}}});
  }
  write_all(writer, samples);
  EXPECT_EQ(read_shards(writer.shards()), samples);
  EXPECT_GE(writer.shards().size(), 3U);
  EXPECT_LE(writer.shards().size(), 5U);
}

TEST(ShardWriterTest, LeavesNothingOfAShardThatIsNotFinished) {
  const TemporaryFolder folder;
  {
    ShardWriter writer({.folder = folder.path(), .max_samples = 2});
    for (const auto& [key, members] : numbered(3)) write(writer, key, members);
    EXPECT_EQ(writer.shards().size(), 1U);
  }
  EXPECT_EQ(file_count(folder.path()), 2U);  // the first shard and its index
  EXPECT_EQ(read_shards({folder / "000000.tar"}), numbered(2));
}

TEST(ShardWriterTest, WritesNoShardWithoutSamples) {
  const TemporaryFolder folder;
  ShardWriter writer({.folder = folder.path()});
  writer.finish();
  EXPECT_TRUE(writer.shards().empty());
  EXPECT_EQ(file_count(folder.path()), 0U);
}

TEST(ShardWriterTest, RefusesAFolderThatHoldsShards) {
  const TemporaryFolder folder;
  write_bytes(folder / "000000.tar", {});
  EXPECT_EQ(error_text([&] { ShardWriter({.folder = folder.path()}); }),
            folder.path().string() +
                ": the folder already holds shards (000000.tar); expected a folder without, name "
                "another or remove them");
  EXPECT_EQ(error_text([&] { ShardWriter({.folder = folder.path(), .prefix = "train"}); }), "");
}

TEST(ShardWriterTest, RefusesWhatWouldNotBeReadBack) {
  const TemporaryFolder folder;
  ShardWriter writer({.folder = folder.path()});
  const auto error_of = [&](const std::string& key, const Members& members) {
    return error_text([&] { write(writer, key, members); });
  };
  EXPECT_EQ(error_of("v1.0", {{"jpg", ""}}),
            "v1.0.jpg: would not be read back as key 'v1.0' and suffix 'jpg'; expected a key "
            "without a dot in its last part and a lower-case suffix");
  for (const std::string key : {"", "a/", ".hidden", "d/.hidden", "__a__/b"}) {
    EXPECT_NE(error_of(key, {{"jpg", ""}}), "") << key;
  }
  for (const std::string suffix : {"", "JPG", "a/b"}) {
    EXPECT_NE(error_of("a", {{suffix, ""}}), "") << suffix;
  }
  EXPECT_NE(error_of(std::string("a\0b", 3), {{"txt", ""}}), "");
  EXPECT_EQ(error_of("a", {}), "a: a sample without members");
  EXPECT_EQ(error_of("a\xFF", {{"txt", ""}}), "a\xFF: the key of a sample is not UTF-8");
  EXPECT_EQ(error_of("a", {{"txt", "1"}, {"txt", "2"}}), "a: two members 'txt' of one sample");
  EXPECT_EQ(error_of("b", {{"txt", ""}}), "");
  EXPECT_EQ(error_of("b", {{"jpg", ""}}), "b: two samples of this key");
  writer.finish();
  EXPECT_EQ(read_shards(writer.shards()), (Samples{{"b", {{"txt", ""}}}}));
}

TEST(ShardWriterTest, ReportsADiskThatIsFull) {
  const TemporaryFolder folder;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{50'000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message = error_text([&] {
    ShardWriter writer({.folder = folder.path()});
    write_all(writer, {{"a", {{"bin", std::string(100'000, 'b')}}}});
  });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(message.find("File too large"), std::string::npos) << message;
  EXPECT_EQ(file_count(folder.path()), 0U);
}

}  // namespace

}  // namespace crescendo::dataloader
