#include "pipelines/shards/pack.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "pipelines/shards/pack_manifest.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/dataloader/tar_bytes.h"
#include "tests/pipelines/shards/packed.h"

namespace crescendo::pipelines {

namespace {

namespace fs = std::filesystem;
using dataloader::bytes_of;
using dataloader::read_data;
using dataloader::write_bytes;

class PackTest : public testing::Test {
 protected:
  void put_image(const std::string& name) const {
    write_bytes(folder_ / "in" / name, read_data("baseline.jpg"));
  }
  void put(const std::string& name, const std::string& text) const {
    write_bytes(folder_ / "in" / name, bytes_of(text));
  }
  PackRequest request(const std::string& output = "out") const {
    PackRequest request;
    request.sources = {(folder_ / "in").string()};
    request.output = folder_ / output;
    return request;
  }

  TemporaryFolder folder_;
  const std::string image_ = dataloader::text_of(read_data("baseline.jpg"));
};

TEST_F(PackTest, PacksCaptionsBesideImagesAndClassFolders) {
  put_image("cat/v1.0 a.JPG");
  put("cat/v1.0 a.txt", "two\nlines\n");
  put_image("ant/b.jpeg");
  const PackResult result = pack(request());
  EXPECT_EQ(result.class_names, (std::vector<std::string>{"ant", "cat"}));
  EXPECT_EQ(samples_of(result.shards),
            (std::map<std::string, Members>{
                {"ant/b", {{"jpeg", image_}, {"cls", "0"}}},
                {"cat/v1_0 a", {{"jpg", image_}, {"cls", "1"}, {"txt", "two\nlines"}}}}));
  EXPECT_EQ(read_file(folder_ / "out/classes.txt"), "ant\ncat\n");
}

TEST_F(PackTest, PacksMetadata) {
  put_image("train/a.jpg");
  put_image("train/b.jpg");
  put("train/metadata.csv", "file_name,prompt,label,source\na.jpg,A,dog,web\nb.jpg,B,cat,\n");
  PackRequest with_column = request();
  with_column.caption_column = "prompt";
  const PackResult result = pack(with_column);
  EXPECT_EQ(samples_of(result.shards),
            (std::map<std::string, Members>{
                {"train/a",
                 {{"jpg", image_}, {"txt", "A"}, {"cls", "1"}, {"json", "{\"source\":\"web\"}"}}},
                {"train/b",
                 {{"jpg", image_}, {"txt", "B"}, {"cls", "0"}, {"json", "{\"source\":\"\"}"}}}}));
  EXPECT_EQ(read_file(folder_ / "out/classes.txt"), "cat\ndog\n");
}

TEST_F(PackTest, LeavesOutImagesThatCannotBeDecodedWhenAskedTo) {
  put_image("a.jpg");
  put("b.jpg", "no image");
  put("c.jpg", image_.substr(0, image_.size() / 2));
  EXPECT_EQ(pack(request("all")).samples, 3U);
  PackRequest verified = request();
  verified.verify = true;
  const PackResult result = pack(verified);
  EXPECT_EQ(keys_of(result.shards), std::vector<std::string>{"a"});
  EXPECT_EQ(result.left_out, (std::map<std::string, std::uint64_t>{
                                 {"corrupt image", 1}, {"unsupported image format", 1}}));
}

TEST_F(PackTest, RefusesToPackNothing) {
  put("b.jpg", "no image");
  PackRequest verified = request();
  verified.verify = true;
  EXPECT_EQ(error_text([&] { pack(verified); }),
            (folder_ / "out").string() +
                ": no sample is left to pack; all 1 were left out, see "
                "above");
}

/// Takes back what the end of a pack did since the shard of that number, as a kill would leave it.
void interrupt(const fs::path& folder, std::size_t shards) {
  PackManifest manifest = *read_manifest(folder);
  manifest.complete = false;
  // The shard behind the last that the manifest knows is renamed, but not noted.
  for (std::size_t i = shards + 1; i < manifest.shards.size(); ++i) {
    fs::remove(folder / manifest.shards[i].name);
    fs::remove(folder / (manifest.shards[i].name + ".index"));
  }
  manifest.shards.resize(shards);
  manifest.left_out = {};
  write_manifest(folder, manifest);
  fs::remove(folder / "classes.txt");
  write_bytes(folder / "000009.tar.77.crescendo-tmp", bytes_of("half a shard"));
}

TEST_F(PackTest, ResumedEqualsUninterrupted) {
  for (int i = 0; i < 30; ++i) put_image(fmt::format("c{}/{}.jpg", i % 3, i));
  PackRequest whole = request("whole");
  whole.max_samples = 7;
  whole.resize = 8;
  pack(whole);
  PackRequest parts = whole;
  parts.output = folder_ / "parts";
  pack(parts);
  for (const std::size_t shards : {0U, 1U, 4U}) {
    interrupt(folder_ / "parts", shards);
    EXPECT_EQ(error_text([&] { pack(parts); }),
              parts.output.string() + ": the folder holds a pack that was interrupted behind " +
                  std::to_string(shards) +
                  " shards; go on with it by --resume, or name another folder");
    PackRequest resumed = parts;
    resumed.resume = true;
    EXPECT_EQ(pack(resumed).samples, 30U);
    EXPECT_TRUE(files_of(folder_ / "parts") == files_of(folder_ / "whole")) << shards;
  }
}

TEST_F(PackTest, ResumesStreamsToo) {
  dataloader::TarBytes tar;
  for (int i = 0; i < 30; ++i) tar.add(std::to_string(i) + ".txt", "text");
  write_bytes(folder_ / "in.tgz", dataloader::gzip(tar.add("0.txt", "again").end().bytes()));
  PackRequest whole = request("whole");
  whole.sources = {(folder_ / "in.tgz").string()};
  whole.max_samples = 8;
  whole.shuffle_buffer = 10;
  pack(whole);
  PackRequest parts = whole;
  parts.output = folder_ / "parts";
  pack(parts);
  interrupt(folder_ / "parts", 2);
  parts.resume = true;
  EXPECT_EQ(pack(parts).samples, 31U);
  EXPECT_TRUE(files_of(folder_ / "parts") == files_of(folder_ / "whole"));
}

TEST_F(PackTest, ResumeBeginsWhereThereIsNothingAndRestsWhereAllIsDone) {
  put_image("a.jpg");
  PackRequest resumed = request();
  resumed.resume = true;
  EXPECT_EQ(pack(resumed).samples, 1U);
  const auto before = fs::last_write_time(folder_ / "out/000000.tar");
  EXPECT_EQ(pack(resumed).samples, 1U);
  EXPECT_EQ(fs::last_write_time(folder_ / "out/000000.tar"), before);
}

TEST_F(PackTest, ResumesTheSameSourceOnly) {
  put_image("a.jpg");
  put("a.txt", "caption");
  pack(request());
  put("a.txt", "another");
  PackRequest resumed = request();
  resumed.resume = true;
  EXPECT_NE(error_text([&] { pack(resumed); }).find("the source has changed since the pack began"),
            std::string::npos);
  put("a.txt", "caption");
  resumed.seed = 4;
  EXPECT_NE(error_text([&] { pack(resumed); }).find("seed was 0, now 4"), std::string::npos);
}

}  // namespace

}  // namespace crescendo::pipelines
