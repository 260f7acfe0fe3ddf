#include "pipelines/cache.h"

#include <optional>
#include <span>

#include "core/device.h"
#include "core/error.h"
#include "core/progress.h"
#include "core/tensor_io.h"
#include "dataloader/shard_list.h"
#include "dataloader/shard_writer.h"
#include "pipelines/cache_manifest.h"
#include "pipelines/config.h"
#include "pipelines/train_setup.h"

namespace crescendo::pipelines {

namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// Writes sample `row` of an encoded batch.
void write_sample(dataloader::ShardWriter& writer, const EncodedBatch& encoded,
                  const dataloader::Batch& batch, std::size_t row, at::ScalarType dtype) {
  const auto at = static_cast<std::int64_t>(row);
  TensorMap tensors = {{"mean", encoded.latents.mean[at].to(dtype)},
                       {"logvar", encoded.latents.logvar[at].to(dtype)}};
  const at::Tensor& context = encoded.condition.encoder_hidden_states;
  if (context.defined()) tensors.emplace("context", context[at].to(dtype));
  const std::string latents = serialize_tensors(tensors);
  std::vector<dataloader::MemberView> members{{"safetensors", bytes_of(latents)}};
  const std::string label = std::to_string(batch.labels[row]);
  if (batch.labels[row] >= 0) members.push_back({"cls", bytes_of(label)});
  if (context.defined()) members.push_back({"txt", bytes_of(batch.captions[row])});
  writer.write(batch.keys[row], members);
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
  BatchEncoder encoder(config.data.resolution, frozen.vae, conditioner, device);
  dataloader::Loader loader(config.data, need_of(config, /*num_classes=*/0),
                            static_cast<std::size_t>(config.train.train_batch_size), 0,
                            dataloader::Order::kOnce);
  dataloader::ShardWriter writer(
      {.folder = request.output, .max_samples = static_cast<std::size_t>(request.max_samples)});
  Progress progress("cache", 0, "samples");
  std::uint64_t samples = 0;
  while (std::optional<dataloader::Batch> batch = loader.next()) {
    const EncodedBatch encoded = encoder.encode(*batch);
    for (std::size_t row = 0; row < batch->size(); ++row) {
      write_sample(writer, encoded, *batch, row, dtype_named(request.dtype));
    }
    samples += batch->size();
    progress.update(samples);
  }
  writer.finish();
  write_cache_manifest(request.output, recipe, sources);
  return {writer.shards(), samples};
}

}  // namespace crescendo::pipelines
