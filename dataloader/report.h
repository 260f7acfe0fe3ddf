#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "dataloader/sample_error.h"

namespace crescendo::dataloader {

/// What a loader has seen so far.
struct Report {
  std::uint64_t good = 0;
  std::uint64_t profiles = 0;                ///< images with a colour profile, of the good ones
  std::map<std::string, std::uint64_t> bad;  ///< by cause, each epoch's anew
  std::vector<std::string> named;            ///< the first of them: "shard: key: cause: detail"

  std::uint64_t bad_count() const;

  /// "3 of 100 samples skipped: 2 corrupt image, 1 no caption"
  std::string summary() const;
};

/// Counts and names bad samples, and decides when there are too many of them.
class BadSamples {
 public:
  /// `max_fraction` of an epoch's samples may be bad.
  explicit BadSamples(double max_fraction) : max_fraction_(max_fraction) {}

  void count_good(bool has_profile = false);

  /// Logs the sample if it is among the first. Throws UserError past the allowed share, once 100
  /// samples of the epoch were seen.
  void count_bad(const std::string& shard, const std::string& key, const Defect& defect);

  /// Logs the counts of the epoch, and of its colour profiles, when they differ from the epoch
  /// before. `whole` tells that the epoch was seen from its first sample; if it then had no good
  /// one, throws UserError.
  void end_epoch(bool whole);

  const Report& report() const { return total_; }

 private:
  [[noreturn]] void fail(const std::string& what) const;

  double max_fraction_;
  Report total_;
  Report epoch_;
  std::map<std::string, std::uint64_t> last_bad_;
  std::uint64_t last_profiles_ = 0;
};

}  // namespace crescendo::dataloader
