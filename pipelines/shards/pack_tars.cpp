#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "core/log.h"
#include "core/progress.h"
#include "core/random.h"
#include "dataloader/indexed_shard.h"
#include "dataloader/shard_index.h"
#include "dataloader/tar_reader.h"
#include "pipelines/shards/fingerprint.h"
#include "pipelines/shards/pack_source.h"

namespace crescendo::pipelines {

using dataloader::RawSample;

namespace {

constexpr std::uint64_t kMaxSampleBytes = std::uint64_t{1} << 30;
constexpr std::uint64_t kMaxBufferBytes = std::uint64_t{1} << 30;

Fingerprint fingerprint_of(const std::vector<std::string>& shards) {
  Fingerprint print;
  for (const std::string& shard : shards) {
    print.add(shard);
    print.add_file(shard);
  }
  return print;
}

/// The samples of plain tars, read at random.
class IndexedSource : public PackSource {
 public:
  IndexedSource(const std::vector<std::string>& shards, std::uint64_t seed) : shards_(shards) {
    Progress progress("index", shards.size(), "tars");
    UniqueKeys keys;
    for (std::uint32_t i = 0; i < shards.size(); ++i) {
      const bool has_index = dataloader::indexed_sample_count(shards[i]).has_value();
      auto index =
          has_index ? dataloader::read_shard_index(shards[i]) : dataloader::index_shard(shards[i]);
      for (dataloader::IndexedSample& sample : index.samples) {
        const std::string key = keys.make_unique(sample.key);
        if (key != sample.key) renamed_.emplace(samples_.size(), key);
        samples_.push_back({i, std::move(sample)});
      }
      progress.update(i + 1);
    }
    order_ =
        random_permutation(static_cast<std::uint32_t>(samples_.size()), seed, Purpose::kPack, 0);
  }

  std::uint64_t size() const { return samples_.size(); }

  std::optional<RawSample> next() override {
    if (position_ == order_.size()) return std::nullopt;
    const std::size_t number = order_[position_++];
    const Place& place = samples_[number];
    RawSample sample = dataloader::read_indexed_sample(shards_[place.shard], place.sample,
                                                       kMaxSampleBytes, files_, place.shard);
    if (const auto found = renamed_.find(number); found != renamed_.end()) {
      sample.key = found->second;
    }
    return sample;
  }

  void skip(std::uint64_t count) override { position_ += count; }

 private:
  struct Place {
    std::uint32_t shard;
    dataloader::IndexedSample sample;
  };

  std::vector<std::string> shards_;
  dataloader::OpenFiles files_{256};
  std::vector<Place> samples_;
  std::unordered_map<std::size_t, std::string> renamed_;
  std::vector<std::uint32_t> order_;
  std::uint64_t position_ = 0;
};

/// The samples of tars front to back, the tars in a random order, mixed by a buffer from which one
/// is drawn at random before the next is read.
class BufferedSource : public PackSource {
 public:
  BufferedSource(const std::vector<std::string>& shards, std::uint64_t seed, std::size_t capacity)
      : shards_(shards),
        seed_(seed),
        capacity_(capacity),
        order_(random_permutation(static_cast<std::uint32_t>(shards.size()), seed, Purpose::kPack,
                                  0)) {}

  std::optional<RawSample> next() override {
    while (buffer_.size() < capacity_ && buffer_bytes_ < kMaxBufferBytes) {
      std::optional<RawSample> sample = read();
      if (!sample) break;
      buffer_bytes_ += sample->byte_count();
      buffer_.push_back(std::move(*sample));
    }
    if (buffer_.empty()) return std::nullopt;
    // Position 0 is the order of the tars.
    const std::uint64_t drawn = RandomStream(seed_, Purpose::kPack, ++given_).below(buffer_.size());
    std::swap(buffer_[drawn], buffer_.back());
    RawSample sample = std::move(buffer_.back());
    buffer_.pop_back();
    buffer_bytes_ -= sample.byte_count();
    return sample;
  }

  void skip(std::uint64_t count) override {
    for (std::uint64_t i = 0; i < count; ++i) next();
  }

 private:
  std::optional<RawSample> read() {
    while (reader_ || opened_ < order_.size()) {
      if (!reader_) {
        archive_ = std::make_unique<dataloader::TarReader>(
            std::filesystem::path(shards_[order_[opened_++]]));
        reader_ = std::make_unique<dataloader::SampleReader>(*archive_, kMaxSampleBytes);
      }
      if (std::optional<RawSample> sample = reader_->next()) {
        sample->key = keys_.make_unique(sample->key);
        return sample;
      }
      reader_.reset();
    }
    return std::nullopt;
  }

  std::vector<std::string> shards_;
  std::uint64_t seed_;
  std::size_t capacity_;
  std::vector<std::uint32_t> order_;
  std::size_t opened_ = 0;
  std::unique_ptr<dataloader::TarReader> archive_;
  std::unique_ptr<dataloader::SampleReader> reader_;
  UniqueKeys keys_;
  std::vector<RawSample> buffer_;
  std::uint64_t buffer_bytes_ = 0;
  std::uint64_t given_ = 0;
};

}  // namespace

PackInput open_pack_tars(const PackRequest& request, const std::vector<std::string>& shards) {
  auto source = std::make_unique<IndexedSource>(shards, static_cast<std::uint64_t>(request.seed));
  PackInput input;
  input.layout = "tars";
  input.description = fmt::format("{} samples of {} tars, shuffled over all of them",
                                  source->size(), shards.size());
  input.fingerprint = fingerprint_of(shards).value();
  input.size = source->size();
  input.samples = std::move(source);
  return input;
}

PackInput open_pack_stream(const PackRequest& request, const std::vector<std::string>& shards) {
  PackInput input;
  input.layout = "tar streams";
  input.description = fmt::format(
      "{} tars, compressed or piped ones among them: read in order, shuffled by tar and through a "
      "buffer of {} samples",
      shards.size(), request.shuffle_buffer);
  input.fingerprint = fingerprint_of(shards).value();
  input.samples =
      std::make_unique<BufferedSource>(shards, static_cast<std::uint64_t>(request.seed),
                                       static_cast<std::size_t>(request.shuffle_buffer));
  return input;
}

}  // namespace crescendo::pipelines
