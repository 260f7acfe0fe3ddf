#include "pipelines/shards/shard_contents.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "core/text.h"
#include "dataloader/decode_image.h"

namespace crescendo::pipelines {

using Json = nlohmann::ordered_json;

namespace {

constexpr int kFirstTurned = 5;  // EXIF orientations from here on swap width and height
constexpr std::size_t kTopClasses = 20;
constexpr std::int64_t kMostTokens = 4096;

std::uint64_t count_characters(std::string_view text) {
  const auto begins = [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; };
  return static_cast<std::uint64_t>(std::ranges::count_if(text, begins));
}

std::uint64_t count_words(std::string_view text) {
  std::uint64_t count = 0;
  bool in_word = false;
  for (const char letter : text) {
    const bool is_space = letter == ' ' || (letter >= '\t' && letter <= '\r');
    if (!is_space && !in_word) ++count;
    in_word = !is_space;
  }
  return count;
}

/// "3 (cat)", where the name of the class is known.
std::string label_of(const std::string& text, std::span<const std::string> names) {
  std::size_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end || number >= names.size()) return text;
  return fmt::format("{} ({})", text, names[number]);
}

}  // namespace

std::string ImageStatistics::add(std::span<const std::byte> bytes) {
  ++count_;
  try {
    const dataloader::ImageHeader header = dataloader::read_image_header(bytes);
    if (decode_) dataloader::decode_image(bytes);
    ++formats_[std::string(header.format)];
    if (header.orientation != 1) ++rotated_;
    if (header.has_profile) ++profiles_;
    if (header.has_alpha) ++transparent_;
    if (header.orientation < kFirstTurned) {
      sizes_.add(header.width, header.height);
    } else {
      sizes_.add(header.height, header.width);
    }
  } catch (const dataloader::SampleError& failure) {
    ++unreadable_[failure.defect().cause];
    return failure.what();
  }
  return "";
}

Json ImageStatistics::report() const {
  Json report = {{"count", count_}, {"judged_by", decode_ ? "decoding" : "headers"}};
  report["formats"] = formats_;
  report.update(sizes_.summary());
  report["exif_rotated"] = rotated_;
  report["colour_profiles"] = profiles_;
  report["transparent"] = transparent_;
  if (!unreadable_.empty()) report["unreadable"] = unreadable_;
  return report;
}

CaptionStatistics::CaptionStatistics(const std::filesystem::path& tokenizer,
                                     std::int64_t max_length)
    : max_length_(max_length),
      tokenizer_(tokenizer.empty() ? nullptr : text_encoder::load_tokenizer(tokenizer)) {}

std::string CaptionStatistics::add(std::string_view text) {
  ++count_;
  text = trim(text);
  if (!is_utf8(text)) return "the caption is not UTF-8";
  if (text.empty()) ++empty_;
  characters_.add(count_characters(text));
  words_.add(count_words(text));
  if (tokenizer_) {
    const std::string prompt(text);
    const auto mask =
        tokenizer_->tokenize({&prompt, 1}, std::max(kMostTokens, max_length_ + 1)).mask;
    tokens_.add(static_cast<std::uint64_t>(std::ranges::count(mask, 1)));
  }
  return "";
}

Json CaptionStatistics::report() const {
  Json report = {{"count", count_}, {"empty", empty_}};
  if (characters_.count() == 0) return report;
  report["characters"] = characters_.summary();
  report["words"] = words_.summary();
  if (tokens_.count() > 0) {
    const auto longer = tokens_.count_above(static_cast<std::uint64_t>(max_length_));
    report["tokens"] = tokens_.summary();
    report["tokens"]["max_length"] = max_length_;
    report["tokens"]["longer"] = longer;
    report["tokens"]["share_longer"] =
        static_cast<double>(longer) / static_cast<double>(tokens_.count());
  }
  return report;
}

void ClassStatistics::add(std::string_view text) {
  ++count_;
  ++classes_[std::string(trim(text))];
}

Json ClassStatistics::report(std::span<const std::string> names) const {
  std::vector<std::pair<std::string, std::uint64_t>> most(classes_.begin(), classes_.end());
  std::ranges::stable_sort(most, std::ranges::greater(),
                           [](const auto& one) { return one.second; });
  Json top = Json::object();
  for (std::size_t i = 0; i < most.size() && i < kTopClasses; ++i) {
    top[label_of(most[i].first, names)] = most[i].second;
  }
  return {{"count", classes_.size()},
          {"fewest_samples", most.back().second},
          {"most_samples", most.front().second},
          {most.size() > kTopClasses ? "most_frequent" : "samples", top}};
}

}  // namespace crescendo::pipelines
