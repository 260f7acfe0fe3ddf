#include <span>

#include <fmt/ranges.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/log.h"
#include "core/random.h"
#include "dataloader/folder.h"
#include "dataloader/folder_files.h"
#include "pipelines/shards/fingerprint.h"
#include "pipelines/shards/pack_source.h"

namespace crescendo::pipelines {

namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

/// KEY.jpg|png|webp, KEY.txt, KEY.cls, KEY.json of the images of a folder.
class FolderSource : public PackSource {
 public:
  FolderSource(std::vector<dataloader::FolderItem> items, std::uint64_t seed)
      : items_(std::move(items)),
        order_(random_permutation(static_cast<std::uint32_t>(items_.size()), seed, Purpose::kPack,
                                  0)) {}

  std::optional<dataloader::RawSample> next() override {
    if (position_ == order_.size()) return std::nullopt;
    return read(items_[order_[position_++]]);
  }

  void skip(std::uint64_t count) override { position_ += count; }

 private:
  static dataloader::RawSample read(const dataloader::FolderItem& item) {
    dataloader::RawSample sample{item.key, item.image.string(), {}, {}};
    try {
      const std::string suffix = dataloader::lower_extension(item.image).substr(1);
      sample.members.push_back({suffix, bytes_of(read_file(item.image))});
    } catch (const UserError& failure) {
      sample.defect = dataloader::Defect{"unreadable file", failure.what()};
      return sample;
    }
    if (item.has_caption) sample.members.push_back({"txt", bytes_of(item.caption)});
    if (item.label >= 0) sample.members.push_back({"cls", bytes_of(std::to_string(item.label))});
    if (!item.json.empty()) sample.members.push_back({"json", bytes_of(item.json)});
    return sample;
  }

  std::vector<dataloader::FolderItem> items_;
  std::vector<std::uint32_t> order_;
  std::uint64_t position_ = 0;
};

void tell_what_is_passed_over(const dataloader::FolderListing& listing) {
  warn_of(listing.skipped, "files or rows left out");
  warn_of(listing.images_without_row, "images that no metadata file names (left out)");
  // None at all is what the description tells.
  if (listing.images_without_caption.size() < listing.items.size()) {
    warn_of(listing.images_without_caption,
            "images without a caption (packed; text models skip them)");
  }
  warn_of(listing.captions_without_image, "captions without an image (left out)");
  if (listing.hidden > 0) {
    log::info("{} hidden files or folders left out (names that begin with a dot)", listing.hidden);
  }
  std::vector<std::string> others;
  for (const auto& [extension, count] : listing.others) {
    others.push_back(fmt::format("{} {}", count, extension.empty() ? "without suffix" : extension));
  }
  if (!others.empty()) log::info("other files left out: {}", fmt::join(others, ", "));
}

std::string describe(const dataloader::FolderListing& listing, const PackRequest& request) {
  const std::size_t count = listing.items.size();
  std::string text;
  if (listing.metadata_files.empty()) {
    text = fmt::format("{} images, {} with a caption in a {} file beside them", count,
                       count - listing.images_without_caption.size(), request.caption_extension);
  } else {
    text = fmt::format("{} images of {}", count, listing.metadata_files.front());
    if (listing.metadata_files.size() > 1) {
      text += fmt::format(" and {} more", listing.metadata_files.size() - 1);
    }
    text += fmt::format(", {} with a caption", count - listing.images_without_caption.size());
  }
  if (!listing.class_names.empty()) {
    text += fmt::format("; {} classes, {}", listing.class_names.size(),
                        listing.metadata_files.empty() ? "the top sub-folders" : "by their labels");
  }
  return text;
}

}  // namespace

PackInput open_pack_folder(const PackRequest& request) {
  dataloader::FolderListing listing = dataloader::list_folder(
      request.sources.front(), {request.caption_extension, request.caption_column});
  tell_what_is_passed_over(listing);
  PackInput input;
  input.layout = listing.metadata_files.empty() ? "captioned folder" : "metadata";
  input.description = describe(listing, request);
  input.size = listing.items.size();
  Fingerprint print;
  for (const dataloader::FolderItem& item : listing.items) {
    print.add(item.key);
    print.add_file(item.image);
    print.add(item.has_caption ? item.caption : "\xFF");
    print.add(static_cast<std::uint64_t>(item.label));
    print.add(item.json);
  }
  input.fingerprint = print.value();
  input.class_names = std::move(listing.class_names);
  input.samples = std::make_unique<FolderSource>(std::move(listing.items),
                                                 static_cast<std::uint64_t>(request.seed));
  return input;
}

}  // namespace crescendo::pipelines
