#pragma once

#include <cstdint>
#include <vector>

#include "text_encoder/tokenizer.h"

namespace crescendo::text_encoder {

/// The tokens put around every prompt, and the one after its end.
struct Frame {
  std::vector<std::int64_t> before;  ///< [CLS]
  std::vector<std::int64_t> after;   ///< [SEP] or </s>
  std::int64_t pad = 0;
};

/// Cuts each prompt's tokens to fit, frames them and pads to `max_length`. Throws UserError when
/// the frame itself does not fit.
Tokens frame_and_pad(const std::vector<std::vector<std::int64_t>>& prompts, const Frame& frame,
                     std::int64_t max_length);

}  // namespace crescendo::text_encoder
