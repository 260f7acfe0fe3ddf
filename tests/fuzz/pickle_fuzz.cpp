#include <cstdint>
#include <span>

#include "core/error.h"
#include "pipelines/models/pickle.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using crescendo::fuzz::require;
  try {
    const crescendo::pipelines::Pickle pickle =
        crescendo::pipelines::parse_pickle(std::as_bytes(std::span(data, size)), "fuzz.pkl");
    require(pickle.byte_count <= size, "the pickle lies in the file");
    require(pickle.root < pickle.values.size(), "the root is an object");
    for (const auto& value : pickle.values) {
      for (const std::size_t item : value.items) {
        require(item < pickle.values.size(), "an item is an object");
      }
    }
  } catch (const crescendo::DataError&) {
  }
  return 0;
}
