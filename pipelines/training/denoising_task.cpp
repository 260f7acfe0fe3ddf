#include "pipelines/training/denoising_task.h"

#include <utility>

#include <ATen/Functions.h>

#include "core/error.h"
#include "core/interruption.h"
#include "core/log.h"
#include "pipelines/generation/picture.h"
#include "pipelines/training/noise_levels.h"
#include "pipelines/training/precision.h"

namespace crescendo::pipelines {

namespace {

constexpr std::int64_t kClusterLossesEvery = 50;  ///< steps, over which they are averaged

}  // namespace

DenoisingTask::DenoisingTask(TrainConfig config, at::Device device, Communicator& ranks)
    : config_(std::move(config)),
      device_(device),
      ranks_(ranks),
      model_(build_model(config_, device)),
      autocast_(autocast_of(config_.run, device)),
      process_(diffusion::make_noise_process(config_.diffusion)),
      curriculum_(config_.curriculum, noise_axis(*process_), seed()),
      cluster_losses_(curriculum_.clusters(), cluster_names(*process_, curriculum_.clusters())),
      conditioner_(model_.conditioner(device)),
      lora_(build_lora(config_, model_.unet)),
      average_(make_average()),
      optimization_(make_optimization()) {}

unet::UNet2DConditionModel DenoisingTask::make_average() const {
  unet::UNet2DConditionModel average{nullptr};
  if (!config_.train.use_ema || lora_) return average;
  average = unet::UNet2DConditionModel(model_.unet->options());
  average->to(device_);
  average->eval();
  return average;
}

Optimization DenoisingTask::make_optimization() const {
  if (lora_) return {lora_->weights(), lora_->average(), config_.train, ranks_};
  return {model_.unet.ptr(), average_ ? average_.ptr() : nullptr, config_.train, ranks_};
}

DiffusionModel DenoisingTask::trained_model() const {
  DiffusionModel trained = model_;
  if (average_) trained.unet = average_;
  return trained;
}

unet::UNet2DConditionModel DenoisingTask::non_ema() const {
  return average_ ? model_.unet : unet::UNet2DConditionModel(nullptr);
}

nlohmann::json DenoisingTask::state() const {
  return {{"position", position_to_json(data_->position())},
          {"curriculum", curriculum_.state()},
          {"cluster_losses", cluster_losses_.state()}};
}

nlohmann::json DenoisingTask::merge(std::span<const nlohmann::json> states) const {
  std::vector<dataloader::Position> positions;
  for (const nlohmann::json& one : states) positions.push_back(position_from(one));
  nlohmann::json merged = states[0];
  merged["position"] = position_to_json(data_->merge(positions));
  return merged;
}

void DenoisingTask::load_state(const nlohmann::json& state) {
  position_ = position_from(state);
  if (!state.contains("curriculum")) throw DataError("the curriculum's state is missing");
  curriculum_.load_state(state["curriculum"]);
  if (state.contains("cluster_losses")) cluster_losses_.load_state(state["cluster_losses"]);
}

void DenoisingTask::start() {
  // Before the data, so that what cannot be drawn is known at once.
  if (ranks_.leads()) sample_requests_ = sample_requests(config_, model_);
  if (!sample_requests_.empty()) {
    generator_.emplace(trained_model(), device_);
    generator_->check(sample_generation_options(config_));
  }
  if (config_.validation.enabled() && ranks_.leads()) {
    validation_.emplace(config_, model_, conditioner_, *process_, device_);
  }
  if (config_.evaluate.enabled() && ranks_.leads())
    evaluation_.emplace(config_, trained_model(), device_);
  data_ = open_training_data(config_, model_, conditioner_, device_, position_, share_of(ranks_));
  log::info("data: {}", data_->describe(samples_per_step(config_.train, ranks_.size())));
  log::info("{}", describe_clusters(*process_, curriculum_.clusters()));
}

ForwardPass DenoisingTask::forward() {
  model_.unet->train();
  if (lora_) lora_->apply();
  EncodedBatch encoded = data_->next();
  const NoisedBatch batch = draw_for(encoded, draw_places(encoded.ordinals));
  const NoiseStrengths strengths{config_.denoising.noise_offset,
                                 config_.denoising.input_perturbation};
  return {.losses = denoising_losses(model_.unet, *process_, batch, strengths, autocast_),
          .keys = std::move(encoded.keys),
          .ordinals = std::move(encoded.ordinals),
          .inputs = tensors_of(batch),
          .data_seconds = encoded.data_seconds};
}

std::vector<std::int64_t> DenoisingTask::draw_places(
    const std::vector<std::uint64_t>& ordinals) const {
  std::vector<std::int64_t> places;
  for (const std::uint64_t ordinal : ordinals) {
    RandomStream stream(seed(), Purpose::kTimestep, ordinal);
    places.push_back(curriculum_.timestep(stream));
  }
  return places;
}

NoisedBatch DenoisingTask::draw_for(const EncodedBatch& batch,
                                    std::span<const std::int64_t> places) {
  const std::int64_t count = batch.latents.mean.size(0);
  const at::IntArrayRef shape = batch.latents.mean.sizes().slice(1);
  std::vector<std::int64_t> dropped;
  for (const std::uint64_t ordinal : batch.ordinals) {
    dropped.push_back(drops_condition(ordinal) ? 1 : 0);
  }
  const auto draw = [&](at::IntArrayRef of, Purpose purpose) {
    return noise_of_samples(batch.ordinals, of, seed(), purpose).to(device_);
  };
  NoisedBatch drawn{
      .latents = model_.vae->scale(batch.latents.sample(draw(shape, Purpose::kPosterior))),
      .noise = draw(shape, Purpose::kNoise),
      .levels = process_->levels(places),
      .condition = batch.condition};
  if (config_.denoising.noise_offset > 0) {
    drawn.offset = draw({shape[0], 1, 1}, Purpose::kNoiseOffset);
  }
  if (config_.denoising.input_perturbation > 0) {
    drawn.perturbation = draw(shape, Purpose::kInputPerturbation);
  }
  if (conditioner_.can_guide()) {
    drawn.condition = replace_rows(drawn.condition, conditioner_.unconditional(count),
                                   at::tensor(dropped, at::kLong).to(at::kBool));
  }
  return drawn;
}

bool DenoisingTask::drops_condition(std::uint64_t ordinal) const {
  return RandomStream(seed(), Purpose::kCaptionDropout, ordinal).uniform() <
         config_.conditioning.proportion_empty_prompts;
}

std::vector<nlohmann::ordered_json> DenoisingTask::observe(std::int64_t step, double loss,
                                                           const StepSamples& samples) {
  std::vector<nlohmann::ordered_json> events;
  cluster_losses_.add(draw_places(samples.ordinals), samples.losses);
  if (step % kClusterLossesEvery == 0) {
    events.push_back({{"step", step}, {"event", "clusters"}, {"losses", cluster_losses_.take()}});
  }
  if (auto transition = observe_stage(step, loss)) events.push_back(std::move(*transition));
  return events;
}

std::optional<nlohmann::ordered_json> DenoisingTask::observe_stage(std::int64_t step, double loss) {
  const auto transition = curriculum_.observe(loss);
  if (!transition) return std::nullopt;
  log::info("step {}: stage {} of {} begins, {} (ended by {} after {} steps)", step, transition->to,
            curriculum_.stages(), describe_levels(*process_, curriculum_.active_timesteps()),
            curriculum::to_string(transition->reason), transition->steps_in_stage);
  return nlohmann::ordered_json{{"step", step},
                                {"event", "stage"},
                                {"from", transition->from},
                                {"to", transition->to},
                                {"reason", curriculum::to_string(transition->reason)},
                                {"steps_in_stage", transition->steps_in_stage},
                                {"best_loss", transition->best_loss}};
}

void DenoisingTask::add_metrics(nlohmann::ordered_json& metrics) const {
  const DataProgress progress = data_->progress();
  metrics["stage"] = curriculum_.stage();
  metrics["epoch"] = progress.epoch;
  metrics["samples"] = progress.samples;
}

std::string DenoisingTask::status() const {
  if (!curriculum_.enabled()) return {};
  return fmt::format("stage {}/{}", curriculum_.stage(), curriculum_.stages());
}

std::optional<nlohmann::ordered_json> DenoisingTask::validate(std::int64_t step) {
  if (!validation_) return std::nullopt;
  if (lora_) lora_->apply_trained();
  nlohmann::ordered_json event = {{"step", step}, {"event", "held_out"}};
  event.update(validation_->measure(trained_model().unet, autocast_));
  return event;
}

std::optional<nlohmann::ordered_json> DenoisingTask::evaluate(std::int64_t step) {
  if (!evaluation_) return std::nullopt;
  model_.unet->eval();
  if (lora_) lora_->apply_trained();
  nlohmann::ordered_json event = {{"step", step}, {"event", "evaluate"}};
  event.update(evaluation_->measure());
  return event;
}

std::filesystem::path DenoisingTask::draw_samples(std::int64_t step,
                                                  const std::filesystem::path& folder) {
  if (sample_requests_.empty()) return {};
  model_.unet->eval();
  if (lora_) lora_->apply_trained();
  std::filesystem::path file = folder / fmt::format("step-{:08}.png", step);
  const at::Tensor images = generator_->generate(
      sample_requests_, sample_generation_options(config_),
      [](std::int64_t, std::int64_t, const at::Tensor&) { throw_if_stopped(); });
  write_png(file, picture_grid(tensor_to_pictures(images), 0));
  log::info("step {}: drew {}", step, file.string());
  return file;
}

}  // namespace crescendo::pipelines
