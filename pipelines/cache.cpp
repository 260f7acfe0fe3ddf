#include "pipelines/cache.h"

#include <map>
#include <optional>
#include <span>
#include <utility>

#include "core/error.h"
#include "core/progress.h"
#include "core/tensor_io.h"
#include "dataloader/shard_list.h"
#include "dataloader/shard_writer.h"
#include "pipelines/config/config.h"
#include "pipelines/training/cache_manifest.h"
#include "pipelines/training/rank_device.h"
#include "pipelines/training/same_beginning.h"
#include "pipelines/training/train_setup.h"

namespace crescendo::pipelines {

namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// A sample as the cache stores it.
struct CachedSample {
  std::string key;
  std::string latents;  ///< a safetensors file
  std::string label;    ///< empty: none
  std::optional<std::string> caption;
};

CachedSample take_sample(const EncodedBatch& encoded, const dataloader::Batch& batch,
                         std::size_t row, at::ScalarType dtype) {
  const auto at = static_cast<std::int64_t>(row);
  TensorMap tensors = {{"mean", encoded.latents.mean[at].to(dtype)},
                       {"logvar", encoded.latents.logvar[at].to(dtype)}};
  const at::Tensor& context = encoded.condition.encoder_hidden_states;
  if (context.defined()) tensors.emplace("context", context[at].to(dtype));
  CachedSample sample{.key = batch.keys[row],
                      .latents = serialize_tensors(tensors),
                      .label = batch.labels[row] < 0 ? "" : std::to_string(batch.labels[row]),
                      .caption = {}};
  if (context.defined()) sample.caption = batch.captions[row];
  return sample;
}

void write_sample(dataloader::ShardWriter& writer, const CachedSample& sample) {
  std::vector<dataloader::MemberView> members{{"safetensors", bytes_of(sample.latents)}};
  if (!sample.label.empty()) members.push_back({"cls", bytes_of(sample.label)});
  if (sample.caption) members.push_back({"txt", bytes_of(*sample.caption)});
  writer.write(sample.key, members);
}

/// Makes a short batch as long as those of a run, whose rounding it is to have, with repetitions of
/// its first sample.
dataloader::Batch filled_up(dataloader::Batch batch, std::size_t size) {
  const std::size_t bytes = batch.images.size() / batch.size();
  const std::vector<std::uint8_t> first(batch.images.begin(),
                                        batch.images.begin() + static_cast<std::ptrdiff_t>(bytes));
  while (batch.size() < size) {
    batch.images.insert(batch.images.end(), first.begin(), first.end());
    batch.keys.push_back(batch.keys.front());
    batch.captions.emplace_back();
    batch.labels.push_back(batch.labels.front());
    batch.ordinals.push_back(batch.ordinals.front());
  }
  return batch;
}

ConditioningKind kind_of(const TrainConfig& config) {
  const std::string& conditioning = config.conditioning.conditioning;
  if (conditioning == "text") return ConditioningKind::kText;
  return conditioning == "class" ? ConditioningKind::kClass : ConditioningKind::kNone;
}

void check_output(const std::filesystem::path& output) {
  if (!std::filesystem::exists(output) || std::filesystem::is_empty(output)) return;
  throw UserError("{}: expected a folder that is empty or does not exist, for the cache",
                  output.string());
}

/// The shards that a rank encodes: consecutive ones, so that its cache follows that of the rank
/// before in the order of the source.
std::vector<std::string> part_of(const std::vector<std::string>& shards,
                                 const Communicator& ranks) {
  const auto begin_of = [&](int rank) {
    return shards.begin() + static_cast<std::ptrdiff_t>(shards.size()) * rank / ranks.size();
  };
  return {begin_of(ranks.rank()), begin_of(ranks.rank() + 1)};
}

/// Encodes what the loader gives, in its order; returns how many samples.
std::uint64_t write_samples(dataloader::Loader& loader, BatchEncoder& encoder,
                            dataloader::ShardWriter& writer, std::size_t batch_size,
                            at::ScalarType dtype) {
  Progress progress("cache", 0, "samples");
  std::uint64_t samples = 0;
  std::map<std::uint64_t, CachedSample> encoded_samples;  // by ordinal, until their turn comes
  while (std::optional<dataloader::Batch> batch = loader.next()) {
    const std::size_t count = batch->size();
    const dataloader::Batch full = filled_up(*std::move(batch), batch_size);
    const EncodedBatch encoded = encoder.encode(full);
    for (std::size_t row = 0; row < count; ++row) {
      encoded_samples.emplace(full.ordinals[row], take_sample(encoded, full, row, dtype));
    }
    const auto end = encoded_samples.lower_bound(loader.position().delivered());
    for (auto next = encoded_samples.begin(); next != end; next = encoded_samples.erase(next)) {
      write_sample(writer, next->second);
    }
    samples += count;
    progress.update(samples);
  }
  for (const auto& [ordinal, sample] : encoded_samples) write_sample(writer, sample);
  return samples;
}

/// Encodes this rank's part of `sources`.
CacheResult encode_part(const CacheRequest& request, const TrainConfig& config,
                        const std::vector<std::string>& sources, at::Device device,
                        const Communicator& ranks) {
  dataloader::DataOptions data = config.data;
  data.shards = part_of(sources, ranks);
  data.weights.clear();  // of an order that is not this one
  if (data.shards.empty()) return {};
  const DiffusionModel frozen = open_frozen(config, {.device = device});
  Conditioner conditioner(kind_of(config), frozen.text_encoder.get(), {}, device);
  BatchEncoder encoder(frozen.vae, conditioner, device);
  const auto batch_size = static_cast<std::size_t>(config.train.train_batch_size);
  dataloader::Loader loader(data, need_of(config, /*num_classes=*/0), batch_size, 0,
                            dataloader::Order::kOnce);
  dataloader::ShardWriter writer(
      {.folder = request.output,
       .prefix = ranks.size() > 1 ? fmt::format("rank-{:04}", ranks.rank()) : "",
       .max_samples = static_cast<std::size_t>(request.max_samples)});
  const std::uint64_t samples =
      write_samples(loader, encoder, writer, batch_size, dtype_named(request.dtype));
  writer.finish();
  return {writer.shards(), samples};
}

/// Of all ranks, in their order.
CacheResult result_of_all(const CacheResult& here, Communicator& ranks) {
  nlohmann::json told = {here.samples, nlohmann::json::array()};
  for (const auto& shard : here.shards) told[1].push_back(shard.string());
  CacheResult all;
  for (const std::string& one : ranks.gather(told.dump())) {
    const nlohmann::json result = nlohmann::json::parse(one);
    all.samples += result.at(0).get<std::uint64_t>();
    for (const auto& shard : result.at(1)) all.shards.emplace_back(shard.get<std::string>());
  }
  return all;
}

}  // namespace

CacheResult cache(const CacheRequest& request, Communicator& ranks) {
  TrainConfig config;
  read_config(request.config, request.overrides, sections(config));
  check(config);
  check_cacheable(config.data);
  require_same_beginning(ranks, config_to_toml(sections(config), false), config.data.shards);
  if (!cache_of(config).empty()) {
    throw UserError("data.shards: expected pictures to encode, found a cache");
  }
  if (request.verify) {
    if (ranks.leads()) check_cache(request.output, config, /*by_content=*/true);
    return {};
  }
  if (ranks.leads()) check_output(request.output);
  ranks.any(false);  // nobody writes before it is known to be empty
  const at::Device device = select_device(config.run.device, ranks);
  const nlohmann::ordered_json recipe = cache_recipe(config);
  const std::vector<std::string> sources = dataloader::expand_shards(config.data.shards);
  const CacheResult result =
      result_of_all(encode_part(request, config, sources, device, ranks), ranks);
  if (ranks.leads()) write_cache_manifest(request.output, recipe, sources);
  return result;
}

}  // namespace crescendo::pipelines
