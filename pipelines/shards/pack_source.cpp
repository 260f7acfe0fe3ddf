#include "pipelines/shards/pack_source.h"

#include <algorithm>

#include "core/error.h"
#include "core/log.h"
#include "dataloader/plain_file.h"
#include "dataloader/shard_list.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kNamed = 10;
constexpr std::uint64_t kRepetitionsNamed = 10;

}  // namespace

std::string UniqueKeys::make_unique(const std::string& key) {
  if (keys_.insert(key).second) return key;
  std::string unique;
  int number = 2;
  do {
    unique = fmt::format("{}-{}", key, number++);
  } while (!keys_.insert(unique).second);
  if (++repeated_ <= kRepetitionsNamed) {
    log::warn("the key '{}' comes again; that sample is packed as '{}'", key, unique);
  }
  if (repeated_ == kRepetitionsNamed) log::warn("further repeated keys are not named");
  return unique;
}

void warn_of(const std::vector<std::string>& names, std::string_view things) {
  if (names.empty()) return;
  log::warn("{} {}:", names.size(), things);
  for (std::size_t i = 0; i < names.size() && i < kNamed; ++i) log::warn("  {}", names[i]);
  if (names.size() > kNamed) log::warn("  ... and {} more", names.size() - kNamed);
}

PackInput open_pack_input(const PackRequest& request) {
  const auto is_folder = [](const std::string& source) { return fs::is_directory(source); };
  if (std::ranges::any_of(request.sources, is_folder)) {
    if (request.sources.size() > 1) {
      throw UserError(
          "SRC: expected one folder, or tars; found {} sources with a folder among them",
          request.sources.size());
    }
    return open_pack_folder(request);
  }
  if (!request.caption_column.empty()) {
    throw UserError(
        "--caption-column: the members of tars are packed as they are; expected a folder");
  }
  const std::vector<std::string> shards = dataloader::expand_shards(request.sources);
  // What comes out of a pipe can only be read in order, as what is compressed.
  const bool plain = std::ranges::all_of(shards, [](const std::string& shard) {
    return fs::is_regular_file(shard) && dataloader::PlainFile(shard).compression().empty();
  });
  return plain ? open_pack_tars(request, shards) : open_pack_stream(request, shards);
}

}  // namespace crescendo::pipelines
