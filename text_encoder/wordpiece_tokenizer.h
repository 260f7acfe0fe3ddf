#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text_encoder/bert_normalizer.h"
#include "text_encoder/padding.h"
#include "text_encoder/special_tokens.h"
#include "text_encoder/tokenizer.h"
#include "text_encoder/tokenizer_json.h"
#include "text_encoder/vocabulary.h"

namespace crescendo::text_encoder {

struct WordPieceOptions {
  BertNormalizerOptions normalizer;
  std::string cls_token = "[CLS]";
  std::string sep_token = "[SEP]";
  std::string pad_token = "[PAD]";
  std::string unk_token = "[UNK]";
  std::string mask_token = "[MASK]";  ///< the only one that a vocabulary may lack
};

/// BERT's tokenizer: words are cut greedily into the longest pieces of the vocabulary, "##" before
/// all but the first (Devlin et al. 2019). Equal to transformers' BertTokenizerFast.
class WordPieceTokenizer : public Tokenizer {
 public:
  /// `where` names the vocabulary in errors. Throws DataError when a special token is missing.
  WordPieceTokenizer(Vocabulary vocabulary, const WordPieceOptions& options,
                     std::string_view where);

  Tokens tokenize(std::span<const std::string> texts, std::int64_t max_length) const override;
  std::int64_t vocab_size() const override { return vocab_size_; }

 private:
  std::vector<std::int64_t> pieces_of_text(std::string_view text) const;
  void append_pieces_of_word(const std::u32string& word, std::vector<std::int64_t>& ids) const;

  Vocabulary vocabulary_;
  BertNormalizerOptions normalizer_;
  std::vector<SpecialToken> special_tokens_;
  Frame frame_;
  std::int64_t unknown_ = 0;
  std::int64_t vocab_size_ = 0;
};

/// Reads `vocab.txt` (a token a line, the line's number its id), with the options of
/// tokenizer_config.json.
std::unique_ptr<Tokenizer> load_wordpiece_tokenizer(const std::filesystem::path& folder);

/// The same with the vocabulary of the folder's tokenizer.json.
std::unique_ptr<Tokenizer> load_wordpiece_tokenizer(const std::filesystem::path& folder,
                                                    TokenizerJson json);

}  // namespace crescendo::text_encoder
