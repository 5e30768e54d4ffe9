// Grouping neurons whose contributions rise and fall together.
#pragma once
#include "uoe/calibration/Matrix.h"

namespace uoe::calibration {

/// Correlations between the columns of `contributions` [tokens, k]; constant columns correlate with
/// nothing. [k, k]
Matrix correlation(const Matrix &contributions);

/// Cuts k items into groups of `size` (the last may be smaller) with a large sum of `affinity` [k,
/// k] inside groups: greedy around the items of largest `weight` [k], then exchanges of pairs while
/// they gain, at most `rounds` sweeps. This is balanced k-means with exact capacities. Returns
/// items by group, each group ascending.
std::vector<std::vector<int64_t>>
groupItems(const Matrix &affinity, const std::vector<float> &weight, int64_t size, int64_t rounds);

} // namespace uoe::calibration
