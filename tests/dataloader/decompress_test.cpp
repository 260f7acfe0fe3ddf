#include "dataloader/decompress.h"

#include <utility>

#include <gtest/gtest.h>
#include <zstd.h>

#include "tests/core/error_text.h"
#include "tests/dataloader/read_all.h"
#include "tests/dataloader/tar_bytes.h"

namespace crescendo::dataloader {

namespace {

Bytes inflate_all(std::span<const std::byte> bytes) {
  return read_all(*decompressed(open_memory(bytes), "x.gz"));
}

std::string error_of(std::span<const std::byte> bytes) {
  return data_error_text([&] { inflate_all(bytes); });
}

/// 100,000 bytes that do not compress to nothing.
Bytes sample_content() {
  Bytes content(100'000);
  unsigned state = 1;
  for (std::byte& value : content) {
    state = state * 1'664'525U + 1'013'904'223U;
    value = static_cast<std::byte>(state >> 28);
  }
  return content;
}

Bytes joined(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

TEST(DecompressTest, PassesPlainBytesThrough) {
  for (const std::size_t size : {0U, 1U, 3U, 4U, 5U, 100'000U}) {
    Bytes content = sample_content();
    content.resize(size);
    EXPECT_EQ(inflate_all(content), content) << size;
  }
}

TEST(DecompressTest, InflatesGzipWhateverItsName) {
  const Bytes content = sample_content();
  EXPECT_EQ(read_all(*decompressed(open_memory(gzip(content)), "x.tar"), 1), content);
  EXPECT_EQ(inflate_all(gzip({})), Bytes());
}

TEST(DecompressTest, InflatesEveryMemberOfAGzip) {
  const Bytes two = joined(gzip(bytes_of("one ")), gzip(bytes_of("two")));
  EXPECT_EQ(text_of(inflate_all(two)), "one two");
}

TEST(DecompressTest, ReportsAGzipCutAnywhere) {
  Bytes packed = gzip(bytes_of("a content of some length"));
  while (packed.size() > 2) {
    packed.pop_back();
    ASSERT_EQ(error_of(packed),
              "x.gz: the gzip stream ends early; the file is truncated, copy it again")
        << packed.size();
  }
}

TEST(DecompressTest, ReportsAWrongChecksumAndLength) {
  const Bytes packed = gzip(sample_content());
  for (const auto& [from_end, reason] :
       {std::pair(8, "incorrect data check"), std::pair(1, "incorrect length check")}) {
    Bytes damaged = packed;
    damaged[damaged.size() - static_cast<std::size_t>(from_end)] ^= std::byte{1};
    EXPECT_EQ(error_of(damaged), std::string("x.gz: damaged gzip stream: ") + reason +
                                     "; the file is corrupt, copy it again");
  }
}

// 4 to 9 are a gzip header's time, level and system, which no checksum covers.
TEST(DecompressTest, ReportsEveryByteOfAGzipThatIsFlipped) {
  const Bytes content = bytes_of("the payload of the gzip, the payload");
  const Bytes packed = gzip(content);
  for (std::size_t i = 2; i < packed.size(); ++i) {
    Bytes damaged = packed;
    damaged[i] ^= std::byte{0x55};
    const bool harmless = i >= 4 && i <= 9;
    ASSERT_EQ(error_of(damaged).empty(), harmless) << i;
    if (harmless) {
      ASSERT_EQ(inflate_all(damaged), content) << i;
    }
  }
}

TEST(DecompressTest, ReportsWhatFollowsAGzip) {
  EXPECT_EQ(error_of(joined(gzip(bytes_of("a")), bytes_of("tail"))),
            "x.gz: bytes that are no gzip follow the gzip stream");
}

/// One frame, with a checksum.
Bytes zstd(std::span<const std::byte> bytes) {
  Bytes packed(ZSTD_compressBound(bytes.size()));
  const std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(),
                                                                        ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  packed.resize(
      ZSTD_compress2(context.get(), packed.data(), packed.size(), bytes.data(), bytes.size()));
  return packed;
}

TEST(DecompressTest, InflatesEveryFrameOfAZstd) {
  const Bytes content = sample_content();
  EXPECT_EQ(inflate_all(zstd(content)), content);
  EXPECT_EQ(read_all(*decompressed(open_memory(zstd(content)), "x.tar"), 1), content);
  EXPECT_EQ(inflate_all(zstd({})), Bytes());
  // pzstd writes a frame to be skipped before each of its own.
  const Bytes skipped = bytes_of(std::string("\x50\x2A\x4D\x18\x04\0\0\0size", 12));
  const Bytes two = joined(joined(skipped, zstd(bytes_of("one "))), zstd(bytes_of("two")));
  EXPECT_EQ(text_of(inflate_all(two)), "one two");
}

TEST(DecompressTest, ReportsAZstdCutAnywhere) {
  Bytes packed = zstd(bytes_of("a content of some length, of some length"));
  while (packed.size() > 4) {
    packed.pop_back();
    ASSERT_EQ(error_of(packed),
              "x.gz: the zstd stream ends early; the file is truncated, copy it again")
        << packed.size();
  }
}

TEST(DecompressTest, ReportsEveryByteOfAZstdThatIsFlipped) {
  const Bytes packed = zstd(bytes_of("the payload of the zstd, the payload"));
  for (std::size_t i = 4; i < packed.size(); ++i) {
    Bytes damaged = packed;
    damaged[i] ^= std::byte{0x55};
    ASSERT_NE(error_of(damaged), "") << i;
  }
  Bytes wrong_sum = packed;
  wrong_sum.back() ^= std::byte{1};
  EXPECT_EQ(error_of(wrong_sum),
            "x.gz: damaged zstd stream: Restored data doesn't match checksum; the file is corrupt, "
            "copy it again");
}

TEST(DecompressTest, ReportsWhatFollowsAZstd) {
  EXPECT_EQ(error_of(joined(zstd(bytes_of("a")), bytes_of("tail"))),
            "x.gz: damaged zstd stream: Unknown frame descriptor; the file is corrupt, copy it "
            "again");
}

TEST(DecompressTest, RefusesOtherCompressionsByName) {
  const auto message = [](const std::string& name) {
    return "x.gz: compressed with " + name +
           "; expected a plain tar, or one compressed with gzip or zstd";
  };
  EXPECT_EQ(error_of(bytes_of("\xFD"
                              "7zXZ")),
            message("xz"));
  EXPECT_EQ(error_of(bytes_of("BZh91AY&SY more")), message("bzip2"));
}

TEST(DecompressTest, TakesNoNameForACompression) {
  for (const char* name : {"BZhang/1.txt", "BZx11AY&.txt"}) {
    const Bytes tar = tar_of({{name, "a tar whose first name looks like bzip2"}});
    EXPECT_EQ(inflate_all(tar), tar);
  }
}

}  // namespace

}  // namespace crescendo::dataloader
