#pragma once

#include <string>
#include <string_view>

namespace crescendo::pipelines {

struct SamplerChoice {
  std::string sampler{};    ///< ours
  std::string scheduler{};  ///< ours
};

/// Ours of their names or our own, in any case; "" for `scheduler` or "Automatic" is what goes with
/// the sampler, and "DPM++ 2M Karras", as older clients write, has both in one. Throws ApiError
/// 422.
SamplerChoice parse_sampler(std::string_view sampler, std::string_view scheduler);

}  // namespace crescendo::pipelines
