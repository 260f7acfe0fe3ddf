#include "pipelines/shards/pack_manifest.h"

#include <gtest/gtest.h>

#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/dataloader/test_data.h"

namespace crescendo::pipelines {

namespace {

class PackManifestTest : public testing::Test {
 protected:
  PackManifestTest() {
    manifest_.job = {{"source", {"/a"}}, {"seed", 0}, {"listing", "01"}};
    manifest_.shards = {{"000000.tar", 2, 5, 3}};
    manifest_.left_out = {{"corrupt image", 1}};
    dataloader::write_bytes(folder_ / "000000.tar", dataloader::bytes_of("12345"));
  }
  std::string error_with(const nlohmann::ordered_json& job) const {
    return error_text([&] { require_resumable(folder_.path(), manifest_, job); });
  }

  TemporaryFolder folder_;
  PackManifest manifest_;
  std::string path_ = (folder_ / "pack.json").string();
};

TEST_F(PackManifestTest, IsReadBackEqual) {
  EXPECT_FALSE(read_manifest(folder_.path()));
  write_manifest(folder_.path(), manifest_);
  const auto read = read_manifest(folder_.path());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->job, manifest_.job);
  EXPECT_EQ(read->left_out, manifest_.left_out);
  EXPECT_EQ(read->next(), 3U);
  EXPECT_EQ(read->samples(), 2U);
  EXPECT_FALSE(read->complete);
}

TEST_F(PackManifestTest, ResumesTheSameJobOnly) {
  EXPECT_EQ(error_with(manifest_.job), "");
  nlohmann::ordered_json job = manifest_.job;
  job["seed"] = 1;
  EXPECT_EQ(error_with(job), path_ +
                                 ": the pack cannot go on: seed was 0, now 1; give what it "
                                 "began with");
  job = manifest_.job;
  job["source"] = {"/a", "/b"};
  EXPECT_EQ(error_with(job), path_ +
                                 ": the pack cannot go on: source/1 was null, now \"/b\"; give "
                                 "what it began with");
  job = manifest_.job;
  job["listing"] = "02";
  EXPECT_EQ(error_with(job),
            path_ +
                ": the source has changed since the pack began (files, sizes, times, captions "
                "or labels), so it cannot go on; pack it into another folder");
}

TEST_F(PackManifestTest, NeedsItsShards) {
  dataloader::write_bytes(folder_ / "000000.tar", dataloader::bytes_of("123"));
  EXPECT_EQ(error_with(manifest_.job), path_ +
                                           ": the pack cannot go on: expected 000000.tar with "
                                           "5 bytes, found 3 bytes");
  std::filesystem::remove(folder_ / "000000.tar");
  EXPECT_EQ(error_with(manifest_.job), path_ +
                                           ": the pack cannot go on: expected 000000.tar with "
                                           "5 bytes, found No such file or directory");
}

TEST_F(PackManifestTest, RefusesWhatItDidNotWrite) {
  for (const char* text : {"", "[]", "{\"crescendo_pack\":1}", "{\"crescendo_pack\":"}) {
    dataloader::write_bytes(path_, dataloader::bytes_of(text));
    const std::string message = error_text([&] { read_manifest(folder_.path()); });
    EXPECT_TRUE(message.starts_with(path_ + ": not what pack writes: ")) << message;
  }
  dataloader::write_bytes(path_, dataloader::bytes_of("{\"crescendo_pack\":2}"));
  EXPECT_EQ(error_text([&] { read_manifest(folder_.path()); }),
            path_ + ": expected \"crescendo_pack\": 1, found 2");
}

}  // namespace

}  // namespace crescendo::pipelines
