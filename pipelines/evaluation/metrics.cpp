#include "pipelines/evaluation/metrics.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/error.h"
#include "core/text.h"
#include "pipelines/evaluation/frechet.h"
#include "pipelines/evaluation/inception_score.h"
#include "pipelines/evaluation/precision_recall.h"

namespace crescendo::pipelines {

namespace {

constexpr double kTwoSided95 = 1.96;  // standard deviations of a normal distribution
constexpr std::int64_t kNeighbours = 3;
constexpr std::int64_t kSplits = 10;

MetricValue frechet_of(const FeatureSet& images, const ReferenceSet& reference,
                       const MeasureOptions& options) {
  MetricValue fid{.name = "fid",
                  .value = frechet_distance(images.statistics.moments(), reference.moments)};
  if (images.count() >= kFewImages || options.resamples < 2) return fid;
  const double reach = kTwoSided95 * frechet_deviation(images.features, reference.moments,
                                                       options.resamples, options.seed);
  fid.interval = {std::max(fid.value - reach, 0.0), fid.value + reach};
  fid.settings["resamples"] = options.resamples;
  return fid;
}

}  // namespace

const std::vector<std::string>& metric_names() {
  static const std::vector<std::string> names{"fid", "kid", "precision", "recall", "is", "clip"};
  return names;
}

MetricChoice::MetricChoice(std::vector<std::string> names, const std::string& where)
    : names_(std::move(names)) {
  for (const std::string& name : names_) {
    if (std::ranges::find(metric_names(), name) != metric_names().end()) continue;
    throw UserError("{}: no metric is called '{}'; {}", where, name,
                    suggest_name(name, metric_names()));
  }
}

bool MetricChoice::has(std::string_view name) const {
  return std::ranges::find(names_, name) != names_.end();
}

bool MetricChoice::needs_reference_features() const {
  return has("kid") || has("precision") || has("recall");
}

bool MetricChoice::needs_reference() const { return has("fid") || needs_reference_features(); }

FeatureSetOptions MetricChoice::kept() const {
  FeatureSetOptions options{.keep_logits = has("is")};
  if (has("fid")) options.keep_features = kFewImages - 1;  // for the interval
  if (needs_reference_features()) {
    options.keep_features = std::numeric_limits<std::int64_t>::max();
  }
  return options;
}

std::vector<MetricValue> measure(const MetricChoice& metrics, const FeatureSet& images,
                                 const ReferenceSet& reference, const MeasureOptions& options) {
  std::vector<MetricValue> values;
  if (metrics.has("fid")) values.push_back(frechet_of(images, reference, options));
  const bool wants_pairs = metrics.needs_reference_features();
  const at::Tensor ours = wants_pairs ? images.features.to(options.device) : at::Tensor();
  const at::Tensor theirs = wants_pairs ? reference.features.to(options.device) : at::Tensor();
  if (metrics.has("kid")) {
    const KernelDistance kid = kernel_distance(ours, theirs, options.kid);
    values.push_back(
        {.name = "kid",
         .value = kid.mean,
         .std = kid.std,
         .settings = {{"subsets", options.kid.subsets}, {"subset_size", options.kid.subset_size}}});
  }
  if (metrics.has("precision") || metrics.has("recall")) {
    const PrecisionRecall found = precision_recall(ours, theirs, kNeighbours);
    for (const auto& [name, value] :
         {std::pair{"precision", found.precision}, std::pair{"recall", found.recall}}) {
      if (!metrics.has(name)) continue;
      values.push_back({.name = name, .value = value, .settings = {{"k", kNeighbours}}});
    }
  }
  if (metrics.has("is")) {
    const InceptionScore score = inception_score(images.logits, kSplits);
    values.push_back(
        {.name = "is", .value = score.mean, .std = score.std, .settings = {{"splits", kSplits}}});
  }
  return values;
}

}  // namespace crescendo::pipelines
