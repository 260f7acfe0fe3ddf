#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/weight_files.h"
#include "pipelines/models/ldm_keys.h"

namespace crescendo::pipelines {

/// The tensors of weights, each asked for once with the shape that it must have; what does not fit
/// is gathered and told together.
class TensorTable {
 public:
  /// `rename` gives the names to ask by. The weights must outlive the table.
  explicit TensorTable(const WeightFiles& weights,
                       const std::function<std::string(const std::string&)>& rename = {});

  /// Null, and remembered, when there is no such tensor or it has another shape. Ones at the end of
  /// a shape do not count: [C, C, 1, 1] is [C, C].
  const WeightFiles::Tensor* take(const std::string& name, const Shape& shape);

  /// Throws DataError with the first ten of each: missing tensors, other shapes, and tensors that
  /// were never taken and that `passes_over` does not excuse. `what` begins the message.
  void require_fit(const std::string& what,
                   const std::function<bool(const std::string&)>& passes_over) const;

 private:
  std::map<std::string, const WeightFiles::Tensor*> left_;
  std::vector<std::string> missing_;
  std::vector<std::string> misshapen_;
};

}  // namespace crescendo::pipelines
