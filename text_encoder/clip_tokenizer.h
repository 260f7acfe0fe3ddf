#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text_encoder/byte_pairs.h"
#include "text_encoder/clip_special_tokens.h"
#include "text_encoder/padding.h"
#include "text_encoder/special_tokens.h"
#include "text_encoder/tokenizer.h"
#include "text_encoder/tokenizer_json.h"
#include "text_encoder/vocabulary.h"

namespace crescendo::text_encoder {

/// The names of the files that a tokenizer is made of, for errors.
struct ClipTokenizerFiles {
  std::string vocabulary = "vocab.json";
  std::string merges = "merges.txt";
};

/// CLIP's tokenizer (Radford et al. 2021): lower-cased words as byte pairs. Equal to transformers'
/// CLIPTokenizer.
class ClipTokenizer : public Tokenizer {
 public:
  /// Throws DataError when a special token or a piece of the merges is not in the vocabulary.
  ClipTokenizer(const Vocabulary& vocabulary, const Merges& merges, const ClipSpecialTokens& tokens,
                const ClipTokenizerFiles& files = {});

  Tokens tokenize(std::span<const std::string> texts, std::int64_t max_length) const override;
  std::int64_t vocab_size() const override { return vocab_size_; }

 private:
  std::vector<std::int64_t> pieces_of_text(std::string_view text) const;
  void append_pieces_of_section(std::string_view text, std::vector<std::int64_t>& ids) const;

  std::vector<SpecialToken> raw_tokens_;         ///< looked for in the text as it is
  std::vector<SpecialToken> normalized_tokens_;  ///< looked for in the normalized text
  Frame frame_;
  std::int64_t vocab_size_ = 0;
  BytePairs byte_pairs_;
};

/// Parses merges.txt: two pieces a line, a space between; a line that begins with "#version" is a
/// comment.
Merges parse_merges(std::string_view content, const std::string& file);

/// Reads `vocab.json` and `merges.txt`, and the special tokens of the JSON files beside them.
std::unique_ptr<Tokenizer> load_clip_tokenizer(const std::filesystem::path& folder);

/// The same with the vocabulary and the merges of the folder's tokenizer.json.
std::unique_ptr<Tokenizer> load_clip_tokenizer(const std::filesystem::path& folder,
                                               const TokenizerJson& json);

}  // namespace crescendo::text_encoder
