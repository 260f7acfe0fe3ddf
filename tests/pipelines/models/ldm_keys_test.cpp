#include <map>
#include <set>

#include <gtest/gtest.h>

#include "core/module_io.h"
#include "pipelines/models/ldm_text_keys.h"
#include "pipelines/models/ldm_unet_keys.h"
#include "pipelines/models/ldm_vae_keys.h"
#include "tests/core/error_text.h"
#include "tests/pipelines/tiny_stable_diffusion.h"
#include "text_encoder/clip.h"
#include "unet/unet_2d_condition.h"
#include "vae/autoencoder_kl.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;

using Shapes = std::map<std::string, Shape>;

Shapes folder_shapes(const std::vector<LdmTensor>& tensors) {
  Shapes shapes;
  std::set<std::string> keys;
  for (const LdmTensor& tensor : tensors) {
    EXPECT_TRUE(keys.insert(tensor.key).second) << tensor.key;
    for (const std::string& name : tensor.names) {
      EXPECT_TRUE(shapes.emplace(name, tensor.name_shape).second) << name;
    }
  }
  return shapes;
}

Shapes shapes_of(const torch::nn::Module& module) {
  Shapes shapes;
  for (const auto& [name, tensor] : state_of(module)) shapes[name] = tensor.sizes().vec();
  return shapes;
}

std::map<std::string, LdmTensor> by_key(const std::vector<LdmTensor>& tensors) {
  std::map<std::string, LdmTensor> found;
  for (const LdmTensor& tensor : tensors) found[tensor.key] = tensor;
  return found;
}

/// The configurations of published weights.
fs::path published(const std::string& name) {
  return fs::path(CRESCENDO_SOURCE_DIR) / "configs" / name;
}

std::vector<LdmTensor> published_unet(const std::string& name) {
  const fs::path file = published(name) / "unet" / "config.json";
  return ldm_unet_keys(unet::read_unet_options(read_json_file(file), file.string()), "here");
}

TEST(LdmKeysTest, UnetTensorsAreThoseOfTheModel) {
  std::vector<unet::UNet2DConditionOptions> all{tiny_stable_diffusion_1().unet,
                                                tiny_stable_diffusion_2().unet};
  all.push_back(tiny_stable_diffusion_1().unet);
  all.back().layers_per_block = {{2, 1, 3}};
  all.back().transformer_layers_per_block = {{1, 2, 3}};
  all.back().resnet_time_scale_shift = "scale_shift";
  all.back().num_class_embeds = 5;
  for (const auto& options : all) {
    const unet::UNet2DConditionModel model(options);
    EXPECT_EQ(folder_shapes(ldm_unet_keys(options, "here")), shapes_of(*model));
  }
}

TEST(LdmKeysTest, VaeTensorsAreThoseOfTheModel) {
  vae::AutoencoderKLOptions options = tiny_stable_diffusion_1().vae;
  for (const bool whole : {true, false}) {
    options.mid_block_add_attention = whole;
    options.use_quant_conv = whole;
    options.use_post_quant_conv = whole;
    const vae::AutoencoderKL model(options);
    EXPECT_EQ(folder_shapes(ldm_vae_keys(options)), shapes_of(*model));
  }
}

TEST(LdmKeysTest, TextTensorsAreThoseOfTheModel) {
  for (const auto& options : {tiny_stable_diffusion_1().text, tiny_stable_diffusion_2().text}) {
    const text_encoder::CLIPTextModel model(options, text_encoder::CLIPTextNames{});
    EXPECT_EQ(folder_shapes(ldm_text_keys(options, {})), shapes_of(*model));
  }
}

TEST(LdmKeysTest, UnetKeysArePublishedOnes) {
  const std::vector<LdmTensor> tensors = published_unet("stable-diffusion-v1-5");
  EXPECT_EQ(tensors.size(), 686U);
  auto keys = by_key(tensors);
  const auto name = [&](const std::string& key) {
    return keys["model.diffusion_model." + key].names.at(0);
  };
  EXPECT_EQ(name("time_embed.2.bias"), "time_embedding.linear_2.bias");
  EXPECT_EQ(name("input_blocks.3.0.op.weight"), "down_blocks.0.downsamplers.0.conv.weight");
  EXPECT_EQ(name("input_blocks.7.0.skip_connection.weight"),
            "down_blocks.2.resnets.0.conv_shortcut.weight");
  EXPECT_EQ(name("middle_block.1.proj_in.weight"), "mid_block.attentions.0.proj_in.weight");
  EXPECT_EQ(name("output_blocks.2.1.conv.weight"), "up_blocks.0.upsamplers.0.conv.weight");
  EXPECT_EQ(name("output_blocks.8.2.conv.bias"), "up_blocks.2.upsamplers.0.conv.bias");
  EXPECT_EQ(name("output_blocks.11.0.skip_connection.weight"),
            "up_blocks.3.resnets.2.conv_shortcut.weight");
  EXPECT_EQ(keys["model.diffusion_model.middle_block.1.proj_in.weight"].key_shape,
            (Shape{1280, 1280, 1, 1}));
  EXPECT_EQ(by_key(published_unet("stable-diffusion-2-1"))
                .at("model.diffusion_model.middle_block.1.proj_in.weight")
                .key_shape,
            (Shape{1280, 1280}));
}

TEST(LdmKeysTest, VaeKeysArePublishedOnes) {
  const fs::path file = published("stable-diffusion-2-1-base") / "vae" / "config.json";
  const auto tensors =
      ldm_vae_keys(vae::read_autoencoder_kl_options(read_json_file(file), file.string()));
  EXPECT_EQ(tensors.size(), 248U);
  auto keys = by_key(tensors);
  const LdmTensor& query = keys["first_stage_model.decoder.mid.attn_1.q.weight"];
  EXPECT_EQ(query.names.at(0), "decoder.mid_block.attentions.0.to_q.weight");
  EXPECT_EQ(query.key_shape, (Shape{512, 512, 1, 1}));
  EXPECT_EQ(query.name_shape, (Shape{512, 512}));
  EXPECT_EQ(keys["first_stage_model.decoder.up.0.block.0.nin_shortcut.weight"].names.at(0),
            "decoder.up_blocks.3.resnets.0.conv_shortcut.weight");
  EXPECT_EQ(present_vae_name("encoder.mid_block.attentions.0.proj_attn.bias"),
            "encoder.mid_block.attentions.0.to_out.0.bias");
}

TEST(LdmKeysTest, OpenClipJoinsTheProjections) {
  const text_encoder::CLIPTextOptions options = tiny_stable_diffusion_2().text;
  auto keys = by_key(ldm_text_keys(options, 6));
  const LdmTensor& joined =
      keys["cond_stage_model.model.transformer.resblocks.1.attn.in_proj_weight"];
  EXPECT_EQ(joined.names,
            (std::vector<std::string>{"text_model.encoder.layers.1.self_attn.q_proj.weight",
                                      "text_model.encoder.layers.1.self_attn.k_proj.weight",
                                      "text_model.encoder.layers.1.self_attn.v_proj.weight"}));
  EXPECT_EQ(joined.key_shape, (Shape{36, 12}));
  const LdmTensor& projection = keys["cond_stage_model.model.text_projection"];
  EXPECT_EQ(projection.key_shape, (Shape{12, 6}));
  EXPECT_TRUE(projection.transposed);
}

TEST(LdmKeysTest, PassesOverWhatIsNoWeight) {
  for (const char* key :
       {"betas", "alphas_cumprod", "model_ema.diffusion_modelout2bias", "model_ema.decay",
        "first_stage_model.loss.logvar", "cond_stage_model.model.logit_scale",
        "cond_stage_model.transformer.text_model.embeddings.position_ids"}) {
    EXPECT_TRUE(ldm_passes_over(key)) << key;
  }
  EXPECT_FALSE(ldm_passes_over("model.diffusion_model.betas"));
  EXPECT_FALSE(ldm_passes_over("control_model.input_blocks.0.0.weight"));
}

TEST(LdmKeysTest, RefusesBlocksWithoutAPlace) {
  unet::UNet2DConditionOptions options = tiny_stable_diffusion_1().unet;
  options.mid_block_type.reset();
  EXPECT_EQ(error_text([&] { ldm_unet_keys(options, "c.json"); }),
            "c.json: the single-file layout has no place for mid_block_type null; expected "
            "DownBlock2D, UpBlock2D, CrossAttnDownBlock2D, CrossAttnUpBlock2D and "
            "UNetMidBlock2DCrossAttn");
  options.down_block_types[1] = "AttnDownBlock2D";
  EXPECT_NE(error_text([&] { ldm_unet_keys(options, "c.json"); }).find("no place for AttnDown"),
            std::string::npos);
}

}  // namespace
}  // namespace crescendo::pipelines
