#include "pipelines/models/ldm_keys.h"

#include <algorithm>
#include <array>
#include <utility>

namespace crescendo::pipelines {

namespace {

constexpr std::array<std::string_view, 15> kBuffers{"betas",
                                                    "alphas_cumprod",
                                                    "alphas_cumprod_prev",
                                                    "sqrt_alphas_cumprod",
                                                    "sqrt_one_minus_alphas_cumprod",
                                                    "log_one_minus_alphas_cumprod",
                                                    "sqrt_recip_alphas_cumprod",
                                                    "sqrt_recipm1_alphas_cumprod",
                                                    "posterior_variance",
                                                    "posterior_log_variance_clipped",
                                                    "posterior_mean_coef1",
                                                    "posterior_mean_coef2",
                                                    "logvar",
                                                    "lvlb_weights",
                                                    "scale_factor"};
constexpr std::array<std::string_view, 3> kGroups{"model_ema.", "first_stage_model.loss.",
                                                  "first_stage_model.model_ema."};
// A text_projection that the configuration asks for is taken before this list is read.
constexpr std::array<std::string_view, 4> kOfTextEncoder{"logit_scale", "attn_mask", "position_ids",
                                                         "text_projection"};

}  // namespace

void LdmKeys::tensor(const std::string& key, const std::string& name, const Shape& shape) {
  add({.key = key, .key_shape = shape, .names = {name}, .name_shape = shape});
}

void LdmKeys::layer(const std::string& key, const std::string& name, const Shape& weight) {
  tensor(key + ".weight", name + ".weight", weight);
  tensor(key + ".bias", name + ".bias", {weight.front()});
}

void LdmKeys::norm(const std::string& key, const std::string& name, std::int64_t channels) {
  layer(key, name, {channels});
}

void LdmKeys::pointwise(const std::string& key, const std::string& name, std::int64_t channels) {
  add({.key = key + ".weight",
       .key_shape = {channels, channels, 1, 1},
       .names = {name + ".weight"},
       .name_shape = {channels, channels}});
  tensor(key + ".bias", name + ".bias", {channels});
}

void LdmKeys::add(LdmTensor tensor) {
  tensor.key = prefix_ + tensor.key;
  tensors_.push_back(std::move(tensor));
}

bool ldm_passes_over(std::string_view key) {
  if (std::ranges::find(kBuffers, key) != kBuffers.end()) return true;
  const auto begins = [key](std::string_view group) { return key.starts_with(group); };
  if (std::ranges::any_of(kGroups, begins)) return true;
  const auto ends = [key](std::string_view name) { return key.ends_with(name); };
  return key.starts_with("cond_stage_model.") && std::ranges::any_of(kOfTextEncoder, ends);
}

}  // namespace crescendo::pipelines
