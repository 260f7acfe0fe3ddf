#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/error.h"
#include "dataloader/sample_reader.h"
#include "dataloader/tar_reader.h"
#include "tests/fuzz/require.h"

namespace crescendo::dataloader {

namespace {

using fuzz::require;

constexpr std::uint64_t kMaxSampleBytes = 1 << 16;

void read_samples(std::span<const std::byte> bytes) {
  const bool gzip = bytes.size() > 1 && bytes[0] == std::byte{0x1F} && bytes[1] == std::byte{0x8B};
  std::uint64_t total = 0;
  try {
    TarReader archive(bytes, "fuzz.tar");
    SampleReader reader(archive, kMaxSampleBytes);
    while (const auto sample = reader.next()) {
      require(sample->defect.has_value() == sample->members.empty(), "a defect has no members");
      require(sample->byte_count() <= kMaxSampleBytes, "a sample is within its limit");
      for (const RawMember& member : sample->members) {
        require(sample->find(member.suffix) == &member, "a suffix comes once");
      }
      total += sample->byte_count();
    }
  } catch (const DataError&) {
  }
  require(gzip || total <= bytes.size(), "no more bytes come out than went in");
}

/// Makes the checksums of all headers right, or few inputs would come past the first.
void mend_checksums(std::vector<std::byte>& bytes) {
  constexpr std::string_view kMagic = "ustar";
  for (std::size_t block = 0; block + 512 <= bytes.size(); block += 512) {
    const std::span<std::byte> header = std::span(bytes).subspan(block, 512);
    if (!std::ranges::equal(header.subspan(257, 5), std::as_bytes(std::span(kMagic)))) continue;
    std::ranges::fill(header.subspan(148, 8), std::byte{' '});
    unsigned sum = 0;
    for (const std::byte value : header) sum += std::to_integer<unsigned>(value);
    const std::string digits = fmt::format("{:06o}", sum);
    std::ranges::copy(std::as_bytes(std::span(digits)), header.begin() + 148);
    header[154] = std::byte{0};
  }
}

}  // namespace

}  // namespace crescendo::dataloader

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  crescendo::dataloader::read_samples(bytes);
  std::vector<std::byte> mended(bytes.begin(), bytes.end());
  crescendo::dataloader::mend_checksums(mended);
  crescendo::dataloader::read_samples(mended);
  return 0;
}
