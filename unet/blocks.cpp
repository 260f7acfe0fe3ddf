#include "unet/blocks.h"

#include <ATen/Functions.h>

#include "core/module_list.h"
#include "unet/recompute.h"

namespace crescendo::unet {

namespace {

/// What the layers of a block share.
struct LayerOptions {
  bool recompute;
  const at::Tensor& activated_emb;
  const Context& context;
};

/// Residual block `i` of `resnets`, on the channels of all `images`, and the attention after it.
at::Tensor apply_layer(const LayerOptions& options, std::vector<ResnetBlock>& resnets,
                       AttentionLayers& attentions, std::size_t i,
                       const std::vector<at::Tensor>& images) {
  const std::size_t count = images.size();
  std::vector<at::Tensor> inputs = images;
  inputs.push_back(options.activated_emb);
  if (options.context.states.defined()) inputs.push_back(options.context.states);
  const auto layer = [&resnet = resnets[i], &attentions, i, count, bias = options.context.bias,
                      routing = options.context.routing](const std::vector<at::Tensor>& given) {
    const at::TensorList joined = at::TensorList(given).slice(0, count);
    const at::Tensor x = count == 1 ? given[0] : at::cat(joined, 1);
    const Context context{given.size() > count + 1 ? given.back() : at::Tensor(), bias, routing};
    return attentions.apply(i, resnet(x, given[count], routing), context);
  };
  return run_layer(options.recompute, layer, inputs);
}

}  // namespace

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
  const LayerOptions options{recompute_, activated_emb, context};
  for (std::size_t i = 0; i < resnets_.size(); ++i) {
    x = apply_layer(options, resnets_, attentions_, i, {x});
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
  x = apply_layer({recompute_, activated_emb, context}, resnets_, attentions_, 0, {x});
  if (resnets_.size() == 1) return x;
  const auto last = [this, routing = context.routing](const std::vector<at::Tensor>& given) {
    return resnets_[1](given[0], given[1], routing);
  };
  return run_layer(recompute_, last, {x, activated_emb});
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
  const LayerOptions options{recompute_, activated_emb, context};
  for (std::size_t i = 0; i < resnets_.size(); ++i) {
    x = apply_layer(options, resnets_, attentions_, i, {x, skips.back()});
    skips.pop_back();
  }
  if (!upsample_) return x;
  const auto upsample = [this](const std::vector<at::Tensor>& given) {
    return upsample_(given[0]);
  };
  return run_layer(recompute_, upsample, {x});
}

}  // namespace crescendo::unet
