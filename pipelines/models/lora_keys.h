#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace crescendo::pipelines {

// The keys of LoRA files. A U-Net's attn1.to_q has
//   peft       unet....attn1.to_q.lora_A.weight, .lora_B.weight: diffusers since 0.22
//   diffusers  unet....attn1.to_q.lora.down.weight, .lora.up.weight: its training scripts
//   processor  unet....attn1.processor.to_q_lora.down.weight, ...: diffusers before 0.22
//   kohya      lora_unet_..._attn1_to_q.lora_down.weight, .lora_up.weight, .alpha: sd-scripts
// the first three also without "unet."; a text encoder has "text_encoder." or "lora_te_" in its
// place.

enum class LoraPart { kDown, kUp, kAlpha };

/// What a key is of.
struct LoraKey {
  std::string component;  ///< unet or text_encoder
  std::string layer;      ///< "....attn1.to_q", in kohya's layout "..._attn1_to_q"
  LoraPart part = LoraPart::kAlpha;
  const char* layout = nullptr;  ///< peft, diffusers, processor or kohya; null for an alpha
};

/// Nothing for a key that is of no LoRA, or of one of another kind.
std::optional<LoraKey> parse_lora_key(std::string_view key);

/// "a.0.attn1.to_q" -> "a_0_attn1_to_q": what kohya's layout calls a layer.
std::string kohya_name(std::string layer);

}  // namespace crescendo::pipelines
