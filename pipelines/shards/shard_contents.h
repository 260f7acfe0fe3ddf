#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "pipelines/shards/shard_statistics.h"
#include "text_encoder/tokenizer.h"

namespace crescendo::pipelines {

// What inspect tells of one kind of members each. Every problem() text is one of a sample.

/// The images of shards.
class ImageStatistics {
 public:
  explicit ImageStatistics(bool decode) : decode_(decode) {}

  /// Why the image cannot be used, or "".
  std::string add(std::span<const std::byte> bytes);

  nlohmann::ordered_json report() const;

 private:
  bool decode_;
  std::uint64_t count_ = 0;
  std::uint64_t rotated_ = 0;
  std::uint64_t profiles_ = 0;
  std::uint64_t transparent_ = 0;
  std::map<std::string, std::uint64_t, std::less<>> formats_;
  std::map<std::string, std::uint64_t> unreadable_;  ///< by cause
  SizeStatistics sizes_;
};

/// The captions of shards.
class CaptionStatistics {
 public:
  /// `tokenizer` is a folder; "" counts no tokens. Throws as load_tokenizer() does.
  CaptionStatistics(const std::filesystem::path& tokenizer, std::int64_t max_length);

  /// Why the caption cannot be used, or "".
  std::string add(std::string_view text);

  std::uint64_t count() const { return count_; }
  nlohmann::ordered_json report() const;

 private:
  std::int64_t max_length_;
  std::unique_ptr<text_encoder::Tokenizer> tokenizer_;
  std::uint64_t count_ = 0;
  std::uint64_t empty_ = 0;
  Distribution characters_;
  Distribution words_;
  Distribution tokens_;
};

/// The classes of shards.
class ClassStatistics {
 public:
  void add(std::string_view text);

  std::uint64_t count() const { return count_; }

  /// `names` are in the order of the numbers, or empty.
  nlohmann::ordered_json report(std::span<const std::string> names) const;

 private:
  std::uint64_t count_ = 0;
  std::map<std::string, std::uint64_t, std::less<>> classes_;
};

}  // namespace crescendo::pipelines
