#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "dataloader/resize.h"
#include "dataloader/sample_stream.h"

namespace crescendo::dataloader {

/// What there is to read and what an epoch is: "12,000 samples in 12 shards (indexed: shuffled as a
/// whole), 187.5 steps an epoch", each source on its own where there are several.
std::string describe_sources(const SampleStream::Options& options, std::uint64_t samples_per_step);

/// "3 buckets, width x height: 256x1024, 512x512, 1024x256"
std::string describe_buckets(std::span<const Size> buckets);

}  // namespace crescendo::dataloader
