#include <cstdint>
#include <string_view>

#include "core/error.h"
#include "dataloader/shard_index.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using crescendo::fuzz::require;
  constexpr std::uint64_t kShardBytes = 4096;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto index = crescendo::dataloader::parse_shard_index(text, "fuzz", kShardBytes);
    std::uint64_t end = 0;
    for (const auto& sample : index.samples) {
      require(!sample.key.empty() && !sample.members.empty(), "a sample has a key and members");
      for (const auto& member : sample.members) {
        require(member.offset >= end, "members do not overlap");
        end = member.offset + member.size;
        require(end >= member.offset && end <= kShardBytes, "a member is within the shard");
      }
    }
  } catch (const crescendo::DataError&) {
  }
  return 0;
}
