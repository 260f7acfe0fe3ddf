#pragma once

#include <span>
#include <string>

#include <torch/nn/module.h>

namespace crescendo::pipelines {

/// Leaves training to the parameters whose name one of the patterns matches (* and ? as in file
/// names), as in {"*attn2*", "conv_in.*"}; no patterns: to all. Throws UserError for a pattern that
/// matches none.
void select_trainable(torch::nn::Module& module, std::span<const std::string> patterns);

}  // namespace crescendo::pipelines
