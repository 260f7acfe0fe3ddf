#include <algorithm>

#include <gtest/gtest.h>

#include "pipelines/shards/pack.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/dataloader/tar_bytes.h"
#include "tests/pipelines/shards/packed.h"

namespace crescendo::pipelines {

namespace {

using dataloader::TarBytes;
using dataloader::write_bytes;

/// Tars with samples of odd bytes, plain and the same compressed.
class PackTarsTest : public testing::Test {
 protected:
  PackTarsTest() {
    for (int shard = 0; shard < 3; ++shard) {
      TarBytes tar;
      for (int i = 0; i < 20; ++i) {
        const std::string key = "d." + std::to_string(shard) + "/" + std::to_string(i);
        const Members members{{"bin", std::string(i * 37, static_cast<char>(i))},
                              {"seg.png", key},
                              {"txt", " kept as it is \r\n"}};
        for (const auto& [suffix, bytes] : members) tar.add(key + "." + suffix, bytes);
        samples_[key] = members;
      }
      put("in-" + std::to_string(shard), tar.end());
    }
  }

  void put(const std::string& name, const TarBytes& tar) const {
    write_bytes(folder_ / (name + ".tar"), tar.bytes());
    write_bytes(folder_ / (name + ".tgz"), dataloader::gzip(tar.bytes()));
  }

  PackResult pack_into(const std::string& name, const std::vector<std::string>& sources,
                       std::int64_t seed = 0) const {
    PackRequest request;
    for (const std::string& source : sources)
      request.sources.push_back((folder_ / source).string());
    request.output = folder_ / name;
    request.max_samples = 25;
    request.shuffle_buffer = 15;
    request.seed = seed;
    return pack(request);
  }

  TemporaryFolder folder_;
  std::map<std::string, Members> samples_;
};

TEST_F(PackTarsTest, KeepsKeysAndBytes) {
  for (const char* source : {"in-{0..2}.tar", "in-*.tgz"}) {
    const PackResult result = pack_into(std::string("out-") + source[4], {source});
    EXPECT_EQ(result.samples, 60U);
    EXPECT_EQ(result.shards.size(), 3U);
    EXPECT_EQ(samples_of(result.shards), samples_);
  }
}

TEST_F(PackTarsTest, ReadsFromCommands) {
  PackRequest request;
  request.sources = {"pipe:cat " + (folder_ / "in-{0..2}.tar").string()};
  request.output = folder_ / "out";
  EXPECT_EQ(samples_of(pack(request).shards), samples_);
}

TEST_F(PackTarsTest, ShufflesByTheSeed) {
  for (const char* suffix : {"tar", "tgz"}) {
    const std::vector<std::string> sources{std::string("in-1.") + suffix,
                                           std::string("in-0.") + suffix};
    const auto first = keys_of(pack_into(std::string("a") + suffix, sources).shards);
    const auto again = keys_of(pack_into(std::string("b") + suffix, sources).shards);
    const auto other = keys_of(pack_into(std::string("c") + suffix, sources, 1).shards);
    EXPECT_EQ(first, again);
    EXPECT_NE(first, other);
    EXPECT_FALSE(std::ranges::is_sorted(first));
    EXPECT_EQ(first.size(), 40U);
  }
}

TEST_F(PackTarsTest, GivesARepeatedKeyANumber) {
  put("one", TarBytes().add("a.txt", "1").add("a-2.txt", "2").end());
  put("two", TarBytes().add("a.txt", "3").add("b.txt", "4").end());
  for (const char* suffix : {"tar", "tgz"}) {
    const std::string name = std::string("out-") + suffix;
    const auto samples = samples_of(pack_into(name, {std::string("{one,two}.") + suffix}).shards);
    ASSERT_EQ(samples.size(), 4U);
    EXPECT_TRUE(samples.contains("a"));
    EXPECT_TRUE(samples.contains("a-2"));
    EXPECT_TRUE(samples.contains("a-3") || samples.contains("a-2-2"));
    EXPECT_EQ(samples.at("b").at("txt"), "4");
  }
}

TEST_F(PackTarsTest, LeavesOutWhatNoShardMayHold) {
  put("odd", TarBytes().add("a.jpg", "1").add("a.JPG", "2").add("b.", "3").add("c.txt", "4").end());
  for (const char* suffix : {"tar", "tgz"}) {
    const PackResult result =
        pack_into(std::string("out-") + suffix, {std::string("odd.") + suffix});
    EXPECT_EQ(keys_of(result.shards), std::vector<std::string>{"c"});
    EXPECT_EQ(result.left_out, (std::map<std::string, std::uint64_t>{
                                   {"duplicate member", 1}, {"name not fit for a shard", 1}}));
  }
}

TEST_F(PackTarsTest, RefusesADamagedTar) {
  auto bytes = TarBytes().add("a.txt", "1").add("b.txt", "2").bytes();
  write_bytes(folder_ / "cut.tar", bytes);
  write_bytes(folder_ / "cut.tgz", dataloader::gzip(bytes));
  for (const char* suffix : {"tar", "tgz"}) {
    const std::string name = std::string("cut.") + suffix;
    const std::string message = error_text([&] { pack_into("out", {name}); });
    EXPECT_NE(message.find(name + ": no end-of-archive mark"), std::string::npos) << message;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out/000000.tar"));
  }
}

TEST_F(PackTarsTest, RefusesSourcesThatDoNotGoTogether) {
  EXPECT_EQ(error_text([&] {
              pack_into("out", {"in-0.tar", ""});
            }),
            "SRC: expected one folder, or tars; found 2 sources with a folder among them");
  PackRequest request;
  request.sources = {(folder_ / "in-0.tar").string()};
  request.output = folder_ / "out";
  request.caption_column = "text";
  EXPECT_EQ(error_text([&] { pack(request); }),
            "--caption-column: the members of tars are packed as they are; expected a folder");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
}

}  // namespace

}  // namespace crescendo::pipelines
