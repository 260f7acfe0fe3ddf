#pragma once

#include <string>
#include <utility>

#include "core/error.h"

namespace crescendo::dataloader {

/// Why one sample cannot be used.
struct Defect {
  std::string cause;   ///< one of a few fixed phrases, by which reports count: "corrupt image"
  std::string detail;  ///< what exactly: "JPEG: premature end of data"
};

/// Thrown where a sample turns out to be unusable; the loader skips, counts and names it.
class SampleError : public DataError {
 public:
  SampleError(std::string cause, std::string detail)
      : DataError("{}: {}", cause, detail), defect_{std::move(cause), std::move(detail)} {}

  const Defect& defect() const { return defect_; }

 private:
  Defect defect_;
};

}  // namespace crescendo::dataloader
