#include "pipelines/shards/fingerprint.h"

#include <system_error>

namespace crescendo::pipelines {

namespace fs = std::filesystem;

void Fingerprint::add(std::string_view text) {
  const auto take = [this](unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001B3; };
  for (const char letter : text) take(static_cast<unsigned char>(letter));
  take(0xFF);  // no byte of UTF-8: ends the text
}

void Fingerprint::add_file(const fs::path& file) {
  std::error_code error;
  add(fs::file_size(file, error));
  add(static_cast<std::uint64_t>(fs::last_write_time(file, error).time_since_epoch().count()));
}

}  // namespace crescendo::pipelines
