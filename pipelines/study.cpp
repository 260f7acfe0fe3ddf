#include "pipelines/study.h"

#include <algorithm>
#include <utility>

#include <ATen/Functions.h>

#include "core/atomic_file.h"
#include "core/device.h"
#include "core/error.h"
#include "core/interruption.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/random.h"
#include "diffusion/noise_schedule.h"
#include "pipelines/config/config.h"
#include "pipelines/studies/observation.h"
#include "pipelines/train.h"
#include "pipelines/training/train_setup.h"
#include "pipelines/training/training_data.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

TrainConfig read_study_config(const StudyRequest& request) {
  TrainConfig config;
  read_config(request.config, request.overrides, sections(config));
  check(config);
  if (!config.validation.enabled()) {
    throw UserError(
        "validation.shards: models are compared by their losses on held-out images; expected "
        "shards, found none");
  }
  const std::string& clustering = config.curriculum.clustering.method;
  const std::string expected = config.diffusion.formulation == "discrete" ? "uniform" : "quantile";
  if (clustering != expected) {
    throw UserError(
        R"(curriculum.clustering: a study has equal clusters; expected "{}", found "{}")", expected,
        clustering);
  }
  return config;
}

fs::path folder_of(const TrainConfig& config, std::int64_t cluster) {
  return fs::path(config.run.output_dir) / fmt::format("cluster-{:02}", cluster);
}

/// Trains on one cluster alone; false when a signal ended it.
bool train_on(const StudyRequest& request, const TrainConfig& config, std::int64_t cluster) {
  TrainRequest one;
  one.config = request.config;
  one.overrides = request.overrides;
  for (const std::string& override : {
           fmt::format("run.output_dir=\"{}\"", folder_of(config, cluster).string()),
           std::string("curriculum.enabled=true"),
           fmt::format("curriculum.only_cluster={}", cluster),
           fmt::format("validation.clusters={}", config.curriculum.clustering.clusters),
           std::string("sample.every=0"),
           std::string("checkpoint.keep_best=false"),
       }) {
    one.overrides.push_back(override);
  }
  log::info("study: cluster {} of {}", cluster, config.curriculum.clustering.clusters);
  return !train(one).empty();
}

/// The scaled latents of the first samples of the data, [M,C,h,w] on the CPU; fewer where an epoch
/// has no more.
at::Tensor latents_of_data(const TrainConfig& config, std::int64_t count) {
  const at::Device device = select_device(config.run.device);
  const DiffusionModel model = build_model(config, device);
  Conditioner conditioner = model.conditioner(device);
  TrainConfig streamed = config;
  streamed.conditioning.cache_latents = false;
  streamed.data.enable_bucket = false;
  const auto data = open_training_data(streamed, model, conditioner, device, {});
  std::vector<at::Tensor> latents;
  std::int64_t found = 0;
  while (found < count && data->position().epoch() == 0) {
    throw_if_stopped();
    latents.push_back(model.vae->scale(data->next().latents.mode()).cpu());
    found += latents.back().size(0);
  }
  return at::cat(latents).narrow(0, 0, std::min(found, count));
}

void estimate_divergences(const StudyRequest& request, const TrainConfig& config,
                          const diffusion::NoiseSchedule& schedule, Observation& observation) {
  const at::Tensor data = latents_of_data(config, request.data_points);
  observation.points = data.size(0);
  observation.draws = request.draws;
  const std::int64_t last = schedule.num_train_timesteps() - 1;
  const std::int64_t count = std::min(request.timesteps, last);
  const auto seed = static_cast<std::uint64_t>(config.run.seed);
  Progress progress("entropy", static_cast<std::uint64_t>(count), "timesteps");
  for (std::int64_t i = 0; i < count; ++i) {
    throw_if_stopped();
    const std::int64_t t = count > 1 ? 1 + (last - 1) * i / (count - 1) : 1;
    std::vector<std::uint64_t> draws;
    std::vector<std::int64_t> chosen;
    for (std::int64_t k = 0; k < request.draws; ++k) {
      draws.push_back(static_cast<std::uint64_t>(t * request.draws + k));
      RandomStream stream(seed, Purpose::kTimestep, draws.back());
      chosen.push_back(
          static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(data.size(0)))));
    }
    const at::Tensor noise =
        noise_of_samples(draws, {data.numel() / data.size(0)}, seed, Purpose::kNoise);
    observation.divergences.push_back(
        {t,
         diffusion::marginal_divergence(schedule, data, t, at::tensor(chosen, at::kLong), noise)});
    progress.update(static_cast<std::uint64_t>(i + 1));
  }
}

}  // namespace

std::string study(const StudyRequest& request) {
  const TrainConfig config = read_study_config(request);
  const std::int64_t clusters = config.curriculum.clustering.clusters;
  for (std::int64_t cluster = 1; cluster <= clusters; ++cluster) {
    if (!train_on(request, config, cluster)) return {};
  }
  Observation observation;
  for (std::int64_t cluster = 1; cluster <= clusters; ++cluster) {
    const fs::path metrics = folder_of(config, cluster) / "metrics.jsonl";
    observation.convergences.push_back(convergence_of(cluster, read_history(metrics)));
  }
  const auto process = diffusion::make_noise_process(config.diffusion);
  try {
    if (process->schedule() != nullptr) {
      estimate_divergences(request, config, *process->schedule(), observation);
    }
  } catch (const Interrupted&) {
    log::warn("stopped; the models are trained, and the same command goes on from there");
    return {};
  }
  if (!request.page.empty()) write_file_atomically(request.page, observation_page(observation));
  if (!request.json.empty()) write_file_atomically(request.json, to_json_lines(observation));
  return to_text(observation);
}

}  // namespace crescendo::pipelines
