#pragma once

#include <string>

#include "text_encoder/text_encoder.h"

namespace crescendo::pipelines {

/// The end of a prompt that the model does not get to see, because the tokens before it are as many
/// as it takes; empty where the whole prompt fits.
std::string truncated_end(const text_encoder::TextEncoder& encoder, const std::string& prompt);

}  // namespace crescendo::pipelines
