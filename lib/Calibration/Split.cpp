#include "Split.h"
#include "Gemm.h"
#include "Hidden.h"
#include <algorithm>
#include <cmath>
#include <numeric>

namespace uoe::calibration {
namespace {

/// Exchanges pairs of items between groups while the affinity inside groups grows.
void exchange(const Matrix &affinity, int64_t groups, int64_t rounds, std::vector<int64_t> &group) {
  int64_t k = affinity.rows;
  Matrix toGroup(k, groups); // Σ_{j in g} affinity(i, j)
  parallelRows(k, [&](int64_t i) {
    for (int64_t j = 0; j < k; ++j)
      toGroup(i, group[j]) += affinity(i, j);
  });
  for (int64_t round = 0; round < rounds; ++round) {
    bool changed = false;
    for (int64_t i = 0; i < k; ++i) {
      // The best partner for i; ties go to the lowest index, so that the outcome is one.
      int64_t best = -1, mine = group[i];
      float bestGain = 1e-4f;
      for (int64_t j = 0; j < k; ++j) {
        if (group[j] == mine)
          continue;
        float gain = toGroup(i, group[j]) - toGroup(i, mine) + affinity(i, i) + toGroup(j, mine) -
                     toGroup(j, group[j]) + affinity(j, j) - 2 * affinity(i, j);
        if (gain > bestGain) {
          bestGain = gain;
          best = j;
        }
      }
      if (best < 0)
        continue;
      int64_t other = group[best];
      for (int64_t r = 0; r < k; ++r) {
        float moved = affinity(r, i) - affinity(r, best);
        toGroup(r, mine) -= moved;
        toGroup(r, other) += moved;
      }
      std::swap(group[i], group[best]);
      changed = true;
    }
    if (!changed)
      break;
  }
}

} // namespace

Matrix correlation(const Matrix &contributions) {
  int64_t tokens = contributions.rows, k = contributions.cols;
  Matrix standard = contributions;
  std::vector<double> mean(static_cast<size_t>(k)), square(static_cast<size_t>(k));
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t j = 0; j < k; ++j)
      mean[j] += contributions(t, j);
  for (double &m : mean)
    m /= std::max<int64_t>(tokens, 1);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t j = 0; j < k; ++j) {
      standard(t, j) -= static_cast<float>(mean[j]);
      square[j] += static_cast<double>(standard(t, j)) * standard(t, j);
    }
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t j = 0; j < k; ++j)
      standard(t, j) *= square[j] > 1e-30 ? static_cast<float>(1 / std::sqrt(square[j])) : 0.0f;
  return multiply(static_cast<MatrixView>(standard).transposed(), standard);
}

std::vector<std::vector<int64_t>>
groupItems(const Matrix &affinity, const std::vector<float> &weight, int64_t size, int64_t rounds) {
  int64_t k = affinity.rows, groups = (k + size - 1) / size;
  std::vector<int64_t> order(static_cast<size_t>(k)), group(static_cast<size_t>(k), -1);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return weight[a] > weight[b]; });
  int64_t next = 0;
  for (int64_t seed : order) {
    if (group[seed] >= 0)
      continue;
    std::vector<int64_t> candidates;
    for (int64_t i = 0; i < k; ++i)
      if (group[i] < 0 && i != seed)
        candidates.push_back(i);
    auto nearer = [&](int64_t a, int64_t b) {
      return affinity(seed, a) != affinity(seed, b) ? affinity(seed, a) > affinity(seed, b) : a < b;
    };
    int64_t taken = std::min<int64_t>(size - 1, static_cast<int64_t>(candidates.size()));
    std::partial_sort(candidates.begin(), candidates.begin() + taken, candidates.end(), nearer);
    group[seed] = next;
    for (int64_t i = 0; i < taken; ++i)
      group[candidates[i]] = next;
    ++next;
  }
  if (groups > 1)
    exchange(affinity, groups, rounds, group);
  std::vector<std::vector<int64_t>> result(static_cast<size_t>(groups));
  for (int64_t i = 0; i < k; ++i)
    result[group[i]].push_back(i);
  return result;
}

} // namespace uoe::calibration
