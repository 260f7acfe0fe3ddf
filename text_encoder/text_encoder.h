#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/module_io.h"
#include "text_encoder/text_model.h"
#include "text_encoder/tokenizer.h"

namespace crescendo::text_encoder {

/// Prompts as a diffusion model is conditioned on them.
struct TextEmbedding {
  at::Tensor context;                  ///< hidden states, float32 [N, L, D]
  at::Tensor mask;                     ///< bool [N, L], false: padding
  std::vector<std::size_t> truncated;  ///< which prompts were cut at max_length
};

/// A frozen text model with its tokenizer.
class TextEncoder {
 public:
  /// Throws UserError when `max_length` (L, in tokens) or an id of the tokenizer is beyond what the
  /// model has embeddings for.
  TextEncoder(std::unique_ptr<Tokenizer> tokenizer, std::shared_ptr<TextModel> model,
              std::int64_t max_length);

  /// On the model's device, without gradients.
  TextEmbedding encode(std::span<const std::string> prompts);

  /// As above, of prompts that tokenizer() made tokens of.
  TextEmbedding encode(const Tokens& tokens);

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  TextModel& module() { return *model_; }
  std::int64_t dim() const { return model_->dim(); }
  std::int64_t max_length() const { return max_length_; }
  void to(at::Device device);

 private:
  std::unique_ptr<Tokenizer> tokenizer_;
  std::shared_ptr<TextModel> model_;
  std::int64_t max_length_;
};

/// Opens the config.json and weights in `folder`, of a BertModel, CLIPTextModel or T5EncoderModel
/// as transformers saves it. The tokenizer's files are in `tokenizer_folder`, or beside the weights
/// when that is empty or there is no such folder (a sentence-transformers folder holds both).
std::unique_ptr<TextEncoder> load_text_encoder(const std::filesystem::path& folder,
                                               const std::filesystem::path& tokenizer_folder,
                                               std::int64_t max_length,
                                               const Placement& placement = {});

}  // namespace crescendo::text_encoder
