// Multidirectional broadcasting of N operands: collapsed to the fewest loops, walked in contiguous
// runs.
#pragma once
#include "Dispatch.h"
#include <array>

namespace uoe::rt {

constexpr int kMostLoops = 32;

/// Result shape of broadcasting; raises Error naming both shapes if they do not fit.
Shape broadcastShapes(const Shape &a, const Shape &b);

template <size_t N> struct BroadcastPlan {
  int64_t size = 1; // elements of the result
  int rank = 0;     // loops that remain, the innermost last
  std::array<int64_t, kMostLoops> dims;
  std::array<std::array<int64_t, kMostLoops>, N> strides; // in elements; 0 where an operand repeats
};

/// Plans reading the first `count` of `operands` in the order of `result`, to which each must
/// broadcast. An axis of size 1 in `result` is left out of the loops, whatever operands have there.
template <size_t N>
BroadcastPlan<N> planBroadcast(const Shape &result, const std::array<const Shape *, N> &operands,
                               size_t count = N) {
  BroadcastPlan<N> plan;
  std::array<int64_t, N> step;
  step.fill(1);
  // From the innermost dimension outwards, in reversed order.
  for (size_t i = result.size(); i-- > 0;) {
    int64_t dim = result[i];
    plan.size *= dim;
    std::array<int64_t, N> stride;
    for (size_t k = 0; k < count; ++k) {
      const Shape &shape = *operands[k];
      size_t missing = result.size() - shape.size();
      int64_t own = i < missing ? 1 : shape[i - missing];
      stride[k] = own == 1 ? 0 : step[k];
      step[k] *= own;
    }
    if (dim == 1)
      continue;
    bool merge = plan.rank > 0;
    for (size_t k = 0; k < count && merge; ++k)
      merge = stride[k] == plan.strides[k][plan.rank - 1] * plan.dims[plan.rank - 1];
    if (merge) {
      plan.dims[plan.rank - 1] *= dim;
      continue;
    }
    check(plan.rank < kMostLoops, "broadcasting to ", toString(result), " needs more than ",
          kMostLoops, " loops");
    plan.dims[plan.rank] = dim;
    for (size_t k = 0; k < count; ++k)
      plan.strides[k][plan.rank] = stride[k];
    ++plan.rank;
  }
  if (plan.rank == 0) {
    plan.rank = 1;
    plan.dims[0] = 1;
    for (size_t k = 0; k < count; ++k)
      plan.strides[k][0] = 0;
  }
  std::reverse(plan.dims.begin(), plan.dims.begin() + plan.rank);
  for (size_t k = 0; k < count; ++k)
    std::reverse(plan.strides[k].begin(), plan.strides[k].begin() + plan.rank);
  return plan;
}

/// Calls body(offsets, out, n) for runs of n results from element `out` on; operand k starts at
/// offsets[k] and advances by plan.strides[k][plan.rank - 1]. Runs are disjoint and may come on any
/// thread.
template <size_t N, typename Body>
void forEachRun(const BroadcastPlan<N> &plan, int64_t grain, Body &&body) {
  int inner = plan.rank - 1;
  int64_t length = plan.dims[inner];
  if (plan.size == 0)
    return;
  parallel(plan.size, grain, [&](int64_t begin, int64_t end) {
    std::array<int64_t, kMostLoops> index;
    std::array<int64_t, N> offsets;
    offsets.fill(0);
    int64_t rest = begin;
    for (int d = inner; d >= 0; --d) {
      index[d] = rest % plan.dims[d];
      rest /= plan.dims[d];
      for (size_t k = 0; k < N; ++k)
        offsets[k] += index[d] * plan.strides[k][d];
    }
    for (int64_t at = begin; at < end;) {
      int64_t n = std::min(length - index[inner], end - at);
      body(offsets, at, n);
      at += n;
      index[inner] += n;
      for (size_t k = 0; k < N; ++k)
        offsets[k] += n * plan.strides[k][inner];
      for (int d = inner; d > 0 && index[d] == plan.dims[d]; --d) {
        index[d] = 0;
        ++index[d - 1];
        for (size_t k = 0; k < N; ++k)
          offsets[k] += plan.strides[k][d - 1] - plan.dims[d] * plan.strides[k][d];
      }
    }
  });
}

} // namespace uoe::rt
