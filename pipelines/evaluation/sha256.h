#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace crescendo::pipelines {

/// SHA-256 (FIPS 180-4), by which results name the files and images that they depend on.
class Sha256 {
 public:
  void add(std::span<const std::byte> bytes);
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }

  /// 64 hexadecimal digits. Nothing may be added afterwards.
  std::string finish();

 private:
  void take_block(const std::byte* block);

  std::array<std::uint32_t, 8> state_{0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                                      0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};
  std::array<std::byte, 64> waiting_{};
  std::uint64_t size_ = 0;
};

/// As sha256sum prints it. Throws UserError when the file cannot be read.
std::string sha256_of_file(const std::filesystem::path& file);

/// Of several files: that of what sha256sum prints for them, "DIGEST  NAME\n" each, with their
/// names below `folder`, sorted.
std::string sha256_of_files(const std::filesystem::path& folder,
                            std::vector<std::filesystem::path> files);

}  // namespace crescendo::pipelines
