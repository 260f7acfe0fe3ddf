#include "pipelines/training/train_setup.h"

#include <utility>

#include <ATen/Context.h>

#include "core/error.h"
#include "core/log.h"
#include "core/random.h"
#include "dataloader/buckets.h"
#include "pipelines/training/cache_manifest.h"
#include "pipelines/training/noise_levels.h"
#include "pipelines/training/periodic_evaluation.h"
#include "pipelines/training/trainable.h"
#include "vae/identity_autoencoder.h"

namespace crescendo::pipelines {

namespace {

bool drops_conditions(const TrainConfig& config) {
  return config.conditioning.proportion_empty_prompts > 0;
}

void check_classes(TrainConfig& config, std::vector<std::string>& problems) {
  const auto names = static_cast<std::int64_t>(config.data.class_names.size());
  const std::int64_t needed = names + (drops_conditions(config) ? 1 : 0);
  if (!config.unet.num_class_embeds) {
    if (names > 0) {
      config.unet.num_class_embeds = needed;
    } else {
      problems.emplace_back(
          "unet.num_class_embeds: conditioning = \"class\" needs the number of classes, or their "
          "names in data.class_names");
    }
  } else if (*config.unet.num_class_embeds < needed) {
    problems.push_back(
        fmt::format("unet.num_class_embeds: expected at least {}, {} class names{}, found {}",
                    needed, names, drops_conditions(config) ? " and one that stands for none" : "",
                    *config.unet.num_class_embeds));
  }
}

void check_conditioning(const TrainConfig& config, std::vector<std::string>& problems) {
  const std::string& wanted = config.conditioning.conditioning;
  const bool crosses = config.unet.has_cross_attention();
  if (wanted == "text" && !crosses) {
    problems.emplace_back(
        "unet.down_block_types: conditioning = \"text\" needs cross-attention; name "
        "CrossAttnDownBlock2D and CrossAttnUpBlock2D");
  }
  if (wanted != "text" && crosses) {
    problems.push_back(fmt::format(
        "unet.down_block_types, up_block_types, mid_block_type: conditioning = \"{}\" has no text "
        "to attend to; name DownBlock2D, AttnDownBlock2D, UNetMidBlock2D and their like",
        wanted));
  }
  if (wanted != "class" && config.unet.num_class_embeds) {
    problems.push_back(fmt::format(
        "unet.num_class_embeds: conditioning = \"{}\" has no classes; leave it out", wanted));
  }
}

/// The U-Net is told timesteps of the diffusion: by them it knows the channels of a noise level.
void check_task_routing(const TrainConfig& config, const unet::UNet2DConditionOptions& options) {
  if (!options.dtr_alpha) return;
  if (config.diffusion.formulation == "edm") {
    throw UserError(
        "unet.dtr_alpha: expected none with diffusion.formulation = \"edm\", whose models are told "
        "ln(sigma) / 4 and no timestep, found {}",
        *options.dtr_alpha);
  }
  if (options.dtr_timesteps == config.diffusion.num_train_timesteps) return;
  throw UserError("unet.dtr_timesteps: expected {}, as diffusion.num_train_timesteps, found {}",
                  config.diffusion.num_train_timesteps, options.dtr_timesteps);
}

/// Opens or makes the U-Net, and adds what follows from the components that are there.
unet::UNet2DConditionModel build_unet(const TrainConfig& config, const DiffusionModel& model,
                                      at::Device device) {
  if (!config.unet_path.empty()) {
    return unet::load_unet(component_folder(config.unet_path, "unet"), {.device = device});
  }
  unet::UNet2DConditionOptions options = config.unet;
  if (!options.sample_size) {
    options.sample_size = config.data.resolution / model.vae->downscale_factor();
  }
  at::manual_seed(
      RandomStream(static_cast<std::uint64_t>(config.run.seed), Purpose::kWeights, 0).next());
  return unet::UNet2DConditionModel(options);
}

const char* kind_name(ConditioningKind kind) {
  if (kind == ConditioningKind::kText) return "text";
  return kind == ConditioningKind::kClass ? "class" : "none";
}

/// What check() sees in [unet], of weights that were opened.
void check_opened(const TrainConfig& config, const unet::UNet2DConditionOptions& options) {
  const char* found = kind_name(conditioning_kind(options));
  if (found != config.conditioning.conditioning) {
    throw UserError(R"(train.conditioning: expected "{}", as the U-Net of unet.path, found "{}")",
                    found, config.conditioning.conditioning);
  }
  const auto names = static_cast<std::int64_t>(config.data.class_names.size());
  const std::int64_t room = options.num_class_embeds.value_or(names) -
                            (options.num_class_embeds && drops_conditions(config) ? 1 : 0);
  if (names > room) {
    throw UserError("data.class_names: expected at most {}, as the U-Net of unet.path, found {}",
                    room, names);
  }
}

void check_fit(const TrainConfig& config, const DiffusionModel& model) {
  const unet::UNet2DConditionOptions& options = model.unet->options();
  if (!config.unet_path.empty()) check_opened(config, options);
  check_task_routing(config, options);
  const std::int64_t channels = model.vae->latent_channels();
  const auto check_equal = [](const char* key, std::int64_t expected, const char* what,
                              std::int64_t found) {
    if (found != expected)
      throw UserError("unet.{}: expected {}, {}, found {}", key, expected, what, found);
  };
  check_equal("in_channels", channels, "the channels of the autoencoder's latents",
              options.in_channels);
  check_equal("out_channels", channels, "the channels of the autoencoder's latents",
              options.out_channels);
  if (model.text_encoder) {
    check_equal("cross_attention_dim", model.text_encoder->dim(), "the width of the text encoder",
                options.cross_attention_dim.at(0));
  }
  model.latent_side(config.data.resolution, "data.resolution");
  if (config.data.enable_bucket) {
    model.latent_side(config.data.bucket_reso_steps, "data.bucket_reso_steps");
  }
}

}  // namespace

void check(TrainConfig& config) {
  std::vector<std::string> problems;
  const bool is_text = config.conditioning.conditioning == "text";
  if (config.vae.path.empty()) {
    problems.emplace_back(
        "vae.path: expected the folder of an autoencoder, found none; `crescendo train-vae` makes "
        "one, and \"none\" trains on the pixels themselves");
  }
  if (is_text && config.text_encoder.path.empty()) {
    problems.emplace_back(
        "text_encoder.path: conditioning = \"text\" needs a text encoder; name the folder of a "
        "BERT, CLIP or T5 model, or set train.conditioning to \"class\" or \"none\"");
  }
  if (config.checkpoint.keep_best && !config.validation.enabled()) {
    problems.emplace_back(
        "checkpoint.keep_best: the best is that of the lowest held-out loss; expected shards in "
        "validation.shards, found none");
  }
  if (const std::string problem = problem_with(config.evaluate); !problem.empty()) {
    problems.push_back(problem);
  }
  if (config.data.shards.empty()) {
    problems.emplace_back(
        "data.shards: expected tar shards, found none; `crescendo pack` makes them of a folder");
  }
  if (config.unet_path.empty()) {
    if (config.conditioning.conditioning == "class") check_classes(config, problems);
    check_conditioning(config, problems);
  }
  if (config.lora.rank > 0 && config.unet_path.empty()) {
    problems.emplace_back(
        "unet.path: lora.rank > 0 changes weights that are there; expected the folder of a U-Net "
        "or of a model, found none");
  }
  if (problems.size() == 1) throw UserError("{}", problems[0]);
  if (!problems.empty()) {
    throw UserError("{} problems in the configuration\n  {}", problems.size(),
                    fmt::join(problems, "\n  "));
  }
  if (config.unet_path.empty()) {
    unet::check(config.unet, "unet");
    check_task_routing(config, config.unet);
  }
  diffusion::check_fit(config.diffusion, config.sample.sampler);
  const auto process = diffusion::make_noise_process(config.diffusion);
  curriculum::Curriculum(config.curriculum, noise_axis(*process));
  dataloader::bucket_sizes(config.data);
  if (config.conditioning.cache_latents) check_keepable(config.data);
  if (config.validation.enabled() && config.validation.clusters > process->places()) {
    throw UserError("validation.clusters: expected at most {}, the timesteps, found {}",
                    process->places(), config.validation.clusters);
  }
}

std::filesystem::path cache_of(const TrainConfig& config) {
  return cache_folder_of(config.data.shards);
}

DiffusionModel open_frozen(const TrainConfig& config, const Placement& placement) {
  DiffusionModel model;
  model.diffusion = config.diffusion;
  model.sampler = config.sample.sampler;
  if (config.vae.none()) {
    model.vae = std::make_shared<vae::IdentityAutoencoder>();
  } else {
    model.vae = vae::load_autoencoder(component_folder(config.vae.path, "vae"),
                                      {.device = placement.device, .mapped = placement.mapped});
  }
  model.vae->eval();
  for (at::Tensor& parameter : model.vae->parameters()) parameter.set_requires_grad(false);
  if (config.vae.scaling_factor) model.vae->set_scaling(*config.vae.scaling_factor);
  if (config.conditioning.conditioning == "text") {
    model.text_encoder = open_text_encoder(
        config.text_encoder.path, config.text_encoder.max_length,
        {placement.device, dtype_named(config.text_encoder.dtype), placement.mapped});
  }
  return model;
}

DiffusionModel build_model(const TrainConfig& config, at::Device device) {
  const std::filesystem::path cached = cache_of(config);
  if (!cached.empty()) check_cache(cached, config);
  // Steps on a cache need the frozen models' shapes only; mapped, their weights are not read.
  const bool used = cached.empty() || config.sample.every > 0 || config.validation.enabled() ||
                    config.evaluate.enabled();
  DiffusionModel model = open_frozen(config, used ? Placement{device} : Placement{.mapped = true});
  model.unet = build_unet(config, model, device);
  const std::optional<std::int64_t> embeds = model.unet->options().num_class_embeds;
  if (embeds) {
    model.class_names = config.data.class_names;
    if (drops_conditions(config)) model.null_class = *embeds - 1;
  }
  check_fit(config, model);
  model.unet->to(device);
  select_trainable(*model.unet, config.denoising.trainable);
  if (config.denoising.gradient_checkpointing) model.unet->enable_gradient_checkpointing();
  return model;
}

std::unique_ptr<LoraTraining> build_lora(const TrainConfig& config,
                                         unet::UNet2DConditionModel unet) {
  if (config.lora.rank == 0) return nullptr;
  auto lora = std::make_unique<LoraTraining>(
      *unet, config.lora, static_cast<std::uint64_t>(config.run.seed), config.train.use_ema);
  std::int64_t parameters = 0;
  for (const at::Tensor& parameter : lora->weights()->parameters()) parameters += parameter.numel();
  log::info("lora: {:.3f} M parameters in {} layers, rank {}, alpha {}",
            static_cast<double>(parameters) / 1e6, lora->trained().size(), config.lora.rank,
            config.lora.alpha_or_rank());
  return lora;
}

std::string describe_unet(const unet::UNet2DConditionModel& unet, at::Device device) {
  std::int64_t count = 0;
  for (const at::Tensor& parameter : unet->parameters()) count += parameter.numel();
  return fmt::format("U-Net: {:.1f} M parameters on {}", static_cast<double>(count) / 1e6,
                     device.str());
}

dataloader::Need need_of(const TrainConfig& config, std::int64_t num_classes) {
  const std::string& conditioning = config.conditioning.conditioning;
  return {.caption = conditioning == "text",
          .label = conditioning == "class",
          .num_classes = conditioning == "class" ? num_classes : 0};
}

std::unique_ptr<TrainingData> open_training_data(const TrainConfig& config,
                                                 const DiffusionModel& model,
                                                 Conditioner& conditioner, at::Device device,
                                                 const dataloader::Position& start,
                                                 const dataloader::Ranks& ranks) {
  TrainingDataOptions options{.data = config.data,
                              .need = need_of(config, model.num_classes()),
                              .batch_size = config.train.train_batch_size,
                              .seed = static_cast<std::uint64_t>(config.run.seed),
                              .ranks = ranks};
  if (const std::filesystem::path cached = cache_of(config); !cached.empty()) {
    log::info("data: latents of the cache {}", cached.string());
    options.need.latents = true;
    options.need.caption = false;
    options.data.label = "cls";  // a number there, wherever the source had it
    options.data.class_names.clear();
    return stored_training_data(options, device, start);
  }
  const auto open = config.conditioning.cache_latents ? cache_training_data : stream_training_data;
  return open(options, model.vae, conditioner, device, start);
}

std::vector<ImageRequest> sample_requests(const TrainConfig& config, const DiffusionModel& model) {
  if (config.sample.every == 0) return {};
  const std::string& conditioning = config.conditioning.conditioning;
  std::vector<ImageRequest> requests;
  if (conditioning == "text") {
    for (const std::string& prompt : config.sample.prompts) requests.push_back({.prompt = prompt});
  } else if (conditioning == "class") {
    for (const std::string& label : config.sample.labels) {
      requests.push_back({.label = model.class_number(label, "sample.labels")});
    }
  } else {
    constexpr std::size_t kUnconditional = 16;
    requests.resize(kUnconditional);
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].seed = static_cast<std::uint64_t>(config.run.seed) + i;
  }
  return requests;
}

GenerationOptions sample_generation_options(const TrainConfig& config) {
  return {.sampler = config.sample.sampler,
          .cfg_scale = config.sample.cfg_scale,
          .width = config.data.resolution,
          .height = config.data.resolution};
}

}  // namespace crescendo::pipelines
