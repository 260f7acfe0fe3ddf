#include <cstdint>
#include <string_view>

#include "core/error.h"
#include "pipelines/evaluation/npz.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const at::Tensor array = crescendo::pipelines::parse_npy(bytes, "fuzz.npy");
    crescendo::fuzz::require(array.nbytes() <= size, "the elements lie in the file");
  } catch (const crescendo::DataError&) {
  }
  return 0;
}
