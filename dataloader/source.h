#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace crescendo::dataloader {

/// Shards that are shuffled together.
struct Source {
  std::vector<std::string> shards;
  /// Samples of each shard by their indices; empty when not all are indexed.
  std::vector<std::uint64_t> counts{};
  double weight = 1;  ///< share of the samples that come from here, relative to the other sources

  bool indexed() const { return !counts.empty(); }
  std::uint64_t samples() const;  ///< of an indexed source
};

/// The sources that data.shards and data.weights name: without weights one of all shards, else one
/// an entry. Throws UserError for weights that do not fit the entries, and as expand_shards does.
std::vector<Source> find_sources(std::span<const std::string> entries,
                                 std::span<const double> weights);

}  // namespace crescendo::dataloader
