#pragma once

#include <string>
#include <vector>

#include "pipelines/models/ldm_keys.h"
#include "vae/options.h"

namespace crescendo::pipelines {

/// Every tensor of an autoencoder. The file's decoder counts levels from the image down, as its
/// encoder does, and its attention is made of 1x1 convolutions.
std::vector<LdmTensor> ldm_vae_keys(const vae::AutoencoderKLOptions& options);

/// The present name of a tensor of an AutoencoderKL: before diffusers 0.15 an attention had query,
/// key, value and proj_attn.
std::string present_vae_name(const std::string& name);

}  // namespace crescendo::pipelines
