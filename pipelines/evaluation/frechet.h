#pragma once

#include <cstdint>

#include "pipelines/evaluation/feature_statistics.h"

namespace crescendo::pipelines {

/// The Frechet distance between Gaussians of these moments, squared as usual (FID; Heusel et al.
/// 2017): |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). Finite for covariances of any rank. Throws
/// UserError where the two have different numbers of features.
double frechet_distance(const Moments& first, const Moments& second);

/// How much that distance varies with the choice of images: its standard deviation over so many
/// resamples of `features`, [N,D], drawn with replacement (bootstrap; Efron 1979), against a fixed
/// reference. N, resamples > 1. Deterministic.
double frechet_deviation(const at::Tensor& features, const Moments& reference,
                         std::int64_t resamples, std::uint64_t seed);

}  // namespace crescendo::pipelines
