#include "pipelines/index.h"

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "dataloader/shard_index.h"
#include "dataloader/shard_writer.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {

namespace {

namespace fs = std::filesystem;

class IndexTest : public testing::Test {
 protected:
  IndexTest() {
    dataloader::ShardWriter writer({.folder = folder_.path(), .prefix = {}, .max_samples = 2});
    for (const char* key : {"a", "b", "c", "d", "e"}) {
      const std::string text = "some text";
      const dataloader::MemberView member{"txt", std::as_bytes(std::span(text.data(), 9))};
      writer.write(key, std::span(&member, 1));
    }
    writer.finish();
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      if (entry.path().extension() == ".index") fs::remove(entry.path());
    }
  }

  IndexResult index(bool force = false) const {
    return index_shards({{(folder_ / "*.tar").string()}, force});
  }

  fs::path shard(int number) const { return folder_ / fmt::format("{:06}.tar", number); }

  TemporaryFolder folder_;
};

TEST_F(IndexTest, IndexesWhatHasNoIndexThatFits) {
  IndexResult result = index();
  EXPECT_EQ(result.indexed, 3U);
  EXPECT_EQ(result.kept, 0U);
  EXPECT_EQ(result.samples, 5U);
  EXPECT_EQ(dataloader::read_shard_index(shard(2)).samples[0].key, "e");
  // Two blocks of zeros more, as another blocking of tapes has them: the index is stale.
  fs::resize_file(shard(1), fs::file_size(shard(1)) + 1024);
  result = index();
  EXPECT_EQ(result.indexed, 1U);
  EXPECT_EQ(result.kept, 2U);
  EXPECT_EQ(result.samples, 5U);
  EXPECT_EQ(dataloader::indexed_sample_count(shard(1)), 2U);
  EXPECT_EQ(index(true).indexed, 3U);
}

TEST_F(IndexTest, NamesWhatCannotBeIndexedAndIndexesTheRest) {
  write_file_atomically(shard(0), "\x1F\x8B\x08 as if compressed");
  write_file_atomically(dataloader::index_path(shard(1)), "no index\n");
  EXPECT_EQ(error_text([&] { index(); }),
            "index: 2 of 3 shards could not be indexed\n  " + shard(0).string() +
                ": compressed with gzip, so its samples cannot be read at random; expected a plain "
                "tar\n  " +
                dataloader::index_path(shard(1)).string() +
                ": line 1: expected a JSON object of 3 keys; make the index anew: crescendo index "
                "--force SHARD");
  EXPECT_EQ(dataloader::indexed_sample_count(shard(2)), 1U);
  fs::remove(shard(0));
  EXPECT_EQ(index(true).samples, 3U);
}

}  // namespace

}  // namespace crescendo::pipelines
