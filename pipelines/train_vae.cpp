#include "pipelines/train_vae.h"

#include <cmath>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/interruption.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/stopwatch.h"
#include "dataloader/buckets.h"
#include "dataloader/loader.h"
#include "pipelines/config/config.h"
#include "pipelines/generation/picture.h"
#include "pipelines/models/model_folder.h"
#include "pipelines/training/optimization.h"
#include "pipelines/training/precision.h"
#include "pipelines/training/rank_device.h"
#include "pipelines/training/same_beginning.h"
#include "pipelines/training/training_data.h"
#include "pipelines/training/training_loop.h"
#include "vae/autoencoder_kl.h"

namespace crescendo::pipelines {

namespace {

/// What an autoencoder does to the data.
struct VaeQuality {
  double psnr = 0;              ///< dB, of 8-bit pixels, by the mean squared error over all images
  double latent_deviation = 0;  ///< of all values of all latents
  std::uint64_t images = 0;
};

/// An autoencoder learns to give back what it was given.
class AutoencodingTask final : public TrainingTask {
 public:
  AutoencodingTask(TrainVaeConfig config, at::Device device, Communicator& ranks)
      : config_(std::move(config)),
        device_(device),
        ranks_(ranks),
        autocast_(autocast_of(config_.run, device)),
        vae_(build()),
        average_(make_average()),
        optimization_(vae_.ptr(), average_ ? average_.ptr() : nullptr, config_.train, ranks) {}

  Optimization& optimization() override { return optimization_; }

  nlohmann::json state() const override {
    return {{"position", position_to_json(loader_->position())}};
  }

  nlohmann::json merge(std::span<const nlohmann::json> states) const override {
    std::vector<dataloader::Position> positions;
    for (const nlohmann::json& one : states) positions.push_back(position_from(one));
    return {{"position", position_to_json(loader_->merge(positions))}};
  }

  void load_state(const nlohmann::json& state) override { position_ = position_from(state); }

  void start() override {
    const auto batch_size = static_cast<std::size_t>(config_.train.train_batch_size);
    loader_.emplace(config_.data, dataloader::Need{}, batch_size, seed(),
                    dataloader::Order::kShuffled, position_, share_of(ranks_));
    log::info("data: {}", loader_->describe(samples_per_step(config_.train, ranks_.size())));
  }

  ForwardPass forward() override {
    vae_->train();
    const Stopwatch asked;
    dataloader::Batch batch = *loader_->next();
    const double waited = asked.seconds();
    const at::Tensor images = images_to_tensor(batch, device_);
    const auto [posterior, decoded] = reconstruct(images, batch);
    const at::Tensor error = decoded - images;
    const at::Tensor distance =
        (config_.loss.reconstruction == "l1" ? error.abs() : error.square()).flatten(1).mean(1);
    const at::Tensor kl =
        posterior.kl() / static_cast<double>(images.numel() / images.size(0));  // a value
    return {.losses = distance + config_.loss.kl_weight * kl,
            .keys = std::move(batch.keys),
            .ordinals = std::move(batch.ordinals),
            .parts = {{config_.loss.reconstruction, distance.detach()}, {"kl", kl.detach()}},
            .inputs = {{"images", images}},
            .data_seconds = waited};
  }

  vae::AutoencoderKL trained_model() const { return average_ ? average_ : vae_; }

  /// Passes over all the data once with the trained weights; draws a sheet of the first images,
  /// each above its reconstruction, to `sheet`.
  VaeQuality measure(const std::filesystem::path& sheet) {
    const c10::NoGradGuard no_grad;
    vae::AutoencoderKL model = trained_model();
    model->eval();
    dataloader::Loader loader(config_.data, {}, 32, seed(), dataloader::Order::kOnce);
    VaeQuality quality;
    double squared_error = 0;
    double sum = 0;
    double sum_of_squares = 0;
    double pixels = 0;
    double values = 0;
    Progress progress("measure", 0, "images");
    while (const std::optional<dataloader::Batch> batch = loader.next()) {
      const at::Tensor images = images_to_tensor(*batch, device_);
      const vae::DiagonalGaussian posterior = model->encode(images);
      const at::Tensor latents = sample_posterior(posterior, *batch);
      const at::Tensor decoded = model->decode(posterior.mode()).clamp(-1, 1);
      const at::Tensor error = (decoded - images).mul(127.5).round();
      squared_error += error.square().sum(at::kDouble).item<double>();
      sum += latents.sum(at::kDouble).item<double>();
      sum_of_squares += latents.square().sum(at::kDouble).item<double>();
      pixels += static_cast<double>(images.numel());
      values += static_cast<double>(latents.numel());
      throw_if_stopped();
      if (quality.images == 0) draw(images, decoded, sheet);
      quality.images += batch->size();
      progress.update(quality.images);
    }
    quality.psnr = 10 * std::log10(255.0 * 255.0 / (squared_error / pixels));
    const double mean = sum / values;
    quality.latent_deviation = std::sqrt(sum_of_squares / values - mean * mean);
    return quality;
  }

 private:
  /// What the loss is of, as float32.
  std::pair<vae::DiagonalGaussian, at::Tensor> reconstruct(const at::Tensor& images,
                                                           const dataloader::Batch& batch) {
    const AutocastGuard guard(autocast_);
    vae::DiagonalGaussian posterior = vae_->encode(images);
    posterior.mean = posterior.mean.to(at::kFloat);
    posterior.logvar = posterior.logvar.to(at::kFloat);
    at::Tensor decoded = vae_->decode(sample_posterior(posterior, batch)).to(at::kFloat);
    return {posterior, decoded};
  }

  vae::AutoencoderKL build() const {
    vae::AutoencoderKL model{nullptr};
    if (config_.vae_path.empty()) {
      at::manual_seed(RandomStream(seed(), Purpose::kWeights, 0).next());
      vae::AutoencoderKLOptions options = config_.vae;
      options.sample_size = config_.data.resolution;
      model = vae::AutoencoderKL(options);
    } else {
      model = open(component_folder(config_.vae_path, "vae"));
    }
    const std::int64_t step = config_.data.bucket_reso_steps;
    if (config_.data.enable_bucket && step % model->downscale_factor() != 0) {
      throw UserError(
          "data.bucket_reso_steps: expected a multiple of {} pixels, as the autoencoder halves "
          "them, found {}",
          model->downscale_factor(), step);
    }
    model->to(device_);
    return model;
  }

  static vae::AutoencoderKL open(const std::filesystem::path& folder) {
    const auto model = vae::load_autoencoder(folder);
    auto kl = std::dynamic_pointer_cast<vae::AutoencoderKLImpl>(model);
    if (kl) return kl;
    throw UserError("vae.path: {}: train-vae trains an AutoencoderKL only; expected one, found {}",
                    folder.string(), model->class_name());
  }

  vae::AutoencoderKL make_average() const {
    vae::AutoencoderKL average{nullptr};
    if (!config_.train.use_ema) return average;
    average = vae::AutoencoderKL(vae_->options());
    average->to(device_);
    return average;
  }

  at::Tensor sample_posterior(const vae::DiagonalGaussian& posterior,
                              const dataloader::Batch& batch) const {
    const at::IntArrayRef shape = posterior.mean.sizes().slice(1);
    return posterior.sample(
        noise_of_samples(batch.ordinals, shape, seed(), Purpose::kPosterior).to(device_));
  }

  static void draw(const at::Tensor& images, const at::Tensor& decoded,
                   const std::filesystem::path& sheet) {
    const std::int64_t count = std::min<std::int64_t>(images.size(0), 16);
    const at::Tensor rows = at::cat({images.narrow(0, 0, count), decoded.narrow(0, 0, count)});
    write_png(sheet, picture_grid(tensor_to_pictures(rows), count));
  }

  std::uint64_t seed() const { return static_cast<std::uint64_t>(config_.run.seed); }

  TrainVaeConfig config_;
  at::Device device_;
  Communicator& ranks_;
  AutocastState autocast_;
  vae::AutoencoderKL vae_;
  vae::AutoencoderKL average_;
  Optimization optimization_;
  dataloader::Position position_;
  std::optional<dataloader::Loader> loader_;
};

void check(const TrainVaeConfig& config) {
  if (config.data.shards.empty()) {
    throw UserError(
        "data.shards: expected tar shards, found none; `crescendo pack` makes them of a folder");
  }
  dataloader::bucket_sizes(config.data);
  if (config.vae_path.empty()) vae::check(config.vae, "vae");
}

}  // namespace

std::filesystem::path train_vae(const TrainVaeRequest& request, Communicator& ranks) {
  TrainVaeConfig config;
  read_config(request.config, request.overrides, sections(config));
  check(config);
  const RunConfig resolved = run_config("train-vae", config, ranks.size());
  require_same_beginning(ranks, resolved.toml, config.data.shards);
  const at::Device device = select_device(config.run.device, ranks);
  autocast_of(config.run, device);  // what it refuses is refused before anything is written
  std::optional<RunFolder> run;
  if (ranks.leads()) run.emplace(config.run, config.checkpoint, resolved, request.resume);
  const std::filesystem::path folder = std::filesystem::path(config.run.output_dir) / "model";
  if (ranks.any(run && run->finished(config.train.max_train_steps))) {
    return run ? folder : std::filesystem::path();
  }
  AutoencodingTask task(config, device, ranks);
  std::optional<RunMonitor> monitor;
  if (run) {
    monitor.emplace(run->path(),
                    RunDescription{.command = "train-vae",
                                   .config = resolved.toml,
                                   .steps = config.train.max_train_steps,
                                   .what = "AutoencoderKL on " + device.str()},
                    config.run.report_to == "tensorboard");
  }
  const bool trained = run_training(task, run ? &*run : nullptr, monitor ? &*monitor : nullptr,
                                    {.label = "train-vae",
                                     .seed = static_cast<std::uint64_t>(config.run.seed),
                                     .train = config.train,
                                     .mixed_precision = config.run.mixed_precision,
                                     .checkpoint_every = config.checkpoint.every,
                                     .ranks = ranks});
  if (!trained || !run) return {};
  const std::filesystem::path sheet = run->path() / "samples" / "reconstructions.png";
  VaeQuality quality;
  try {
    quality = task.measure(sheet);
  } catch (const Interrupted&) {
    run->require_saved();
    log::warn("stopped while it measured, the last step is saved; the same command goes on");
    return {};
  }
  vae::AutoencoderKL model = task.trained_model();
  model->set_scaling(1 / quality.latent_deviation);
  write_folder_atomically(folder, [&](const std::filesystem::path& temporary) {
    vae::save_autoencoder(*model, temporary, save_dtype(config.checkpoint.save_precision));
  });
  log::info("PSNR {:.2f} dB over {} training images; scaling_factor {:.4f}", quality.psnr,
            quality.images, model->options().scaling_factor);
  const nlohmann::ordered_json measured = {{"step", config.train.max_train_steps},
                                           {"event", "measure"},
                                           {"psnr", quality.psnr},
                                           {"images", quality.images},
                                           {"scaling_factor", model->options().scaling_factor}};
  run->log_metrics(measured);
  monitor->observe(measured);
  monitor->add_picture(config.train.max_train_steps, sheet);
  run->finish(config.train.max_train_steps);
  monitor->finish(RunState::kFinished);
  return folder;
}

}  // namespace crescendo::pipelines
