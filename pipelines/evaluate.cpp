#include "pipelines/evaluate.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "core/atomic_file.h"
#include "core/device.h"
#include "core/error.h"
#include "core/log.h"
#include "core/text.h"
#include "pipelines/evaluate_model.h"
#include "pipelines/evaluation/feature_set.h"
#include "pipelines/evaluation/frechet.h"
#include "pipelines/evaluation/inception_score.h"
#include "pipelines/evaluation/precision_recall.h"
#include "pipelines/evaluation/sha256.h"
#include "pipelines/evaluation/statistics_file.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kFewSamples = 10'000;
constexpr double kTwoSided95 = 1.96;  // standard deviations of a normal distribution
constexpr std::int64_t kAll = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kNeighbours = 3;
constexpr std::int64_t kSplits = 10;

/// What the metrics that are asked for need.
struct Wants {
  bool fid, kid, precision, recall, is;

  explicit Wants(const std::vector<std::string>& metrics) {
    const auto has = [&](const char* name) {
      return std::ranges::find(metrics, name) != metrics.end();
    };
    fid = has("fid");
    kid = has("kid");
    precision = has("precision");
    recall = has("recall");
    is = has("is");
  }
  bool reference_features() const { return kid || precision || recall; }
  bool reference() const { return fid || reference_features(); }
};

bool is_statistics(const std::string& path) { return fs::path(path).extension() == ".npz"; }

void check(const EvaluateRequest& request, const Wants& wants) {
  for (const std::string& name : request.metrics) {
    const auto& known = evaluation_metrics();
    if (std::ranges::find(known, name) != known.end()) continue;
    throw UserError("--metrics: no metric is called '{}'; {}", name, suggest_name(name, known));
  }
  const bool draws = !request.drawing.model.empty();
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
  if (request.reference.empty() && (wants.reference() || !request.save_statistics.empty())) {
    throw UserError(
        "--reference: expected what to compare with (a folder of images, shards or the .npz of "
        "statistics), found none; only the metric `is` needs none");
  }
  if (!is_statistics(request.reference)) return;
  if (wants.reference_features()) {
    throw UserError(
        "{}: holds statistics alone; kid, precision and recall compare image by image: expected a "
        "folder of images or shards as --reference",
        request.reference);
  }
  if (!request.save_statistics.empty()) {
    throw UserError("--save-statistics: {} is such a file already", request.reference);
  }
}

// --- The two sides ---

struct Reference {
  Moments moments;
  at::Tensor features;  ///< undefined for a file of statistics
  ImageSetOrigin origin;
};

/// Refuses moments that cannot be compared with the features of `network`.
void check_statistics(const StoredStatistics& stored, const FeatureIdentity& network,
                      const std::string& file) {
  if (!stored.features) {
    log::info("{}: does not tell of which network it is; it is taken for one of {}", file,
              network.name);
    return;
  }
  const auto& [name, sha256, resize] = *stored.features;
  if (sha256 != network.sha256) {
    throw UserError(
        "{}: statistics of another network; expected {} {:.10}, as --features, found {} {:.10}",
        file, network.name, network.sha256, name, sha256);
  }
  if (resize != network.resize) {
    throw UserError("{}: statistics of --resize {}; expected {}, as the images get here", file,
                    resize, network.resize);
  }
}

Reference read_reference_statistics(const std::string& file, const FeatureIdentity& network) {
  StoredStatistics stored = read_statistics(file);
  check_statistics(stored, network, file);
  return {std::move(stored.moments),
          {},
          {.path = file, .samples = stored.samples, .sha256 = sha256_of_file(file)}};
}

class Evaluation {
 public:
  explicit Evaluation(const EvaluateRequest& request)
      : request_(request), wants_(metrics_of(request)) {
    check(request, wants_);
    std::optional<FeatureResize> resize;
    if (!request.resize.empty()) resize = parse_feature_resize(request.resize, "--resize");
    const at::Device device = select_device(request.device);
    network_ = open_feature_network(request.features, resize, device);
    if (!request.drawing.model.empty()) model_ = std::make_unique<EvaluatedModel>(request, device);
    report_.features_file = request.features.string();
    report_.features = network_->identity();
  }

  EvaluationReport run() {
    if (!request_.reference.empty()) take_reference();
    if (model_ || !request_.images.empty()) {
      take_images();
      measure();
    }
    if (!request_.output.empty()) {
      write_file_atomically(request_.output, to_json(report_).dump(2) + "\n");
    }
    return std::move(report_);
  }

 private:
  static Wants metrics_of(const EvaluateRequest& request) {
    if (request.images.empty() && request.drawing.model.empty()) return Wants({});
    return Wants(request.metrics.empty() ? std::vector<std::string>{"fid"} : request.metrics);
  }

  void warn(std::string text) {
    log::warn("{}", text);
    report_.warnings.push_back(std::move(text));
  }

  FeatureSet extract(const std::string& name, ImageSource& images, FeatureSetOptions options) {
    options.batch_size = request_.batch_size;
    FeatureSet set = extract_features(images, *network_, options);
    if (set.count() < 2) {
      throw UserError(
          "{}: expected at least two images (jpg, png or webp), because one has no covariance; "
          "found {} that can be read",
          name, set.count());
    }
    if (set.skipped > 0) {
      warn(fmt::format("{}: {} images were skipped, because they cannot be read", name,
                       set.skipped));
    }
    return set;
  }

  void take_reference() {
    if (is_statistics(request_.reference)) {
      reference_ = read_reference_statistics(request_.reference, network_->identity());
    } else {
      const auto images = open_images(request_.reference, 0, request_.seed, "--reference");
      FeatureSet set =
          extract(request_.reference, *images,
                  {.keep_features = wants_.reference_features() ? kAll : 0, .label = "reference"});
      captions_ = std::move(set.captions);
      labels_ = std::move(set.labels);
      reference_ = {set.statistics.moments(),
                    std::move(set.features),
                    {.path = request_.reference,
                     .samples = set.count(),
                     .skipped = set.skipped,
                     .sha256 = set.sha256}};
    }
    report_.dimension = reference_.moments.mean.size(0);
    if (wants_.fid && !is_statistics(request_.reference)) warn_of_rank(reference_.origin);
    report_.reference = reference_.origin;
    if (request_.save_statistics.empty()) return;
    write_statistics(request_.save_statistics, {.moments = reference_.moments,
                                                .features = network_->identity(),
                                                .samples = reference_.origin.samples,
                                                .images_sha256 = reference_.origin.sha256});
  }

  void take_images() {
    // An interval of the FID is told of few images alone.
    const std::int64_t keep = wants_.reference_features() ? kAll : wants_.fid ? kFewSamples - 1 : 0;
    const FeatureSetOptions options{.keep_features = keep,
                                    .keep_logits = wants_.is,
                                    .dimension = report_.dimension,
                                    .label = model_ ? "draw" : "images"};
    if (model_) {
      report_.images.path = request_.drawing.model.string();
      const auto drawn = model_->images(captions_, labels_);
      report_.images.drawing = drawn->drawing();
      images_ = extract(report_.images.path, *drawn, options);
    } else {
      report_.images.path = request_.images;
      const auto most = static_cast<std::uint64_t>(request_.samples.value_or(0));
      const auto images = open_images(request_.images, most, request_.seed, "--images");
      images_ = extract(request_.images, *images, options);
    }
    report_.images.samples = images_.count();
    report_.images.skipped = images_.skipped;
    report_.images.sha256 = images_.sha256;
    if (request_.samples && images_.count() < *request_.samples) {
      warn(fmt::format("--samples: {} were asked for, {} are there", *request_.samples,
                       images_.count()));
    }
  }

  /// With fewer images than features some directions have no variance at all.
  void warn_of_rank(const ImageSetOrigin& origin) {
    if (origin.samples > report_.dimension) return;
    warn(fmt::format(
        "{}: {} images are too few for the covariance of {} features, which has not full rank; "
        "the FID is finite, but far above that of many images",
        origin.path, origin.samples, report_.dimension));
  }

  void measure() {
    report_.dimension = images_.statistics.moments().mean.size(0);
    if (wants_.fid) add_frechet();
    if (wants_.kid) add_kernel_distance();
    if (wants_.precision || wants_.recall) add_precision_recall();
    if (wants_.is) add_inception_score();
    if (images_.count() < kFewSamples) {
      warn(fmt::format(
          "{} images: below {}, FID, IS and recall depend on the number of images; compare only "
          "with numbers of as many",
          images_.count(), kFewSamples));
    }
  }

  void add_frechet() {
    warn_of_rank(report_.images);
    MetricValue fid{.name = "fid",
                    .value = frechet_distance(images_.statistics.moments(), reference_.moments)};
    if (images_.count() < kFewSamples && request_.resamples > 1) {
      const double reach = kTwoSided95 * frechet_deviation(images_.features, reference_.moments,
                                                           request_.resamples, request_.seed);
      fid.interval = {std::max(fid.value - reach, 0.0), fid.value + reach};
      fid.settings["resamples"] = request_.resamples;
    }
    report_.metrics.push_back(std::move(fid));
  }

  at::Tensor on_device(const at::Tensor& features) const { return features.to(network_->device()); }

  void add_kernel_distance() {
    const KernelDistance kid =
        kernel_distance(on_device(images_.features), on_device(reference_.features), request_.kid);
    report_.metrics.push_back({.name = "kid",
                               .value = kid.mean,
                               .std = kid.std,
                               .settings = {{"subsets", request_.kid.subsets},
                                            {"subset_size", request_.kid.subset_size}}});
  }

  void add_precision_recall() {
    const PrecisionRecall found =
        precision_recall(on_device(images_.features), on_device(reference_.features), kNeighbours);
    const auto add = [&](const char* name, double value) {
      report_.metrics.push_back({.name = name, .value = value, .settings = {{"k", kNeighbours}}});
    };
    if (wants_.precision) add("precision", found.precision);
    if (wants_.recall) add("recall", found.recall);
  }

  void add_inception_score() {
    const InceptionScore score = inception_score(images_.logits, kSplits);
    report_.metrics.push_back(
        {.name = "is", .value = score.mean, .std = score.std, .settings = {{"splits", kSplits}}});
  }

  const EvaluateRequest& request_;
  Wants wants_;
  std::unique_ptr<FeatureNetwork> network_;
  std::unique_ptr<EvaluatedModel> model_;  ///< null where images are given
  Reference reference_;
  std::vector<std::string> captions_;  ///< of the reference
  std::vector<std::string> labels_;
  FeatureSet images_;
  EvaluationReport report_;
};

}  // namespace

const std::vector<std::string>& evaluation_metrics() {
  static const std::vector<std::string> names{"fid", "kid", "precision", "recall", "is"};
  return names;
}

EvaluationReport evaluate(const EvaluateRequest& request) { return Evaluation(request).run(); }

}  // namespace crescendo::pipelines
