#include "pipelines/training/lora_training.h"

#include <c10/core/GradMode.h>

namespace crescendo::pipelines {

LoraTraining::LoraTraining(torch::nn::Module& model, const LoraOptions& options, std::uint64_t seed,
                           bool with_average)
    : targets_(lora_targets(model, options)),
      lora_(targets_, options, seed),
      average_(with_average ? Lora(targets_, options, seed) : Lora(nullptr)),
      adapted_(targets_) {
  for (at::Tensor& parameter : model.parameters()) parameter.set_requires_grad(false);
}

void LoraTraining::apply() { adapted_.apply(lora_->layers()); }

void LoraTraining::apply_trained() {
  const c10::NoGradGuard no_grad;
  adapted_.apply(trained());
}

}  // namespace crescendo::pipelines
