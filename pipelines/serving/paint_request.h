#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipelines/serving/painter.h"
#include "pipelines/serving/request_body.h"

namespace crescendo::pipelines {

/// What a request may ask for at most.
struct RequestLimits {
  std::int64_t max_pixels = 2048 * 2048;  ///< width x height
  std::int64_t max_pictures = 16;         ///< batch_size x n_iter
};

/// A request of AUTOMATIC1111's API, understood.
struct ParsedRequest {
  PaintRequest paint{};
  std::string task_id{};  ///< force_task_id
  bool send_images = true;
  std::vector<std::string> warnings{};  ///< of what is not done as asked
};

/// The body of POST /sdapi/v1/txt2img, or of img2img where `with_image`. A field that asks for what
/// there is not is refused by name; an unknown one is ignored with a warning. Throws ApiError 400
/// or 422.
ParsedRequest parse_paint_request(std::string_view body, bool with_image, const ServedModel& model,
                                  const RequestLimits& limits);

/// What was understood, as the field "parameters" of the answer has it.
Json parameters_json(const ParsedRequest& request, bool with_image);

}  // namespace crescendo::pipelines
