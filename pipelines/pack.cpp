#include "pipelines/pack.h"

#include <span>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/random.h"
#include "dataloader/folder.h"
#include "dataloader/shard_writer.h"

namespace crescendo::pipelines {

namespace {

constexpr std::size_t kNamed = 10;

void warn_of(const std::vector<std::string>& names, std::string_view what) {
  if (names.empty()) return;
  log::warn("{} {}:", names.size(), what);
  for (std::size_t i = 0; i < names.size() && i < kNamed; ++i) log::warn("  {}", names[i]);
  if (names.size() > kNamed) log::warn("  ... and {} more", names.size() - kNamed);
}

void write_sample(dataloader::ShardWriter& writer, const dataloader::FolderItem& item) {
  const std::string image = read_file(item.image);
  const std::string label = std::to_string(item.label);
  std::string suffix = item.image.extension().string().substr(1);
  for (char& letter : suffix) letter = static_cast<char>(std::tolower(letter));
  const auto bytes = [](const std::string& text) {
    return std::as_bytes(std::span(text.data(), text.size()));
  };
  std::vector<dataloader::MemberView> members{{suffix, bytes(image)}};
  if (item.has_caption) members.push_back({"txt", bytes(item.caption)});
  if (item.label >= 0) members.push_back({"cls", bytes(label)});
  writer.write(item.key, members);
}

}  // namespace

PackResult pack(const PackRequest& request) {
  const dataloader::FolderListing listing =
      dataloader::list_folder(request.source, {.caption_extension = request.caption_extension});
  warn_of(listing.skipped, "files left out");
  warn_of(listing.images_without_caption,
          "images without a caption (packed; text models skip them)");
  warn_of(listing.captions_without_image, "captions without an image (left out)");

  dataloader::ShardWriter writer({.folder = request.output,
                                  .prefix = {},
                                  .max_samples = static_cast<std::size_t>(request.max_samples),
                                  .max_bytes = static_cast<std::uint64_t>(request.max_bytes)});
  Progress progress("pack", listing.items.size(), "images");
  const auto count = static_cast<std::uint32_t>(listing.items.size());
  std::uint64_t done = 0;
  for (const std::uint32_t index :
       random_permutation(count, static_cast<std::uint64_t>(request.seed), Purpose::kPack, 0)) {
    write_sample(writer, listing.items[index]);
    progress.update(++done);
  }
  writer.finish();
  if (!listing.class_names.empty()) {
    write_file_atomically(request.output / "classes.txt",
                          fmt::format("{}\n", fmt::join(listing.class_names, "\n")));
  }
  return {writer.shards(), listing.class_names, done};
}

}  // namespace crescendo::pipelines
