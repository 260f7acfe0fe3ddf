#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include <ATen/core/Tensor.h>

namespace crescendo::pipelines {

// NumPy's .npz: a zip archive of .npy files (numpy.lib.format).

/// Arrays by their names, on the CPU.
using Arrays = std::map<std::string, at::Tensor>;

/// Reads those of `names` that are in the file: little-endian floating point of 16 to 64 bits,
/// signed integers and bytes, in C or Fortran order, compressed or not. Throws UserError where the
/// file cannot be read, DataError where it is malformed.
Arrays read_npz(const std::filesystem::path& file, std::span<const std::string_view> names);

/// Writes contiguous copies in C order, atomically, as numpy.savez does.
void write_npz(const std::filesystem::path& file, const Arrays& arrays);

/// One array of the bytes of a .npy. Throws DataError naming `where`.
at::Tensor parse_npy(std::string_view bytes, const std::string& where);

}  // namespace crescendo::pipelines
