#pragma once

#include <filesystem>

#include "core/weight_files.h"

namespace crescendo::pipelines {

// What a single file does not hold: configurations, scheduler and tokenizer. They come from a
// diffusers folder, whose weights are not looked at.

/// The folder in `templates` for a single file: Stable Diffusion 1.5 or 2.1, by the width of what
/// the U-Net attends to. Throws UserError for another width, or where there are no templates.
std::filesystem::path choose_template(const WeightFiles& file,
                                      const std::filesystem::path& templates);

/// Copies all but weights of the components unet, vae, text_encoder, scheduler and tokenizer; in
/// model_index.json others become absent.
void copy_template(const std::filesystem::path& from, const std::filesystem::path& to);

/// Copies the files of one component that are not weights.
void copy_configs(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace crescendo::pipelines
