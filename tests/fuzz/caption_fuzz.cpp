#include <cstdint>
#include <span>
#include <string>

#include "core/text.h"
#include "dataloader/text_source.h"
#include "tests/fuzz/require.h"

namespace {

using namespace crescendo::dataloader;
using crescendo::fuzz::require;

void check_lines(const std::string& text) {
  for (const CaptionLine line : {CaptionLine::kAll, CaptionLine::kFirst, CaptionLine::kRandom}) {
    const std::string caption = choose_caption(text, line, 1, 2);
    require(crescendo::is_utf8(caption), "a caption is UTF-8");
    require(crescendo::trim(caption) == caption, "a caption is trimmed");
    require(text.find(caption) != std::string::npos, "a caption is of the text");
    require(line == CaptionLine::kAll || caption.find('\n') == std::string::npos,
            "a line has no line end");
  }
}

}  // namespace

/// The text of a sample, plain and as JSON.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const RawSample sample{
      "key",
      "shard",
      {{"txt", {bytes.begin(), bytes.end()}}, {"json", {bytes.begin(), bytes.end()}}},
      {}};
  for (const char* source : {"txt", "json:a", "json:a.b"}) {
    for (const bool scalars : {false, true}) {
      try {
        check_lines(find_text(sample, parse_text_source(source, "caption"), "caption", scalars));
      } catch (const SampleError&) {
      }
    }
  }
  return 0;
}
