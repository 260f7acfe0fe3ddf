#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace crescendo::text_encoder {

/// How BERT prepares text before WordPiece.
struct BertNormalizerOptions {
  bool do_lower_case = true;
  bool strip_accents = true;
  bool tokenize_chinese_chars = true;  ///< each ideograph is a word
};

/// The words of `text`: cleaned of control characters, accents stripped, lower-cased, and split at
/// spaces and around every punctuation mark. Equal to BertNormalizer and BertPreTokenizer of
/// Hugging Face tokenizers.
std::vector<std::u32string> bert_words(std::string_view text, const BertNormalizerOptions& options);

}  // namespace crescendo::text_encoder
