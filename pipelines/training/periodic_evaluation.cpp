#include "pipelines/training/periodic_evaluation.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/fields.h"
#include "core/log.h"
#include "pipelines/evaluation/feature_set.h"
#include "pipelines/evaluation/generated_images.h"
#include "pipelines/evaluation/sha256.h"
#include "pipelines/training/train_setup.h"

namespace crescendo::pipelines {

namespace {

constexpr std::size_t kSetDigits = 8;

MetricChoice metrics_of(const EvaluateOptions& options) {
  return MetricChoice(options.metrics, "evaluate.metrics");
}

}  // namespace

std::string problem_with(const EvaluateOptions& options) {
  if (!options.enabled()) return "";
  try {
    const MetricChoice metrics = metrics_of(options);
    if (metrics.has("clip")) {
      return "evaluate.metrics: clip is for `crescendo evaluate`; expected others";
    }
    if (options.features.empty()) {
      return "evaluate.features: expected the file of a network (docs/evaluation.md), found none";
    }
    if (options.reference.empty() && metrics.needs_reference()) {
      return "evaluate.reference: expected a folder of images, shards or the .npz of statistics, "
             "found none";
    }
  } catch (const UserError& failure) {
    return failure.what();
  }
  return "";
}

PeriodicEvaluation::PeriodicEvaluation(const TrainConfig& config, DiffusionModel model,
                                       at::Device device)
    : options_(config.evaluate),
      generation_(sample_generation_options(config)),
      metrics_(metrics_of(options_)),
      model_(std::move(model)),
      network_(open_feature_network(options_.features, {}, device)) {
  ImageGenerator(model_, device).check(generation_);
  if (!options_.reference.empty()) {
    reference_ = open_reference(options_.reference, *network_, metrics_.needs_reference_features(),
                                options_.batch_size, "evaluate.reference");
  }
  const auto seed = static_cast<std::uint64_t>(options_.seed);
  const bool is_text = model_.text_encoder != nullptr;
  // Without captions of the reference, those of [sample].
  const bool falls_back = is_text && reference_.captions.empty();
  subjects_ = choose_subjects(
      model_, falls_back ? config.sample.prompts : std::vector<std::string>{}, reference_.captions,
      reference_.labels, seed, "evaluate.reference, sample.prompts");
  diffusion::SamplerOptions sampler = generation_.sampler;
  const nlohmann::ordered_json all = {{"network", network_->identity().sha256},
                                      {"reference", reference_.origin.sha256},
                                      {"samples", options_.samples},
                                      {"seed", options_.seed},
                                      {"subjects", subjects_.origin},
                                      {"cfg_scale", generation_.cfg_scale},
                                      {"size", generation_.width},
                                      {"sampler", fields_to_json(diffusion::fields(sampler))}};
  Sha256 sha;
  sha.add(all.dump());
  set_ = sha.finish().substr(0, kSetDigits);
  log::info("evaluation: {} images every {} steps", options_.samples, options_.every);
}

nlohmann::ordered_json PeriodicEvaluation::measure() const {
  const auto batch_size = static_cast<std::uint64_t>(options_.batch_size);
  GeneratedImages images(model_, network_->device(),
                         {.subjects = subjects_,
                          .seed = static_cast<std::uint64_t>(options_.seed),
                          .samples = static_cast<std::uint64_t>(options_.samples),
                          .batch_size = batch_size,
                          .origin = {.options = generation_}});
  FeatureSetOptions kept = metrics_.kept();
  kept.batch_size = options_.batch_size;
  kept.label = "";
  const FeatureSet set = extract_features(images, *network_, kept);
  MeasureOptions how{.resamples = 0, .device = network_->device()};
  how.kid.subset_size = std::min(how.kid.subset_size, options_.samples);
  nlohmann::ordered_json event;
  for (const MetricValue& metric : crescendo::pipelines::measure(metrics_, set, reference_, how)) {
    event[metric.name] = metric.value;
  }
  event["set"] = set_;
  return event;
}

}  // namespace crescendo::pipelines
