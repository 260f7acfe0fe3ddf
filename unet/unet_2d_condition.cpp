#include "unet/unet_2d_condition.h"

#include <algorithm>
#include <utility>

#include <ATen/Functions.h>

#include "core/atomic_file.h"
#include "core/group_norm.h"
#include "core/image_format.h"
#include "core/module_io.h"
#include "core/module_list.h"

namespace crescendo::unet {

namespace {

torch::nn::Conv2d same_conv(std::int64_t in, std::int64_t out, std::int64_t side) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, side).padding((side - 1) / 2));
}

std::int64_t emb_channels(const UNet2DConditionOptions& o) { return 4 * o.block_out_channels[0]; }

ResnetOptions resnet_options(const UNet2DConditionOptions& o) {
  return {.emb_channels = emb_channels(o),
          .groups = o.norm_num_groups,
          .eps = o.norm_eps,
          .dropout = o.dropout,
          .scale_shift = o.resnet_time_scale_shift == "scale_shift"};
}

/// `head_level` is where attention_head_dim is looked up, which differs from `level` where the
/// reference has it so.
AttentionOptions attention_options(const UNet2DConditionOptions& o, const std::string& block_type,
                                   std::size_t level, std::size_t head_level) {
  const AttentionKind kind = attention_kind(block_type);
  const std::int64_t head_dim = o.attention_head_dim.at(head_level);
  return {.kind = kind,
          .heads = kind == AttentionKind::kSelf ? o.block_out_channels[level] / head_dim : head_dim,
          .groups = o.norm_num_groups,
          .eps = o.norm_eps,
          .context_dim = o.cross_attention_dim.at(level),
          .layers = o.transformer_layers_per_block.at(level),
          .linear_projection = o.use_linear_projection};
}

}  // namespace

UNet2DConditionModelImpl::UNet2DConditionModelImpl(UNet2DConditionOptions options)
    : options_(std::move(options)) {
  check(options_, kClassName);
  const UNet2DConditionOptions& o = options_;
  const std::int64_t first = o.block_out_channels.front();
  conv_in_ = register_module("conv_in", same_conv(o.in_channels, first, o.conv_in_kernel));
  time_embedding_ = register_module("time_embedding", TimestepEmbedding(first, emb_channels(o)));
  if (o.num_class_embeds) {
    class_embedding_ = register_module("class_embedding",
                                       torch::nn::Embedding(*o.num_class_embeds, emb_channels(o)));
  }
  build_down();
  build_mid();
  build_up();
  conv_norm_out_ = register_module(
      "conv_norm_out",
      torch::nn::GroupNorm(torch::nn::GroupNormOptions(o.norm_num_groups, first).eps(o.norm_eps)));
  conv_out_ = register_module("conv_out", same_conv(first, o.out_channels, o.conv_out_kernel));
}

void UNet2DConditionModelImpl::build_down() {
  const UNet2DConditionOptions& o = options_;
  for (std::size_t level = 0; level < o.levels(); ++level) {
    down_blocks_.emplace_back(DownBlockOptions{
        .in_channels = o.block_out_channels[level == 0 ? 0 : level - 1],
        .out_channels = o.block_out_channels[level],
        .layers = o.layers_per_block.at(level),
        .downsample = level + 1 < o.levels(),
        .downsample_padding = o.downsample_padding,
        .resnet = resnet_options(o),
        .attention = attention_options(o, o.down_block_types[level], level, level)});
  }
  register_list(*this, "down_blocks", down_blocks_);
}

void UNet2DConditionModelImpl::build_mid() {
  const UNet2DConditionOptions& o = options_;
  if (!o.mid_block_type) return;
  const std::size_t last = o.levels() - 1;
  MidBlockOptions mid{.channels = o.block_out_channels[last],
                      .resnet = resnet_options(o),
                      .attention = attention_options(o, *o.mid_block_type, last, last)};
  mid.resnet.output_scale_factor = o.mid_block_scale_factor;
  mid_block_ = register_module("mid_block", MidBlock(mid));
}

void UNet2DConditionModelImpl::build_up() {
  const UNet2DConditionOptions& o = options_;
  const std::size_t last = o.levels() - 1;
  for (std::size_t i = 0; i <= last; ++i) {
    const std::size_t level = last - i;
    const std::string& type = o.up_block_types[i];
    // The reference forgets to reverse the head widths of AttnUpBlock2D, and published weights
    // follow it.
    const std::size_t head_level = attention_kind(type) == AttentionKind::kSelf ? i : level;
    up_blocks_.emplace_back(
        UpBlockOptions{.in_channels = o.block_out_channels[std::min(level + 1, last)],
                       .out_channels = o.block_out_channels[level],
                       .skip_channels = o.block_out_channels[level == 0 ? 0 : level - 1],
                       .layers = o.layers_per_block.at(level) + 1,
                       .upsample = level > 0,
                       .resnet = resnet_options(o),
                       .attention = attention_options(o, type, level, head_level)});
  }
  register_list(*this, "up_blocks", up_blocks_);
}

at::Tensor UNet2DConditionModelImpl::embed(const at::Tensor& timesteps,
                                           const at::Tensor& class_labels, at::ScalarType dtype) {
  const at::Tensor sinusoids = timestep_embedding(timesteps, options_.block_out_channels[0],
                                                  options_.flip_sin_to_cos, options_.freq_shift);
  at::Tensor emb = time_embedding_(sinusoids.to(dtype));
  if (class_embedding_) emb = emb + class_embedding_(class_labels).to(dtype);
  return at::silu(emb);
}

at::Tensor UNet2DConditionModelImpl::forward(const at::Tensor& sample, const at::Tensor& timesteps,
                                             const Conditioning& conditioning) {
  check_inputs(options_, sample, timesteps, conditioning);

  const at::Tensor emb = embed(timesteps, conditioning.class_labels, sample.scalar_type());
  Context context = context_of(conditioning, sample.scalar_type());
  context.routing = TaskRouting(options_, timesteps);
  const at::Tensor input = options_.center_input_sample ? 2.0 * sample - 1.0 : sample;
  at::Tensor hidden = conv_in_(input.contiguous(image_format(input.options())));
  Skips skips{hidden};
  for (DownBlock& block : down_blocks_) hidden = block(hidden, emb, context, skips);
  if (mid_block_) hidden = mid_block_(hidden, emb, context);
  for (UpBlock& block : up_blocks_) hidden = block(hidden, emb, context, skips);
  return conv_out_(group_norm_silu(conv_norm_out_, hidden)).contiguous();
}

void UNet2DConditionModelImpl::enable_gradient_checkpointing() {
  for (DownBlock& block : down_blocks_) block->enable_gradient_checkpointing();
  if (mid_block_) mid_block_->enable_gradient_checkpointing();
  for (UpBlock& block : up_blocks_) block->enable_gradient_checkpointing();
}

UNet2DConditionModel load_unet(const std::filesystem::path& folder, const Placement& placement) {
  const std::filesystem::path config = folder / "config.json";
  const UNet2DConditionOptions options = read_unet_options(read_json_file(config), config.string());
  return load_module<UNet2DConditionModel>(WeightFiles(weights_file_in(folder)), placement,
                                           options);
}

void save_unet(UNet2DConditionModel& model, const std::filesystem::path& folder,
               at::ScalarType dtype) {
  write_file_atomically(folder / "config.json", unet_config(model->options()).dump(2) + "\n");
  save_weights(*model, folder / "diffusion_pytorch_model.safetensors", dtype);
}

}  // namespace crescendo::unet
