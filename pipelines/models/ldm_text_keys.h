#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/models/ldm_keys.h"
#include "text_encoder/clip_options.h"

namespace crescendo::pipelines {

/// The prefixes of Stable Diffusion 1.x, which keeps transformers' names, and of 2.x.
inline constexpr const char* kLdmClipPrefix = "cond_stage_model.transformer.";
inline constexpr const char* kLdmOpenClipPrefix = "cond_stage_model.model.";

/// Whether the file has the encoder in OpenCLIP's layout, as Stable Diffusion 2: told by the
/// activation, which is "gelu" in OpenCLIP and "quick_gelu" in OpenAI's CLIP.
bool is_open_clip(const text_encoder::CLIPTextOptions& options);

/// Every tensor of a CLIP text encoder. OpenCLIP joins q, k and v. `projection_dim` is that of a
/// CLIPTextModelWithProjection, none for a CLIPTextModel.
std::vector<LdmTensor> ldm_text_keys(const text_encoder::CLIPTextOptions& options,
                                     std::optional<std::int64_t> projection_dim);

/// Where an OpenCLIP file may hold one layer more than is used: Stable Diffusion 2 takes the last
/// but one's output.
std::string ldm_unused_layer(const text_encoder::CLIPTextOptions& options);

/// The name with "text_model.", which transformers leaves out since 5.6.
std::string present_text_name(const std::string& name);

}  // namespace crescendo::pipelines
