#include "vae/blocks.h"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/upsample_nearest2d.h>

#include "core/convolution.h"
#include "core/module_list.h"

namespace crescendo::vae {

namespace {

std::vector<ResnetBlock> make_resnets(const LevelOptions& options) {
  std::vector<ResnetBlock> resnets;
  for (std::int64_t i = 0; i < options.layers; ++i) {
    resnets.emplace_back(i == 0 ? options.in_channels : options.out_channels, options.out_channels,
                         options.groups);
  }
  return resnets;
}

}  // namespace

DownsampleImpl::DownsampleImpl(std::int64_t channels) {
  conv_ = register_module(
      "conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, channels, 3).stride(2)));
}

at::Tensor DownsampleImpl::forward(const at::Tensor& x) {
  return conv_(at::constant_pad_nd(x, {0, 1, 0, 1}));
}

UpsampleImpl::UpsampleImpl(std::int64_t channels) {
  conv_ = register_module("conv", torch::nn::Conv2d(same_conv(channels, channels)));
}

at::Tensor UpsampleImpl::forward(const at::Tensor& x) {
  return convolve(conv_, at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)}));
}

DownEncoderBlockImpl::DownEncoderBlockImpl(const LevelOptions& options)
    : resnets_(make_resnets(options)) {
  register_list(*this, "resnets", resnets_);
  if (options.resample) {
    downsample_ = Downsample(options.out_channels);
    register_list(*this, "downsamplers", std::vector{downsample_});
  }
}

at::Tensor DownEncoderBlockImpl::forward(at::Tensor x) {
  for (ResnetBlock& resnet : resnets_) x = resnet(x);
  return downsample_ ? downsample_(x) : x;
}

UpDecoderBlockImpl::UpDecoderBlockImpl(const LevelOptions& options)
    : resnets_(make_resnets(options)) {
  register_list(*this, "resnets", resnets_);
  if (options.resample) {
    upsample_ = Upsample(options.out_channels);
    register_list(*this, "upsamplers", std::vector{upsample_});
  }
}

at::Tensor UpDecoderBlockImpl::forward(at::Tensor x) {
  for (ResnetBlock& resnet : resnets_) x = resnet(x);
  return upsample_ ? upsample_(x) : x;
}

MidBlockImpl::MidBlockImpl(std::int64_t channels, std::int64_t groups, bool add_attention)
    : resnets_{ResnetBlock(channels, channels, groups), ResnetBlock(channels, channels, groups)} {
  register_list(*this, "resnets", resnets_);
  if (add_attention) {
    attention_ = Attention(channels, groups);
    register_list(*this, "attentions", std::vector{attention_});
  }
}

at::Tensor MidBlockImpl::forward(const at::Tensor& x) {
  const at::Tensor hidden = resnets_[0](x);
  return resnets_[1](attention_ ? attention_(hidden) : hidden);
}

}  // namespace crescendo::vae
