#pragma once

#include "pipelines/evaluation/feature_statistics.h"

namespace crescendo::pipelines {

/// The Frechet distance between Gaussians of these moments, squared as usual (FID; Heusel et al.
/// 2017): |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). Finite for covariances of any rank. Throws
/// UserError where the two have different numbers of features.
double frechet_distance(const Moments& first, const Moments& second);

}  // namespace crescendo::pipelines
