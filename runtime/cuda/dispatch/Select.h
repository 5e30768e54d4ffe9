// uoe.select (dialects/uoe/Routing.td) by one warp per row: steps 1 to 5 there, and step 6 by one
// warp per expert. Nothing is sorted; ties go to the lower index, NaN is above nothing.
#pragma once
#include "Mask.h"
#include "Team.h"

namespace uoe::rt::cuda {

enum class Rule : int32_t { All, Threshold, TopK, TopP };
enum class Scoring : int32_t { Raw, Softmax, Sigmoid };
enum class Empty : int32_t { None, Argmax, All };
enum class Scaling : int32_t { None, OneOverActive, NOverActive };

/// What is decided for a row; names and values are those of fast::SelectSpec.
struct SelectRule {
  Rule rule = Rule::All;
  Scoring scoring = Scoring::Raw;
  Empty empty = Empty::None;
  Scaling scaling = Scaling::None;
  int32_t experts = 0, k = 0;
  float temperature = 1, tau = 0, p = 1, factor = 1;
  bool normalizeExperts = false; // each gate by the sum of the row's chosen gates
  bool gateWeights = false;
  const float *thresholds = nullptr; // [experts] or null: tau
  const float *bias = nullptr;       // [experts] or null: added for the choice, not for the weight
  // Groups of experts (Groups.h); groupK 0: all of them.
  const int32_t *groups = nullptr; // [experts] or null
  int32_t groupCount = 0, groupK = 0;
  bool groupTop2 = false;
  float groupTemperature = 1;
};

/// Value and index as one number: larger is better, ties go to the lower index, NaN is last. Never
/// 0.
UOE_HOST_DEVICE inline uint64_t rankKey(float value, uint32_t index) {
  value += 0.0f; // -0 is 0
  uint32_t bits = bitsOfFloat(value);
  bits = value != value ? 0 : bits >> 31 ? ~bits : bits | 0x80000000u;
  return uint64_t(bits) << 32 | (0xffffffffu - index);
}
UOE_HOST_DEVICE inline int rankIndex(uint64_t key) {
  return static_cast<int>(0xffffffffu - static_cast<uint32_t>(key));
}

/// The k-th highest of key(0) .. key(count - 1), rank keys of their own index or 0 where there is
/// none; 0 if there are no more than k. The bits of the answer are found from the highest down.
template <typename Team, typename Key>
UOE_HOST_DEVICE uint64_t kthHighest(Team &team, int count, int k, Key &&key) {
  auto atLeast = [&](uint64_t bound) {
    return static_cast<int>(team.sum([&](int thread) {
      uint32_t found = 0;
      for (int i = thread; i < count; i += team.width())
        found += key(i) >= bound;
      return found;
    }));
  };
  if (atLeast(1) <= k)
    return 0;
  uint64_t answer = 0;
  for (int bit = 63; bit >= 32; --bit)
    if (atLeast(answer | uint64_t(1) << bit) >= k)
      answer |= uint64_t(1) << bit;
  // Indices below `count` leave the upper bits of ~index set.
  int low = 0;
  while (low < 32 && count > int64_t(1) << low)
    ++low;
  answer |= bitsBelow(32) & ~bitsBelow(low);
  for (int bit = low - 1; bit >= 0; --bit)
    if (atLeast(answer | uint64_t(1) << bit) >= k)
      answer |= uint64_t(1) << bit;
  return answer;
}

/// mask [maskWords(count)] = the i for which chosen(i). A warp's program.
template <typename Team, typename Chosen>
UOE_HOST_DEVICE void writeMask(Team &team, int count, uint64_t *mask, Chosen &&chosen) {
  for (int w = 0; w < maskWords(count); ++w) {
    uint64_t word = 0;
    for (int half = 0; half < 2; ++half)
      word |= static_cast<uint64_t>(team.ballot([&](int thread) {
                const int i = 64 * w + 32 * half + thread;
                return i < count && chosen(i);
              }))
              << (32 * half);
    team.each([&](int thread) {
      if (thread == 0)
        mask[w] = word;
    });
  }
}

/// Step 1: gates [experts] of one row of scores; they may be the same memory.
template <typename Team>
UOE_HOST_DEVICE void rowGates(Team &team, const SelectRule &rule, const float *scores,
                              float *gates) {
  const int n = rule.experts;
  auto every = [&](auto &&f) {
    team.each([&](int thread) {
      for (int e = thread; e < n; e += team.width())
        f(e);
    });
  };
  auto cooled = [&](float score) {
    return rule.temperature == 1 ? score : score / rule.temperature;
  };
  if (rule.scoring == Scoring::Raw)
    return every([&](int e) { gates[e] = cooled(scores[e]); });
  if (rule.scoring == Scoring::Sigmoid)
    return every([&](int e) { gates[e] = 1 / (1 + expf(-cooled(scores[e]))); });
  const float highest = team.greatest([&](int thread) {
    float found = -INFINITY;
    for (int e = thread; e < n; e += team.width())
      found = fmaxf(found, cooled(scores[e]));
    return found;
  });
  every([&](int e) { gates[e] = expf(cooled(scores[e]) - highest); });
  const float sum = team.add([&](int thread) {
    float part = 0;
    for (int e = thread; e < n; e += team.width())
      part += gates[e];
    return part;
  });
  every([&](int e) { gates[e] = gates[e] / sum; });
}

/// Steps 2 to 4: the choice of one row. `gates` are those of step 1; `eligible` [maskWords] or
/// null. Scores decide where gates have their order but saturate: they may be null if they do not,
/// that is where scoring is raw, a bias is given, or the rule is threshold or top-p without
/// `empty`.
template <typename Team>
UOE_HOST_DEVICE void chooseRow(Team &team, const SelectRule &rule, const float *scores,
                               const float *gates, const uint64_t *eligible, uint64_t *mask) {
  const int n = rule.experts;
  auto allowed = [&](int e) { return !eligible || hasBit(eligible, e); };
  auto biased = [&](int e) { return rule.bias ? gates[e] + rule.bias[e] : gates[e]; };
  auto ranked = [&](int e) { return rule.bias || !scores ? biased(e) : scores[e]; };
  auto rankedKey = [&](int e) {
    return allowed(e) ? rankKey(ranked(e), static_cast<uint32_t>(e)) : 0;
  };
  switch (rule.rule) {
  case Rule::All:
    writeMask(team, n, mask, allowed);
    break;
  case Rule::Threshold:
    writeMask(team, n, mask, [&](int e) {
      return allowed(e) && biased(e) > (rule.thresholds ? rule.thresholds[e] : rule.tau);
    });
    break;
  case Rule::TopK: {
    const uint64_t last = kthHighest(team, n, rule.k, rankedKey);
    writeMask(team, n, mask, [&](int e) {
      const uint64_t key = rankedKey(e);
      return key != 0 && key >= last;
    });
    break;
  }
  case Rule::TopP: {
    if (rule.p >= 1) {
      writeMask(team, n, mask, allowed);
      break;
    }
    // The best come off one by one, until their gates exceed p.
    float sum = 0;
    uint64_t last = ~uint64_t(0);
    auto key = [&](int e) { return allowed(e) ? rankKey(biased(e), static_cast<uint32_t>(e)) : 0; };
    while (sum <= rule.p) {
      const uint64_t next = team.highest([&](int thread) {
        uint64_t found = 0;
        for (int e = thread; e < n; e += team.width())
          if (const uint64_t own = key(e); own < last)
            found = most(found, own);
        return found;
      });
      if (next == 0)
        break; // all are taken
      last = next;
      sum += gates[rankIndex(next)];
    }
    writeMask(team, n, mask, [&](int e) {
      const uint64_t own = key(e);
      return own != 0 && own >= last;
    });
    break;
  }
  }
  if (rule.empty == Empty::None || countMask(mask, maskWords(n)) > 0)
    return;
  if (rule.empty == Empty::All)
    return writeMask(team, n, mask, allowed);
  const uint64_t best = kthHighest(team, n, 1, rankedKey);
  writeMask(team, n, mask, [&](int e) {
    const uint64_t key = rankedKey(e);
    return key != 0 && key >= best;
  });
}

/// Step 5 over the experts of one row: the sum goes up the row's list.
template <typename Team>
UOE_HOST_DEVICE void normaliseRow(Team &team, int experts, const uint64_t *mask, float *gates) {
  float sum = 0;
  for (int w = 0; w < maskWords(experts); ++w)
    for (uint64_t bits = mask[w]; bits; bits &= bits - 1)
      sum += gates[64 * w + lowestBit(bits)];
  team.each([](int) {}); // all have read
  team.each([&](int thread) {
    for (int e = thread; e < experts; e += team.width())
      if (hasBit(mask, e))
        gates[e] = sum == 0 ? 0.0f : gates[e] / sum;
  });
}

/// Step 5 over `count` rows, `step` apart from `first` on, of one expert: what one thread does.
UOE_HOST_DEVICE inline void normaliseRows(int64_t first, int64_t step, int64_t count, int experts,
                                          int e, const uint64_t *masks, float *gates) {
  const int words = maskWords(experts);
  float sum = 0;
  for (int64_t i = 0, row = first; i < count; ++i, row += step)
    if (hasBit(masks + row * words, e))
      sum += gates[row * experts + e];
  for (int64_t i = 0, row = first; i < count; ++i, row += step)
    if (hasBit(masks + row * words, e)) {
      float &gate = gates[row * experts + e];
      gate = sum == 0 ? 0.0f : gate / sum;
    }
}

/// Step 6 for one expert of one sample: of `rows` rows that chose it it keeps the `capacity` of the
/// highest gates, ties to the earlier row; with `pad` the earliest other rows fill it up, with gate
/// 0. `columns` are the expert's of the sample's blocks, `stride` words apart; `gates` its gates,
/// `gateStride` floats apart.
template <typename Team>
UOE_HOST_DEVICE void keepBest(Team &team, int rows, int capacity, bool pad, uint64_t *columns,
                              int stride, float *gates, int gateStride) {
  auto chose = [&](int row) { return columns[int64_t(row / 64) * stride] >> (row % 64) & 1; };
  auto key = [&](int row) {
    return chose(row) ? rankKey(gates[int64_t(row) * gateStride], static_cast<uint32_t>(row)) : 0;
  };
  const uint64_t last = kthHighest(team, rows, capacity, key);
  int taken = 0;
  for (int block = 0; last == 0 && block < ceilDiv(rows, 64); ++block)
    taken += countBits(columns[int64_t(block) * stride]);
  // A full expert drops rows; one with room may take more.
  int room = last == 0 && pad ? capacity - taken : 0;
  for (int block = 0; block < ceilDiv(rows, 64); ++block) {
    uint64_t kept = 0;
    for (int half = 0; half < 2; ++half)
      kept |= static_cast<uint64_t>(team.ballot([&](int thread) {
                const int row = 64 * block + 32 * half + thread;
                const uint64_t own = row < rows ? key(row) : 0;
                return own != 0 && own >= last;
              }))
              << (32 * half);
    uint64_t others = ~kept & bitsBelow(least(64, rows - 64 * block));
    uint64_t added = 0;
    for (; room > 0 && others; others &= others - 1, --room)
      added |= others & (~others + 1);
    team.each([&](int thread) {
      if (thread == 0)
        columns[int64_t(block) * stride] = kept | added;
      for (int i = thread; i < 64; i += team.width())
        if (added >> i & 1)
          gates[int64_t(64 * block + i) * gateStride] = 0;
    });
  }
}

/// Step 7: the weight of a chosen expert; `active` is how many the row has.
UOE_HOST_DEVICE inline float weightOf(const SelectRule &rule, float gate, int active) {
  float weight = (rule.gateWeights ? gate : 1.0f) * rule.factor;
  if (rule.scaling == Scaling::OneOverActive)
    weight /= static_cast<float>(active);
  if (rule.scaling == Scaling::NOverActive)
    weight = weight * static_cast<float>(rule.experts) / static_cast<float>(active);
  return weight;
}

} // namespace uoe::rt::cuda
