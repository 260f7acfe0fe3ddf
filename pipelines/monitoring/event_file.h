#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace crescendo::pipelines {

/// A number for TensorBoard; those whose tags share what is before the '/' are shown together.
struct Scalar {
  std::string tag;
  double value = 0;  ///< kept as float32
};

/// A file of events that TensorBoard opens: length-delimited records with masked CRC-32Cs, each of
/// which holds a tensorboard.Event protocol buffer (file version 2).
///
/// Events gather in memory and are written every ten seconds. A write that fails throws UserError
/// and leaves the file valid up to the last one that did not; the events are kept for the next
/// attempt, as long as they are few.
class EventFile {
 public:
  /// Makes a file in `folder` that TensorBoard reads after those already there. Of those it forgets
  /// what they hold of `first_step` (the first that this file will tell of) and later ones. Throws
  /// UserError when it cannot be written.
  EventFile(const std::filesystem::path& folder, std::int64_t first_step);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  void add_scalars(std::int64_t step, std::span<const Scalar> scalars);

  /// `png`: an encoded image of that size.
  void add_image(std::int64_t step, std::string_view tag, std::span<const std::byte> png,
                 std::int64_t width, std::int64_t height);

  /// Text, which TensorBoard shows as Markdown.
  void add_text(std::int64_t step, std::string_view tag, std::string_view text);

  /// Writes what has gathered.
  void flush();

  const std::filesystem::path& path() const { return path_; }

 private:
  void add_summary(std::int64_t step, std::string_view summary);
  void append_record(std::string_view event);

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::int64_t written_ = 0;  ///< bytes of whole records in the file
  std::string pending_;       ///< records to be written there
  std::chrono::steady_clock::time_point flushed_;
};

}  // namespace crescendo::pipelines
