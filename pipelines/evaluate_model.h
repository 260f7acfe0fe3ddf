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

  /// Its images: of the prompts or classes of the request, in their order; else of those of the
  /// reference, in a random order by the seed; else, of a class model, of all classes in turn.
  /// Throws UserError for a text model without prompts, and for classes that are not there.
  std::unique_ptr<GeneratedImages> images(const std::vector<std::string>& captions,
                                          const std::vector<std::string>& labels) const;

 private:
  const EvaluateRequest& request_;
  at::Device device_;
  DiffusionModel model_;
  GenerationOptions options_;
};

}  // namespace crescendo::pipelines
