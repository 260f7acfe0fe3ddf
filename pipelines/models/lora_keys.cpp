#include "pipelines/models/lora_keys.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include <fmt/format.h>

namespace crescendo::pipelines {

namespace {

struct Ending {
  std::string_view text;
  LoraPart part;
  const char* layout;
};

constexpr std::array<Ending, 8> kEndings{
    {{".lora_A.weight", LoraPart::kDown, "peft"},
     {".lora_B.weight", LoraPart::kUp, "peft"},
     {".lora.down.weight", LoraPart::kDown, "diffusers"},
     {".lora.up.weight", LoraPart::kUp, "diffusers"},
     {".lora_linear_layer.down.weight", LoraPart::kDown, "diffusers"},
     {".lora_linear_layer.up.weight", LoraPart::kUp, "diffusers"},
     {"_lora.down.weight", LoraPart::kDown, "processor"},
     {"_lora.up.weight", LoraPart::kUp, "processor"}}};
constexpr std::array<Ending, 2> kKohyaEndings{
    {{".lora_down.weight", LoraPart::kDown, "kohya"}, {".lora_up.weight", LoraPart::kUp, "kohya"}}};
constexpr std::string_view kAlphaEnding = ".alpha";

struct Prefix {
  std::string_view text;
  const char* component;
};
constexpr std::array<Prefix, 3> kKohyaPrefixes{
    {{"lora_unet_", "unet"}, {"lora_te_", "text_encoder"}, {"lora_te1_", "text_encoder"}}};
constexpr std::array<Prefix, 2> kPrefixes{{{"unet.", "unet"}, {"text_encoder.", "text_encoder"}}};

/// Takes an ending off `name`; null when none fits.
template <std::size_t N>
const Ending* take_ending(const std::array<Ending, N>& endings, std::string_view& name) {
  for (const Ending& ending : endings) {
    if (!name.ends_with(ending.text)) continue;
    name.remove_suffix(ending.text.size());
    return &ending;
  }
  return nullptr;
}

/// Takes a prefix off `name`; null when none fits.
template <std::size_t N>
const char* take_prefix(const std::array<Prefix, N>& prefixes, std::string_view& name) {
  for (const Prefix& prefix : prefixes) {
    if (!name.starts_with(prefix.text)) continue;
    name.remove_prefix(prefix.text.size());
    return prefix.component;
  }
  return nullptr;
}

/// Attention processors had layers to_q_lora, ..., to_out_lora in the place of to_q, ..., to_out.0;
/// in a text encoder they stood for its own names.
std::string present_name(std::string_view name, bool is_unet) {
  constexpr std::string_view kProcessor = ".processor.";
  std::string present(name);
  const std::size_t found = name.find(kProcessor);
  if (found != std::string_view::npos) {
    present = fmt::format("{}.{}", name.substr(0, found), name.substr(found + kProcessor.size()));
  }
  const auto rename = [&](std::string_view old, std::string_view last) {
    if (!present.ends_with(old)) return;
    present = present.substr(0, present.size() - old.size()).append(last);
  };
  if (is_unet) {
    rename(".to_out", ".to_out.0");
    return present;
  }
  rename(".to_q", ".q_proj");
  rename(".to_k", ".k_proj");
  rename(".to_v", ".v_proj");
  rename(".to_out", ".out_proj");
  return present;
}

/// `name` without the component's prefix.
template <std::size_t N>
std::optional<LoraKey> parse_layer(const char* component, std::string_view name,
                                   const std::array<Ending, N>& endings) {
  LoraKey key{.component = component, .layer = {}};
  if (name.ends_with(kAlphaEnding)) {
    name.remove_suffix(kAlphaEnding.size());
  } else {
    const Ending* ending = take_ending(endings, name);
    if (ending == nullptr) return std::nullopt;
    key.part = ending->part;
    key.layout = ending->layout;
  }
  key.layer = present_name(name, key.component == "unet");
  return key;
}

}  // namespace

std::optional<LoraKey> parse_lora_key(std::string_view key) {
  if (const char* component = take_prefix(kKohyaPrefixes, key)) {
    return parse_layer(component, key, kKohyaEndings);
  }
  const char* component = take_prefix(kPrefixes, key);
  return parse_layer(component != nullptr ? component : "unet", key, kEndings);
}

std::string kohya_name(std::string layer) {
  std::ranges::replace(layer, '.', '_');
  return layer;
}

}  // namespace crescendo::pipelines
