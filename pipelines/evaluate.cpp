#include "pipelines/evaluate.h"

#include <memory>
#include <utility>

#include "core/atomic_file.h"
#include "core/device.h"
#include "core/error.h"
#include "core/log.h"
#include "pipelines/evaluate_model.h"
#include "pipelines/evaluation/metrics.h"
#include "pipelines/evaluation/statistics_file.h"

namespace crescendo::pipelines {

namespace {

/// Nothing is measured where statistics alone are written.
MetricChoice metrics_of(const EvaluateRequest& request) {
  std::vector<std::string> names = request.metrics;
  if (names.empty()) names.emplace_back("fid");
  const MetricChoice chosen(std::move(names), "--metrics");
  const bool judges = !request.images.empty() || !request.drawing.model.path.empty();
  return judges ? chosen : MetricChoice({}, "");
}

void check(const EvaluateRequest& request, const MetricChoice& metrics) {
  const bool draws = !request.drawing.model.path.empty();
  if (draws && !request.images.empty()) {
    throw UserError("--model: expected either images or a model that draws them, found both");
  }
  if (!draws && (!request.subjects.empty() || !request.save_images.empty())) {
    throw UserError("--prompts-file, --save-images: are for --model, which was not given");
  }
  const bool judges = draws || !request.images.empty();
  if (!judges && (request.reference.empty() || request.save_statistics.empty())) {
    throw UserError(
        "--images: expected a folder of images or shards, or a --model, found neither (without "
        "them, --reference and --save-statistics write statistics alone)");
  }
  if (metrics.has("clip") == request.clip.empty()) {
    throw UserError("--clip: expected the folder of a CLIP model, and `clip` among --metrics, {}",
                    request.clip.empty() ? "found no folder" : "found only a folder");
  }
  if (request.reference.empty() &&
      (metrics.needs_reference() || !request.save_statistics.empty())) {
    throw UserError(
        "--reference: expected what to compare with (a folder of images, shards or the .npz of "
        "statistics), found none; only the metrics `is` and `clip` need none");
  }
  if (is_statistics_name(request.reference) && !request.save_statistics.empty()) {
    throw UserError("--save-statistics: {} is such a file already", request.reference);
  }
}

class Evaluation {
 public:
  explicit Evaluation(const EvaluateRequest& request)
      : request_(request), metrics_(metrics_of(request)) {
    check(request, metrics_);
    std::optional<FeatureResize> resize;
    if (!request.resize.empty()) resize = parse_feature_resize(request.resize, "--resize");
    const at::Device device = select_device(request.device);
    network_ = open_feature_network(request.features, resize, device);
    if (!request.drawing.model.path.empty())
      model_ = std::make_unique<EvaluatedModel>(request, device);
    if (!request.clip.empty()) clip_ = std::make_unique<ClipScore>(Clip(request.clip, device));
    report_.features_file = request.features.string();
    report_.features = network_->identity();
  }

  EvaluationReport run() {
    if (!request_.reference.empty()) take_reference();
    if (model_ || !request_.images.empty()) judge_images();
    if (!request_.output.empty()) {
      write_file_atomically(request_.output, to_json(report_).dump(2) + "\n");
    }
    return std::move(report_);
  }

 private:
  void take_reference() {
    reference_ = open_reference(request_.reference, *network_, metrics_.needs_reference_features(),
                                request_.batch_size, "--reference");
    report_.dimension = reference_.moments.mean.size(0);
    report_.reference = reference_.origin;
    warn_of_skipped(reference_.origin);
    if (reference_.origin.samples > 0) warn_of_rank(reference_.origin);
    if (request_.save_statistics.empty()) return;
    write_statistics(request_.save_statistics, {.moments = reference_.moments,
                                                .features = network_->identity(),
                                                .samples = reference_.origin.samples,
                                                .images_sha256 = reference_.origin.sha256});
  }

  void judge_images() {
    const FeatureSet images = look_at_images();
    report_.images.samples = images.count();
    report_.images.skipped = images.skipped;
    report_.images.sha256 = images.sha256;
    report_.dimension = images.statistics.moments().mean.size(0);
    warn_of_skipped(report_.images);
    warn_of_rank(report_.images);
    warn_of_number();
    report_.metrics = measure(metrics_, images, reference_,
                              {.kid = request_.kid,
                               .resamples = request_.resamples,
                               .seed = request_.seed,
                               .device = network_->device()});
    if (clip_) add_clip_score();
  }

  void add_clip_score() {
    report_.metrics.push_back({.name = "clip",
                               .value = clip_->mean(),
                               .std = clip_->std(),
                               .settings = {{"model", request_.clip.string()},
                                            {"sha256", clip_->sha256()},
                                            {"captioned", clip_->count()}}});
  }

  FeatureSet look_at_images() {
    FeatureSetOptions options = metrics_.kept();
    options.batch_size = request_.batch_size;
    options.dimension = report_.dimension;
    options.clip = clip_.get();
    FeatureSet set;
    if (model_) {
      const auto drawn = model_->images(reference_.captions, reference_.labels);
      report_.images.path = request_.drawing.model.path.string();
      report_.images.drawing = drawn->drawing();
      options.label = "draw";
      set = extract_features(*drawn, *network_, options);
    } else {
      report_.images.path = request_.images;
      const auto most = static_cast<std::uint64_t>(request_.samples.value_or(0));
      const auto images = open_images(request_.images, most, request_.seed, "--images");
      set = extract_features(*images, *network_, options);
    }
    require_moments(set, report_.images.path);
    return set;
  }

  // --- What makes a number hard to compare ---

  void warn(std::string text) {
    log::warn("{}", text);
    report_.warnings.push_back(std::move(text));
  }

  void warn_of_skipped(const ImageSetOrigin& origin) {
    if (origin.skipped == 0) return;
    warn(fmt::format("{}: {} images were skipped, because they cannot be read", origin.path,
                     origin.skipped));
  }

  /// With fewer images than features some directions have no variance at all.
  void warn_of_rank(const ImageSetOrigin& origin) {
    if (!metrics_.has("fid") || origin.samples > report_.dimension) return;
    warn(fmt::format(
        "{}: {} images are too few for the covariance of {} features, which has not full rank; "
        "the FID is finite, but far above that of many images",
        origin.path, origin.samples, report_.dimension));
  }

  void warn_of_number() {
    const std::int64_t count = report_.images.samples;
    if (request_.samples && count < *request_.samples) {
      warn(fmt::format("--samples: {} were asked for, {} are there", *request_.samples, count));
    }
    if (count >= kFewImages) return;
    warn(fmt::format(
        "{} images: below {}, FID, IS and recall depend on the number of images; compare only "
        "with numbers of as many",
        count, kFewImages));
  }

  const EvaluateRequest& request_;
  MetricChoice metrics_;
  std::unique_ptr<FeatureNetwork> network_;
  std::unique_ptr<ClipScore> clip_;        ///< null where it is not asked for
  std::unique_ptr<EvaluatedModel> model_;  ///< null where images are given
  ReferenceSet reference_;
  EvaluationReport report_;
};

}  // namespace

EvaluationReport evaluate(const EvaluateRequest& request) { return Evaluation(request).run(); }

}  // namespace crescendo::pipelines
