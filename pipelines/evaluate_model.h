#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pipelines/evaluate.h"
#include "pipelines/evaluation/generated_images.h"

namespace crescendo::pipelines {

/// The model that images are drawn with to be judged.
class EvaluatedModel {
 public:
  /// Opens it. Throws UserError or DataError.
  EvaluatedModel(const EvaluateRequest& request, at::Device device);

  /// Its images, of subjects as choose_subjects() finds them. Throws UserError as that does.
  std::unique_ptr<GeneratedImages> images(const std::vector<std::string>& captions,
                                          const std::vector<std::string>& labels) const;

 private:
  const EvaluateRequest& request_;
  at::Device device_;
  DiffusionModel model_;
  GenerationOptions options_;
};

}  // namespace crescendo::pipelines
