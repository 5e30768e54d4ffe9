// Groups of experts (steps 1 and 2 of uoe.select): gates of a softmax within each group times one
// over the groups, and a choice among the experts of the best groups alone. A warp's programs;
// `scratch` is memory of the row, three floats for each group.
#pragma once
#include "Select.h"

namespace uoe::rt::cuda {

/// scratch[g] = the softmax over the groups' own scores.
template <typename Team>
UOE_HOST_DEVICE void groupShares(Team &team, const SelectRule &rule, const float *groupScores,
                                 float *scratch) {
  const int n = rule.groupCount;
  auto cooled = [&](int g) { return groupScores[g] / rule.groupTemperature; };
  const float highest = team.greatest([&](int thread) {
    float found = -INFINITY;
    for (int g = thread; g < n; g += team.width())
      found = fmaxf(found, cooled(g));
    return found;
  });
  const float sum = team.add([&](int thread) {
    float part = 0;
    for (int g = thread; g < n; g += team.width())
      part += expf(cooled(g) - highest);
    return part;
  });
  team.each([&](int thread) {
    for (int g = thread; g < n; g += team.width())
      scratch[g] = expf(cooled(g) - highest) / sum;
  });
}

/// gates = softmax of the scores within each group, times the group's share, which groupShares has
/// left in `scratch`.
template <typename Team>
UOE_HOST_DEVICE void groupGates(Team &team, const SelectRule &rule, const float *scores,
                                float *scratch, float *gates) {
  const int n = rule.experts, groups = rule.groupCount;
  auto cooled = [&](int e) {
    return rule.temperature == 1 ? scores[e] : scores[e] / rule.temperature;
  };
  float *highest = scratch + groups, *sums = highest + groups;
  team.each([&](int thread) {
    for (int g = thread; g < groups; g += team.width()) {
      float most = -INFINITY, sum = 0;
      for (int e = 0; e < n; ++e)
        if (rule.groups[e] == g)
          most = fmaxf(most, cooled(e));
      for (int e = 0; e < n; ++e)
        if (rule.groups[e] == g)
          sum += expf(cooled(e) - most);
      highest[g] = most;
      sums[g] = sum;
    }
  });
  team.each([&](int thread) {
    for (int e = thread; e < n; e += team.width()) {
      const int g = rule.groups[e];
      gates[e] = expf(cooled(e) - highest[g]) / sums[g] * scratch[g];
    }
  });
}

/// eligible [maskWords(experts)] = the experts of the groupK best groups that lie `within` another
/// choice (null: anywhere). A group is worth its best gate or its two best, or with `shares` what
/// groupShares has left in `scratch`; gates are those of step 1.
template <typename Team>
UOE_HOST_DEVICE void limitRow(Team &team, const SelectRule &rule, const float *gates, bool shares,
                              const uint64_t *within, float *scratch, uint64_t *eligible) {
  const int n = rule.experts, groups = rule.groupCount;
  auto inside = [&](int e) { return !within || hasBit(within, e); };
  if (rule.groupK <= 0)
    return writeMask(team, n, eligible, inside);
  auto biased = [&](int e) { return rule.bias ? gates[e] + rule.bias[e] : gates[e]; };
  if (!shares)
    team.each([&](int thread) {
      for (int g = thread; g < groups; g += team.width()) {
        uint64_t best = 0, second = 0;
        for (int e = 0; e < n; ++e) {
          if (rule.groups[e] != g)
            continue;
          const uint64_t key = rankKey(biased(e), static_cast<uint32_t>(e));
          second = key > best ? best : most(second, key);
          best = most(best, key);
        }
        float worth = best ? biased(rankIndex(best)) : 0.0f;
        if (rule.groupTop2 && second)
          worth += biased(rankIndex(second));
        scratch[g] = worth;
      }
    });
  auto key = [&](int g) { return rankKey(scratch[g], static_cast<uint32_t>(g)); };
  const uint64_t last = kthHighest(team, groups, rule.groupK, key);
  writeMask(team, n, eligible, [&](int e) { return inside(e) && key(rule.groups[e]) >= last; });
}

} // namespace uoe::rt::cuda
