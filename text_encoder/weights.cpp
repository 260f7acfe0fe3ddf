#include "text_encoder/weights.h"

#include <utility>

#include "core/error.h"
#include "core/safetensors.h"

namespace crescendo::text_encoder {

WeightNames::WeightNames(std::filesystem::path file) : file_(std::move(file)) {
  const SafetensorsFile weights(file_);
  for (const SafetensorsEntry& entry : weights.header().entries) {
    names_.insert(entry.name);
    elements_ += static_cast<std::int64_t>((entry.end - entry.begin) /
                                           safetensors_element_size(entry.dtype));
  }
}

void WeightNames::require_parameters(std::int64_t count, const std::string& config) const {
  if (count <= elements_) return;
  throw DataError(
      "{}: the model has more parameters than the weights beside it; expected at most {} ({}), "
      "found {}",
      config, elements_, file_.filename().string(), count);
}

}  // namespace crescendo::text_encoder
