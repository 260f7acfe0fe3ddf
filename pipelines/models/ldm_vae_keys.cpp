#include "pipelines/models/ldm_vae_keys.h"

#include <array>
#include <utility>

#include <fmt/format.h>

namespace crescendo::pipelines {

namespace {

class VaeKeys {
 public:
  explicit VaeKeys(const vae::AutoencoderKLOptions& options) : o_(options) {}

  std::vector<LdmTensor> build() {
    encoder();
    decoder();
    const std::int64_t moments = 2 * o_.latent_channels;
    if (o_.use_quant_conv) keys_.layer("quant_conv", "quant_conv", {moments, moments, 1, 1});
    if (o_.use_post_quant_conv) {
      keys_.layer("post_quant_conv", "post_quant_conv",
                  {o_.latent_channels, o_.latent_channels, 1, 1});
    }
    return keys_.take();
  }

 private:
  void encoder() {
    std::int64_t channels = o_.block_out_channels.front();
    keys_.layer("encoder.conv_in", "encoder.conv_in", {channels, o_.in_channels, 3, 3});
    for (std::size_t level = 0; level < levels(); ++level) {
      const std::string key = fmt::format("encoder.down.{}", level);
      const std::string name = fmt::format("encoder.down_blocks.{}", level);
      level_layers(key, name, o_.layers_per_block, std::exchange(channels, at(level)), at(level));
      if (level + 1 == levels()) continue;
      keys_.layer(key + ".downsample.conv", name + ".downsamplers.0.conv",
                  {channels, channels, 3, 3});
    }
    middle("encoder");
    ends("encoder", channels, 2 * o_.latent_channels);
  }

  void decoder() {
    std::int64_t channels = o_.block_out_channels.back();
    keys_.layer("decoder.conv_in", "decoder.conv_in", {channels, o_.latent_channels, 3, 3});
    middle("decoder");
    for (std::size_t i = 0; i < levels(); ++i) {
      const std::size_t level = levels() - 1 - i;
      const std::string key = fmt::format("decoder.up.{}", level);
      const std::string name = fmt::format("decoder.up_blocks.{}", i);
      level_layers(key, name, o_.layers_per_block + 1, std::exchange(channels, at(level)),
                   at(level));
      if (level == 0) continue;
      keys_.layer(key + ".upsample.conv", name + ".upsamplers.0.conv", {channels, channels, 3, 3});
    }
    ends("decoder", channels, o_.out_channels);
  }

  void level_layers(const std::string& key, const std::string& name, std::int64_t layers,
                    std::int64_t in, std::int64_t out) {
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      resnet(fmt::format("{}.block.{}", key, layer), fmt::format("{}.resnets.{}", name, layer),
             layer == 0 ? in : out, out);
    }
  }

  void middle(const std::string& side) {
    const std::int64_t channels = o_.block_out_channels.back();
    resnet(side + ".mid.block_1", side + ".mid_block.resnets.0", channels, channels);
    if (o_.mid_block_add_attention) {
      const std::string key = side + ".mid.attn_1.";
      const std::string name = side + ".mid_block.attentions.0.";
      keys_.norm(key + "norm", name + "group_norm", channels);
      keys_.pointwise(key + "q", name + "to_q", channels);
      keys_.pointwise(key + "k", name + "to_k", channels);
      keys_.pointwise(key + "v", name + "to_v", channels);
      keys_.pointwise(key + "proj_out", name + "to_out.0", channels);
    }
    resnet(side + ".mid.block_2", side + ".mid_block.resnets.1", channels, channels);
  }

  void resnet(const std::string& key, const std::string& name, std::int64_t in, std::int64_t out) {
    keys_.norm(key + ".norm1", name + ".norm1", in);
    keys_.layer(key + ".conv1", name + ".conv1", {out, in, 3, 3});
    keys_.norm(key + ".norm2", name + ".norm2", out);
    keys_.layer(key + ".conv2", name + ".conv2", {out, out, 3, 3});
    if (in != out) keys_.layer(key + ".nin_shortcut", name + ".conv_shortcut", {out, in, 1, 1});
  }

  void ends(const std::string& side, std::int64_t channels, std::int64_t out) {
    keys_.norm(side + ".norm_out", side + ".conv_norm_out", channels);
    keys_.layer(side + ".conv_out", side + ".conv_out", {out, channels, 3, 3});
  }

  std::size_t levels() const { return o_.block_out_channels.size(); }
  std::int64_t at(std::size_t level) const { return o_.block_out_channels[level]; }

  const vae::AutoencoderKLOptions& o_;
  LdmKeys keys_{"first_stage_model."};
};

}  // namespace

std::vector<LdmTensor> ldm_vae_keys(const vae::AutoencoderKLOptions& options) {
  return VaeKeys(options).build();
}

std::string present_vae_name(const std::string& name) {
  constexpr std::array<std::pair<const char*, const char*>, 4> kRenamed{{
      {".attentions.0.query.", ".attentions.0.to_q."},
      {".attentions.0.key.", ".attentions.0.to_k."},
      {".attentions.0.value.", ".attentions.0.to_v."},
      {".attentions.0.proj_attn.", ".attentions.0.to_out.0."},
  }};
  for (const auto& [old, present] : kRenamed) {
    const std::size_t found = name.find(old);
    if (found == std::string::npos) continue;
    return std::string(name).replace(found, std::string_view(old).size(), present);
  }
  return name;
}

}  // namespace crescendo::pipelines
