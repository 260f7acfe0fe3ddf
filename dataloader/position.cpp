#include "dataloader/position.h"

#include <algorithm>

namespace crescendo::dataloader {

std::uint64_t Position::ordinal() const { return std::ranges::min(next); }

std::uint64_t Position::delivered() const {
  return waiting.empty() ? ordinal() : std::min(ordinal(), waiting.front().ordinal);
}

std::uint64_t Position::epoch() const {
  return lanes.empty() ? 0 : std::ranges::min(lanes, {}, &LanePosition::epoch).epoch;
}

}  // namespace crescendo::dataloader
