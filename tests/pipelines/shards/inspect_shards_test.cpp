#include "pipelines/shards/inspect_shards.h"

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "dataloader/decode_image.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/dataloader/tar_bytes.h"

namespace crescendo::pipelines {

namespace {

using dataloader::read_data;
using dataloader::TarBytes;
using Json = nlohmann::ordered_json;
using Texts = std::vector<std::string>;

class InspectShardsTest : public testing::Test {
 protected:
  std::string put(const std::string& name, TarBytes tar) const {
    dataloader::write_bytes(folder_ / name, tar.end().bytes());
    return (folder_ / name).string();
  }
  static TarBytes& image(TarBytes& tar, const std::string& key, const std::string& file) {
    return tar.add(key + file.substr(file.find('.')), dataloader::text_of(read_data(file)));
  }
  Json inspect(const Texts& shards, const ShardInspection& inspection = {}) const {
    return inspect_shards(shards, inspection);
  }

  TemporaryFolder folder_;
};

TEST_F(InspectShardsTest, TellsWhatIsInShards) {
  TarBytes tar;
  image(tar, "a", "baseline.jpg").add("a.txt", " two w\u00F6rds\n").add("a.cls", "1\n");
  image(tar, "b", "oriented_6.png").add("b.txt", "").add("b.cls", "1");
  image(tar, "c", "alpha.webp").add("c.txt", "one").add("c.cls", "0").add("c.json", "{}");
  dataloader::write_bytes(folder_ / "classes.txt", dataloader::bytes_of("cat\ndog\n"));
  const Json report = inspect({put("x.tar", tar)});
  EXPECT_EQ(report["kind"], "shards");
  EXPECT_EQ(report["shards"], 1);
  EXPECT_EQ(report["samples"], 3);
  EXPECT_EQ(report["members"],
            (Json{{"cls", 3}, {"jpg", 1}, {"json", 1}, {"png", 1}, {"txt", 3}, {"webp", 1}}));
  const Json& images = report["images"];
  EXPECT_EQ(images["count"], 3);
  EXPECT_EQ(images["formats"], (Json{{"jpeg", 1}, {"png", 1}, {"webp", 1}}));
  EXPECT_EQ(images["exif_rotated"], 1);
  EXPECT_EQ(images["transparent"], 1);
  EXPECT_FALSE(images.contains("unreadable"));
  EXPECT_EQ(report["captions"]["count"], 3);
  EXPECT_EQ(report["captions"]["empty"], 1);
  EXPECT_EQ(report["captions"]["characters"],
            (Json{{"min", 0}, {"median", 3}, {"p95", 9}, {"max", 9}}));
  EXPECT_EQ(report["captions"]["words"]["max"], 2);
  EXPECT_FALSE(report["captions"].contains("tokens"));
  EXPECT_EQ(report["classes"], (Json{{"count", 2},
                                     {"fewest_samples", 1},
                                     {"most_samples", 2},
                                     {"samples", {{"1 (dog)", 2}, {"0 (cat)", 1}}}}));
  EXPECT_FALSE(report.contains("problems"));
}

TEST_F(InspectShardsTest, MeasuresImagesUpright) {
  TarBytes tar;
  const std::string shard = put("x.tar", image(tar, "a", "oriented_6.webp"));
  const dataloader::Image upright = dataloader::decode_image(read_data("oriented_6.webp"));
  EXPECT_EQ(inspect({shard})["images"]["width"]["max"], upright.width);
}

TEST_F(InspectShardsTest, CountsTokens) {
  TarBytes tar;
  tar.add("a.txt", "the cat").add("b.txt", "the cat and the dog and the cat");
  ShardInspection inspection;
  inspection.tokenizer = std::filesystem::path(CRESCENDO_SOURCE_DIR) /
                         "tests/parity/fixtures/text_encoder/bert_uncased";
  inspection.max_length = 6;
  const Json tokens = inspect({put("x.tar", tar)}, inspection)["captions"]["tokens"];
  EXPECT_GE(tokens["min"], 4);  // with [CLS] and [SEP]
  EXPECT_EQ(tokens["max_length"], 6);
  EXPECT_EQ(tokens["longer"], 1);
  EXPECT_EQ(tokens["share_longer"], 0.5);
}

TEST_F(InspectShardsTest, FindsOrphansAndRepetitions) {
  TarBytes first;
  image(first, "a", "baseline.jpg").add("a.txt", "text").add("a.cls", "0");
  image(first, "b", "baseline.jpg").add("c.txt", "text");
  TarBytes second;
  image(second, "a", "baseline.jpg").add("a.txt", "text").add("a.cls", "0");
  const std::string x = put("x.tar", first);
  const std::string y = put("y.tar", second);
  const Json report = inspect({x, y});
  EXPECT_EQ(report["orphans"], (Json{{"images_without_caption", 1},
                                     {"images_without_class", 1},
                                     {"samples_without_image", 1}}));
  EXPECT_EQ(report["repeated_keys"], 1);
  EXPECT_EQ(report["problem_count"], 4);
  EXPECT_EQ(report["problems"], (Json{"1 images without a caption: " + x + ": b",
                                      "1 images without a class: " + x + ": b",
                                      "1 samples without an image (jpg, png or webp): " + x + ": c",
                                      "1 repetitions of a key: 'a' in " + x + " and " + y}));
}

TEST_F(InspectShardsTest, ImagesAloneAreNoProblem) {
  TarBytes tar;
  EXPECT_FALSE(inspect({put("x.tar", image(tar, "a", "baseline.jpg"))}).contains("problems"));
}

TEST_F(InspectShardsTest, FindsUnreadableImages) {
  std::string cut = dataloader::text_of(read_data("baseline.jpg"));
  cut.resize(cut.size() - 100);
  TarBytes tar;
  tar.add("a.jpg", cut).add("b.png", "<html>");
  const std::string shard = put("x.tar", tar);
  EXPECT_EQ(inspect({shard})["images"]["unreadable"], (Json{{"unsupported image format", 1}}));
  const Json decoded = inspect({shard}, {.decode = true});
  EXPECT_EQ(decoded["images"]["judged_by"], "decoding");
  EXPECT_EQ(decoded["images"]["unreadable"],
            (Json{{"corrupt image", 1}, {"unsupported image format", 1}}));
  EXPECT_EQ(decoded["problem_count"], 2);
}

TEST_F(InspectShardsTest, ReportsDamagedAndEmptyShards) {
  TarBytes tar;
  tar.add("a.txt", "1");
  const std::string cut = (folder_ / "cut.tar").string();
  dataloader::write_bytes(cut, tar.bytes());
  const std::string empty = put("empty.tar", TarBytes());
  const Json report = inspect({cut, empty});
  EXPECT_EQ(report["problem_count"], 2);
  EXPECT_NE(report["problems"][0].get<std::string>().find("no end-of-archive mark"),
            std::string::npos);
  EXPECT_EQ(report["problems"][1], empty + ": holds no samples");
}

TEST_F(InspectShardsTest, ListsMembers) {
  TarBytes tar;
  tar.add("d/a.JPG", "123").add("d/a.seg.png", "").add("b.txt", "1").add("b.TXT", "2");
  const std::string shard = put("x.tar", tar);
  dataloader::write_bytes(folder_ / "cut.tar", TarBytes().add("c.txt", "1").bytes());
  const Texts shards{shard, (folder_ / "cut.tar").string()};
  std::vector<Json> entries;
  list_samples(shards, [&](const Json& entry) { entries.push_back(entry); });
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0], (Json{{"shard", shard},
                              {"key", "d/a"},
                              {"members", {{"jpg", 3, 2286445522}, {"seg.png", 0, 0}}}}));
  EXPECT_EQ(entries[1]["defect"], "duplicate member: 'b.TXT' comes twice");
  EXPECT_NE(entries[2]["error"].get<std::string>().find("no end-of-archive mark"),
            std::string::npos);
}

TEST_F(InspectShardsTest, TheContactSheetDependsOnTheKeysAlone) {
  const Texts files{"baseline.jpg", "lossy.webp", "png_rgba.png", "resize_source.png"};
  TarBytes one;
  for (int i = 0; i < 100; ++i) image(one, std::to_string(i), files[i % 4]);
  TarBytes other;
  for (int i = 99; i >= 0; --i) image(other, std::to_string(i), files[i % 4]);
  const auto sheet = [&](const std::string& shard) {
    inspect({shard}, {.contact_sheet = folder_ / "sheet.png"});
    return read_file(folder_ / "sheet.png");
  };
  const std::string first = sheet(put("x.tar", one));
  EXPECT_EQ(first, sheet(put("y.tar", other)));
  const auto header = dataloader::read_image_header(std::as_bytes(std::span(first)));
  EXPECT_EQ(header.width, 8 * 130 - 2);
  EXPECT_EQ(header.height, 6 * 130 - 2);
  EXPECT_EQ(error_text([&] { sheet(put("z.tar", TarBytes().add("a.txt", ""))); }),
            (folder_ / "sheet.png").string() + ": no image could be decoded for the contact sheet");
}

}  // namespace

}  // namespace crescendo::pipelines
