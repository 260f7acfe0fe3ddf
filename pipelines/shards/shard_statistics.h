#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace crescendo::pipelines {

/// Numbers, of which the smallest, the middle and the largest are wanted.
class Distribution {
 public:
  void add(std::uint64_t value) { values_.push_back(static_cast<std::uint32_t>(value)); }
  std::size_t count() const { return values_.size(); }
  std::size_t count_above(std::uint64_t limit) const;

  /// {"min","median","p95","max"}: each a value that was added (nearest rank). Not empty.
  nlohmann::ordered_json summary() const;

 private:
  std::vector<std::uint32_t> values_;
};

/// Samples of one fault, the first of which are named.
class Finding {
 public:
  explicit Finding(std::string_view what) : what_(what) {}
  void add(const std::string& where);
  std::uint64_t count() const { return count_; }

  /// "3 images without a caption, among them x.tar: a, x.tar: b"
  std::string text() const;

 private:
  std::string_view what_;
  std::uint64_t count_ = 0;
  std::vector<std::string> first_;
};

/// Sizes of images, upright, in pixels.
class SizeStatistics {
 public:
  void add(std::int64_t width, std::int64_t height);

  /// {"width","height","megapixels","aspect_ratios"}: the ranges, and images a bucket, without the
  /// empty ones. An aspect ratio is counted at the nearest of 1:2, 9:16, ... 16:9, 2:1.
  nlohmann::ordered_json summary() const;

 private:
  Distribution widths_;
  Distribution heights_;
  std::map<std::size_t, std::uint64_t> megapixels_;
  std::map<std::size_t, std::uint64_t> aspects_;
};

}  // namespace crescendo::pipelines
