#include "Router.h"
#include "runtime/core/Error.h"
#include <algorithm>
#include <cmath>
#include <numeric>

namespace uoe::rt::fast {

namespace {

template <typename Taken, typename Weight>
Choice choose(int64_t tokens, int64_t experts, bool weighted, Taken taken, Weight weight) {
  Choice out;
  out.offsets.reserve(static_cast<size_t>(tokens) + 1);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t e = 0; e < experts; ++e)
      if (taken(t * experts + e, e)) {
        out.ids.push_back(static_cast<int32_t>(e));
        if (weighted)
          out.weights.push_back(weight(t * experts + e));
      }
    out.offsets.push_back(static_cast<int64_t>(out.ids.size()));
  }
  return out;
}

} // namespace

Choice chooseAbove(const float *scores, int64_t tokens, int64_t experts,
                   const std::vector<float> &thresholds, bool keepScores) {
  check(thresholds.size() == 1 || static_cast<int64_t>(thresholds.size()) == experts,
        "router: ", thresholds.size(), " thresholds for ", experts, " experts");
  const bool one = thresholds.size() == 1;
  return choose(
      tokens, experts, keepScores,
      [&](int64_t i, int64_t e) { return scores[i] > thresholds[one ? 0 : size_t(e)]; },
      [&](int64_t i) { return scores[i]; });
}

Choice chooseTop(const float *scores, int64_t tokens, int64_t experts, int64_t k, bool keepScores) {
  k = std::clamp<int64_t>(k, 0, experts);
  Choice out;
  std::vector<int32_t> order(static_cast<size_t>(experts));
  for (int64_t t = 0; t < tokens; ++t) {
    const float *row = scores + t * experts;
    auto key = [&](int32_t e) { return std::isnan(row[e]) ? -INFINITY : row[e]; };
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int32_t a, int32_t b) {
      return key(a) != key(b)                           ? key(a) > key(b)
             : std::isnan(row[a]) != std::isnan(row[b]) ? std::isnan(row[b])
                                                        : a < b;
    });
    std::sort(order.begin(), order.begin() + k);
    for (int64_t i = 0; i < k; ++i) {
      out.ids.push_back(order[static_cast<size_t>(i)]);
      if (keepScores)
        out.weights.push_back(row[order[static_cast<size_t>(i)]]);
    }
    out.offsets.push_back(static_cast<int64_t>(out.ids.size()));
  }
  return out;
}

Choice chooseMasked(const float *mask, int64_t tokens, int64_t experts, bool keepValues) {
  return choose(
      tokens, experts, keepValues, [&](int64_t i, int64_t) { return mask[i] != 0.0f; },
      [&](int64_t i) { return mask[i]; });
}

Choice chooseMasked(const uint8_t *mask, int64_t tokens, int64_t experts) {
  return choose(
      tokens, experts, false, [&](int64_t i, int64_t) { return mask[i] != 0; },
      [](int64_t) { return 1.0f; });
}

} // namespace uoe::rt::fast
