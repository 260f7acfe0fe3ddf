#include "pipelines/config/options.h"

#include <iterator>

namespace crescendo::pipelines {

namespace {

std::vector<Field> fields(RunOptions& o) {
  return {
      {"output_dir", &o.output_dir, "folder of the run: checkpoints, samples, metrics, model"},
      {"seed", &o.seed, "every random draw is a function of it", 0},
      {"device", &o.device, "auto, cpu, cuda or cuda:N"},
      {.name = "mixed_precision",
       .value = &o.mixed_precision,
       .doc = "of the model in training, whose weights and loss stay float32; on a CPU bf16 saves "
              "memory, seldom time; fp16 is for GPUs without bf16",
       .choices = {"no", "bf16", "fp16"}},
      {"allow_tf32", &o.allow_tf32,
       "float32 products of a GPU keep 10 bits of the mantissa: faster, less exact"},
      {.name = "report_to",
       .value = &o.report_to,
       .doc = "writes TensorBoard's event files too, beside metrics.jsonl and index.html",
       .choices = {"tensorboard", "none"}},
  };
}

std::vector<Field> fields(OptimizationOptions& o) {
  return {
      {"train_batch_size", &o.train_batch_size, "images of one forward pass", 1},
      {"gradient_accumulation_steps", &o.gradient_accumulation_steps,
       "forward passes of one optimizer step", 1},
      {"max_train_steps", &o.max_train_steps, "optimizer steps in all, resumed ones included", 1},
      {"learning_rate", &o.learning_rate, "after the warm-up", 0},
      {.name = "lr_scheduler",
       .value = &o.lr_scheduler,
       .doc = "what follows the warm-up; cosine and linear fall to 0 at max_train_steps",
       .choices = {"constant", "constant_with_warmup", "cosine", "linear"}},
      {"lr_warmup_steps", &o.lr_warmup_steps,
       "optimizer steps of the linear warm-up, the first with a learning rate of 0", 0},
      {"max_grad_norm", &o.max_grad_norm, "gradients are scaled down to this norm; 0 is off", 0},
      {"max_nonfinite_steps", &o.max_nonfinite_steps,
       "steps in a row whose loss or gradient may be not finite; they are skipped, one more ends "
       "the run with a dump",
       0},
      {.name = "optimizer",
       .value = &o.optimizer,
       .doc = "with its own keys, adam_* or sgd_*",
       .choices = {"adamw", "sgd"}},
      {"decay_norms_and_biases", &o.decay_norms_and_biases,
       "weight decay for these too, as in diffusers' scripts"},
      {"adam_beta1", &o.adam_beta1, "decay of the first moment", 0, 0.999999},
      {"adam_beta2", &o.adam_beta2, "decay of the second moment", 0, 0.999999},
      {"adam_weight_decay", &o.adam_weight_decay, "decoupled weight decay", 0},
      {"adam_epsilon", &o.adam_epsilon, "added to the root of the second moment", 0},
      {"sgd_momentum", &o.sgd_momentum, "decay of the momentum; 0 is none", 0, 0.999999},
      {"sgd_nesterov", &o.sgd_nesterov, "look one step ahead along the momentum"},
      {"sgd_weight_decay", &o.sgd_weight_decay, "added to the gradient, times the weight", 0},
      {"use_ema", &o.use_ema, "keep an average of the weights; it becomes the model"},
      {"ema_decay", &o.ema_decay, "the average's decay, ramped up as (1 + step) / (10 + step)", 0,
       1},
      {"use_ema_warmup", &o.use_ema_warmup,
       "ramp it up as 1 - (1 + step / ema_inv_gamma)^-ema_power instead"},
      {"ema_inv_gamma", &o.ema_inv_gamma, "of that ramp", 1e-9},
      {"ema_power", &o.ema_power,
       "of that ramp; 2/3 for runs of a million steps, 3/4 for shorter ones", 0},
      {.name = "reduce_dtype",
       .value = &o.reduce_dtype,
       .doc =
           "of several ranks' gradients on their way into one sum; bfloat16 sends half the bytes",
       .choices = {"float32", "bfloat16"}},
      {"zero_stage", &o.zero_stage,
       "1: each of several ranks keeps its share of the optimizer's moments (ZeRO-1); 0: all of "
       "them",
       0, 1},
  };
}

/// Of the averages that `crescendo ema` combines.
std::vector<Field> posthoc_fields(OptimizationOptions& o) {
  return {
      {"posthoc_ema", &o.posthoc_ema,
       "averages for `crescendo ema`, by their width relative to the run; [0.05, 0.1] does", 0.001,
       0.28},
      {"posthoc_ema_every", &o.posthoc_ema_every, "steps between snapshots of these", 1},
  };
}

std::vector<Field> fields(DenoisingOptions& o) {
  return {
      {"noise_offset", &o.noise_offset,
       "strength of noise that all positions of a channel share, for very dark and very bright "
       "pictures; 0.1 is usual",
       0},
      {"input_perturbation", &o.input_perturbation,
       "strength of more noise that the model sees and need not tell; 0.1 is usual", 0},
      {"gradient_checkpointing", &o.gradient_checkpointing,
       "compute activations again in the backward pass: less memory, a third more time"},
      {"trainable", &o.trainable,
       "patterns of parameter names, as \"*attn2*\"; the others are frozen. Empty: all are "
       "trained"},
  };
}

std::vector<Field> fields(ConditioningOptions& o) {
  return {
      {.name = "conditioning",
       .value = &o.conditioning,
       .doc = "what the model is told of an image",
       .choices = {"none", "class", "text"}},
      {"proportion_empty_prompts", &o.proportion_empty_prompts,
       "share of samples whose caption or class is dropped, for classifier-free guidance", 0, 1},
      {"cache_latents", &o.cache_latents,
       "encode every image and caption once and keep them in memory; for small data"},
  };
}

std::vector<Field> fields(FrozenVaeOptions& o) {
  return {
      {"path", &o.path,
       "folder of an AutoencoderKL or AutoencoderTiny, or of a pipeline with one in vae/; "
       "\"none\": train on pixels"},
      {"scaling_factor", &o.scaling_factor, "in place of the one in the folder's config.json"},
  };
}

std::vector<Field> fields(TextEncoderOptions& o) {
  return {
      {"path", &o.path,
       "folder of a BERT, CLIP or T5 encoder with its tokenizer, or of a pipeline that has "
       "text_encoder/"},
      {"max_length", &o.max_length, "tokens a caption is padded or cut to", 3, 100'000},
      {.name = "dtype",
       .value = &o.dtype,
       .doc = "of its weights; T5 overflows in float16",
       .choices = {"float32", "bfloat16", "float16"}},
  };
}

std::vector<Field> fields(VaeLossOptions& o) {
  return {
      {.name = "reconstruction",
       .value = &o.reconstruction,
       .doc = "error of the reconstruction, a mean over pixels",
       .choices = {"l1", "l2"}},
      {"kl_weight", &o.kl_weight,
       "weight of the KL divergence, summed over the latents of an image and divided by its "
       "values",
       0},
  };
}

std::vector<Field> fields(CheckpointOptions& o) {
  return {
      {"every", &o.every, "steps between checkpoints; one is written at the end as well", 1},
      {"keep", &o.keep, "newest checkpoints that are kept; 0 keeps all", 0},
      {"keep_every", &o.keep_every, "those of its multiples are kept as well; 0: none", 0},
      {.name = "save_precision",
       .value = &o.save_precision,
       .doc = "of the weights in the model folder; checkpoints are float",
       .choices = {"float", "fp16", "bf16"}},
  };
}

Field keep_best_field(CheckpointOptions& o) {
  return {"keep_best", &o.keep_best,
          "keep the checkpoint of the lowest held-out loss as well, and make model-best/ of it at "
          "the end; needs [validation]"};
}

std::vector<Field> fields(ValidationOptions& o) {
  return {
      {"shards", &o.shards, "tar shards that are not in data.shards; empty: no held-out loss"},
      {"every", &o.every, "steps between measurements; one is made before the first step as well",
       1},
      {"samples", &o.samples, "images, the first of the shards; each is seen once in every cluster",
       1},
      {"clusters", &o.clusters,
       "equal shares of the noise levels by which the loss is told, whatever the curriculum's are",
       1},
      {"seed", &o.seed, "of its noise and noise levels; the same for runs that are compared", 0},
  };
}

std::vector<Field> fields(EvaluateOptions& o) {
  return {
      {"every", &o.every, "steps between evaluations of the averaged weights; 0: none", 0},
      {"metrics", &o.metrics, "some of fid, kid, precision, recall, is"},
      {"samples", &o.samples, "images to draw each time, as [sample] draws them", 2},
      {"reference", &o.reference,
       "what to compare with: a folder of images, shards or a .npz of statistics; its captions or "
       "classes are what is drawn"},
      {"features", &o.features,
       "file of the network: FID's Inception-v3 as .safetensors, or TorchScript"},
      {"batch_size", &o.batch_size, "images at a time, drawn and looked at", 1},
      {"seed", &o.seed, "image k is drawn with seed + k, each time the same", 0},
  };
}

std::vector<Field> fields(SampleOptions& o) {
  std::vector<Field> list = {
      {"every", &o.every, "steps between sample grids; 0 draws none", 0},
      {"prompts", &o.prompts, "one picture each, for conditioning = \"text\""},
      {"labels", &o.labels, "one picture each, number or name, for conditioning = \"class\""},
      {"cfg_scale", &o.cfg_scale, "classifier-free guidance; 1 is none", 0},
  };
  std::ranges::move(diffusion::fields(o.sampler), std::back_inserter(list));
  return list;
}

std::vector<Field> concat(std::vector<Field> first, std::vector<Field> second) {
  std::ranges::move(second, std::back_inserter(first));
  return first;
}

Field path_field(std::string& path) {
  return {"path", &path, "folder with weights to train on from; the keys below are then unused"};
}

Field lora_format_field(std::string& format) {
  return {.name = "format",
          .value = &format,
          .doc = "key layout of the file: diffusers (and peft), or kohya's sd-scripts",
          .choices = {"diffusers", "kohya"}};
}

}  // namespace

std::vector<Section> sections(TrainConfig& c) {
  return {
      {"run", "what the run is called and where it computes", fields(c.run)},
      {"data", "which images, and how they become squares of pixels", dataloader::fields(c.data)},
      {"vae", "the frozen autoencoder", fields(c.vae)},
      {"text_encoder", "the frozen text encoder, for conditioning = \"text\"",
       fields(c.text_encoder)},
      {"unet", "the model: the keys of a UNet2DConditionModel's config.json",
       concat({path_field(c.unet_path)}, unet::fields(c.unet)), unet::unet_rules()},
      {"lora", "a low-rank change of the U-Net of unet.path, trained in its place",
       concat(fields(c.lora), {lora_format_field(c.lora_format)})},
      {"diffusion", "the noise schedule and the loss", diffusion::fields(c.diffusion)},
      {"curriculum", "denoising-difficulty curriculum (arXiv 2403.10348)",
       curriculum::fields(c.curriculum)},
      {"curriculum.pacing", "when the next stage begins", curriculum::fields(c.curriculum.pacing)},
      {"train", "conditioning and optimization",
       concat(concat(fields(c.conditioning), fields(c.denoising)),
              concat(fields(c.train), posthoc_fields(c.train)))},
      {"checkpoint", "what a run can be resumed from",
       concat(fields(c.checkpoint), {keep_best_field(c.checkpoint)})},
      {"validation", "the loss on images that are held out of the training", fields(c.validation)},
      {"evaluate", "FID and its kin on the way", fields(c.evaluate)},
      {"sample", "pictures on the way", fields(c.sample)},
  };
}

std::vector<Section> sections(TrainVaeConfig& c) {
  return {
      {"run", "what the run is called and where it computes", fields(c.run)},
      {"data", "which images, and how they become squares of pixels", dataloader::fields(c.data)},
      {"vae", "the model: the keys of an AutoencoderKL's config.json",
       concat({path_field(c.vae_path)}, vae::fields(c.vae)), vae::autoencoder_kl_rules()},
      {"loss", "what the autoencoder is trained to do", fields(c.loss)},
      {"train", "optimization", fields(c.train)},
      {"checkpoint", "what a run can be resumed from", fields(c.checkpoint)},
  };
}

}  // namespace crescendo::pipelines
