#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include <nlohmann/json.hpp>

namespace crescendo::pipelines {

struct ShardInspection {
  bool decode = false;                    ///< also decode every image
  std::filesystem::path tokenizer{};      ///< folder; "" counts no tokens
  std::int64_t max_length = 77;           ///< tokens that a text encoder takes
  std::filesystem::path contact_sheet{};  ///< PNG to write; "" for none
};

/// What is in shards and what is wrong with them, from one pass over them. Images are judged by
/// their headers, unless they are decoded. Throws UserError when the tokenizer cannot be read or
/// the contact sheet not be written.
nlohmann::ordered_json inspect_shards(std::span<const std::string> shards,
                                      const ShardInspection& inspection);

/// Calls `emit` with an object for each sample, in order: {"shard","key","members":[[SUFFIX, SIZE,
/// CRC32], ...]}, with "defect" in place of members that cannot be trusted; and with
/// {"shard","error"} behind the samples of a damaged shard. Bytes that are not UTF-8 become U+FFFD.
void list_samples(std::span<const std::string> shards,
                  const std::function<void(const nlohmann::ordered_json&)>& emit);

}  // namespace crescendo::pipelines
