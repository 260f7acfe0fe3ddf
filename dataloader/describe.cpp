#include "dataloader/describe.h"

#include <algorithm>
#include <vector>

#include <fmt/ranges.h>

namespace crescendo::dataloader {

namespace {

/// 1234567 as "1,234,567".
std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t i = text.size(); i > 3;) text.insert(i -= 3, 1, ',');
  return text;
}

/// How many of a thing: "1 shard", "1,200 shards".
std::string counted(std::uint64_t number, const std::string& thing) {
  return fmt::format("{} {}{}", grouped(number), thing, number == 1 ? "" : "s");
}

std::string describe_source(const Source& source, const SampleStream::Options& options) {
  const std::string shards = counted(source.shards.size(), "shard");
  if (source.indexed()) {
    return fmt::format("{} in {} (indexed: shuffled as a whole)",
                       counted(source.samples(), "sample"), shards);
  }
  return fmt::format("{} in {} (not all indexed: shuffled within each)", shards,
                     counted(std::min(options.streams, source.shards.size()), "stream"));
}

}  // namespace

std::string describe_sources(const SampleStream::Options& options, std::uint64_t samples_per_step) {
  double weights = 0;
  for (const Source& source : options.sources) weights += source.weight;
  std::vector<std::string> parts;
  for (const Source& source : options.sources) {
    std::string text = describe_source(source, options);
    const double share = source.weight / weights;
    if (options.sources.size() > 1) text = fmt::format("{:.4g}% of {}", 100 * share, text);
    if (source.indexed()) {
      const double samples = static_cast<double>(source.samples()) / share;
      text +=
          fmt::format(", {:.6g} steps an epoch", samples / static_cast<double>(samples_per_step));
    } else {
      text += "; samples are counted as they come";
    }
    parts.push_back(std::move(text));
  }
  std::string text = fmt::format("{}", fmt::join(parts, "; "));
  if (options.world_size > 1) text += fmt::format("; shared by {} ranks", options.world_size);
  return text;
}

std::string describe_buckets(std::span<const Size> buckets) {
  std::vector<std::string> sizes;
  for (const Size& size : buckets) sizes.push_back(fmt::format("{}x{}", size.width, size.height));
  return fmt::format("{}, width x height: {}", counted(buckets.size(), "bucket"),
                     fmt::join(sizes, ", "));
}

}  // namespace crescendo::dataloader
