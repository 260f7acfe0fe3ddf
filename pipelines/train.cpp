#include "pipelines/train.h"

#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include "core/device.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "curriculum/curriculum.h"
#include "diffusion/loss.h"
#include "diffusion/noise_schedule.h"
#include "pipelines/config.h"
#include "pipelines/image_generator.h"
#include "pipelines/optimization.h"
#include "pipelines/picture.h"
#include "pipelines/train_setup.h"
#include "pipelines/training_data.h"

namespace crescendo::pipelines {

namespace {

class Trainer {
 public:
  Trainer(TrainConfig config, RunFolder& run, at::Device device)
      : config_(std::move(config)),
        run_(run),
        device_(device),
        model_(build_model(config_, device)),
        schedule_(config_.diffusion),
        curriculum_(config_.curriculum, schedule_.snr()),
        conditioner_(model_.conditioner(device)),
        average_(make_average()),
        optimization_(model_.unet.ptr(), average_ ? average_.ptr() : nullptr, config_.train) {}

  void run() {
    const std::int64_t begin =
        run_.resume([this](const std::filesystem::path& folder, const nlohmann::json& state) {
          load(folder, state);
        });
    const std::int64_t end = config_.train.max_train_steps;
    prepare_samples();
    data_ = open_training_data(config_, model_, conditioner_, device_, position_);
    log::info("data: {}", data_->describe(samples_per_step(config_.train)));
    Progress progress("train", static_cast<std::uint64_t>(end), "steps",
                      static_cast<std::uint64_t>(begin));
    for (std::int64_t step = begin; step < end; ++step) {
      const std::string note = train_step(step);
      progress.update(static_cast<std::uint64_t>(step + 1), note);
      const std::int64_t done = step + 1;
      if (config_.sample.every > 0 && done % config_.sample.every == 0) draw_samples(done);
      if (done % config_.checkpoint.every == 0 || done == end) save(done);
    }
    if (conditioner_.truncated_captions() > 0) {
      log::warn("{} of {} captions were longer than text_encoder.max_length and were cut",
                conditioner_.truncated_captions(), conditioner_.captions());
    }
  }

  /// The weights that trained_model() has the average of; null where they are the same.
  unet::UNet2DConditionModel non_ema() const {
    return average_ ? model_.unet : unet::UNet2DConditionModel(nullptr);
  }

  /// The model as it is to be used: with the averaged weights where there are any.
  DiffusionModel trained_model() const {
    DiffusionModel trained = model_;
    if (average_) trained.unet = average_;
    return trained;
  }

 private:
  unet::UNet2DConditionModel make_average() const {
    unet::UNet2DConditionModel average{nullptr};
    if (!config_.train.use_ema) return average;
    average = unet::UNet2DConditionModel(model_.unet->options());
    average->to(device_);
    average->eval();
    return average;
  }

  /// One optimizer step; returns what the progress bar says of it.
  std::string train_step(std::int64_t step) {
    const auto began = std::chrono::steady_clock::now();
    const std::int64_t passes = config_.train.gradient_accumulation_steps;
    // Dropout is the one draw that LibTorch makes itself.
    const auto position = static_cast<std::uint64_t>(step);
    at::manual_seed(RandomStream(seed(), Purpose::kDropout, position).next());
    model_.unet->train();
    double loss = 0;
    std::string first_key;
    for (std::int64_t pass = 0; pass < passes; ++pass) {
      const EncodedBatch batch = data_->next();
      if (pass == 0) first_key = batch.keys.front();
      const at::Tensor mean_loss = loss_of(batch).mean() / static_cast<double>(passes);
      mean_loss.backward();
      loss += mean_loss.item<double>();
    }
    const double grad_norm = optimization_.step(step);
    if (!std::isfinite(loss) || !std::isfinite(grad_norm)) {
      throw UserError(
          "train: the loss is {} and the gradient's norm {} at step {} (batch of sample '{}'); "
          "lower train.learning_rate or resume from an earlier checkpoint",
          loss, grad_norm, step + 1, first_key);
    }
    log_step(step + 1, loss, grad_norm, first_key, began);
    observe(step + 1, loss);
    const std::int64_t images = config_.train.train_batch_size * passes;
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    return fmt::format("loss {:.4f} stage {}/{} {:.0f} images/s", loss, curriculum_.stage(),
                       curriculum_.stages(), static_cast<double>(images) / seconds);
  }

  /// The loss of each sample, [N]. Every draw is keyed by the sample's ordinal.
  at::Tensor loss_of(const EncodedBatch& batch) {
    const std::int64_t count = batch.latents.mean.size(0);
    const at::IntArrayRef shape = batch.latents.mean.sizes().slice(1);
    std::vector<std::int64_t> timesteps;
    std::vector<std::int64_t> dropped;
    for (const std::uint64_t ordinal : batch.ordinals) {
      RandomStream timestep_stream(seed(), Purpose::kTimestep, ordinal);
      timesteps.push_back(curriculum_.timestep(timestep_stream));
      dropped.push_back(drops_condition(ordinal) ? 1 : 0);
    }
    const auto draw = [&](Purpose purpose) {
      return noise_of_samples(batch.ordinals, shape, seed(), purpose).to(device_);
    };
    const at::Tensor latents = model_.vae->scale(batch.latents.sample(draw(Purpose::kPosterior)));
    const at::Tensor noise = draw(Purpose::kNoise);
    const at::Tensor t = at::tensor(timesteps, at::kLong).to(device_);
    unet::Conditioning condition = batch.condition;
    if (conditioner_.can_guide()) {
      condition = replace_rows(condition, conditioner_.unconditional(count),
                               at::tensor(dropped, at::kLong).to(at::kBool));
    }
    const at::Tensor prediction =
        model_.unet->forward(schedule_.add_noise(latents, noise, t), t, condition);
    return diffusion::training_loss_per_sample(schedule_, prediction, latents, noise, t);
  }

  bool drops_condition(std::uint64_t ordinal) const {
    return RandomStream(seed(), Purpose::kCaptionDropout, ordinal).uniform() <
           config_.conditioning.proportion_empty_prompts;
  }

  void observe(std::int64_t step, double loss) {
    const auto transition = curriculum_.observe(loss);
    if (!transition) return;
    const curriculum::Cluster active = curriculum_.active_timesteps();
    log::info("step {}: stage {} of {} begins, timesteps {} to {} (ended by {} after {} steps)",
              step, transition->to, curriculum_.stages(), active.begin, active.end - 1,
              curriculum::to_string(transition->reason), transition->steps_in_stage);
    run_.log_metrics({{"step", step},
                      {"event", "stage"},
                      {"from", transition->from},
                      {"to", transition->to},
                      {"reason", curriculum::to_string(transition->reason)},
                      {"steps_in_stage", transition->steps_in_stage},
                      {"best_loss", transition->best_loss}});
  }

  void log_step(std::int64_t step, double loss, double grad_norm, const std::string& first_key,
                std::chrono::steady_clock::time_point began) {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    const dataloader::Position position = data_->position();
    run_.log_metrics({{"step", step},
                      {"loss", loss},
                      {"lr", learning_rate_at(config_.train, step - 1)},
                      {"grad_norm", grad_norm},
                      {"stage", curriculum_.stage()},
                      {"epoch", position.epoch()},
                      {"samples", position.ordinal()},
                      {"first_key", first_key},
                      {"seconds", seconds}});
  }

  /// Before training, so that what cannot be drawn is known at once.
  void prepare_samples() {
    sample_requests_ = sample_requests(config_, model_);
    if (sample_requests_.empty()) return;
    generator_.emplace(trained_model(), device_, sample_generation_options(config_));
  }

  void draw_samples(std::int64_t step) {
    if (sample_requests_.empty()) return;
    model_.unet->eval();
    const std::filesystem::path file =
        run_.path() / "samples" / fmt::format("step-{:08}.png", step);
    write_png(file, picture_grid(tensor_to_pictures(generator_->generate(sample_requests_)), 0));
    log::info("step {}: drew {}", step, file.string());
  }

  void load(const std::filesystem::path& folder, const nlohmann::json& state) {
    position_ = position_from(state);
    if (!state.contains("curriculum")) {
      throw DataError("{}: the curriculum's state is missing", folder.string());
    }
    curriculum_.load_state(state["curriculum"]);
    optimization_.load(folder);
  }

  void save(std::int64_t step) {
    const nlohmann::json state = {{"position", position_to_json(data_->position())},
                                  {"curriculum", curriculum_.state()}};
    run_.save_checkpoint(
        step, state, [this](const std::filesystem::path& folder) { optimization_.save(folder); });
  }

  std::uint64_t seed() const { return static_cast<std::uint64_t>(config_.run.seed); }

  TrainConfig config_;
  RunFolder& run_;
  at::Device device_;
  DiffusionModel model_;
  diffusion::NoiseSchedule schedule_;
  curriculum::Curriculum curriculum_;
  Conditioner conditioner_;
  unet::UNet2DConditionModel average_{nullptr};
  Optimization optimization_;
  dataloader::Position position_;
  std::unique_ptr<TrainingData> data_;
  std::vector<ImageRequest> sample_requests_;
  std::optional<ImageGenerator> generator_;
};

std::int64_t count_parameters(const unet::UNet2DConditionModel& unet) {
  std::int64_t count = 0;
  for (const at::Tensor& parameter : unet->parameters()) count += parameter.numel();
  return count;
}

/// Opens everything that the run would, and encodes one batch.
void rehearse(const TrainConfig& config, at::Device device) {
  const DiffusionModel model = build_model(config, device);
  if (!sample_requests(config, model).empty()) {
    const ImageGenerator generator(model, device, sample_generation_options(config));
  }
  Conditioner conditioner = model.conditioner(device);
  TrainConfig streamed = config;
  streamed.conditioning.cache_latents = false;
  const auto data = open_training_data(streamed, model, conditioner, device, {});
  const EncodedBatch batch = data->next();
  const curriculum::Curriculum curriculum(config.curriculum,
                                          diffusion::NoiseSchedule(config.diffusion).snr());
  log::info("U-Net: {:.1f} M parameters on {}",
            static_cast<double>(count_parameters(model.unet)) / 1e6, device.str());
  log::info("data: {}", data->describe(samples_per_step(config.train)));
  log::info("latents: [{}] a batch, scaled by {:.4f}", fmt::join(batch.latents.mean.sizes(), ", "),
            model.vae->scaling_factor());
  log::info("curriculum: {}", curriculum.enabled() ? fmt::format("{} stages", curriculum.stages())
                                                   : std::string("off"));
  log::info("dry run: everything fits; nothing was written");
}

}  // namespace

std::filesystem::path train(const TrainRequest& request) {
  TrainConfig config;
  read_config(request.config, request.overrides, sections(config));
  check(config);
  const at::Device device = select_device(config.run.device);
  if (request.dry_run) {
    rehearse(config, device);
    return {};
  }
  RunFolder run(config.run, config.checkpoint, config_to_toml(sections(config), false),
                request.resume);
  Trainer trainer(config, run, device);
  trainer.run();
  std::filesystem::path folder = run.path() / "model";
  save_model(trainer.trained_model(), folder, config.text_encoder.path,
             save_dtype(config.checkpoint.save_precision), trainer.non_ema());
  return folder;
}

}  // namespace crescendo::pipelines
