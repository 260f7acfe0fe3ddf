#include "dataloader/report.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "core/log.h"

namespace crescendo::dataloader {

namespace {

constexpr std::size_t kNamed = 20;
constexpr std::uint64_t kFewSamples = 100;

}  // namespace

std::uint64_t Report::bad_count() const {
  std::uint64_t count = 0;
  for (const auto& [cause, times] : bad) count += times;
  return count;
}

std::string Report::summary() const {
  std::vector<std::string> causes;
  for (const auto& [cause, times] : bad) causes.push_back(fmt::format("{} {}", times, cause));
  const std::uint64_t skipped = bad_count();
  std::string text = fmt::format("{} of {} samples skipped", skipped, skipped + good);
  if (skipped > 0) text += fmt::format(": {}", fmt::join(causes, ", "));
  return text;
}

void BadSamples::count_good(bool has_profile) {
  for (Report* report : {&total_, &epoch_}) {
    ++report->good;
    if (has_profile) ++report->profiles;
  }
}

void BadSamples::count_bad(const std::string& shard, const std::string& key, const Defect& defect) {
  ++total_.bad[defect.cause];
  ++epoch_.bad[defect.cause];
  const std::string name = fmt::format("{}{}{}: {}: {}", shard, key.empty() ? "" : ": ", key,
                                       defect.cause, defect.detail);
  const bool known = std::ranges::find(total_.named, name) != total_.named.end();
  if (!known && total_.named.size() < kNamed) {
    total_.named.push_back(name);
    log::warn("skipped {}", name);
    if (total_.named.size() == kNamed) log::warn("further skipped samples are only counted");
  }
  const std::uint64_t bad = epoch_.bad_count();
  const std::uint64_t seen = bad + epoch_.good;
  if (seen >= kFewSamples && static_cast<double>(bad) > max_fraction_ * static_cast<double>(seen)) {
    fail(fmt::format("too many unusable samples; data.max_bad_fraction is {}", max_fraction_));
  }
}

void BadSamples::end_epoch(bool whole) {
  if (whole && epoch_.good == 0) {
    if (epoch_.bad.empty()) {
      throw UserError("data.shards: the shards hold no samples; expected members KEY.jpg, KEY.txt");
    }
    fail("no usable sample");
  }
  if (whole && epoch_.bad != last_bad_) {
    log::warn("in this epoch {}", epoch_.summary());
    last_bad_ = epoch_.bad;
  }
  if (whole && epoch_.profiles != last_profiles_) {
    log::warn("{} of {} images of this epoch have a colour profile (ICC), which is ignored",
              epoch_.profiles, epoch_.good);
    last_profiles_ = epoch_.profiles;
  }
  epoch_ = {};
}

void BadSamples::fail(const std::string& what) const {
  throw UserError("data.shards: {}; {}; the first: {}", what, epoch_.summary(),
                  total_.named.front());
}

}  // namespace crescendo::dataloader
