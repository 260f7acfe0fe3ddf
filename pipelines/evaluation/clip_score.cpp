#include "pipelines/evaluation/clip_score.h"

#include <algorithm>
#include <cmath>

#include <ATen/Functions.h>

#include "core/error.h"

namespace crescendo::pipelines {

void ClipScore::add(std::span<const at::Tensor> images, const std::vector<std::string>& captions) {
  std::vector<at::Tensor> captioned;
  std::vector<std::string> texts;
  std::size_t i = 0;
  for (const at::Tensor& part : images) {
    for (const at::Tensor& one : part.split(1)) {
      const std::string& caption = captions[i++];
      if (caption.empty()) continue;
      captioned.push_back(one);
      texts.push_back(caption);
    }
  }
  if (texts.empty()) return;
  const at::Tensor scores =
      (100 * at::cosine_similarity(clip_.images(captioned), clip_.texts(texts)))
          .clamp_min(0)
          .to(at::kCPU, at::kDouble);
  count_ += scores.size(0);
  sum_ += scores.sum().item<double>();
  squares_ += scores.square().sum().item<double>();
}

double ClipScore::mean() const {
  if (count_ == 0) {
    throw UserError(
        "clip: none of the images has a caption; expected KEY.txt beside them, or --model with "
        "prompts");
  }
  return sum_ / static_cast<double>(count_);
}

double ClipScore::std() const {
  const double average = mean();
  return std::sqrt(std::max(0.0, squares_ / static_cast<double>(count_) - average * average));
}

}  // namespace crescendo::pipelines
