// The cascade: experts of single input channels and single neurons under exact thresholds
// (runtime/cpu/fast/Cascade.h has the equations). Rows go in tiles of 8, so that each weight that
// any of them needs is read once for all, and no other weight is read: what survives a threshold is
// listed in order, and the next product goes over the list.
#pragma once
#include "runtime/cuda/dispatch/Kernels.h"

namespace uoe::rt::cuda {

constexpr int kCascadeRows = 8;
constexpr int kCascadeThreads = 1024, kCascadeColumns = 32, kListThreads = 512;

/// What is left of n numbers a row, for each tile of rows: where any row's is not 0.
struct Survivors {
  int32_t n = 0;
  int32_t *slot = nullptr;  // [tiles, n + 1] scratch
  int32_t *count = nullptr; // [tiles]
  int32_t *list = nullptr;  // [tiles, n] the survivors' indices, ascending
  float *values = nullptr;  // [tiles, n, 8]

  UOE_HOST_DEVICE Survivors of(int64_t tile) const {
    return {n, slot + tile * (n + 1), count + tile, list + tile * n,
            values + tile * n * kCascadeRows};
  }
};

/// Weights on the device; scales without a threshold are null.
struct CascadeCall {
  int32_t rows = 0, in = 0, hidden = 0, out = 0;
  Activation act = Activation::Identity;
  bool gated = false;
  const float *x = nullptr, *mean = nullptr; // [rows, in], [in]
  const float *first = nullptr, *firstBias = nullptr, *up = nullptr, *upBias = nullptr;
  const float *down = nullptr; // first [in, hidden], up [hidden, in], down [hidden, out]
  const float *gateScale = nullptr, *upScale = nullptr, *activeScale = nullptr,
              *downScale = nullptr;
  float gateThreshold = 0, upThreshold = 0, activeThreshold = 0, downThreshold = 0;
  float *y = nullptr;                 // [rows, out]
  Survivors gate, wide, active, kept; // channels of the two ways in, neurons of the two ways out
  float *g = nullptr, *h = nullptr;   // [tiles, hidden, 8]: by neuron, by place among the active

  UOE_HOST_DEVICE int tiles() const { return ceilDiv(rows, kCascadeRows); }
};

UOE_HOST_DEVICE inline bool survives(const float *scale, int64_t i, float value, float threshold) {
  return !scale || fabsf(value) * scale[i] > threshold;
}

/// Lists the i < count for which value(i, row) is not 0 for some row, as index(i), with the values.
/// A block's program.
template <typename Team, typename Value, typename Index>
UOE_HOST_DEVICE void listSurvivors(Team &team, int32_t count, const Survivors &to, int32_t *partial,
                                   Value &&value, Index &&index) {
  auto any = [&](int64_t i) {
    UOE_NO_UNROLL
    for (int r = 0; r < kCascadeRows; ++r)
      if (value(static_cast<int32_t>(i), r) != 0)
        return 1;
    return 0;
  };
  exclusiveScan(team, count, any, to.slot, partial);
  team.each([&](int thread) {
    for (int32_t i = thread; i < count; i += team.width()) {
      const int32_t at = to.slot[i];
      if (to.slot[i + 1] == at)
        continue;
      to.list[at] = index(i);
      UOE_NO_UNROLL
      for (int r = 0; r < kCascadeRows; ++r)
        to.values[int64_t(at) * kCascadeRows + r] = value(i, r);
    }
    if (thread == 0)
      *to.count = to.slot[count];
  });
}

/// Block 2 t and 2 t + 1 for the channels of tile t; of an ungated block there is one a tile.
template <typename Grid>
UOE_HOST_DEVICE void cascadeChannelsKernel(const Grid &grid, const CascadeCall &call) {
  auto team = grid.team();
  const int ways = call.gated ? 2 : 1, tile = grid.block() / ways;
  const bool wide = grid.block() % ways == 1;
  const int64_t row = int64_t(tile) * kCascadeRows;
  const float *scale = wide ? call.upScale : call.gateScale;
  const float threshold = wide ? call.upThreshold : call.gateThreshold;
  auto value = [&](int32_t i, int r) {
    if (row + r >= call.rows)
      return 0.0f;
    const float z = call.x[(row + r) * call.in + i] - (call.mean ? call.mean[i] : 0.0f);
    return survives(scale, i, z, threshold) ? z : 0.0f;
  };
  listSurvivors(team, call.in, (wide ? call.wide : call.gate).of(tile),
                grid.template shared<ScanShared>().partial, value, [](int32_t i) { return i; });
}

struct CascadeShared {
  float sums[kCascadeThreads / 32][kCascadeColumns][kCascadeRows];
};

/// store(column, row, sum) of the surviving rows of weights [n, columns] times their values, for
/// columns `first` .. first + 31: a warp a part of the list, added up in the parts' order. A
/// block's program.
template <typename Team, typename Store>
UOE_HOST_DEVICE void sparseRows(Team &team, CascadeShared &shared, const Survivors &from,
                                const float *weights, int32_t columns, int32_t first,
                                Store &&store) {
  constexpr int warps = kCascadeThreads / 32;
  const int32_t count = *from.count;
  team.each([&](int thread) {
    const int lane = thread % 32, warp = thread / 32;
    const int32_t column = first + lane;
    float sums[kCascadeRows];
    unrolled<kCascadeRows>([&](int r) { sums[r] = 0; });
    if (column < columns)
      for (int32_t at = warp; at < count; at += warps) {
        const float w = weights[int64_t(from.list[at]) * columns + column];
        float values[kCascadeRows];
        loadVector<4>(from.values + int64_t(at) * kCascadeRows, values);
        loadVector<4>(from.values + int64_t(at) * kCascadeRows + 4, values + 4);
        unrolled<kCascadeRows>([&](int r) { sums[r] += values[r] * w; });
      }
    unrolled<kCascadeRows>([&](int r) { shared.sums[warp][lane][r] = sums[r]; });
  });
  team.each([&](int thread) {
    const int column = thread / kCascadeRows, r = thread % kCascadeRows;
    if (column >= kCascadeColumns || first + column >= columns)
      return;
    float sum = 0;
    for (int warp = 0; warp < warps; ++warp)
      sum += shared.sums[warp][column][r];
    store(first + column, r, sum);
  });
}

/// A block a tile and 32 neurons: g, 0 where it does not survive.
template <typename Grid>
UOE_HOST_DEVICE void cascadeGateKernel(const Grid &grid, const CascadeCall &call) {
  auto team = grid.team();
  const int strips = ceilDiv(call.hidden, kCascadeColumns), tile = grid.block() / strips;
  float *g = call.g + int64_t(tile) * call.hidden * kCascadeRows;
  sparseRows(
      team, grid.template shared<CascadeShared>(), call.gate.of(tile), call.first, call.hidden,
      grid.block() % strips * kCascadeColumns, [&](int32_t j, int r, float sum) {
        const float value = activate(call.act, sum + (call.firstBias ? call.firstBias[j] : 0.0f));
        const bool on = call.gated ? survives(call.activeScale, j, value, call.activeThreshold)
                                   : survives(call.downScale, j, value, call.downThreshold);
        const bool there = int64_t(tile) * kCascadeRows + r < call.rows;
        g[int64_t(j) * kCascadeRows + r] = there && on ? value : 0.0f;
      });
}

/// A block a tile: the neurons that are active, or of an ungated block those that are kept.
template <typename Grid>
UOE_HOST_DEVICE void cascadeActiveKernel(const Grid &grid, const CascadeCall &call) {
  auto team = grid.team();
  const int64_t tile = grid.block();
  const float *g = call.g + tile * call.hidden * kCascadeRows;
  listSurvivors(
      team, call.hidden, (call.gated ? call.active : call.kept).of(tile),
      grid.template shared<ScanShared>().partial,
      [&](int32_t j, int r) { return g[int64_t(j) * kCascadeRows + r]; },
      [](int32_t j) { return j; });
}

constexpr int kCascadeUpBlocks = 64; // of a tile

/// A warp an active neuron, kCascadeUpBlocks blocks a tile: h, 0 where it is not kept.
template <typename Grid>
UOE_HOST_DEVICE void cascadeUpKernel(const Grid &grid, const CascadeCall &call) {
  const int tile = grid.block() / kCascadeUpBlocks;
  const Survivors channels = call.wide.of(tile), active = call.active.of(tile);
  float *h = call.h + int64_t(tile) * call.hidden * kCascadeRows;
  const int32_t count = *active.count, inputs = *channels.count;
  grid.eachWarp([&](auto &warp, int64_t index, int64_t warps) {
    using Warp = std::remove_reference_t<decltype(warp)>;
    const int64_t perBlock = warps / grid.blocks(), perTile = perBlock * kCascadeUpBlocks;
    for (int64_t at = index - tile * perTile; at < count; at += perTile) {
      const int32_t j = active.list[at];
      const float *w = call.up + int64_t(j) * call.in;
      typename Warp::template Registers<Sums<kCascadeRows>> sums(warp);
      warp.own([&](int lane) {
        auto &own = sums[lane].value;
        unrolled<kCascadeRows>([&](int r) { own[r] = 0; });
        for (int32_t p = lane; p < inputs; p += 32) {
          const float weight = w[channels.list[p]];
          float values[kCascadeRows];
          loadVector<4>(channels.values + int64_t(p) * kCascadeRows, values);
          loadVector<4>(channels.values + int64_t(p) * kCascadeRows + 4, values + 4);
          unrolled<kCascadeRows>([&](int r) { own[r] += values[r] * weight; });
        }
      });
      warp.addWithin(32, sums);
      warp.each([&](int lane) {
        unrolled<kCascadeRows>([&](int r) {
          if (r != lane)
            return;
          const float g = active.values[at * kCascadeRows + r];
          const float value =
              g == 0 ? 0.0f : g * (sums[lane].value[r] + (call.upBias ? call.upBias[j] : 0.0f));
          h[at * kCascadeRows + r] =
              survives(call.downScale, j, value, call.downThreshold) ? value : 0.0f;
        });
      });
    }
  });
}

/// A block a tile: the neurons that are kept.
template <typename Grid>
UOE_HOST_DEVICE void cascadeKeptKernel(const Grid &grid, const CascadeCall &call) {
  auto team = grid.team();
  const int64_t tile = grid.block();
  const Survivors active = call.active.of(tile);
  const float *h = call.h + tile * call.hidden * kCascadeRows;
  listSurvivors(
      team, *active.count, call.kept.of(tile), grid.template shared<ScanShared>().partial,
      [&](int32_t at, int r) { return h[int64_t(at) * kCascadeRows + r]; },
      [&](int32_t at) { return active.list[at]; });
}

/// A block a tile and 32 columns of y.
template <typename Grid>
UOE_HOST_DEVICE void cascadeDownKernel(const Grid &grid, const CascadeCall &call) {
  auto team = grid.team();
  const int strips = ceilDiv(call.out, kCascadeColumns), tile = grid.block() / strips;
  const int64_t row = int64_t(tile) * kCascadeRows;
  sparseRows(team, grid.template shared<CascadeShared>(), call.kept.of(tile), call.down, call.out,
             grid.block() % strips * kCascadeColumns, [&](int32_t column, int r, float sum) {
               if (row + r < call.rows)
                 call.y[(row + r) * call.out + column] = sum;
             });
}

} // namespace uoe::rt::cuda
