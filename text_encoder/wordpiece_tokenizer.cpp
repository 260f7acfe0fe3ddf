#include "text_encoder/wordpiece_tokenizer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/atomic_file.h"
#include "core/error.h"
#include "text_encoder/tokenizer_config.h"
#include "text_encoder/utf8.h"

namespace crescendo::text_encoder {

namespace {

constexpr std::size_t kMaxWordLength = 100;  // characters; longer words are unknown

Vocabulary parse_vocab_txt(std::string_view content) {
  Vocabulary vocabulary;
  std::int64_t id = 0;
  while (!content.empty()) {
    const std::size_t end = std::min(content.find('\n'), content.size());
    std::string_view token = content.substr(0, end);
    if (token.ends_with('\r')) token.remove_suffix(1);
    vocabulary[std::string(token)] = id++;
    content.remove_prefix(std::min(end + 1, content.size()));
  }
  return vocabulary;
}

void check_is_wordpiece(const TokenizerJson& json) {
  const nlohmann::json& type = json.find_of_model("type");
  if (json.find_of_model("vocab").is_object() && (type.is_null() || type == "WordPiece")) return;
  throw DataError(
      "{}: expected the vocabulary of a WordPiece model. Put the vocab.txt or spiece.model that "
      "the tokenizer was made from beside it",
      json.file);
}

WordPieceOptions read_options(const std::filesystem::path& folder) {
  const TokenizerConfig config(folder);
  WordPieceOptions options;
  options.normalizer.do_lower_case = config.flag("do_lower_case", true);
  options.normalizer.strip_accents = config.flag("strip_accents", options.normalizer.do_lower_case);
  options.normalizer.tokenize_chinese_chars = config.flag("tokenize_chinese_chars", true);
  options.cls_token = config.token("cls_token", options.cls_token);
  options.sep_token = config.token("sep_token", options.sep_token);
  options.pad_token = config.token("pad_token", options.pad_token);
  options.unk_token = config.token("unk_token", options.unk_token);
  options.mask_token = config.token("mask_token", options.mask_token);
  return options;
}

}  // namespace

WordPieceTokenizer::WordPieceTokenizer(Vocabulary vocabulary, const WordPieceOptions& options,
                                       std::string_view where)
    : vocabulary_(std::move(vocabulary)), normalizer_(options.normalizer) {
  const auto required = [&](const std::string& token) {
    const auto found = vocabulary_.find(token);
    if (found == vocabulary_.end()) {
      throw DataError(
          "{}: the special token '{}' is missing from the vocabulary of {} tokens. Is it the "
          "vocabulary of a BERT model?",
          where, token, vocabulary_.size());
    }
    special_tokens_.push_back({token, found->second});
    return found->second;
  };
  frame_ = {
      {required(options.cls_token)}, {required(options.sep_token)}, required(options.pad_token)};
  unknown_ = required(options.unk_token);
  if (vocabulary_.contains(options.mask_token)) required(options.mask_token);
  vocab_size_ = vocabulary_size(vocabulary_);
}

Tokens WordPieceTokenizer::tokenize(std::span<const std::string> texts,
                                    std::int64_t max_length) const {
  std::vector<std::vector<std::int64_t>> prompts;
  prompts.reserve(texts.size());
  for (const std::string& text : texts) prompts.push_back(pieces_of_text(text));
  return frame_and_pad(prompts, frame_, max_length);
}

std::vector<std::int64_t> WordPieceTokenizer::pieces_of_text(std::string_view text) const {
  std::vector<std::int64_t> ids;
  for (const Section& section : split_at_special_tokens(text, special_tokens_)) {
    if (section.special) {
      ids.push_back(*section.special);
      continue;
    }
    for (const std::u32string& word : bert_words(section.text, normalizer_)) {
      append_pieces_of_word(word, ids);
    }
  }
  return ids;
}

void WordPieceTokenizer::append_pieces_of_word(const std::u32string& word,
                                               std::vector<std::int64_t>& ids) const {
  if (word.size() > kMaxWordLength) {
    ids.push_back(unknown_);
    return;
  }
  std::string piece;
  std::vector<std::size_t> ends;  // of the piece after each of its characters, in bytes
  const std::size_t first = ids.size();
  for (std::size_t begin = 0; begin < word.size();) {
    piece = begin == 0 ? "" : "##";
    ends.clear();
    for (std::size_t at = begin; at < word.size(); ++at) {
      append_utf8(piece, word[at]);
      ends.push_back(piece.size());
    }
    std::size_t length = ends.size();
    auto found = vocabulary_.end();
    for (; length > 0; --length) {
      found = vocabulary_.find(std::string_view(piece).substr(0, ends[length - 1]));
      if (found != vocabulary_.end()) break;
    }
    if (length == 0) {  // one piece that is not there makes the whole word unknown
      ids.resize(first);
      ids.push_back(unknown_);
      return;
    }
    ids.push_back(found->second);
    begin += length;
  }
}

std::unique_ptr<Tokenizer> load_wordpiece_tokenizer(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "vocab.txt";
  return std::make_unique<WordPieceTokenizer>(parse_vocab_txt(read_file(file)),
                                              read_options(folder), file.string());
}

std::unique_ptr<Tokenizer> load_wordpiece_tokenizer(const std::filesystem::path& folder,
                                                    TokenizerJson json) {
  check_is_wordpiece(json);
  return std::make_unique<WordPieceTokenizer>(std::move(json.vocabulary), read_options(folder),
                                              json.file);
}

}  // namespace crescendo::text_encoder
