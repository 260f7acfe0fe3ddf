#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/fields.h"
#include "core/lora_options.h"
#include "curriculum/curriculum.h"
#include "dataloader/options.h"
#include "diffusion/options.h"
#include "unet/options.h"
#include "vae/options.h"

namespace crescendo::pipelines {

/// The table [run].
struct RunOptions {
  std::string output_dir;
  std::int64_t seed = 0;
  std::string device = "auto";
  std::string mixed_precision = "no";
  bool allow_tf32 = false;
  std::string report_to = "tensorboard";
};

/// The part of [train] that every trainer has.
struct OptimizationOptions {
  std::int64_t train_batch_size = 16;
  std::int64_t gradient_accumulation_steps = 1;
  std::int64_t max_train_steps = 10'000;
  double learning_rate = 1e-4;
  std::string lr_scheduler = "constant";
  std::int64_t lr_warmup_steps = 0;
  double max_grad_norm = 1;
  std::int64_t max_nonfinite_steps = 10;
  std::string optimizer = "adamw";
  bool decay_norms_and_biases = true;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_weight_decay = 0.01;
  double adam_epsilon = 1e-8;
  double sgd_momentum = 0.9;
  bool sgd_nesterov = false;
  double sgd_weight_decay = 0;
  bool use_ema = true;
  double ema_decay = 0.9999;
  bool use_ema_warmup = false;
  double ema_inv_gamma = 1;
  double ema_power = 2.0 / 3;
  std::vector<double> posthoc_ema{};  ///< of `train` only, as the next
  std::int64_t posthoc_ema_every = 1000;
  std::string reduce_dtype = "float32";  ///< of several ranks, as the next
  std::int64_t zero_stage = 0;
};

/// The part of [train] that says how the latent U-Net is trained.
struct DenoisingOptions {
  double noise_offset = 0;
  double input_perturbation = 0;
  bool gradient_checkpointing = false;
  std::vector<std::string> trainable{};
};

/// The rest of [train]: what the latent U-Net is trained on.
struct ConditioningOptions {
  std::string conditioning = "text";
  double proportion_empty_prompts = 0.1;
  bool cache_latents = false;
};

/// The table [vae] of `train`: a frozen one.
struct FrozenVaeOptions {
  std::string path;
  std::optional<double> scaling_factor;

  bool none() const { return path == "none"; }  ///< the model works on pixels
};

/// The table [text_encoder]: a frozen one.
struct TextEncoderOptions {
  std::string path;
  std::int64_t max_length = 77;
  std::string dtype = "float32";
};

/// The table [loss] of `train-vae`.
struct VaeLossOptions {
  std::string reconstruction = "l1";
  double kl_weight = 1e-6;
};

/// The table [checkpoint].
struct CheckpointOptions {
  std::int64_t every = 1000;
  std::int64_t keep = 2;
  std::int64_t keep_every = 0;
  bool keep_best = false;  ///< of `train` only
  std::string save_precision = "float";
};

/// The table [validation]: the loss on images that are not trained on.
struct ValidationOptions {
  std::vector<std::string> shards;
  std::int64_t every = 1000;
  std::int64_t samples = 128;
  std::int64_t clusters = 20;
  std::int64_t seed = 0;

  bool enabled() const { return !shards.empty(); }
};

/// The table [evaluate]: FID and its kin on the way.
struct EvaluateOptions {
  std::int64_t every = 0;
  std::vector<std::string> metrics{"fid"};
  std::int64_t samples = 5000;
  std::string reference;
  std::string features;
  std::int64_t batch_size = 32;
  std::int64_t seed = 0;

  bool enabled() const { return every > 0; }
};

/// The table [sample]: pictures on the way.
struct SampleOptions {
  std::int64_t every = 0;
  std::vector<std::string> prompts;
  std::vector<std::string> labels;
  double cfg_scale = 7.5;
  diffusion::SamplerOptions sampler{};
};

/// A table of a config, with what it is for.
struct Section {
  std::string name;  ///< as in brackets: "curriculum.pacing"
  std::string doc;
  std::vector<Field> fields;
  ModelConfigRules rules{};
};

/// Everything that `crescendo train` does follows from this.
struct TrainConfig {
  RunOptions run;
  dataloader::DataOptions data;
  FrozenVaeOptions vae;
  TextEncoderOptions text_encoder;
  std::string unet_path;  ///< `path` of [unet]: train on from there, the other keys unused
  unet::UNet2DConditionOptions unet;
  diffusion::DiffusionOptions diffusion;
  curriculum::CurriculumOptions curriculum;
  LoraOptions lora;
  std::string lora_format = "diffusers";  ///< `format` of [lora]
  OptimizationOptions train;
  ConditioningOptions conditioning;
  DenoisingOptions denoising;
  CheckpointOptions checkpoint;
  ValidationOptions validation;
  EvaluateOptions evaluate;
  SampleOptions sample;
};

std::vector<Section> sections(TrainConfig& config);

/// Everything that `crescendo train-vae` does follows from this.
struct TrainVaeConfig {
  RunOptions run;
  dataloader::DataOptions data;
  std::string vae_path;  ///< `path` of [vae]: train on from there, the other keys unused
  vae::AutoencoderKLOptions vae;
  VaeLossOptions loss;
  OptimizationOptions train;
  CheckpointOptions checkpoint;
};

std::vector<Section> sections(TrainVaeConfig& config);

}  // namespace crescendo::pipelines
