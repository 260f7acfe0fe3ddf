#pragma once

#include <cstdint>
#include <filesystem>

namespace crescendo::pipelines {

/// How many tokens a prompt may have, as the tokenizer_config.json of a tokenizer's folder says; 77
/// where it does not.
std::int64_t prompt_length(const std::filesystem::path& tokenizer);

}  // namespace crescendo::pipelines
