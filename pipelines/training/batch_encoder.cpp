#include "pipelines/training/batch_encoder.h"

#include <utility>

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include "core/log.h"

namespace crescendo::pipelines {

at::Tensor images_to_tensor(const dataloader::Batch& batch, at::Device device) {
  // from_blob takes no const pointer; what follows copies.
  auto* pixels = const_cast<std::uint8_t*>(batch.images.data());
  const auto count = static_cast<std::int64_t>(batch.size());
  const at::Tensor bytes = at::from_blob(pixels, {count, 3, batch.height, batch.width}, at::kByte);
  return bytes.to(device, at::kFloat).div_(127.5).sub_(1);
}

BatchEncoder::BatchEncoder(std::shared_ptr<vae::Autoencoder> vae, Conditioner& conditioner,
                           at::Device device)
    : vae_(std::move(vae)), conditioner_(conditioner), device_(device) {}

EncodedBatch BatchEncoder::encode(const dataloader::Batch& batch) {
  const c10::NoGradGuard no_grad;
  EncodedBatch encoded{.latents = vae_->encode(images_to_tensor(batch, device_)),
                       .condition = conditioner_.encode(batch.captions, batch.labels),
                       .keys = batch.keys,
                       .ordinals = batch.ordinals};
  warn_of_truncation(batch.keys.back());
  return encoded;
}

void BatchEncoder::warn_of_truncation(const std::string& key) {
  if (conditioner_.truncated_captions() < next_warning_) return;
  log::warn(
      "sample '{}': {} of {} captions so far are longer than text_encoder.max_length and are cut; "
      "raise it if the model has room",
      key, conditioner_.truncated_captions(), conditioner_.captions());
  while (next_warning_ <= conditioner_.truncated_captions()) next_warning_ *= 10;
}

}  // namespace crescendo::pipelines
