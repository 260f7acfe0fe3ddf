#include "pipelines/models/ldm_unet_keys.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"

namespace crescendo::pipelines {

namespace {

using unet::attention_kind;
using unet::AttentionKind;
using unet::UNet2DConditionOptions;

void require_ldm_blocks(const UNet2DConditionOptions& options, const std::string& where) {
  std::vector<std::string> types = options.down_block_types;
  types.insert(types.end(), options.up_block_types.begin(), options.up_block_types.end());
  const auto other = std::ranges::find_if(
      types, [](const auto& type) { return attention_kind(type) == AttentionKind::kSelf; });
  const std::string middle = options.mid_block_type.value_or("null");
  if (other == types.end() && attention_kind(middle) == AttentionKind::kCross) return;
  throw UserError(
      "{}: the single-file layout has no place for {}; expected DownBlock2D, UpBlock2D, "
      "CrossAttnDownBlock2D, CrossAttnUpBlock2D and UNetMidBlock2DCrossAttn",
      where, other != types.end() ? *other : "mid_block_type " + middle);
}

class UnetKeys {
 public:
  explicit UnetKeys(const UNet2DConditionOptions& options)
      : o_(options), channels_(options.block_out_channels.front()) {}

  std::vector<LdmTensor> build() {
    const std::int64_t first = channels_;
    keys_.layer("time_embed.0", "time_embedding.linear_1", {emb_, first});
    keys_.layer("time_embed.2", "time_embedding.linear_2", {emb_, emb_});
    if (o_.num_class_embeds) {
      keys_.tensor("label_emb.weight", "class_embedding.weight", {*o_.num_class_embeds, emb_});
    }
    keys_.layer("input_blocks.0.0", "conv_in",
                {first, o_.in_channels, o_.conv_in_kernel, o_.conv_in_kernel});
    down();
    middle();
    up();
    keys_.norm("out.0", "conv_norm_out", first);
    keys_.layer("out.2", "conv_out",
                {o_.out_channels, first, o_.conv_out_kernel, o_.conv_out_kernel});
    return keys_.take();
  }

 private:
  void down() {
    std::size_t block = 1;
    skips_ = {channels_};
    for (std::size_t level = 0; level < o_.levels(); ++level) {
      const std::string name = fmt::format("down_blocks.{}", level);
      const bool cross = attention_kind(o_.down_block_types[level]) == AttentionKind::kCross;
      for (std::int64_t layer = 0; layer < o_.layers_per_block.at(level); ++layer) {
        const std::string key = fmt::format("input_blocks.{}", block++);
        resnet(key + ".0", fmt::format("{}.resnets.{}", name, layer), channels_, level);
        if (cross) transformer(key + ".1", fmt::format("{}.attentions.{}", name, layer), level);
        skips_.push_back(channels_);
      }
      if (level + 1 == o_.levels()) continue;
      keys_.layer(fmt::format("input_blocks.{}.0.op", block++), name + ".downsamplers.0.conv",
                  {channels_, channels_, 3, 3});
      skips_.push_back(channels_);
    }
  }

  void middle() {
    const std::size_t last = o_.levels() - 1;
    resnet("middle_block.0", "mid_block.resnets.0", channels_, last);
    transformer("middle_block.1", "mid_block.attentions.0", last);
    resnet("middle_block.2", "mid_block.resnets.1", channels_, last);
  }

  void up() {
    std::size_t block = 0;
    for (std::size_t i = 0; i < o_.levels(); ++i) {
      const std::size_t level = o_.levels() - 1 - i;
      const std::string name = fmt::format("up_blocks.{}", i);
      const bool cross = attention_kind(o_.up_block_types[i]) == AttentionKind::kCross;
      for (std::int64_t layer = 0; layer <= o_.layers_per_block.at(level); ++layer) {
        const std::string key = fmt::format("output_blocks.{}", block++);
        resnet(key + ".0", fmt::format("{}.resnets.{}", name, layer), channels_ + skips_.back(),
               level);
        skips_.pop_back();
        if (cross) transformer(key + ".1", fmt::format("{}.attentions.{}", name, layer), level);
        if (layer < o_.layers_per_block.at(level) || level == 0) continue;
        keys_.layer(key + (cross ? ".2.conv" : ".1.conv"), name + ".upsamplers.0.conv",
                    {channels_, channels_, 3, 3});
      }
    }
  }

  /// From `in` channels to those of `level`.
  void resnet(const std::string& key, const std::string& name, std::int64_t in, std::size_t level) {
    const std::int64_t out = o_.block_out_channels[level];
    const bool scale_shift = o_.resnet_time_scale_shift == "scale_shift";
    keys_.norm(key + ".in_layers.0", name + ".norm1", in);
    keys_.layer(key + ".in_layers.2", name + ".conv1", {out, in, 3, 3});
    keys_.layer(key + ".emb_layers.1", name + ".time_emb_proj",
                {scale_shift ? 2 * out : out, emb_});
    keys_.norm(key + ".out_layers.0", name + ".norm2", out);
    keys_.layer(key + ".out_layers.3", name + ".conv2", {out, out, 3, 3});
    if (in != out) {
      keys_.layer(key + ".skip_connection", name + ".conv_shortcut", {out, in, 1, 1});
    }
    channels_ = out;
  }

  void transformer(const std::string& key, const std::string& name, std::size_t level) {
    const std::int64_t width = o_.block_out_channels[level];
    const Shape projection =
        o_.use_linear_projection ? Shape{width, width} : Shape{width, width, 1, 1};
    keys_.norm(key + ".norm", name + ".norm", width);
    keys_.layer(key + ".proj_in", name + ".proj_in", projection);
    for (std::int64_t i = 0; i < o_.transformer_layers_per_block.at(level); ++i) {
      const std::string block = fmt::format(".transformer_blocks.{}", i);
      for (const char* norm : {".norm1", ".norm2", ".norm3"}) {
        keys_.norm(key + block + norm, name + block + norm, width);
      }
      attention(key + block + ".attn1", name + block + ".attn1", width, width);
      attention(key + block + ".attn2", name + block + ".attn2", width,
                o_.cross_attention_dim.at(level));
      const std::string gate = block + ".ff.net.0.proj";
      keys_.layer(key + gate, name + gate, {8 * width, width});
      const std::string out = block + ".ff.net.2";
      keys_.layer(key + out, name + out, {width, 4 * width});
    }
    keys_.layer(key + ".proj_out", name + ".proj_out", projection);
  }

  void attention(const std::string& key, const std::string& name, std::int64_t width,
                 std::int64_t context) {
    keys_.tensor(key + ".to_q.weight", name + ".to_q.weight", {width, width});
    keys_.tensor(key + ".to_k.weight", name + ".to_k.weight", {width, context});
    keys_.tensor(key + ".to_v.weight", name + ".to_v.weight", {width, context});
    keys_.layer(key + ".to_out.0", name + ".to_out.0", {width, width});
  }

  const UNet2DConditionOptions& o_;
  const std::int64_t emb_ = 4 * o_.block_out_channels.front();
  std::int64_t channels_;            ///< where the walk has come to
  std::vector<std::int64_t> skips_;  ///< channels of what the way up joins in, last first
  LdmKeys keys_{kLdmUnetPrefix};
};

}  // namespace

std::vector<LdmTensor> ldm_unet_keys(const UNet2DConditionOptions& options,
                                     const std::string& where) {
  require_ldm_blocks(options, where);
  return UnetKeys(options).build();
}

}  // namespace crescendo::pipelines
