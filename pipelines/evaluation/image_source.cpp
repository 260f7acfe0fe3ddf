#include "pipelines/evaluation/image_source.h"

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <variant>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/log.h"
#include "core/random.h"
#include "core/text.h"
#include "dataloader/decode_image.h"
#include "dataloader/folder.h"
#include "dataloader/folder_files.h"
#include "dataloader/ordered_pool.h"
#include "dataloader/report.h"
#include "dataloader/sample_reader.h"
#include "dataloader/shard_index.h"
#include "dataloader/shard_list.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;
using dataloader::Defect;
using dataloader::RawMember;
using dataloader::RawSample;

namespace {

constexpr std::size_t kThreads = 8;
constexpr std::size_t kAhead = 4;  // images a thread
constexpr std::uint64_t kMaxSampleBytes = std::uint64_t{1} << 30;
constexpr std::array<std::string_view, 6> kImages{"jpg", "jpeg", "jpe", "jfif", "png", "webp"};

/// Undecoded samples, from one thread at a time.
class RawSource {
 public:
  virtual ~RawSource() = default;
  virtual std::optional<RawSample> next() = 0;
  virtual std::uint64_t size() const = 0;  ///< 0: not known
  virtual std::uint64_t left_out() const { return 0; }
};

RawMember member_of(std::string suffix, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {std::move(suffix), {bytes.begin(), bytes.end()}};
}

std::string text_of(const RawSample& sample, std::string_view suffix) {
  const RawMember* member = sample.find(suffix);
  if (member == nullptr) return "";
  return std::string(
      trim({reinterpret_cast<const char*>(member->bytes.data()), member->bytes.size()}));
}

/// The images of a folder in the order of their names, or a part of them.
class FolderSource : public RawSource {
 public:
  FolderSource(const fs::path& folder, std::uint64_t most, std::uint64_t seed) {
    dataloader::FolderListing listing = dataloader::list_folder(folder);
    if (!listing.skipped.empty()) {
      std::string text = fmt::format("{}: left out", folder.string());
      append_some(text, "files or rows", listing.skipped);
      log::warn("{}", text);
      left_out_ = listing.skipped.size();
    }
    items_ = std::move(listing.items);
    names_ = std::move(listing.class_names);
    order_ = random_permutation(static_cast<std::uint32_t>(items_.size()), seed,
                                Purpose::kSampleOrder, 0);
    if (most > 0 && most < order_.size()) order_.resize(most);
    std::ranges::sort(order_);
  }

  std::uint64_t size() const override { return order_.size(); }
  std::uint64_t left_out() const override { return left_out_; }

  std::optional<RawSample> next() override {
    if (position_ == order_.size()) return std::nullopt;
    const dataloader::FolderItem& item = items_[order_[position_++]];
    RawSample sample{"", item.image.string(), {}, {}};
    try {
      const std::string suffix = dataloader::lower_extension(item.image).substr(1);
      sample.members.push_back(member_of(suffix, read_file(item.image)));
    } catch (const UserError& failure) {
      sample.defect = Defect{"unreadable file", failure.what()};
    }
    if (item.has_caption) sample.members.push_back(member_of("txt", item.caption));
    if (item.label >= 0) sample.members.push_back(member_of("cls", name_of(item.label)));
    return sample;
  }

 private:
  std::string name_of(std::int64_t label) const {
    return names_.empty() ? std::to_string(label) : names_[static_cast<std::size_t>(label)];
  }

  std::vector<dataloader::FolderItem> items_;
  std::vector<std::string> names_;
  std::vector<std::uint32_t> order_;
  std::size_t position_ = 0;
  std::uint64_t left_out_ = 0;
};

/// The samples of shards in their order, or the first of them.
class ShardSource : public RawSource {
 public:
  ShardSource(std::vector<std::string> shards, std::uint64_t most)
      : shards_(std::move(shards)), most_(most) {
    for (const std::string& shard : shards_) {
      const auto count = dataloader::indexed_sample_count(shard);
      if (!count) {
        size_ = 0;
        break;
      }
      size_ += *count;
    }
    if (most_ > 0 && (size_ == 0 || size_ > most_)) size_ = most_;
  }

  std::uint64_t size() const override { return size_; }

  std::optional<RawSample> next() override {
    while (most_ == 0 || given_ < most_) {
      if (!reader_) {
        if (opened_ == shards_.size()) return std::nullopt;
        archive_ = std::make_unique<dataloader::TarReader>(fs::path(shards_[opened_++]));
        reader_ = std::make_unique<dataloader::SampleReader>(*archive_, kMaxSampleBytes);
      }
      if (std::optional<RawSample> sample = reader_->next()) {
        ++given_;
        return sample;
      }
      reader_.reset();
    }
    return std::nullopt;
  }

 private:
  std::vector<std::string> shards_;
  std::uint64_t most_;
  std::uint64_t size_ = 0;
  std::size_t opened_ = 0;
  std::uint64_t given_ = 0;
  std::unique_ptr<dataloader::TarReader> archive_;
  std::unique_ptr<dataloader::SampleReader> reader_;
};

struct Unreadable {
  std::string shard;
  std::string key;
  Defect defect;
};
using Outcome = std::variant<SourceImage, Unreadable>;

Outcome decode(const RawSample& sample) {
  if (sample.defect) return Unreadable{sample.shard, sample.key, *sample.defect};
  for (const std::string_view suffix : kImages) {
    const RawMember* member = sample.find(suffix);
    if (member == nullptr) continue;
    try {
      return SourceImage{
          sample.key.empty() ? sample.shard : fmt::format("{}: {}", sample.shard, sample.key),
          dataloader::decode_image(member->bytes), text_of(sample, "txt"), text_of(sample, "cls")};
    } catch (const dataloader::SampleError& failure) {
      return Unreadable{sample.shard, sample.key, failure.defect()};
    }
  }
  return Unreadable{sample.shard, sample.key, {"no image", "expected a member jpg, png or webp"}};
}

class DecodedSource : public ImageSource {
 public:
  explicit DecodedSource(std::unique_ptr<RawSource> source)
      : source_(std::move(source)),
        threads_(std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kThreads)),
        pool_([this] { return source_->next(); },
              [](const RawSample& sample) { return decode(sample); }, threads_, kAhead * threads_) {
  }

  std::uint64_t size() const override { return source_->size(); }
  std::uint64_t skipped() const override { return source_->left_out() + bad_.report().bad_count(); }

  std::optional<SourceImage> next() override {
    while (std::optional<Outcome> outcome = pool_.next()) {
      if (auto* image = std::get_if<SourceImage>(&*outcome)) return std::move(*image);
      const auto& bad = std::get<Unreadable>(*outcome);
      bad_.count_bad(bad.shard, bad.key, bad.defect);
    }
    return std::nullopt;
  }

 private:
  std::unique_ptr<RawSource> source_;
  dataloader::BadSamples bad_{/*max_fraction=*/1};
  std::size_t threads_;
  dataloader::OrderedPool<RawSample, Outcome> pool_;  ///< last: its threads use the source
};

bool is_shard_name(const std::string& name) {
  return name.ends_with(".tar") || name.ends_with(".tar.gz") || name.ends_with(".tgz");
}

std::vector<std::string> shards_in(const fs::path& folder) {
  std::vector<std::string> shards;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (is_shard_name(entry.path().filename().string())) shards.push_back(entry.path().string());
  }
  std::ranges::sort(shards);
  return shards;
}

std::unique_ptr<RawSource> open_raw(const std::string& path, std::uint64_t most,
                                    std::uint64_t seed) {
  if (!fs::is_directory(path)) {
    return std::make_unique<ShardSource>(dataloader::expand_shards({{path}}), most);
  }
  std::vector<std::string> shards = shards_in(path);
  if (shards.empty()) return std::make_unique<FolderSource>(path, most, seed);
  return std::make_unique<ShardSource>(std::move(shards), most);
}

}  // namespace

std::unique_ptr<ImageSource> open_images(const std::string& path, std::uint64_t most,
                                         std::uint64_t seed, const std::string& where) {
  if (!fs::exists(path) && path.find_first_of("*?[{@:") == std::string::npos && path != "-") {
    throw UserError("{}: {}: is not there; expected a folder of images, or shards (.tar)", where,
                    path);
  }
  return std::make_unique<DecodedSource>(open_raw(path, most, seed));
}

}  // namespace crescendo::pipelines
