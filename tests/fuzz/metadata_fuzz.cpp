#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"
#include "dataloader/metadata.h"
#include "tests/fuzz/require.h"

namespace {

using crescendo::dataloader::MetadataRow;
using crescendo::fuzz::require;

template <typename Parse>
void check(Parse parse, std::string_view text) {
  try {
    std::size_t line = 0;
    for (const MetadataRow& row : parse(text, "fuzz", "")) {
      require(row.line > line, "rows come in the order of their lines");
      require(!row.file_name.empty(), "a row names a file");
      line = row.line;
    }
  } catch (const crescendo::DataError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check(crescendo::dataloader::parse_metadata_csv, text);
  check(crescendo::dataloader::parse_metadata_jsonl, text);
  return 0;
}
