#pragma once

#include <string>

#include "pipelines/studies/comparison.h"

namespace crescendo::pipelines {

/// The page of a comparison: arms, what differs, held-out losses over steps and time, by noise
/// level, and the samples of each arm's first run side by side at equal steps.
std::string comparison_page(const Comparison& comparison);

}  // namespace crescendo::pipelines
