#include "dataloader/byte_source.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/dataloader/tar_bytes.h"

namespace crescendo::dataloader {

namespace {

Bytes read_all(ByteSource& source, std::size_t step = 100) {
  Bytes all;
  Bytes chunk(step);
  while (const std::size_t count = source.read(chunk)) {
    all.insert(all.end(), chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return all;
}

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

TEST(ByteSourceTest, ReadsAFile) {
  const TemporaryFolder folder;
  const Bytes content = sample_content();
  write_bytes(folder / "f", content);
  EXPECT_EQ(read_all(*open_file(folder / "f"), 7777), content);
}

TEST(ByteSourceTest, NamesAFileThatIsNotThere) {
  EXPECT_EQ(error_text([] { open_file("/nowhere/a.tar"); }),
            "/nowhere/a.tar: cannot open: No such file or directory");
}

TEST(ByteSourceTest, NamesAFolder) {
  const TemporaryFolder folder;
  const auto source = open_file(folder.path());
  EXPECT_EQ(error_text([&] { read_all(*source); }),
            folder.path().string() + ": cannot read: Is a directory");
}

TEST(ByteSourceTest, PassesPlainBytesThrough) {
  for (const std::size_t size : {0U, 1U, 3U, 4U, 5U, 100'000U}) {
    Bytes content = sample_content();
    content.resize(size);
    EXPECT_EQ(inflate_all(content), content) << size;
  }
}

TEST(ByteSourceTest, InflatesGzipWhateverItsName) {
  const Bytes content = sample_content();
  EXPECT_EQ(read_all(*decompressed(open_memory(gzip(content)), "x.tar"), 1), content);
  EXPECT_EQ(inflate_all(gzip({})), Bytes());
}

TEST(ByteSourceTest, InflatesEveryMemberOfAGzip) {
  const Bytes two = joined(gzip(bytes_of("one ")), gzip(bytes_of("two")));
  EXPECT_EQ(text_of(inflate_all(two)), "one two");
}

TEST(ByteSourceTest, ReportsAGzipCutAnywhere) {
  Bytes packed = gzip(bytes_of("a content of some length"));
  while (packed.size() > 2) {
    packed.pop_back();
    ASSERT_EQ(error_of(packed),
              "x.gz: the gzip stream ends early; the file is truncated, copy it again")
        << packed.size();
  }
}

TEST(ByteSourceTest, ReportsAWrongChecksumAndLength) {
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
TEST(ByteSourceTest, ReportsEveryByteOfAGzipThatIsFlipped) {
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

TEST(ByteSourceTest, ReportsWhatFollowsAGzip) {
  EXPECT_EQ(error_of(joined(gzip(bytes_of("a")), bytes_of("tail"))),
            "x.gz: bytes that are no gzip follow the gzip stream");
}

TEST(ByteSourceTest, RefusesOtherCompressionsByName) {
  const auto message = [](const std::string& name) {
    return "x.gz: compressed with " + name + "; expected a plain or gzip-compressed tar";
  };
  EXPECT_EQ(error_of(bytes_of("\x28\xB5\x2F\xFD more")), message("zstd"));
  EXPECT_EQ(error_of(bytes_of("\xFD"
                              "7zXZ")),
            message("xz"));
  EXPECT_EQ(error_of(bytes_of("BZh91AY&SY more")), message("bzip2"));
}

TEST(ByteSourceTest, TakesNoNameForACompression) {
  for (const char* name : {"BZhang/1.txt", "BZx11AY&.txt"}) {
    const Bytes tar = tar_of({{name, "a tar whose first name looks like bzip2"}});
    EXPECT_EQ(inflate_all(tar), tar);
  }
}

}  // namespace

}  // namespace crescendo::dataloader
