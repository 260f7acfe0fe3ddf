#pragma once

#include <filesystem>
#include <memory>

#include "text_encoder/tokenizer.h"

namespace crescendo::text_encoder {

/// T5's tokenizer: the SentencePiece model `spiece.model` (Kudo and Richardson 2018), `</s>` after
/// every prompt, and the sentinels <extra_id_N> counted down from the end of the vocabulary.
/// Equal to transformers' T5Tokenizer, except where that departs from SentencePiece: it loses some
/// combining marks, and chooses otherwise among segmentations of equal scores.
/// Throws DataError when the model is broken or lacks one of the special tokens.
std::unique_ptr<Tokenizer> load_sentencepiece_tokenizer(const std::filesystem::path& folder);

}  // namespace crescendo::text_encoder
