// The expert layer for up to 8 rows: bound by reading weights, so each weight of an expert that any
// row has chosen is read once, for all rows. Down to experts of one neuron.
#pragma once
#include "Experts.h"
#include "Mask.h"
#include "Scan.h"

namespace uoe::rt::cuda {

inline constexpr int kDecodeRows = 8;
using RowSums = Sums<kDecodeRows>;

/// The experts that any row has chosen: list [count] ascending, start [count + 1] the running sum
/// of neurons(e), slot[experts] the count. `slot` [experts + 1] and `partial` are scratch. One
/// block's program.
template <typename Team, typename Neurons>
UOE_HOST_DEVICE void activeExperts(Team &team, int rows, int experts, const uint64_t *masks,
                                   Neurons &&neurons, int32_t *slot, int32_t *list, int32_t *start,
                                   int32_t *partial) {
  const int words = maskWords(experts);
  auto chosen = [&](int64_t e) {
    for (int r = 0; r < rows; ++r)
      if (hasBit(masks + int64_t(r) * words, static_cast<int>(e)))
        return 1;
    return 0;
  };
  exclusiveScan(team, experts, chosen, slot, partial);
  team.each([&](int thread) {
    for (int e = thread; e < experts; e += team.width())
      if (slot[e + 1] > slot[e])
        list[slot[e]] = e;
  });
  exclusiveScan(
      team, slot[experts], [&](int64_t i) { return neurons(list[i]); }, start, partial);
}

/// to[i] = from[i] for i < vector, in one access.
template <int vector, typename T> UOE_HOST_DEVICE inline void loadVector(const T *from, float *to) {
  struct alignas(vector * sizeof(T)) Pack {
    T element[vector];
  };
  const Pack pack = *reinterpret_cast<const Pack *>(from);
  UOE_UNROLL
  for (int i = 0; i < vector; ++i)
    to[i] = toFloat(pack.element[i]);
}

/// Adds w [length] times each row of x to the thread's sums: its part of the length.
template <int vector, typename W, typename T>
UOE_HOST_DEVICE inline void dotRows(int thread, int width, int32_t length, const W *w, const T *x,
                                    int64_t ldx, int rows, float *sums) {
  for (int32_t k = thread * vector; k < length; k += width * vector) {
    float own[vector], other[vector];
    loadVector<vector>(w + k, own);
    UOE_UNROLL
    for (int r = 0; r < kDecodeRows; ++r)
      if (r < rows) {
        loadVector<vector>(x + r * ldx + k, other);
        UOE_UNROLL
        for (int i = 0; i < vector; ++i)
          sums[r] += own[i] * other[i];
      }
  }
}

/// scores [row * ldScores + e] of one expert for all rows. A warp's program.
template <int vector, typename T, typename Team>
UOE_HOST_DEVICE void decodeScores(Team &team, int e, const T *w, int32_t in, const T *x,
                                  int64_t ldx, int rows, const float *bias, float *scores,
                                  int64_t ldScores) {
  typename Team::template Registers<RowSums> sums(team);
  team.own([&](int thread) {
    UOE_UNROLL
    for (float &value : sums[thread].value)
      value = 0;
    dotRows<vector>(thread, team.width(), in, w + int64_t(e) * in, x, ldx, rows,
                    sums[thread].value);
  });
  team.addWithin(team.width(), sums);
  team.each([&](int thread) {
    UOE_UNROLL
    for (int r = 0; r < kDecodeRows; ++r)
      if (thread == r && r < rows)
        scores[r * ldScores + e] = sums[thread].value[r] + (bias ? bias[e] : 0.0f);
  });
}

/// h [active neurons, kDecodeRows] of active neuron i; 0 where the row has not chosen its expert.
/// weight(row, expert) is asked only where it has. A warp's program.
template <int vector, typename W, typename T, typename Team, typename Weight>
UOE_HOST_DEVICE void decodeHidden(Team &team, const Layer<W> &layer, int32_t i, int32_t active,
                                  const int32_t *list, const int32_t *start, const T *x,
                                  int64_t ldx, int rows, const uint64_t *masks, Weight &&weight,
                                  float *h) {
  const int at = partOf(start, active, i), e = list[at], words = maskWords(layer.experts);
  const int64_t row = (int64_t(layer.hidden[e]) + i - start[at]) * layer.rowsPerNeuron();
  typename Team::template Registers<RowSums> first(team), second(team);
  team.own([&](int thread) {
    UOE_UNROLL
    for (int r = 0; r < kDecodeRows; ++r)
      first[thread].value[r] = second[thread].value[r] = 0;
    dotRows<vector>(thread, team.width(), layer.in, layer.inner + row * layer.in, x, ldx, rows,
                    first[thread].value);
    if (layer.gated)
      dotRows<vector>(thread, team.width(), layer.in, layer.inner + (row + 1) * layer.in, x, ldx,
                      rows, second[thread].value);
  });
  team.addWithin(team.width(), first);
  if (layer.gated)
    team.addWithin(team.width(), second);
  team.each([&](int thread) {
    float a = 0, b = 1;
    UOE_UNROLL
    for (int r = 0; r < kDecodeRows; ++r)
      if (thread == r) {
        a = first[thread].value[r];
        b = layer.gated ? second[thread].value[r] : 1;
      }
    if (thread >= kDecodeRows)
      return;
    float value = 0;
    if (thread < rows && hasBit(masks + int64_t(thread) * words, e)) {
      if (layer.innerBias) {
        a += layer.innerBias[row];
        b += layer.gated ? layer.innerBias[row + 1] : 0;
      }
      value = (layer.gated ? gatedUnit(layer.act, layer.cut, a, b) : activate(layer.act, a)) *
              weight(thread, e);
    }
    h[int64_t(i) * kDecodeRows + thread] = value;
  });
}

/// partial [kDecodeRows, out] of columns `first` .. of the active experts begin .. end: `lanes`
/// threads, a power of two up to 32, share a column. A block's program.
template <int vector, typename W, typename Team>
UOE_HOST_DEVICE void decodeOuter(Team &team, const Layer<W> &layer, int32_t first, int lanes,
                                 int32_t begin, int32_t end, const int32_t *list,
                                 const int32_t *start, const float *h, float *partial) {
  typename Team::template Registers<RowSums> sums(team);
  team.own([&](int thread) {
    UOE_UNROLL
    for (float &value : sums[thread].value)
      value = 0;
    const int32_t column = first + thread / lanes;
    for (int32_t at = begin; at < end && column < layer.out; ++at) {
      const int e = list[at];
      const int32_t neurons = layer.neurons(e);
      const W *w = layer.outer + int64_t(layer.hidden[e]) * layer.out + int64_t(column) * neurons;
      const float *own = h + int64_t(start[at]) * kDecodeRows;
      for (int32_t j = thread % lanes * vector; j < neurons; j += lanes * vector) {
        float weights[vector];
        loadVector<vector>(w + j, weights);
        UOE_UNROLL
        for (int i = 0; i < vector; ++i)
          UOE_UNROLL
        for (int r = 0; r < kDecodeRows; ++r)
          sums[thread].value[r] += weights[i] * own[(j + i) * kDecodeRows + r];
      }
    }
  });
  team.addWithin(lanes, sums);
  team.own([&](int thread) {
    const int32_t column = first + thread / lanes;
    if (thread % lanes == 0 && column < layer.out)
      UOE_UNROLL
    for (int r = 0; r < kDecodeRows; ++r)
      partial[int64_t(r) * layer.out + column] = sums[thread].value[r];
  });
}

/// y of one element from the partials [splits, kDecodeRows, out], in their order; ids and offset
/// tell what is added for experts left out. What one thread does.
template <typename W, typename T>
UOE_HOST_DEVICE void decodeSum(const Layer<W> &layer, int row, int32_t column, int splits,
                               const float *partial, const int32_t *offset, const int32_t *ids,
                               T *y, int64_t ldy) {
  float sum = layer.outerBias ? layer.outerBias[column] : 0.0f;
  if (layer.skip)
    sum -= skipped(layer.skip, layer.out, column, ids, offset[row], offset[row + 1]);
  for (int s = 0; s < splits; ++s)
    sum += partial[(int64_t(s) * kDecodeRows + row) * layer.out + column];
  y[row * ldy + column] = fromFloat<T>(sum);
}

} // namespace uoe::rt::cuda
