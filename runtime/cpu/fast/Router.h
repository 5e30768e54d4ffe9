// The choice of experts from scores, in the form that experts() takes.
#pragma once
#include "Experts.h"

namespace uoe::rt::fast {

/// A routing that owns its lists. Experts of a token ascend.
struct Choice {
  std::vector<int64_t> offsets{0};
  std::vector<int32_t> ids;
  std::vector<float> weights; // empty: all 1

  int64_t tokens() const { return static_cast<int64_t>(offsets.size()) - 1; }
  Routing routing() const {
    return {offsets.data(), ids.data(), weights.empty() ? nullptr : weights.data()};
  }
};

/// Experts whose score is greater than threshold[e], or than threshold[0] if there is only one.
/// scores: [tokens, experts]. With keepScores the scores become weights. NaN scores choose nothing.
Choice chooseAbove(const float *scores, int64_t tokens, int64_t experts,
                   const std::vector<float> &thresholds, bool keepScores = false);
/// The k highest scores of each token, ties to the lower index, NaN last; k is cut to `experts`.
Choice chooseTop(const float *scores, int64_t tokens, int64_t experts, int64_t k,
                 bool keepScores = false);
/// Experts whose entry of mask [tokens, experts] is not 0; keepValues makes the entries weights.
Choice chooseMasked(const float *mask, int64_t tokens, int64_t experts, bool keepValues = false);
Choice chooseMasked(const uint8_t *mask, int64_t tokens, int64_t experts);

} // namespace uoe::rt::fast
