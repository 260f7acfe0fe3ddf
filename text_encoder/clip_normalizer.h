#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace crescendo::text_encoder {

/// Composes (NFC), makes one space of each run of white space, and lower-cases. UTF-8.
std::string clip_normalize(std::string_view text);

/// The words of a normalized text, without white space: runs of letters, single numbers, runs of
/// everything else, and the English endings 's 't 're 've 'm 'll 'd. Equal to the pre-tokenizer of
/// transformers' CLIPTokenizer, whose names of special tokens end a run of everything else.
std::vector<std::string> clip_words(std::string_view normalized);

}  // namespace crescendo::text_encoder
