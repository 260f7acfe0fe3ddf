#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "dataloader/decode_image.h"
#include "dataloader/options.h"
#include "dataloader/resize.h"
#include "dataloader/sample_reader.h"
#include "dataloader/text_source.h"

namespace crescendo::dataloader {

/// What a job cannot do without; a sample that lacks it is skipped and counted.
struct Need {
  bool caption = false;
  bool label = false;
  bool latents = false;          ///< of `crescendo cache`, in place of an image
  std::int64_t num_classes = 0;  ///< labels must be below; 0: any
};

struct Sample {
  std::string key;
  std::string caption;              ///< UTF-8, trimmed; "" when not needed
  std::int64_t label = -1;          ///< -1 when not needed
  std::uint64_t ordinal = 0;        ///< position in the whole run: keys its random draws
  std::vector<std::uint8_t> image;  ///< [3,R,R] planar RGB
  std::vector<std::byte> latents;   ///< a safetensors file, in place of the image
  bool has_profile = false;         ///< the image had a colour profile, which is ignored
};

/// Turns the members of a sample into what training wants. A pure function of its arguments, to
/// be called from any thread.
class SampleDecoder {
 public:
  /// Throws UserError that lists what is wrong with the options.
  SampleDecoder(const DataOptions& options, const Need& need, std::uint64_t seed);

  /// Crop, flip and a random caption line are functions of (seed, ordinal). Throws SampleError.
  Sample decode(const RawSample& raw, std::uint64_t ordinal) const;

 private:
  std::int64_t label_of(const RawSample& raw) const;
  static std::vector<std::byte> latents_of(const RawSample& raw);
  void take_image(const RawSample& raw, Sample& sample) const;
  Window choose_window(Size scaled, std::uint64_t ordinal) const;

  Need need_;
  std::uint64_t seed_;
  std::int64_t resolution_;
  bool center_crop_;
  bool random_flip_;
  Filter filter_;
  bool scaled_decoding_;
  DecodeOptions decode_options_;
  TextSource caption_;
  CaptionLine caption_line_;
  TextSource label_;
  std::map<std::string, std::int64_t> class_numbers_;
};

}  // namespace crescendo::dataloader
