#include <cstdint>
#include <string_view>

#include "core/text.h"
#include "pipelines/serving/api_error.h"
#include "pipelines/serving/paint_request.h"
#include "tests/fuzz/require.h"

namespace {

using namespace crescendo::pipelines;
using crescendo::fuzz::require;

constexpr RequestLimits kLimits{.max_pixels = 64 * 64, .max_pictures = 4};

void check(const ParsedRequest& parsed, const ServedModel& model) {
  const PaintRequest& paint = parsed.paint;
  require(paint.width > 0 && paint.height > 0 && paint.width * paint.height <= kLimits.max_pixels,
          "pixels are bounded");
  require(paint.width % model.size_multiple == 0 && paint.height % model.size_multiple == 0,
          "sides are multiples");
  require(paint.count >= 1 && paint.count <= kLimits.max_pictures, "pictures are bounded");
  require(paint.steps >= 1 && paint.steps <= 1000, "steps are bounded");
  require(crescendo::is_utf8(paint.prompt) && crescendo::is_utf8(paint.label), "text is UTF-8");
  for (const auto& image : {paint.init_image, paint.mask}) {
    require(!image || (image->width == paint.width && image->height == paint.height),
            "pictures are fitted");
  }
  parameters_json(parsed, true).dump();
}

}  // namespace

/// The body of a request to draw, for each kind of model.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  for (const char* conditioning : {"text", "class", "none"}) {
    ServedModel model{.name = "tiny", .conditioning = conditioning};
    model.width = model.height = 64;
    for (const bool with_image : {false, true}) {
      try {
        check(parse_paint_request(body, with_image, model, kLimits), model);
      } catch (const ApiError& error) {
        require(error.status() == 400 || error.status() == 422, "what is refused is the sender's");
      }
    }
  }
  return 0;
}
