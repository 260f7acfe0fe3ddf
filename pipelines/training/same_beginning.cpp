#include "pipelines/training/same_beginning.h"

#include <filesystem>

#include <fmt/format.h>

#include "dataloader/plain_file.h"
#include "dataloader/shard_list.h"
#include "pipelines/distributed/ranks.h"

namespace crescendo::pipelines {

namespace {

std::string describe_build() {
  const dataloader::PlainFile binary("/proc/self/exe");
  return fmt::format("{} bytes, CRC-32 {:08x}", binary.size(), binary.crc32(0, binary.size()));
}

/// A line a shard; what is a command has no size.
std::string describe_data(const std::vector<std::string>& patterns) {
  std::string text;
  for (const std::string& shard : dataloader::expand_shards(patterns)) {
    std::error_code error;
    const auto bytes = std::filesystem::file_size(shard, error);
    text += error ? shard + "\n" : fmt::format("{} of {} bytes\n", shard, bytes);
  }
  return text;
}

}  // namespace

void require_same_beginning(Communicator& ranks, const std::string& config,
                            const std::vector<std::string>& patterns) {
  if (ranks.size() == 1) return;
  require_same(ranks, {{"build of crescendo", describe_build()},
                       {"configuration", config},
                       {"data.shards", describe_data(patterns)}});
}

}  // namespace crescendo::pipelines
