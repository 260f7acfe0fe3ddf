#include "text_encoder/padding.h"

#include <algorithm>

#include "core/error.h"

namespace crescendo::text_encoder {

Tokens frame_and_pad(const std::vector<std::vector<std::int64_t>>& prompts, const Frame& frame,
                     std::int64_t max_length) {
  const auto room =
      max_length - static_cast<std::int64_t>(frame.before.size() + frame.after.size());
  if (room < 0) {
    throw UserError("max_length: no room for the special tokens; expected at least {}, found {}",
                    frame.before.size() + frame.after.size(), max_length);
  }
  Tokens tokens;
  tokens.count = static_cast<std::int64_t>(prompts.size());
  tokens.length = max_length;
  const std::size_t total = prompts.size() * static_cast<std::size_t>(max_length);
  tokens.ids.reserve(total);
  tokens.mask.reserve(total);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto& prompt = prompts[i];
    const auto kept = std::min(static_cast<std::int64_t>(prompt.size()), room);
    if (kept < static_cast<std::int64_t>(prompt.size())) tokens.truncated.push_back(i);
    const auto row = static_cast<std::ptrdiff_t>(tokens.ids.size());
    tokens.ids.insert(tokens.ids.end(), frame.before.begin(), frame.before.end());
    tokens.ids.insert(tokens.ids.end(), prompt.begin(), prompt.begin() + kept);
    tokens.ids.insert(tokens.ids.end(), frame.after.begin(), frame.after.end());
    tokens.mask.resize(tokens.ids.size(), 1);
    tokens.ids.resize(static_cast<std::size_t>(row + max_length), frame.pad);
    tokens.mask.resize(static_cast<std::size_t>(row + max_length), 0);
  }
  return tokens;
}

}  // namespace crescendo::text_encoder
