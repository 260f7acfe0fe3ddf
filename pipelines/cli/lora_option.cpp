#include "pipelines/cli/lora_option.h"

#include <charconv>
#include <cmath>
#include <filesystem>
#include <string>
#include <system_error>

#include <CLI/CLI.hpp>

namespace crescendo::cli {

namespace {

/// FILE or FILE:WEIGHT; the whole is the file where there is one of that name.
pipelines::LoraChoice parse_lora(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || std::filesystem::exists(text)) return {text};
  pipelines::LoraChoice lora{text.substr(0, colon)};
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data() + colon + 1, end, lora.weight);
  if (error != std::errc() || last != end || !std::isfinite(lora.weight)) return {text};
  return lora;
}

}  // namespace

void add_lora_option(CLI::App& command, std::vector<pipelines::LoraChoice>& loras) {
  command
      .add_option_function<std::vector<std::string>>(
          "--lora",
          [&loras](const std::vector<std::string>& choices) {
            loras.clear();
            for (const std::string& choice : choices) loras.push_back(parse_lora(choice));
          },
          "FILE or FILE:WEIGHT, a LoRA of diffusers or kohya to add to the model, or a folder with "
          "pytorch_lora_weights.safetensors; may be repeated")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

}  // namespace crescendo::cli
