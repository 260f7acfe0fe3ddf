#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"
#include "tests/fuzz/require.h"
#include "text_encoder/wordpiece_tokenizer.h"

namespace {

using namespace crescendo::text_encoder;

const WordPieceTokenizer& tokenizer() {
  static const WordPieceTokenizer kTokenizer({{"[PAD]", 0},
                                              {"[UNK]", 1},
                                              {"[CLS]", 2},
                                              {"[SEP]", 3},
                                              {"[MASK]", 4},
                                              {"a", 5},
                                              {"##b", 6},
                                              {"cat", 7},
                                              {"##s", 8},
                                              {".", 9},
                                              {"\u732B", 10},
                                              {"e", 11}},
                                             {}, "vocab.txt");
  return kTokenizer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using crescendo::fuzz::require;
  constexpr std::int64_t kLength = 12;
  const std::vector<std::string> texts{{reinterpret_cast<const char*>(data), size}};
  try {
    const Tokens tokens = tokenizer().tokenize(texts, kLength);
    require(tokens.length <= kLength, "a prompt is cut to its length");
    require(tokens.ids.size() == static_cast<std::size_t>(tokens.length), "a prompt is padded");
    for (const std::int64_t id : tokens.ids) {
      require(id >= 0 && id < tokenizer().vocab_size(), "an id is in the vocabulary");
    }
  } catch (const crescendo::UserError&) {
  }
  return 0;
}
