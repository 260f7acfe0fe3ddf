#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

namespace crescendo::pipelines {

/// The file metrics.jsonl: a JSON object a line. A line that cannot be written now is written with
/// a later one; that is logged, and no reason to stop.
class MetricsLog {
 public:
  explicit MetricsLog(std::filesystem::path path) : path_(std::move(path)) {}

  void append(const nlohmann::ordered_json& line);

  /// Deletes the lines of later steps, and what a kill cut short. Throws UserError.
  void forget_after(std::int64_t step);

 private:
  /// Writes what is pending; false when it cannot all be written, with the reason in errno.
  bool flush();

  std::filesystem::path path_;
  std::string pending_;
  std::int64_t failures_ = 0;  ///< since the last success
};

}  // namespace crescendo::pipelines
