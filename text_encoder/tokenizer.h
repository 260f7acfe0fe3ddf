#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace crescendo::text_encoder {

/// Tokenized prompts, each padded to one length.
struct Tokens {
  std::vector<std::int64_t> ids;       ///< [count, length], row-major
  std::vector<std::int64_t> mask;      ///< [count, length]; 1: token, 0: padding
  std::int64_t count = 0;              ///< prompts
  std::int64_t length = 0;             ///< tokens a prompt, padding included
  std::vector<std::size_t> truncated;  ///< which prompts were cut to fit
};

/// Turns text into the ids of a model's vocabulary. Thread-safe: tokenize() changes nothing.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// `texts` are UTF-8; ill-formed bytes count as U+FFFD. Names of special tokens in a text
  /// ("[SEP]", "</s>") are those tokens, as in the reference. Throws UserError when `max_length`
  /// has no room for the tokens that frame every prompt.
  virtual Tokens tokenize(std::span<const std::string> texts, std::int64_t max_length) const = 0;

  /// One more than the largest id there can be.
  virtual std::int64_t vocab_size() const = 0;
};

/// Opens the tokenizer of a Hugging Face folder: `spiece.model` (SentencePiece), `vocab.txt`
/// (WordPiece), `vocab.json` and `merges.txt` (CLIP's byte pairs) or the `tokenizer.json` of one of
/// the last two, each with tokenizer_config.json where there is one. Throws UserError when none is
/// there, DataError when one is malformed.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& folder);

}  // namespace crescendo::text_encoder
