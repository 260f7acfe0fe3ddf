#include "pipelines/generation/output_names.h"

#include <algorithm>
#include <cctype>
#include <map>

#include <fmt/format.h>

#include "core/error.h"
#include "pipelines/generation/encode_picture.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxSubject = 60;  ///< bytes; file systems allow 255 for the whole name

/// "a cat, 4k" -> "a_cat_4k": nothing that a shell or a file system minds.
std::string file_word(const std::string& text) {
  std::string word;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || byte >= 0x80 || c == '-') {
      word += c;
    } else if (!word.empty() && word.back() != '_') {
      word += '_';
    }
  }
  std::size_t end = std::min(word.size(), kMaxSubject);
  const auto continues = [&](std::size_t i) {
    return i < word.size() && (static_cast<unsigned char>(word[i]) & 0xC0U) == 0x80U;
  };
  while (continues(end)) --end;
  word.resize(end);
  while (!word.empty() && word.back() == '_') word.pop_back();
  return word.empty() ? "picture" : word;
}

/// The length of "%d" or "%03d" at `at`, or 0; `width` becomes its number.
std::size_t number_length(const std::string& text, std::size_t at, std::size_t& width) {
  if (text[at] != '%') return 0;
  std::size_t end = at + 1;
  for (width = 0; end < text.size() && std::isdigit(static_cast<unsigned char>(text[end])) != 0;
       ++end) {
    width = std::min<std::size_t>(width * 10 + static_cast<std::size_t>(text[end] - '0'), 20);
  }
  return end < text.size() && text[end] == 'd' ? end + 1 - at : 0;
}

std::string expand(const std::string& pattern, std::size_t number, const PictureName& picture) {
  std::string name;
  for (std::size_t i = 0; i < pattern.size();) {
    std::size_t width = 0;
    if (const std::size_t length = number_length(pattern, i, width); length > 0) {
      name += fmt::format("{:0{}}", number, width);
      i += length;
    } else if (pattern.compare(i, 6, "{seed}") == 0) {
      name += fmt::to_string(picture.seed);
      i += 6;
    } else if (pattern.compare(i, 8, "{prompt}") == 0) {
      name += file_word(picture.subject);
      i += 8;
    } else {
      name += pattern[i++];
    }
  }
  return name;
}

bool is_pattern(const std::string& text) { return expand(text, 1, {"a", 1}) != text; }

}  // namespace

OutputNames output_names(const fs::path& output, std::span<const PictureName> pictures) {
  const std::string text = output.string();
  OutputNames names;
  if (is_picture_name(output) && !is_pattern(text)) {
    names.is_grid = pictures.size() > 1;
    names.files = {output};
    return names;
  }
  if (!is_picture_name(output) &&
      (is_pattern(text) || (output.has_extension() && !fs::is_directory(output)))) {
    throw UserError(
        "{}: expected a name ending in .png, .jpg, .jpeg or .webp, or a folder without a suffix "
        "(or with / behind it)",
        text);
  }
  std::map<fs::path, std::size_t> taken;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    names.files.push_back(is_picture_name(output) ? fs::path(expand(text, i, pictures[i]))
                                                  : output / fmt::format("{:05}.png", i));
    const auto [other, is_new] = taken.emplace(names.files.back(), i);
    if (is_new) continue;
    throw UserError(
        "{}: pictures {} and {} would both be {}; add %d, which is the picture's number", text,
        other->second, i, names.files.back().string());
  }
  return names;
}

}  // namespace crescendo::pipelines
