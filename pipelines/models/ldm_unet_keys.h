#pragma once

#include <string>
#include <vector>

#include "pipelines/models/ldm_keys.h"
#include "unet/options.h"

namespace crescendo::pipelines {

inline constexpr const char* kLdmUnetPrefix = "model.diffusion_model.";

/// Every tensor of a text-to-image U-Net. The file counts layers, and steps between levels with
/// them, from one end to the other: input_blocks.0 is conv_in, middle_block, output_blocks. Throws
/// UserError, naming `where`, for blocks that the layout does not know.
std::vector<LdmTensor> ldm_unet_keys(const unet::UNet2DConditionOptions& options,
                                     const std::string& where);

}  // namespace crescendo::pipelines
