#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace crescendo::pipelines {

struct IndexRequest {
  std::vector<std::string> shards;  ///< paths, brace lists, globs, lists
  bool force = false;               ///< also where an index that fits is there
};

struct IndexResult {
  std::uint64_t indexed = 0;  ///< shards that got one
  std::uint64_t kept = 0;     ///< shards that had one
  std::uint64_t samples = 0;  ///< in all of them
};

/// Puts an index beside each plain tar. Goes on past shards that cannot be indexed, and then throws
/// UserError that names them.
IndexResult index_shards(const IndexRequest& request);

}  // namespace crescendo::pipelines
