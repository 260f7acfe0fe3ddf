#include "dataloader/sample_decoder.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include <fmt/format.h>

#include "core/error.h"
#include "core/random.h"
#include "core/safetensors.h"
#include "core/text.h"

namespace crescendo::dataloader {

namespace {

// The last four are there to be refused by name instead of "no image".
constexpr std::array<std::string_view, 10> kImageSuffixes{"jpg",  "jpeg", "jpe", "jfif", "png",
                                                          "webp", "gif",  "bmp", "tif",  "tiff"};

const RawMember& image_member(const RawSample& raw) {
  for (const std::string_view suffix : kImageSuffixes) {
    if (const RawMember* member = raw.find(suffix)) return *member;
  }
  throw SampleError("no image",
                    fmt::format("expected a member jpg, png or webp, found {} (a name is cut at "
                                "its first dot)",
                                suffixes_of(raw)));
}

/// The most that a JPEG can be shrunk with three pixels left for each of the result, each way. With
/// two, the mean difference from the exact result is half as large again.
int shrink_of(Size image, Size scaled) {
  for (const int shrink : {8, 4, 2}) {
    const Size small = shrunken(image, shrink);
    if (small.width >= 3 * scaled.width && small.height >= 3 * scaled.height) return shrink;
  }
  return 1;
}

std::vector<std::uint8_t> to_planar(const Image& image, bool flip) {
  const auto area = static_cast<std::size_t>(image.width * image.height);
  std::vector<std::uint8_t> planar(area * 3);
  std::uint8_t* out = planar.data();
  for (std::int64_t y = 0; y < image.height; ++y) {
    for (std::int64_t x = 0; x < image.width; ++x, ++out) {
      const std::int64_t column = flip ? image.width - 1 - x : x;
      const std::uint8_t* pixel = image.pixels.data() + (y * image.width + column) * 3;
      out[0] = pixel[0];
      out[area] = pixel[1];
      out[2 * area] = pixel[2];
    }
  }
  return planar;
}

}  // namespace

SampleDecoder::SampleDecoder(const DataOptions& options, const Need& need, std::uint64_t seed)
    : need_(need),
      seed_(seed),
      resolution_(options.resolution),
      center_crop_(options.center_crop),
      random_flip_(options.random_flip),
      filter_(parse_filter(options.image_interpolation_mode, "data.image_interpolation_mode")),
      scaled_decoding_(options.jpeg_scaled_decoding),
      decode_options_{options.max_pixels, static_cast<std::uint64_t>(options.max_sample_bytes),
                      parse_color(options.background, "data.background")},
      caption_(parse_text_source(options.caption, "data.caption")),
      caption_line_(parse_caption_line(options.caption_line, "data.caption_line")),
      label_(parse_text_source(options.label, "data.label")) {
  if (need.caption && caption_.is_none()) {
    throw UserError(
        "data.caption: captions are needed here; expected a suffix or json:FIELD, found "
        "'none'");
  }
  if (need.label && label_.is_none()) {
    throw UserError(
        "data.label: classes are needed here; expected a suffix or json:FIELD, found "
        "'none'");
  }
  for (std::size_t i = 0; i < options.class_names.size(); ++i) {
    const auto number = static_cast<std::int64_t>(i);
    if (!class_numbers_.emplace(options.class_names[i], number).second) {
      throw UserError("data.class_names: '{}' comes twice", options.class_names[i]);
    }
  }
}

Sample SampleDecoder::decode(const RawSample& raw, std::uint64_t ordinal) const {
  if (raw.defect) throw SampleError(raw.defect->cause, raw.defect->detail);
  if (!is_utf8(raw.key)) throw SampleError("bad key", "the name is not UTF-8");
  Sample sample;
  sample.key = raw.key;
  sample.ordinal = ordinal;
  // Cheap checks first: an image is not decoded for nothing.
  if (need_.caption) {
    sample.caption =
        choose_caption(find_text(raw, caption_, "caption", false), caption_line_, seed_, ordinal);
  }
  if (need_.label) sample.label = label_of(raw);
  if (need_.latents) {
    sample.latents = latents_of(raw);
  } else {
    take_image(raw, sample);
  }
  return sample;
}

std::int64_t SampleDecoder::label_of(const RawSample& raw) const {
  const std::string whole = find_text(raw, label_, "class", true);
  const std::string text(trim(whole));
  std::int64_t label = -1;
  if (const auto found = class_numbers_.find(text); found != class_numbers_.end()) {
    label = found->second;
  } else {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), label);
    if (error != std::errc() || end != text.data() + text.size() || label < 0) {
      throw SampleError("bad class", fmt::format("expected a number from 0 or a name of "
                                                 "data.class_names, found '{}'",
                                                 text.substr(0, 80)));
    }
  }
  if (need_.num_classes > 0 && label >= need_.num_classes) {
    throw SampleError("class out of range",
                      fmt::format("class {}; the model has {} classes, 0 to {}", label,
                                  need_.num_classes, need_.num_classes - 1));
  }
  return label;
}

std::vector<std::byte> SampleDecoder::latents_of(const RawSample& raw) {
  const RawMember* member = raw.find("safetensors");
  if (member == nullptr) {
    throw SampleError("no latents",
                      fmt::format("expected a member safetensors, found {}", suffixes_of(raw)));
  }
  try {
    const SafetensorsHeader header = parse_safetensors(member->bytes, raw.key);
    for (const char* name : {"mean", "logvar"}) {
      if (std::ranges::find(header.entries, name, &SafetensorsEntry::name) ==
          header.entries.end()) {
        throw SampleError("corrupt latents", fmt::format("no tensor '{}'", name));
      }
    }
  } catch (const DataError& failure) {
    throw SampleError("corrupt latents", failure.what());
  }
  return member->bytes;
}

void SampleDecoder::take_image(const RawSample& raw, Sample& sample) const {
  const auto choose = [&](Size image) {
    const Size scaled = short_side_size(image, resolution_);
    const int shrink = scaled_decoding_ ? shrink_of(image, scaled) : 1;
    return Wanted{shrink, source_window(shrunken(image, shrink), scaled,
                                        choose_window(scaled, sample.ordinal), filter_)};
  };
  const DecodedPart decoded = decode_part(image_member(raw).bytes, decode_options_, choose);
  const Size scaled = short_side_size(decoded.original, resolution_);
  const Image cut = resize(decoded.part, scaled, choose_window(scaled, sample.ordinal), filter_);
  const bool flip =
      random_flip_ && RandomStream(seed_, Purpose::kFlip, sample.ordinal).uniform() < 0.5F;
  sample.image = to_planar(cut, flip);
  sample.has_profile = decoded.has_profile;
}

Window SampleDecoder::choose_window(Size scaled, std::uint64_t ordinal) const {
  if (center_crop_) return center_window(scaled, resolution_);
  RandomStream stream(seed_, Purpose::kCrop, ordinal);
  const auto draw = [&](std::int64_t side) {
    return static_cast<std::int64_t>(
        stream.below(static_cast<std::uint64_t>(side - resolution_ + 1)));
  };
  const std::int64_t left = draw(scaled.width);
  return {left, draw(scaled.height), {resolution_, resolution_}};
}

}  // namespace crescendo::dataloader
