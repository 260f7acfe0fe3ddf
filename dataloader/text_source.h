#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dataloader/sample_reader.h"

namespace crescendo::dataloader {

/// Where in a sample a text stands: a member, or one field of its JSON.
struct TextSource {
  std::string suffix;  ///< "" for nowhere
  std::string field;   ///< "" for the member as it is

  bool is_none() const { return suffix.empty(); }
};

/// A suffix, json:FIELD or none. Throws UserError naming `key`.
TextSource parse_text_source(const std::string& text, std::string_view key);

/// The suffixes of a sample's members, for messages.
std::string suffixes_of(const RawSample& raw);

/// The text of a sample, well-formed UTF-8; with `scalars` also a number or truth value of the
/// JSON, as JSON writes it. A field `a.b` is field b of object a, unless there is one of the whole
/// name. Throws SampleError with the cause "no WHAT" where there is none (null is none) and "bad
/// WHAT" where it cannot be read.
std::string find_text(const RawSample& raw, const TextSource& source, std::string_view what,
                      bool scalars);

enum class CaptionLine { kAll, kFirst, kRandom };

/// all, first or random; throws UserError naming `key`.
CaptionLine parse_caption_line(const std::string& text, std::string_view key);

/// What is trained on of a caption's text, trimmed: all of it, or one of the lines that are not
/// empty. The draw is a function of (seed, ordinal).
std::string choose_caption(std::string_view text, CaptionLine line, std::uint64_t seed,
                           std::uint64_t ordinal);

}  // namespace crescendo::dataloader
