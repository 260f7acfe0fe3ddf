#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace crescendo::pipelines {

struct InceptionScore {
  double mean = 0;  ///< over the splits; 1 to the number of classes
  double std = 0;   ///< over the splits, of N
};

/// exp of the mean relative entropy between the classes of an image and those of all (Salimans et
/// al. 2016), over `splits` equal parts, shuffled as torch-fidelity shuffles them. logits: [N,C];
/// torch-fidelity's are without the bias. Throws UserError for fewer images than splits.
InceptionScore inception_score(const at::Tensor& logits, std::int64_t splits = 10,
                               std::uint32_t seed = 2020);

}  // namespace crescendo::pipelines
