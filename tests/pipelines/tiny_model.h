#pragma once

#include <filesystem>
#include <string>

#include "pipelines/models/model_folder.h"

namespace crescendo::pipelines {

/// A BERT of 16 channels with its tokenizer.
std::filesystem::path text_encoder_folder();

/// Weights of seed 0: an autoencoder of 2x2 pixels to a position and 3 channels, a U-Net that
/// halves once. With classes: "birds", "cups" and the null class 2.
DiffusionModel tiny_model(ConditioningKind kind);

}  // namespace crescendo::pipelines
