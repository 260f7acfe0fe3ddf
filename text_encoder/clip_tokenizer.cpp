#include "text_encoder/clip_tokenizer.h"

#include <algorithm>
#include <utility>

#include "core/atomic_file.h"
#include "core/error.h"
#include "text_encoder/clip_normalizer.h"

namespace crescendo::text_encoder {

namespace {

std::int64_t required(const Vocabulary& vocabulary, const std::string& token,
                      const std::string& where) {
  const auto found = vocabulary.find(token);
  if (found != vocabulary.end()) return found->second;
  throw DataError(
      "{}: the special token '{}' is missing from the vocabulary of {} tokens. Is it the "
      "vocabulary of a CLIP model?",
      where, token, vocabulary.size());
}

/// The merges of a tokenizer.json: "a b" or ["a", "b"] each.
Merges read_merges(const nlohmann::json& list, const std::string& file) {
  if (!list.is_array()) {
    throw DataError("{}: merges: expected a list, found {}", file, list.type_name());
  }
  Merges merges;
  merges.reserve(list.size());
  for (const nlohmann::json& merge : list) {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
      continue;
    }
    const std::string text = merge.is_string() ? merge.get<std::string>() : "";
    const std::size_t space = text.find(' ');
    if (space == std::string::npos || space != text.rfind(' ')) {
      throw DataError("{}: merge {}: expected two pieces, found {}", file, merges.size() + 1,
                      merge.dump());
    }
    merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return merges;
}

}  // namespace

ClipTokenizer::ClipTokenizer(const Vocabulary& vocabulary, const Merges& merges,
                             const ClipSpecialTokens& tokens, const ClipTokenizerFiles& files)
    : frame_{{required(vocabulary, tokens.bos, files.vocabulary)},
             {required(vocabulary, tokens.eos, files.vocabulary)},
             required(vocabulary, tokens.pad, files.vocabulary)},
      vocab_size_(vocabulary_size(vocabulary)),
      byte_pairs_(vocabulary, merges, required(vocabulary, tokens.unk, files.vocabulary),
                  files.merges) {
  for (const AddedToken& token : tokens.added) {
    const auto found = vocabulary.find(token.text);
    const std::int64_t id = found == vocabulary.end() && token.id
                                ? *token.id
                                : required(vocabulary, token.text, files.vocabulary);
    vocab_size_ = std::max(vocab_size_, id + 1);
    if (token.normalized) {
      normalized_tokens_.push_back({clip_normalize(token.text), id});
    } else {
      raw_tokens_.push_back({token.text, id});
    }
  }
}

Tokens ClipTokenizer::tokenize(std::span<const std::string> texts, std::int64_t max_length) const {
  std::vector<std::vector<std::int64_t>> prompts;
  prompts.reserve(texts.size());
  for (const std::string& text : texts) prompts.push_back(pieces_of_text(text));
  return frame_and_pad(prompts, frame_, max_length);
}

std::vector<std::int64_t> ClipTokenizer::pieces_of_text(std::string_view text) const {
  std::vector<std::int64_t> ids;
  for (const Section& section : split_at_special_tokens(text, raw_tokens_)) {
    if (section.special) {
      ids.push_back(*section.special);
    } else {
      append_pieces_of_section(section.text, ids);
    }
  }
  return ids;
}

void ClipTokenizer::append_pieces_of_section(std::string_view text,
                                             std::vector<std::int64_t>& ids) const {
  const std::string normalized = clip_normalize(text);
  for (const Section& section : split_at_special_tokens(normalized, normalized_tokens_)) {
    if (section.special) {
      ids.push_back(*section.special);
      continue;
    }
    for (const std::string& word : clip_words(section.text)) byte_pairs_.append_ids(word, ids);
  }
}

Merges parse_merges(std::string_view content, const std::string& file) {
  Merges merges;
  for (std::size_t number = 1; !content.empty(); ++number) {
    const std::size_t end = std::min(content.find('\n'), content.size());
    std::string_view line = content.substr(0, end);
    content.remove_prefix(std::min(end + 1, content.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || space != line.rfind(' ')) {
      throw DataError("{}: line {}: expected two pieces and a space between, found '{}'", file,
                      number, line);
    }
    merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return merges;
}

std::unique_ptr<Tokenizer> load_clip_tokenizer(const std::filesystem::path& folder) {
  const ClipTokenizerFiles files{(folder / "vocab.json").string(),
                                 (folder / "merges.txt").string()};
  return std::make_unique<ClipTokenizer>(read_vocabulary_file(files.vocabulary),
                                         parse_merges(read_file(files.merges), files.merges),
                                         read_clip_special_tokens(folder), files);
}

std::unique_ptr<Tokenizer> load_clip_tokenizer(const std::filesystem::path& folder,
                                               const TokenizerJson& json) {
  const nlohmann::json& ending = json.find_of_model("end_of_word_suffix");
  if (ending != "</w>") {
    throw DataError(
        "{}: model: end_of_word_suffix: expected the \"</w>\" of a CLIP tokenizer, found {}",
        json.file, ending.dump());
  }
  return std::make_unique<ClipTokenizer>(
      json.vocabulary, read_merges(json.find_of_model("merges"), json.file),
      read_clip_special_tokens(folder, &json), ClipTokenizerFiles{json.file, json.file});
}

}  // namespace crescendo::text_encoder
