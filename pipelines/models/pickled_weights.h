#pragma once

#include <filesystem>

#include "core/tensor_io.h"

namespace crescendo::pipelines {

/// By its name: .pt, .pth, .ckpt, .bin, .pkl.
bool is_pickle_name(const std::filesystem::path& file);

/// The tensors of a state dict that torch.save wrote, as the zip archive of today or as the older
/// stream of pickles, or of the `state_dict` in one; entries that are no tensors are left out.
/// Nothing of the file is executed: the pickle is read as data, and whatever asks for more than
/// tensors is refused. Throws UserError or DataError.
TensorMap load_pickled_weights(const std::filesystem::path& file);

}  // namespace crescendo::pipelines
