// oneDNN as the yardstick, where it is installed.
#pragma once
#include <cstdint>
#include <vector>

namespace uoe::bench {

/// 1 / seconds of one product with the weight reordered beforehand; 0 without oneDNN.
double oneDnnGemm(int64_t m, int64_t n, int64_t k, const std::vector<float> &a,
                  const std::vector<float> &b);

} // namespace uoe::bench
