#include "pipelines/shards/shard_statistics.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/ranges.h>

namespace crescendo::pipelines {

using Json = nlohmann::ordered_json;

namespace {

constexpr std::size_t kFirst = 3;

struct Megapixels {
  double below;
  const char* name;
};
constexpr std::array<Megapixels, 8> kMegapixels{{{0.1, "below 0.1"},
                                                 {0.25, "0.1 to 0.25"},
                                                 {0.5, "0.25 to 0.5"},
                                                 {1, "0.5 to 1"},
                                                 {2, "1 to 2"},
                                                 {4, "2 to 4"},
                                                 {8, "4 to 8"},
                                                 {1e9, "from 8"}}};

struct Aspect {
  double width;
  double height;
  const char* name;
};
constexpr std::array<Aspect, 13> kAspects{{{0, 1, "taller than 1:2"},
                                           {1, 2, "1:2"},
                                           {9, 16, "9:16"},
                                           {2, 3, "2:3"},
                                           {3, 4, "3:4"},
                                           {4, 5, "4:5"},
                                           {1, 1, "1:1"},
                                           {5, 4, "5:4"},
                                           {4, 3, "4:3"},
                                           {3, 2, "3:2"},
                                           {16, 9, "16:9"},
                                           {2, 1, "2:1"},
                                           {1, 0, "wider than 2:1"}}};

/// The nearest as ratios go; beyond the last by more than a twentieth is outside.
std::size_t aspect_bucket(double ratio) {
  constexpr double kSlack = 1.05;
  if (ratio * 2 * kSlack < 1) return 0;
  if (ratio > 2 * kSlack) return kAspects.size() - 1;
  const auto distance = [&](const Aspect& aspect) {
    return std::abs(std::log(ratio * aspect.height / aspect.width));
  };
  const auto* const nearest = std::min_element(
      kAspects.begin() + 1, kAspects.end() - 1,
      [&](const Aspect& left, const Aspect& right) { return distance(left) < distance(right); });
  return static_cast<std::size_t>(nearest - kAspects.begin());
}

template <typename Buckets>
Json histogram(const std::map<std::size_t, std::uint64_t>& counts, const Buckets& buckets) {
  Json json = Json::object();
  for (const auto& [bucket, count] : counts) json[buckets[bucket].name] = count;
  return json;
}

}  // namespace

std::size_t Distribution::count_above(std::uint64_t limit) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(values_, [&](std::uint32_t value) { return value > limit; }));
}

Json Distribution::summary() const {
  std::vector<std::uint32_t> sorted = values_;
  std::ranges::sort(sorted);
  const auto rank = [&](std::size_t percent) {
    return sorted[std::max<std::size_t>((sorted.size() * percent + 99) / 100, 1) - 1];
  };
  return {{"min", sorted.front()}, {"median", rank(50)}, {"p95", rank(95)}, {"max", sorted.back()}};
}

void Finding::add(const std::string& where) {
  ++count_;
  if (first_.size() < kFirst) first_.push_back(where);
}

std::string Finding::text() const {
  return fmt::format("{} {}{} {}", count_, what_, count_ > first_.size() ? ", among them" : ":",
                     fmt::join(first_, ", "));
}

void SizeStatistics::add(std::int64_t width, std::int64_t height) {
  widths_.add(static_cast<std::uint64_t>(width));
  heights_.add(static_cast<std::uint64_t>(height));
  const double megapixels = static_cast<double>(width) * static_cast<double>(height) / 1e6;
  const auto above = [&](const Megapixels& bucket) { return megapixels < bucket.below; };
  const auto* const found = std::find_if(kMegapixels.begin(), kMegapixels.end() - 1, above);
  ++megapixels_[static_cast<std::size_t>(found - kMegapixels.begin())];
  ++aspects_[aspect_bucket(static_cast<double>(width) / static_cast<double>(height))];
}

Json SizeStatistics::summary() const {
  if (widths_.count() == 0) return Json::object();
  return {{"width", widths_.summary()},
          {"height", heights_.summary()},
          {"megapixels", histogram(megapixels_, kMegapixels)},
          {"aspect_ratios", histogram(aspects_, kAspects)}};
}

}  // namespace crescendo::pipelines
