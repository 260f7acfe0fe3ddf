#include "pipelines/evaluation/feature_set.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <ATen/Functions.h>

#include "core/error.h"
#include "core/interruption.h"
#include "core/progress.h"
#include "pipelines/evaluation/sha256.h"

namespace crescendo::pipelines {

namespace {

using dataloader::Image;

/// Images of one size -> uint8 [n,3,H,W].
at::Tensor to_tensor(std::span<const SourceImage> images) {
  const Image& first = images.front().image;
  at::Tensor pixels = at::empty(
      {static_cast<std::int64_t>(images.size()), first.height, first.width, 3}, at::kByte);
  auto* out = pixels.data_ptr<std::uint8_t>();
  for (const SourceImage& one : images) out = std::ranges::copy(one.image.pixels, out).out;
  return pixels.permute({0, 3, 1, 2}).contiguous();
}

/// The runs of images of one size, each a tensor.
std::vector<at::Tensor> to_tensors(std::span<const SourceImage> images) {
  std::vector<at::Tensor> parts;
  while (!images.empty()) {
    const auto other = std::ranges::find_if(images, [&](const SourceImage& one) {
      return one.image.width != images[0].image.width || one.image.height != images[0].image.height;
    });
    const auto count = static_cast<std::size_t>(other - images.begin());
    parts.push_back(to_tensor(images.first(count)));
    images = images.subspan(count);
  }
  return parts;
}

std::vector<std::string> captions_of(std::span<const SourceImage> images) {
  std::vector<std::string> captions;
  for (const SourceImage& one : images) captions.push_back(one.caption);
  return captions;
}

class Extraction {
 public:
  Extraction(FeatureNetwork& network, FeatureSetOptions options)
      : network_(network), options_(std::move(options)) {}

  void add(std::span<const SourceImage> images) {
    const std::vector<at::Tensor> tensors = to_tensors(images);
    if (options_.clip != nullptr) options_.clip->add(tensors, captions_of(images));
    const ImageFeatures seen = network_.extract(tensors);
    const at::Tensor values = seen.values.to(at::kCPU);
    check_kind(seen);
    check_finite(values, images);
    set_.statistics.add(values);
    features_.push_back(values);
    if (set_.count() > options_.keep_features) {
      options_.keep_features = 0;
      features_.clear();
    }
    if (options_.keep_logits) logits_.push_back(seen.logits.to(at::kCPU));
    for (const SourceImage& one : images) note(one);
  }

  FeatureSet finish() {
    if (!features_.empty()) set_.features = at::cat(features_);
    if (!logits_.empty()) set_.logits = at::cat(logits_);
    set_.sha256 = sha_.finish();
    return std::move(set_);
  }

 private:
  void check_kind(const ImageFeatures& seen) const {
    if (options_.keep_logits && !seen.logits.defined()) {
      throw UserError(
          "is: expected a network that returns (features, logits), found features alone");
    }
    if (options_.dimension == 0 || seen.values.size(1) == options_.dimension) return;
    throw UserError(
        "--reference: expected statistics of {} features, as --features gives, found {}; they are "
        "of another network",
        seen.values.size(1), options_.dimension);
  }

  static void check_finite(const at::Tensor& values, std::span<const SourceImage> images) {
    const at::Tensor bad = at::isfinite(values).all(1).logical_not().nonzero();
    if (bad.size(0) == 0) return;
    throw UserError(
        "{}: its features are not finite; expected numbers. Either the image or the network's "
        "weights are at fault",
        images[static_cast<std::size_t>(bad[0].item<std::int64_t>())].name);
  }

  void note(const SourceImage& one) {
    sha_.add(fmt::format("{}x{}\n", one.image.width, one.image.height));
    sha_.add(std::as_bytes(std::span(one.image.pixels)));
    if (!one.caption.empty()) set_.captions.push_back(one.caption);
    if (!one.label.empty()) set_.labels.push_back(one.label);
  }

  FeatureNetwork& network_;
  FeatureSetOptions options_;
  FeatureSet set_;
  std::vector<at::Tensor> features_;
  std::vector<at::Tensor> logits_;
  Sha256 sha_;
};

}  // namespace

FeatureSet extract_features(ImageSource& images, FeatureNetwork& network,
                            const FeatureSetOptions& options) {
  std::optional<Progress> progress;
  if (!options.label.empty()) progress.emplace(options.label, images.size(), "images");
  Extraction extraction(network, options);
  std::vector<SourceImage> batch;
  std::uint64_t done = 0;
  bool over = false;
  while (!over) {
    throw_if_stopped();
    std::optional<SourceImage> image = images.next();
    over = !image;
    if (image) batch.push_back(std::move(*image));
    const bool full = batch.size() == static_cast<std::size_t>(options.batch_size);
    if (batch.empty() || !(full || over)) continue;
    extraction.add(batch);
    done += batch.size();
    batch.clear();
    if (progress) progress->update(done);
  }
  FeatureSet set = extraction.finish();
  set.skipped = images.skipped();
  return set;
}

void require_moments(const FeatureSet& set, const std::string& name) {
  if (set.count() >= 2) return;
  throw UserError(
      "{}: expected at least two images (jpg, png or webp), because one has no covariance; found "
      "{} that can be read",
      name, set.count());
}

}  // namespace crescendo::pipelines
