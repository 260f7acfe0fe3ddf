#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataloader/sample_error.h"
#include "dataloader/tar_reader.h"

namespace crescendo::dataloader {

struct MemberName {
  std::string key;     ///< folder and basename up to its first dot
  std::string suffix;  ///< the rest, in lower case
};

/// WebDataset's naming rule (webdataset 1.0.2, tariterators.py, base_plus_ext): `dir/a.seg.png` is
/// key `dir/a`, suffix `seg.png`. Nothing for what belongs to no sample: a basename without a dot,
/// anything under a top-level `__name__`, and, unlike webdataset, every basename that begins with a
/// dot, because the `._a.jpg` files of macOS would tear each pair of a folder apart.
std::optional<MemberName> split_member_name(std::string_view name);

struct RawMember {
  std::string suffix;
  std::vector<std::byte> bytes;
};

/// The undecoded members of one sample, in the order of the archive.
struct RawSample {
  std::string key;
  std::string shard;
  std::vector<RawMember> members;
  std::optional<Defect> defect;  ///< set when the members cannot be trusted; they are then absent

  /// The member of that suffix, or null.
  const RawMember* find(std::string_view suffix) const;
  std::uint64_t byte_count() const;
};

/// What is wrong with one more member (`name`, of `size` bytes) for the sample so far, if anything.
std::optional<Defect> defect_of_member(const RawSample& sample, std::string_view suffix,
                                       std::string_view name, std::uint64_t size,
                                       std::uint64_t max_sample_bytes);

/// Groups adjacent members of equal key into samples, as webdataset's group_by_keys does; a later
/// repetition of a key is a sample of its own. A sample is given out only when the archive goes on
/// soundly after it, so that damage never yields a partial one.
class SampleReader {
 public:
  /// `max_sample_bytes` bounds the members of one sample together; a larger one has a defect.
  SampleReader(TarReader& archive, std::uint64_t max_sample_bytes);

  /// The next sample, or nothing at the end of the archive. Throws DataError as TarReader does.
  std::optional<RawSample> next();

 private:
  struct Ahead {
    TarMember member;
    MemberName name;
  };
  bool advance();
  void take_member(RawSample& sample);

  TarReader& archive_;
  std::uint64_t max_sample_bytes_;
  std::optional<Ahead> ahead_;  ///< a member that next() has met but not read
};

}  // namespace crescendo::dataloader
