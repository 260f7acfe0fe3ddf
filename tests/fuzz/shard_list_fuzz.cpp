#include <cstdint>
#include <string_view>

#include "core/error.h"
#include "dataloader/shard_list.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using crescendo::fuzz::require;
  // A million names of a long pattern are much to make, and nothing new.
  const std::string_view pattern(reinterpret_cast<const char*>(data), size < 40 ? size : 40);
  try {
    const auto names = crescendo::dataloader::expand_braces(pattern);
    require(!names.empty() && names.size() <= 1'000'000, "there are names, and not too many");
  } catch (const crescendo::UserError&) {
  }
  return 0;
}
