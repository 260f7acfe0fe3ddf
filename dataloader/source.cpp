#include "dataloader/source.h"

#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "core/error.h"
#include "dataloader/shard_index.h"
#include "dataloader/shard_list.h"

namespace crescendo::dataloader {

namespace {

/// Of each shard, or none when one of them has no index.
std::vector<std::uint64_t> counts_of(const std::vector<std::string>& shards) {
  std::vector<std::uint64_t> counts;
  for (const std::string& shard : shards) {
    const std::optional<std::uint64_t> count = indexed_sample_count(shard);
    if (!count) return {};
    counts.push_back(*count);
  }
  return counts;
}

}  // namespace

std::uint64_t Source::samples() const {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::vector<Source> find_sources(std::span<const std::string> entries,
                                 std::span<const double> weights) {
  if (!weights.empty() && weights.size() != entries.size()) {
    throw UserError(
        "data.weights: expected {} numbers, one for each entry of data.shards, or none; found {}",
        entries.size(), weights.size());
  }
  for (const double weight : weights) {
    if (!std::isfinite(weight) || weight <= 0) {
      throw UserError("data.weights: expected numbers above 0, found {}", weight);
    }
  }
  std::vector<Source> sources;
  if (weights.empty()) sources.push_back({.shards = expand_shards(entries)});
  std::set<std::string> seen;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    sources.push_back({.shards = expand_shards(entries.subspan(i, 1)), .weight = weights[i]});
    for (const std::string& shard : sources.back().shards) {
      if (!seen.insert(shard).second) throw UserError("{}: this shard is named twice", shard);
    }
  }
  for (Source& source : sources) source.counts = counts_of(source.shards);
  return sources;
}

}  // namespace crescendo::dataloader
