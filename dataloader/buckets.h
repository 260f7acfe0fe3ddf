#pragma once

#include <span>
#include <vector>

#include "dataloader/options.h"
#include "dataloader/resize.h"

namespace crescendo::dataloader {

/// The sizes that images become: resolution x resolution, or with data.enable_bucket those of equal
/// area that NovelAI's aspect ratio bucketing has, as kohya's sd-scripts make them: for every
/// multiple of bucket_reso_steps from min_bucket_reso to max_bucket_reso as one side, the longest
/// other side in that range whose area is at most resolution², upright and lying. From the
/// narrowest to the widest. Throws UserError for bounds that leave out resolution x resolution.
std::vector<Size> bucket_sizes(const DataOptions& options);

/// The bucket whose aspect ratio is nearest to the image's, by the quotient of the two.
Size nearest_bucket(Size image, std::span<const Size> buckets);

/// The least size in the image's proportion that covers the bucket; the side that juts out is
/// rounded down, as torchvision's Resize(int) does for a square one.
Size covering_size(Size image, Size bucket);

}  // namespace crescendo::dataloader
