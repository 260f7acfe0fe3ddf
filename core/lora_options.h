#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/fields.h"

namespace crescendo {

/// Which layers get a low-rank change (core/lora.h), and how large it is. The defaults are those of
/// diffusers' train_text_to_image_lora.py.
struct LoraOptions {
  std::int64_t rank = 0;          ///< 0: none
  std::optional<double> alpha{};  ///< as the rank, where it is not given
  std::vector<std::string> target_modules{"to_q", "to_k", "to_v", "to_out.0"};

  double alpha_or_rank() const { return alpha.value_or(static_cast<double>(rank)); }
};

std::vector<Field> fields(LoraOptions& options);

}  // namespace crescendo
