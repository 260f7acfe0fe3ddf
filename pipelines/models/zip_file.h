#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace crescendo::pipelines {

/// Bytes of the files in a zip archive, by name.
using ZipMembers = std::map<std::string, std::string>;

/// Reads those members that are `wanted`, stored or deflated, by the archive's directory and with
/// their checksums. Throws UserError where the file cannot be read, DataError where it is no sound
/// zip archive.
ZipMembers read_zip(const std::filesystem::path& file,
                    const std::function<bool(std::string_view name)>& wanted);

/// Writes them stored, atomically; the same members make the same bytes.
void write_zip(const std::filesystem::path& file, const ZipMembers& members);

}  // namespace crescendo::pipelines
