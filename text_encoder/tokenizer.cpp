#include "text_encoder/tokenizer.h"

#include <utility>

#include "core/error.h"
#include "text_encoder/clip_tokenizer.h"
#include "text_encoder/sentencepiece_tokenizer.h"
#include "text_encoder/wordpiece_tokenizer.h"

namespace crescendo::text_encoder {

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& folder) {
  const auto has = [&](const char* name) { return std::filesystem::exists(folder / name); };
  if (has("spiece.model")) return load_sentencepiece_tokenizer(folder);
  if (has("vocab.txt")) return load_wordpiece_tokenizer(folder);
  if (has("vocab.json") && has("merges.txt")) return load_clip_tokenizer(folder);
  if (has("tokenizer.json")) {
    TokenizerJson json = read_tokenizer_json(folder / "tokenizer.json");
    return json.holds_byte_pairs() ? load_clip_tokenizer(folder, json)
                                   : load_wordpiece_tokenizer(folder, std::move(json));
  }
  throw UserError(
      "{}: no tokenizer; expected spiece.model (T5), vocab.json and merges.txt (CLIP), vocab.txt "
      "(BERT) or tokenizer.json (CLIP, BERT). Copy the tokenizer's files of the model that the "
      "weights came from",
      folder.string());
}

}  // namespace crescendo::text_encoder
