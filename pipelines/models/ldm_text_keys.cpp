#include "pipelines/models/ldm_text_keys.h"

#include <array>

#include <fmt/format.h>

namespace crescendo::pipelines {

namespace {

using text_encoder::CLIPTextOptions;

constexpr std::array<const char*, 3> kProjections{"q_proj", "k_proj", "v_proj"};

std::string layer_name(std::int64_t layer) {
  return fmt::format("text_model.encoder.layers.{}.", layer);
}

std::vector<LdmTensor> clip_keys(const CLIPTextOptions& o,
                                 std::optional<std::int64_t> projection_dim) {
  LdmKeys keys(kLdmClipPrefix);
  const auto same_tensor = [&](const std::string& name, const Shape& shape) {
    keys.tensor(name, name, shape);
  };
  const auto same_layer = [&](const std::string& name, const Shape& shape) {
    keys.layer(name, name, shape);
  };
  const std::int64_t width = o.hidden_size;
  same_tensor("text_model.embeddings.token_embedding.weight", {o.vocab_size, width});
  same_tensor("text_model.embeddings.position_embedding.weight",
              {o.max_position_embeddings, width});
  for (std::int64_t i = 0; i < o.num_hidden_layers; ++i) {
    const std::string name = layer_name(i);
    same_layer(name + "layer_norm1", {width});
    for (const char* projection : kProjections) {
      same_layer(name + "self_attn." + projection, {width, width});
    }
    same_layer(name + "self_attn.out_proj", {width, width});
    same_layer(name + "layer_norm2", {width});
    same_layer(name + "mlp.fc1", {o.intermediate_size, width});
    same_layer(name + "mlp.fc2", {width, o.intermediate_size});
  }
  same_layer("text_model.final_layer_norm", {width});
  if (projection_dim) same_tensor("text_projection.weight", {*projection_dim, width});
  return keys.take();
}

/// `part` is "weight" or "bias", `shape` that of one of the three.
LdmTensor fused(const std::string& key, const std::string& name, const std::string& part,
                const Shape& shape) {
  LdmTensor tensor{
      .key = key + "attn.in_proj_" + part, .key_shape = shape, .names = {}, .name_shape = shape};
  tensor.key_shape[0] *= 3;
  for (const char* projection : kProjections) {
    tensor.names.push_back(fmt::format("{}self_attn.{}.{}", name, projection, part));
  }
  return tensor;
}

std::vector<LdmTensor> open_clip_keys(const CLIPTextOptions& o,
                                      std::optional<std::int64_t> projection_dim) {
  LdmKeys keys(kLdmOpenClipPrefix);
  const std::int64_t width = o.hidden_size;
  keys.tensor("token_embedding.weight", "text_model.embeddings.token_embedding.weight",
              {o.vocab_size, width});
  keys.tensor("positional_embedding", "text_model.embeddings.position_embedding.weight",
              {o.max_position_embeddings, width});
  for (std::int64_t i = 0; i < o.num_hidden_layers; ++i) {
    const std::string key = fmt::format("transformer.resblocks.{}.", i);
    const std::string name = layer_name(i);
    keys.norm(key + "ln_1", name + "layer_norm1", width);
    keys.add(fused(key, name, "weight", {width, width}));
    keys.add(fused(key, name, "bias", {width}));
    keys.layer(key + "attn.out_proj", name + "self_attn.out_proj", {width, width});
    keys.norm(key + "ln_2", name + "layer_norm2", width);
    keys.layer(key + "mlp.c_fc", name + "mlp.fc1", {o.intermediate_size, width});
    keys.layer(key + "mlp.c_proj", name + "mlp.fc2", {width, o.intermediate_size});
  }
  keys.norm("ln_final", "text_model.final_layer_norm", width);
  if (projection_dim) {
    keys.add({.key = "text_projection",
              .key_shape = {width, *projection_dim},
              .names = {"text_projection.weight"},
              .name_shape = {*projection_dim, width},
              .transposed = true});
  }
  return keys.take();
}

}  // namespace

bool is_open_clip(const CLIPTextOptions& options) { return options.hidden_act == "gelu"; }

std::vector<LdmTensor> ldm_text_keys(const CLIPTextOptions& options,
                                     std::optional<std::int64_t> projection_dim) {
  return is_open_clip(options) ? open_clip_keys(options, projection_dim)
                               : clip_keys(options, projection_dim);
}

std::string ldm_unused_layer(const CLIPTextOptions& options) {
  return fmt::format("{}transformer.resblocks.{}.", kLdmOpenClipPrefix, options.num_hidden_layers);
}

std::string present_text_name(const std::string& name) {
  return name.starts_with("text_") ? name : "text_model." + name;
}

}  // namespace crescendo::pipelines
