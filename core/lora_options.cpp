#include "core/lora_options.h"

namespace crescendo {

std::vector<Field> fields(LoraOptions& o) {
  return {
      {"rank", &o.rank, "of the low-rank change that is trained in place of the U-Net; 0 is off",
       0},
      {"alpha", &o.alpha, "the change is scaled by alpha / rank; not given: as the rank", 0},
      {"target_modules", &o.target_modules,
       "the layers that are changed, by their names or the ends of these"},
  };
}

}  // namespace crescendo
