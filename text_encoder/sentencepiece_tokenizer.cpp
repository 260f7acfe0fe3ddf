#include "text_encoder/sentencepiece_tokenizer.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sentencepiece_processor.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "text_encoder/padding.h"
#include "text_encoder/special_tokens.h"
#include "text_encoder/tokenizer_config.h"
#include "text_encoder/utf8.h"

namespace crescendo::text_encoder {

namespace {

constexpr std::int64_t kDefaultExtraIds = 100;
constexpr std::int64_t kMaxExtraIds = 10000;

/// Well-formed UTF-8 with a plain space for U+0085, which the reference takes for white space and
/// SentencePiece for a letter.
std::string prepare(std::string_view text) {
  constexpr char32_t kNextLine = 0x85;
  std::string prepared;
  prepared.reserve(text.size());
  for (const char32_t character : decode_utf8(text)) {
    append_utf8(prepared, character == kNextLine ? U' ' : character);
  }
  return prepared;
}

class SentencePieceTokenizer : public Tokenizer {
 public:
  SentencePieceTokenizer(const std::filesystem::path& file, std::int64_t extra_ids) {
    const auto status = processor_.LoadFromSerializedProto(read_file(file));
    if (!status.ok()) {
      throw DataError("{}: not a SentencePiece model: {}", file.string(), status.ToString());
    }
    const auto required = [&](const char* role, int id) {
      if (id < 0) {
        throw DataError("{}: the model has no {} token. Is it the model of a T5?", file.string(),
                        role);
      }
      special_tokens_.push_back({processor_.IdToPiece(id), id});
      return static_cast<std::int64_t>(id);
    };
    required("unknown", processor_.unk_id());
    frame_.after = {required("end-of-sequence", processor_.eos_id())};
    frame_.pad = required("padding", processor_.pad_id());
    const auto pieces = static_cast<std::int64_t>(processor_.GetPieceSize());
    vocab_size_ = pieces + extra_ids;
    for (std::int64_t i = 0; i < extra_ids; ++i) {
      special_tokens_.push_back({fmt::format("<extra_id_{}>", i), vocab_size_ - 1 - i});
    }
  }

  Tokens tokenize(std::span<const std::string> texts, std::int64_t max_length) const override {
    std::vector<std::vector<std::int64_t>> prompts;
    prompts.reserve(texts.size());
    for (const std::string& text : texts) prompts.push_back(pieces_of_text(prepare(text)));
    return frame_and_pad(prompts, frame_, max_length);
  }

  std::int64_t vocab_size() const override { return vocab_size_; }

 private:
  std::vector<std::int64_t> pieces_of_text(std::string_view text) const {
    std::vector<std::int64_t> ids;
    for (const Section& section : split_at_special_tokens(text, special_tokens_)) {
      if (section.special) {
        ids.push_back(*section.special);
        continue;
      }
      const std::vector<int> pieces = processor_.EncodeAsIds(section.text);
      ids.insert(ids.end(), pieces.begin(), pieces.end());
    }
    return ids;
  }

  sentencepiece::SentencePieceProcessor processor_;
  std::vector<SpecialToken> special_tokens_;
  Frame frame_;
  std::int64_t vocab_size_ = 0;
};

}  // namespace

std::unique_ptr<Tokenizer> load_sentencepiece_tokenizer(const std::filesystem::path& folder) {
  const std::int64_t extra_ids = TokenizerConfig(folder).integer("extra_ids", kDefaultExtraIds);
  if (extra_ids < 0 || extra_ids > kMaxExtraIds) {
    throw DataError("{}: extra_ids: expected 0 to {}, found {}",
                    (folder / "tokenizer_config.json").string(), kMaxExtraIds, extra_ids);
  }
  return std::make_unique<SentencePieceTokenizer>(folder / "spiece.model", extra_ids);
}

}  // namespace crescendo::text_encoder
