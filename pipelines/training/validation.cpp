#include "pipelines/training/validation.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include "core/error.h"
#include "core/fields.h"
#include "core/interruption.h"
#include "core/log.h"
#include "core/random.h"
#include "dataloader/loader.h"
#include "dataloader/plain_file.h"
#include "dataloader/shard_list.h"
#include "pipelines/monitoring/cluster_losses.h"
#include "pipelines/training/batch_encoder.h"
#include "pipelines/training/noise_levels.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

/// Ordinals that no sample of a training has, so that no noise here is that of one there.
constexpr std::uint64_t kFirstOrdinal = std::uint64_t{1} << 62;

void check_held_out(const TrainConfig& config) {
  std::set<fs::path> trained;
  std::error_code ignored;
  for (const std::string& shard : dataloader::expand_shards(config.data.shards)) {
    trained.insert(fs::weakly_canonical(shard, ignored));
  }
  for (const std::string& shard : dataloader::expand_shards(config.validation.shards)) {
    if (!trained.contains(fs::weakly_canonical(shard, ignored))) continue;
    throw UserError(
        "validation.shards: {} is one of data.shards; expected shards that are not trained on, "
        "leave it out of one of them",
        shard);
  }
}

/// How the held-out images are read: in their order, each always the same.
dataloader::DataOptions data_of(const TrainConfig& config) {
  dataloader::DataOptions data = config.data;
  data.shards = config.validation.shards;
  data.weights.clear();
  data.random_flip = false;
  data.center_crop = true;
  data.enable_bucket = false;
  data.streams = 1;
  if (data.caption_line == "random") data.caption_line = "first";
  return data;
}

diffusion::DiffusionOptions without_weights(diffusion::DiffusionOptions options) {
  options.loss_weighting = "uniform";
  return options;
}

/// Of the weights themselves: those of a model that was moved are the same.
std::uint32_t crc32_of(const torch::nn::Module& module) {
  std::uint32_t crc = 0;
  for (const at::Tensor& parameter : module.parameters()) {
    const at::Tensor host = parameter.detach().to(at::kCPU).contiguous();
    const auto* bytes = static_cast<const std::byte*>(host.const_data_ptr());
    crc = dataloader::crc32_of(std::span(bytes, host.nbytes()), crc);
  }
  return crc;
}

std::string name_of_set(const TrainConfig& config, const DiffusionModel& model,
                        const std::vector<std::string>& keys) {
  diffusion::DiffusionOptions diffusion = without_weights(config.diffusion);
  const nlohmann::ordered_json all = {{"keys", keys},
                                      {"seed", config.validation.seed},
                                      {"clusters", config.validation.clusters},
                                      {"resolution", config.data.resolution},
                                      {"conditioning", config.conditioning.conditioning},
                                      {"vae", crc32_of(*model.vae)},
                                      {"scaling_factor", model.vae->scaling_factor()},
                                      {"diffusion", fields_to_json(diffusion::fields(diffusion))}};
  const std::string text = all.dump();
  return fmt::format("{:08x}", dataloader::crc32_of(std::as_bytes(std::span(text))));
}

}  // namespace

Validation::Validation(const TrainConfig& config, const DiffusionModel& model,
                       Conditioner& conditioner, const diffusion::NoiseProcess& process,
                       at::Device device)
    : options_(config.validation),
      process_(process),
      unweighted_(diffusion::make_noise_process(without_weights(config.diffusion))),
      clusters_(curriculum::equal_clusters(config.validation.clusters, process.places())),
      device_(device) {
  check_held_out(config);
  const auto seed = static_cast<std::uint64_t>(options_.seed);
  dataloader::Loader loader(data_of(config), need_of(config, model.num_classes()),
                            static_cast<std::size_t>(config.train.train_batch_size), seed,
                            dataloader::Order::kOnce);
  BatchEncoder encoder(model.vae, conditioner, device);
  std::vector<std::string> keys;
  while (static_cast<std::int64_t>(keys.size()) < options_.samples) {
    const std::optional<dataloader::Batch> batch = loader.next();
    if (!batch) break;
    throw_if_stopped();
    const auto first = static_cast<std::int64_t>(keys.size());
    const std::int64_t count =
        std::min(static_cast<std::int64_t>(batch->size()), options_.samples - first);
    const EncodedBatch encoded = encoder.encode(*batch);
    std::vector<std::uint64_t> ordinals;
    for (std::size_t i = 0; i < batch->size(); ++i) {
      ordinals.push_back(kFirstOrdinal + keys.size() + i);
    }
    const at::Tensor draw = noise_of_samples(ordinals, encoded.latents.mean.sizes().slice(1), seed,
                                             Purpose::kPosterior);
    const auto head = [count](const at::Tensor& all) {
      return all.defined() ? all.narrow(0, 0, count) : all;
    };
    images_.push_back(
        {head(model.vae->scale(encoded.latents.sample(draw.to(device)))),
         {head(encoded.condition.encoder_hidden_states),
          head(encoded.condition.encoder_attention_mask), head(encoded.condition.class_labels)},
         first});
    keys.insert(keys.end(), encoded.keys.begin(), encoded.keys.begin() + count);
  }
  set_ = name_of_set(config, model, keys);
  log::info("validation: {} held-out images in {} ranges of noise levels, every {} steps",
            keys.size(), clusters_.size(), options_.every);
}

NoisedBatch Validation::noised(const Images& images, std::size_t cluster,
                               std::vector<std::int64_t>& places) const {
  const auto seed = static_cast<std::uint64_t>(options_.seed);
  std::vector<std::uint64_t> ordinals;
  for (std::int64_t i = 0; i < images.latents.size(0); ++i) {
    const auto image = static_cast<std::uint64_t>(images.first + i);
    ordinals.push_back(kFirstOrdinal + image * clusters_.size() + cluster);
    RandomStream stream(seed, Purpose::kTimestep, ordinals.back());
    places.push_back(clusters_[cluster].at(stream.uniform()));
  }
  const at::IntArrayRef shape = images.latents.sizes().slice(1);
  return {.latents = images.latents,
          .noise = noise_of_samples(ordinals, shape, seed, Purpose::kNoise).to(device_),
          .levels = process_.levels(places),
          .condition = images.condition};
}

nlohmann::ordered_json Validation::measure(unet::UNet2DConditionModel unet,
                                           const AutocastState& autocast) const {
  const c10::NoGradGuard no_grad;
  unet->eval();
  ClusterLosses by_cluster(clusters_, cluster_names(process_, clusters_));
  double sum = 0;
  double weighted = 0;
  std::int64_t count = 0;
  std::int64_t images = 0;
  for (const Images& some : images_) {
    images += some.latents.size(0);
    for (std::size_t cluster = 0; cluster < clusters_.size(); ++cluster) {
      throw_if_stopped();
      std::vector<std::int64_t> places;
      const NoisedBatch batch = noised(some, cluster, places);
      const at::Tensor losses = denoising_losses(unet, *unweighted_, batch, {}, autocast)
                                    .to(at::kCPU, at::kDouble)
                                    .contiguous();
      by_cluster.add(places, {losses.const_data_ptr<double>(), places.size()});
      sum += losses.sum().item<double>();
      weighted += (losses * process_.weights(batch.levels).to(at::kCPU)).sum().item<double>();
      count += losses.numel();
    }
  }
  nlohmann::ordered_json event = {{"loss", sum / static_cast<double>(count)}};
  if (process_.options().loss_weighting != "uniform") {
    event["weighted_loss"] = weighted / static_cast<double>(count);
  }
  event["losses"] = by_cluster.take();
  event["images"] = images;
  event["set"] = set_;
  return event;
}

}  // namespace crescendo::pipelines
