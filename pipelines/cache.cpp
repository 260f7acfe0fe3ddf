#include "pipelines/cache.h"

#include <map>
#include <optional>
#include <span>
#include <utility>

#include "core/device.h"
#include "core/error.h"
#include "core/progress.h"
#include "core/tensor_io.h"
#include "dataloader/shard_list.h"
#include "dataloader/shard_writer.h"
#include "pipelines/config/config.h"
#include "pipelines/training/cache_manifest.h"
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

}  // namespace

CacheResult cache(const CacheRequest& request) {
  TrainConfig config;
  read_config(request.config, request.overrides, sections(config));
  check(config);
  check_cacheable(config.data);
  if (!cache_of(config).empty()) {
    throw UserError("data.shards: expected pictures to encode, found a cache");
  }
  if (request.verify) {
    check_cache(request.output, config, /*by_content=*/true);
    return {};
  }
  check_output(request.output);
  const at::Device device = select_device(config.run.device);
  const nlohmann::ordered_json recipe = cache_recipe(config);
  const std::vector<std::string> sources = dataloader::expand_shards(config.data.shards);

  const DiffusionModel frozen = open_frozen(config, {.device = device});
  Conditioner conditioner(kind_of(config), frozen.text_encoder.get(), {}, device);
  BatchEncoder encoder(frozen.vae, conditioner, device);
  const auto batch_size = static_cast<std::size_t>(config.train.train_batch_size);
  dataloader::Loader loader(config.data, need_of(config, /*num_classes=*/0), batch_size, 0,
                            dataloader::Order::kOnce);
  dataloader::ShardWriter writer(
      {.folder = request.output, .max_samples = static_cast<std::size_t>(request.max_samples)});
  Progress progress("cache", 0, "samples");
  std::uint64_t samples = 0;
  std::map<std::uint64_t, CachedSample> encoded_samples;  // by ordinal, until their turn comes
  while (std::optional<dataloader::Batch> batch = loader.next()) {
    const std::size_t count = batch->size();
    const dataloader::Batch full = filled_up(*std::move(batch), batch_size);
    const EncodedBatch encoded = encoder.encode(full);
    for (std::size_t row = 0; row < count; ++row) {
      encoded_samples.emplace(full.ordinals[row],
                              take_sample(encoded, full, row, dtype_named(request.dtype)));
    }
    const auto end = encoded_samples.lower_bound(loader.position().delivered());
    for (auto next = encoded_samples.begin(); next != end; next = encoded_samples.erase(next)) {
      write_sample(writer, next->second);
    }
    samples += count;
    progress.update(samples);
  }
  for (const auto& [ordinal, sample] : encoded_samples) write_sample(writer, sample);
  writer.finish();
  write_cache_manifest(request.output, recipe, sources);
  return {writer.shards(), samples};
}

}  // namespace crescendo::pipelines
