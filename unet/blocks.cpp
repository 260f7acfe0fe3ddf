#include "unet/blocks.h"

#include <ATen/Functions.h>

#include "core/module_list.h"

namespace crescendo::unet {

DownBlockImpl::DownBlockImpl(const DownBlockOptions& options)
    : attentions_(*this, options.out_channels, options.layers, options.attention) {
  for (std::int64_t i = 0; i < options.layers; ++i) {
    resnets_.emplace_back(i == 0 ? options.in_channels : options.out_channels, options.out_channels,
                          options.resnet);
  }
  register_list(*this, "resnets", resnets_);
  if (options.downsample) {
    downsample_ = Downsample(options.out_channels, options.downsample_padding);
    register_list(*this, "downsamplers", std::vector{downsample_});
  }
}

at::Tensor DownBlockImpl::forward(at::Tensor x, const at::Tensor& activated_emb,
                                  const Context& context, Skips& skips) {
  for (std::size_t i = 0; i < resnets_.size(); ++i) {
    x = attentions_.apply(i, resnets_[i](x, activated_emb), context);
    skips.push_back(x);
  }
  if (downsample_) {
    x = downsample_(x);
    skips.push_back(x);
  }
  return x;
}

MidBlockImpl::MidBlockImpl(const MidBlockOptions& options)
    : attentions_(*this, options.channels, 1, options.attention) {
  const std::size_t layers = options.attention.kind == AttentionKind::kNone ? 1 : 2;
  for (std::size_t i = 0; i < layers; ++i) {
    resnets_.emplace_back(options.channels, options.channels, options.resnet);
  }
  register_list(*this, "resnets", resnets_);
}

at::Tensor MidBlockImpl::forward(at::Tensor x, const at::Tensor& activated_emb,
                                 const Context& context) {
  x = resnets_[0](x, activated_emb);
  if (resnets_.size() == 1) return x;
  return resnets_[1](attentions_.apply(0, x, context), activated_emb);
}

UpBlockImpl::UpBlockImpl(const UpBlockOptions& options)
    : attentions_(*this, options.out_channels, options.layers, options.attention) {
  for (std::int64_t i = 0; i < options.layers; ++i) {
    const std::int64_t in = i == 0 ? options.in_channels : options.out_channels;
    const std::int64_t skip =
        i + 1 == options.layers ? options.skip_channels : options.out_channels;
    resnets_.emplace_back(in + skip, options.out_channels, options.resnet);
  }
  register_list(*this, "resnets", resnets_);
  if (options.upsample) {
    upsample_ = Upsample(options.out_channels);
    register_list(*this, "upsamplers", std::vector{upsample_});
  }
}

at::Tensor UpBlockImpl::forward(at::Tensor x, const at::Tensor& activated_emb,
                                const Context& context, Skips& skips) {
  for (std::size_t i = 0; i < resnets_.size(); ++i) {
    const at::Tensor joined = at::cat({x, skips.back()}, 1);
    skips.pop_back();
    x = attentions_.apply(i, resnets_[i](joined, activated_emb), context);
  }
  return upsample_ ? upsample_(x) : x;
}

}  // namespace crescendo::unet
