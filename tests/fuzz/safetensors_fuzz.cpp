#include <cstdint>
#include <span>

#include "core/error.h"
#include "core/safetensors.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using crescendo::fuzz::require;
  try {
    const crescendo::SafetensorsHeader header =
        crescendo::parse_safetensors(std::as_bytes(std::span(data, size)), "fuzz.safetensors");
    require(header.data_offset <= size, "the data begins in the file");
    std::uint64_t end = 0;
    for (const crescendo::SafetensorsEntry& entry : header.entries) {
      require(entry.begin == end && entry.end >= entry.begin, "entries follow one another");
      end = entry.end;
      require(crescendo::safetensors_element_size(entry.dtype) > 0, "a dtype is known");
    }
    require(header.data_offset + end == size, "the entries fill the file");
  } catch (const crescendo::DataError&) {
  }
  return 0;
}
