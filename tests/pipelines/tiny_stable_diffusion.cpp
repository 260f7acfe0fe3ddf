#include "tests/pipelines/tiny_stable_diffusion.h"

#include <ATen/Context.h>

#include "core/atomic_file.h"
#include "core/module_io.h"
#include "diffusion/scheduler_config.h"
#include "text_encoder/clip.h"
#include "unet/unet_2d_condition.h"
#include "vae/autoencoder_kl.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

constexpr const char* kIndex = R"({
  "_class_name": "StableDiffusionPipeline",
  "unet": ["diffusers", "UNet2DConditionModel"],
  "vae": ["diffusers", "AutoencoderKL"],
  "scheduler": ["diffusers", "DDIMScheduler"],
  "text_encoder": ["transformers", "CLIPTextModel"],
  "tokenizer": ["transformers", "CLIPTokenizer"],
  "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]
}
)";

void save_text(text_encoder::CLIPTextOptions options, const fs::path& folder) {
  nlohmann::ordered_json config =
      model_config_to_json("CLIPTextModel", text_encoder::fields(options), {});
  config["model_type"] = "clip_text_model";
  config["architectures"] = {"CLIPTextModel"};
  write_file_atomically(folder / "text_encoder" / "config.json", config.dump(2));
  const text_encoder::CLIPTextModel model(options, text_encoder::CLIPTextNames{});
  save_weights(*model, folder / "text_encoder" / "model.safetensors");

  const fs::path fixture =
      fs::path(CRESCENDO_SOURCE_DIR) / "tests/parity/fixtures/text_encoder/clip_published";
  fs::create_directories(folder / "tokenizer");
  for (const char* name : {"vocab.json", "merges.txt", "special_tokens_map.json"}) {
    fs::copy_file(fixture / name, folder / "tokenizer" / name);
  }
  nlohmann::json tokenizer = read_json_file(fixture / "tokenizer_config.json");
  tokenizer["model_max_length"] = options.max_position_embeddings;
  write_file_atomically(folder / "tokenizer" / "tokenizer_config.json", tokenizer.dump(2));
}

}  // namespace

void TinyStableDiffusion::save(const fs::path& folder) const {
  at::manual_seed(0);
  unet::UNet2DConditionModel unet_model(unet);
  unet::save_unet(unet_model, folder / "unet");
  vae::AutoencoderKL vae_model(vae);
  vae::save_autoencoder(*vae_model, folder / "vae");
  save_text(text, folder);
  write_file_atomically(folder / "scheduler" / "scheduler_config.json",
                        diffusion::scheduler_config({}).dump(2));
  write_file_atomically(folder / "model_index.json", kIndex);
}

TinyStableDiffusion tiny_stable_diffusion_1() {
  TinyStableDiffusion model;
  model.unet.block_out_channels = {8, 16, 16};
  model.unet.down_block_types = {"CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"};
  model.unet.up_block_types = {"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"};
  model.unet.norm_num_groups = 4;
  model.unet.attention_head_dim = {{2}};
  model.unet.cross_attention_dim = {{12}};
  model.vae.block_out_channels = {4, 8};
  model.vae.down_block_types = {"DownEncoderBlock2D", "DownEncoderBlock2D"};
  model.vae.up_block_types = {"UpDecoderBlock2D", "UpDecoderBlock2D"};
  model.vae.norm_num_groups = 4;
  model.vae.layers_per_block = 2;
  model.text = {.vocab_size = 724,
                .hidden_size = 12,
                .num_hidden_layers = 2,
                .num_attention_heads = 2,
                .intermediate_size = 20,
                .max_position_embeddings = 16};
  return model;
}

TinyStableDiffusion tiny_stable_diffusion_2() {
  TinyStableDiffusion model = tiny_stable_diffusion_1();
  model.unet.use_linear_projection = true;
  model.unet.attention_head_dim = {{2, 4, 4}};
  model.unet.layers_per_block = {{1}};
  model.text.hidden_act = "gelu";
  return model;
}

}  // namespace crescendo::pipelines
