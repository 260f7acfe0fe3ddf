// What a shard that was cut or flipped anywhere may give: the samples that it really holds, each
// whole, or an error. Python's tarfile loses samples in silence in a third of these cases.
#include <cstdint>
#include <optional>

#include <gtest/gtest.h>

#include "core/error.h"
#include "dataloader/sample_reader.h"
#include "dataloader/tar_reader.h"
#include "tests/dataloader/tar_bytes.h"

namespace crescendo::dataloader {

namespace {

struct Outcome {
  std::vector<RawSample> samples;
  bool failed = false;
};

Outcome read_shard(std::span<const std::byte> bytes) {
  Outcome outcome;
  try {
    TarReader archive(bytes, "x.tar");
    SampleReader reader(archive, 1 << 20);
    while (auto sample = reader.next()) outcome.samples.push_back(std::move(*sample));
  } catch (const DataError&) {
    outcome.failed = true;
  }
  return outcome;
}

bool same(const RawSample& left, const RawSample& right) {
  if (left.key != right.key || left.members.size() != right.members.size()) return false;
  if (left.defect || right.defect) return false;
  for (std::size_t i = 0; i < left.members.size(); ++i) {
    const RawMember& a = left.members[i];
    const RawMember& b = right.members[i];
    if (a.suffix != b.suffix || a.bytes != b.bytes) return false;
  }
  return true;
}

/// True when `part` is the beginning of `whole`, and all of it unless an error was reported.
bool is_sound(const Outcome& part, const Outcome& whole) {
  if (part.samples.size() > whole.samples.size()) return false;
  for (std::size_t i = 0; i < part.samples.size(); ++i) {
    if (!same(part.samples[i], whole.samples[i])) return false;
  }
  return part.failed || part.samples.size() == whole.samples.size();
}

enum class Names { kUstar, kPax, kGnu };

Bytes small_shard(Names names) {
  TarBytes tar;
  for (const std::string key : {"a", "b", "c"}) {
    for (const std::string suffix : {".jpg", ".txt"}) {
      const std::string name = key + suffix;
      const std::string data = "content of " + name + std::string(suffix == ".jpg" ? 500 : 0, 'x');
      if (names == Names::kUstar) tar.add(name, data);
      if (names == Names::kPax) tar.add_pax(name, data);
      if (names == Names::kGnu) tar.add_gnu(name, data);
    }
  }
  return tar.end().bytes();
}

class TarDamageTest : public testing::TestWithParam<Names> {};

TEST_P(TarDamageTest, ACutAtAnyByteLosesNothingInSilence) {
  const Bytes shard = small_shard(GetParam());
  const Outcome whole = read_shard(shard);
  ASSERT_FALSE(whole.failed);
  ASSERT_EQ(whole.samples.size(), 3U);
  std::size_t reported = 0;
  for (std::size_t size = 0; size < shard.size(); ++size) {
    const Outcome cut = read_shard(std::span(shard).first(size));
    ASSERT_TRUE(is_sound(cut, whole)) << size;
    reported += cut.failed ? 1 : 0;
  }
  EXPECT_EQ(reported, shard.size());  // the mark is two blocks: no shorter file is whole
}

TEST_P(TarDamageTest, AFlipInAnyHeaderIsReportedOrHarmless) {
  const Bytes shard = small_shard(GetParam());
  const Outcome whole = read_shard(shard);
  std::size_t reported = 0;
  std::size_t flips = 0;
  for (std::size_t block = 0; block < shard.size(); block += 512) {
    const bool is_header = text_of(std::span(shard).subspan(block + 257, 5)) == "ustar";
    for (std::size_t i = block; is_header && i < block + 512; ++i) {
      for (const unsigned mask : {0x01U, 0x80U, 0xFFU}) {
        Bytes damaged = shard;
        damaged[i] ^= static_cast<std::byte>(mask);
        const Outcome flipped = read_shard(damaged);
        ASSERT_TRUE(is_sound(flipped, whole)) << "byte " << i << " mask " << mask;
        reported += flipped.failed ? 1 : 0;
        ++flips;
      }
    }
  }
  EXPECT_GT(reported, flips * 99 / 100);
}

// Two zero blocks make the mark; something else in its place is damage, in its second block too.
TEST_P(TarDamageTest, AFlipInTheEndMarkIsReported) {
  const Bytes shard = small_shard(GetParam());
  for (std::size_t i = shard.size() - 1024; i < shard.size(); ++i) {
    Bytes damaged = shard;
    damaged[i] ^= std::byte{1};
    ASSERT_TRUE(read_shard(damaged).failed) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Names, TarDamageTest,
                         testing::Values(Names::kUstar, Names::kPax, Names::kGnu));

TEST(GzipDamageTest, ACutAtAnyByteIsReported) {
  const Bytes shard = small_shard(Names::kPax);
  const Outcome whole = read_shard(shard);
  const Bytes packed = gzip(shard);
  ASSERT_EQ(read_shard(packed).samples.size(), 3U);
  for (std::size_t size = 0; size < packed.size(); ++size) {
    const Outcome cut = read_shard(std::span(packed).first(size));
    ASSERT_TRUE(cut.failed) << size;
    ASSERT_TRUE(is_sound(cut, whole)) << size;
  }
}

// The last byte before the trailer has bits that mean nothing.
TEST(GzipDamageTest, AFlipInThePayloadIsReportedOrHarmless) {
  const Bytes shard = small_shard(Names::kUstar);
  const Outcome whole = read_shard(shard);
  const Bytes packed = gzip(shard);
  std::size_t harmless = 0;
  for (std::size_t i = 10; i < packed.size(); ++i) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      Bytes damaged = packed;
      damaged[i] ^= static_cast<std::byte>(1U << bit);
      const Outcome flipped = read_shard(damaged);
      ASSERT_TRUE(is_sound(flipped, whole)) << i;
      harmless += flipped.failed ? 0 : 1;
    }
  }
  EXPECT_LT(harmless, 8U);
}

}  // namespace

}  // namespace crescendo::dataloader
