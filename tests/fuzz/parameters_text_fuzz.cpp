#include <cstdint>
#include <string_view>

#include "core/text.h"
#include "pipelines/generation/parameters_text.h"
#include "tests/fuzz/require.h"

namespace {

using namespace crescendo::pipelines;
using crescendo::fuzz::require;

}  // namespace

/// What a picture says of how it was made.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ParametersText parsed = parse_parameters_text(text);
  require(parsed.prompt.size() + parsed.negative_prompt.size() <= size, "prompts are of the text");
  require(parsed.fields.empty() || parsed.fields.size() >= 3, "fewer fields are a prompt");
  for (const auto& [name, value] : parsed.fields) {
    require(text.find(name) != std::string_view::npos, "a field is named in the text");
    require(!crescendo::is_utf8(text) || crescendo::is_utf8(value), "text stays UTF-8");
  }
  if (!crescendo::is_utf8(text)) return 0;
  require(crescendo::is_utf8(parsed.prompt) && crescendo::is_utf8(parsed.negative_prompt),
          "prompts stay UTF-8");
  return 0;
}
