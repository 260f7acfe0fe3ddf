#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"
#include "tests/fuzz/require.h"
#include "text_encoder/clip_tokenizer.h"

namespace {

using namespace crescendo::text_encoder;

const Vocabulary& vocabulary() {
  static const Vocabulary kVocabulary = {{"a", 0},
                                         {"a</w>", 1},
                                         {"b", 2},
                                         {"b</w>", 3},
                                         {"ab", 4},
                                         {"ab</w>", 5},
                                         {"aa", 6},
                                         {"!", 7},
                                         {"\u00c3", 8},
                                         {"\u00a9</w>", 9},
                                         {"\u00c3\u00a9</w>", 10},
                                         {"<|startoftext|>", 11},
                                         {"<|endoftext|>", 12}};
  return kVocabulary;
}

void check_text(const ClipTokenizer& tokenizer, std::string_view text) {
  using crescendo::fuzz::require;
  constexpr std::int64_t kLength = 12;
  const std::vector<std::string> texts{std::string(text)};
  const Tokens tokens = tokenizer.tokenize(texts, kLength);
  require(tokens.ids.size() == kLength, "a prompt is cut or padded to its length");
  require(tokens.ids.front() == 11, "a prompt has its first token");
  for (const std::int64_t id : tokens.ids) {
    require(id >= 0 && id < tokenizer.vocab_size(), "an id is in the vocabulary");
  }
}

}  // namespace

/// Merges, a line end twice, then a text. Without the line ends, the input is both.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  ClipSpecialTokens special;
  special.pad = "!";
  special.added = {{"<|startoftext|>", true, {}}, {"<|endoftext|>", false, {}}, {"!", false, {}}};
  static const ClipTokenizer kTokenizer(
      vocabulary(), {{"a", "b"}, {"a", "b</w>"}, {"a", "a"}, {"\u00c3", "\u00a9</w>"}}, special);
  check_text(kTokenizer, input);
  const std::size_t end = input.find("\n\n");
  try {
    const Merges merges = parse_merges(input.substr(0, end), "merges.txt");
    check_text(ClipTokenizer(vocabulary(), merges, special), input.substr(std::min(end, size)));
  } catch (const crescendo::DataError&) {
  }
  return 0;
}
