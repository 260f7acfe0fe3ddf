#include "pipelines/index.h"

#include <optional>

#include <fmt/ranges.h>

#include "core/error.h"
#include "core/progress.h"
#include "dataloader/shard_index.h"
#include "dataloader/shard_list.h"

namespace crescendo::pipelines {

IndexResult index_shards(const IndexRequest& request) {
  const std::vector<std::string> shards = dataloader::expand_shards(request.shards);
  IndexResult result;
  std::vector<std::string> failures;
  Progress progress("index", shards.size(), "shards");
  for (std::size_t i = 0; i < shards.size(); ++i) {
    try {
      std::optional<std::uint64_t> samples;
      if (!request.force) samples = dataloader::indexed_sample_count(shards[i]);
      if (samples) {
        ++result.kept;
      } else {
        const dataloader::ShardIndex index = dataloader::index_shard(shards[i]);
        dataloader::write_shard_index(shards[i], index);
        samples = index.samples.size();
        ++result.indexed;
      }
      result.samples += *samples;
    } catch (const UserError& failure) {
      failures.emplace_back(failure.what());
    }
    progress.update(i + 1);
  }
  if (failures.empty()) return result;
  throw UserError("index: {} of {} shards could not be indexed\n  {}", failures.size(),
                  shards.size(), fmt::join(failures, "\n  "));
}

}  // namespace crescendo::pipelines
