#include "pipelines/models/tensor_table.h"

#include <algorithm>
#include <span>
#include <string_view>

#include <fmt/ranges.h>

#include "core/error.h"
#include "core/text.h"

namespace crescendo::pipelines {

namespace {

std::span<const std::int64_t> without_ones_at_end(const Shape& shape) {
  std::size_t size = shape.size();
  while (size > 0 && shape[size - 1] == 1) --size;
  return {shape.data(), size};
}

}  // namespace

TensorTable::TensorTable(const WeightFiles& weights,
                         const std::function<std::string(const std::string&)>& rename) {
  for (const auto& [name, tensor] : weights.tensors()) {
    left_.emplace(rename ? rename(name) : name, &tensor);
  }
}

const WeightFiles::Tensor* TensorTable::take(const std::string& name, const Shape& shape) {
  const auto found = left_.find(name);
  if (found == left_.end()) {
    missing_.push_back(name);
    return nullptr;
  }
  const WeightFiles::Tensor* tensor = found->second;
  left_.erase(found);
  if (std::ranges::equal(without_ones_at_end(shape), without_ones_at_end(tensor->entry->shape))) {
    return tensor;
  }
  misshapen_.push_back(fmt::format("{}: expected {}, found {}", name, shape, tensor->entry->shape));
  return nullptr;
}

void TensorTable::require_fit(const std::string& what,
                              const std::function<bool(const std::string&)>& passes_over) const {
  std::vector<std::string> left_over;
  for (const auto& [name, tensor] : left_) {
    if (!passes_over(name)) left_over.push_back(name);
  }
  if (missing_.empty() && misshapen_.empty() && left_over.empty()) return;
  std::string message = what;
  append_some(message, "missing", missing_);
  append_some(message, "of another shape", misshapen_);
  append_some(message, "without a place", left_over);
  throw DataError(message);
}

}  // namespace crescendo::pipelines
