#pragma once

#include <string_view>

#include "pipelines/generation/webui_names.h"

namespace crescendo::pipelines {

/// As choose_sampler(). Throws ApiError 422 for what is unknown, listing the known.
SamplerChoice parse_sampler(std::string_view sampler, std::string_view scheduler);

}  // namespace crescendo::pipelines
