#include "tests/pipelines/tiny_model.h"

#include <ATen/Context.h>

#include "vae/autoencoder_kl.h"

namespace crescendo::pipelines {

namespace {

vae::AutoencoderKLOptions vae_options() {
  vae::AutoencoderKLOptions options;
  options.block_out_channels = {4, 8};
  options.down_block_types = {"DownEncoderBlock2D", "DownEncoderBlock2D"};
  options.up_block_types = {"UpDecoderBlock2D", "UpDecoderBlock2D"};
  options.latent_channels = 3;
  options.norm_num_groups = 2;
  options.scaling_factor = 0.7;
  options.shift_factor = 0.1;
  options.mid_block_add_attention = false;
  return options;
}

unet::UNet2DConditionOptions unet_options(ConditioningKind kind) {
  unet::UNet2DConditionOptions options;
  options.sample_size = 4;
  options.in_channels = 3;
  options.out_channels = 3;
  options.block_out_channels = {4, 8};
  options.layers_per_block = {{1}};
  options.norm_num_groups = 2;
  options.attention_head_dim = {{2}};
  if (kind == ConditioningKind::kText) {
    options.down_block_types = {"CrossAttnDownBlock2D", "DownBlock2D"};
    options.up_block_types = {"UpBlock2D", "CrossAttnUpBlock2D"};
    options.cross_attention_dim = {{16}};
  } else {
    options.down_block_types = {"AttnDownBlock2D", "DownBlock2D"};
    options.up_block_types = {"UpBlock2D", "AttnUpBlock2D"};
    options.mid_block_type = "UNetMidBlock2D";
  }
  if (kind == ConditioningKind::kClass) options.num_class_embeds = 3;
  return options;
}

}  // namespace

std::filesystem::path text_encoder_folder() {
  return std::filesystem::path(CRESCENDO_SOURCE_DIR) /
         "tests/parity/fixtures/text_encoder/bert_uncased";
}

DiffusionModel tiny_model(ConditioningKind kind) {
  at::manual_seed(0);
  DiffusionModel model;
  model.unet = unet::UNet2DConditionModel(unet_options(kind));
  model.vae = vae::AutoencoderKL(vae_options()).ptr();
  model.unet->eval();
  model.vae->eval();
  if (kind == ConditioningKind::kText) {
    model.text_encoder = open_text_encoder(text_encoder_folder(), 12);
  }
  if (kind == ConditioningKind::kClass) {
    model.class_names = {"birds", "cups"};
    model.null_class = 2;
  }
  return model;
}

}  // namespace crescendo::pipelines
