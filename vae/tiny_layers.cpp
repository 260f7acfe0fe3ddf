#include "vae/tiny_layers.h"

#include <ATen/Functions.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/upsampling.h>

namespace crescendo::vae {

namespace {

// The reference counts activations and upsampling among the layers, so the numbers in the names of
// the parameters do too.

torch::nn::Conv2d conv(std::int64_t in_channels, std::int64_t out_channels) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in_channels, out_channels, 3).padding(1));
}

torch::nn::Conv2d conv_between_levels(std::int64_t channels, std::int64_t stride) {
  return torch::nn::Conv2d(
      torch::nn::Conv2dOptions(channels, channels, 3).padding(1).stride(stride).bias(false));
}

void add_blocks(torch::nn::Sequential& layers, std::int64_t count, std::int64_t channels) {
  for (std::int64_t i = 0; i < count; ++i) layers->push_back(TinyBlock(channels));
}

}  // namespace

TinyBlockImpl::TinyBlockImpl(std::int64_t channels)
    : conv_(conv(channels, channels), torch::nn::ReLU(), conv(channels, channels),
            torch::nn::ReLU(), conv(channels, channels)) {
  register_module("conv", conv_);
}

at::Tensor TinyBlockImpl::forward(const at::Tensor& x) { return at::relu(conv_->forward(x) + x); }

TinyEncoderImpl::TinyEncoderImpl(const AutoencoderTinyOptions& options) {
  const std::int64_t channels = options.encoder_block_out_channels[0];
  for (std::size_t level = 0; level < options.num_encoder_blocks.size(); ++level) {
    layers_->push_back(level == 0 ? conv(options.in_channels, channels)
                                  : conv_between_levels(channels, 2));
    add_blocks(layers_, options.num_encoder_blocks[level], channels);
  }
  layers_->push_back(conv(channels, options.latent_channels));
  register_module("layers", layers_);
}

at::Tensor TinyEncoderImpl::forward(const at::Tensor& image) {
  return layers_->forward((image + 1) / 2);
}

TinyDecoderImpl::TinyDecoderImpl(const AutoencoderTinyOptions& options) {
  const std::int64_t channels = options.decoder_block_out_channels[0];
  layers_->push_back(conv(options.latent_channels, channels));
  layers_->push_back(torch::nn::ReLU());
  const std::size_t levels = options.num_decoder_blocks.size();
  for (std::size_t level = 0; level < levels; ++level) {
    add_blocks(layers_, options.num_decoder_blocks[level], channels);
    if (level + 1 == levels) break;
    layers_->push_back(
        torch::nn::Upsample(torch::nn::UpsampleOptions().scale_factor(std::vector<double>{2, 2})));
    layers_->push_back(conv_between_levels(channels, 1));
  }
  layers_->push_back(conv(channels, options.out_channels));
  register_module("layers", layers_);
}

at::Tensor TinyDecoderImpl::forward(const at::Tensor& latents) {
  return layers_->forward(at::tanh(latents / 3) * 3) * 2 - 1;
}

}  // namespace crescendo::vae
