// The kernels: which block, warp or thread of a launch runs which part of the programs. A kernel is
// a function of a Grid (below) and one argument; runtime/cuda/kernels gives each its __global__
// function, and the tests' driver a loop over blocks. Names and arguments are listed at the end.
#pragma once
#include "Decode.h"
#include "Groups.h"
#include "Permute.h"

namespace uoe::rt::cuda {

/// What gates are divided by the sum of, beside a row's own (SelectRule::normalizeExperts): an
/// expert's chosen gates in its sample, or at one position of all of the batch.
enum class Across : int32_t { None, Tokens, Batch };

/// All that the dispatch kernels read and write. Shapes are in Permute.h.
struct Dispatch {
  RowBlocks rows;
  SelectRule rule;
  int32_t capacity = 0, tileHeight = 0; // capacity 0: none
  int32_t patch =
      1; // consecutive rows of a sample that share a row of scores; the last may be short
  bool pad = false;
  /// One number or null: the most rows of a sample that any expert has; no expert keeps more, and
  /// with `pad` all have as many.
  int32_t *takers = nullptr;
  const float *scores = nullptr; // [patches of all samples, experts]
  float *gates = nullptr;        // [rows, experts]
  uint64_t *masks = nullptr, *columns = nullptr;
  int32_t *base = nullptr, *first = nullptr, *offset = nullptr, *tiles = nullptr;
  Pairs pairs;
  Across across = Across::None;
  int32_t batch = 1;                  // samples are `batch` equal parts
  const float *groupScores = nullptr; // [rows, groups] or null
  float *groupScratch = nullptr;      // [rows, 3 groups] where there are groups
  uint64_t *eligible = nullptr;       // as masks: the experts that may be chosen
  /// Masks of the choice around this one, or null: row r of a sample lies in row r / withinRows of
  /// the sample's withinPerSample rows.
  const uint64_t *within = nullptr;
  int32_t withinRows = 1, withinPerSample = 0;
  // A choice that was made before, by patches: what `adopt` spreads over their rows.
  const uint64_t *givenMasks = nullptr;
  const float *givenGates = nullptr;
  // The choice as arrays over all experts, each [rows, experts] or null.
  float *denseWeights = nullptr;
  uint8_t *denseFlags = nullptr;

  /// The row of scores, or of a given choice, that a row of tokens has.
  UOE_HOST_DEVICE int64_t patchOf(int64_t row) const {
    return row / rows.rows * patches() + row % rows.rows / patch;
  }
  UOE_HOST_DEVICE int64_t count() const { return int64_t(rows.samples) * rows.rows; }
  UOE_HOST_DEVICE int64_t patches() const { return ceilDiv(rows.rows, patch); } // of a sample
};

/// All of the expert layer. h, partial and what decoding needs are scratch. The experts' weights
/// may be of a narrower type W than all else; there is no router then.
template <typename T, typename W = T> struct ExpertCall {
  Dispatch dispatch;
  Layer<W> layer;
  const T *x = nullptr;
  T *y = nullptr, *h = nullptr, *partial = nullptr;
  int64_t ldx = 0, ldy = 0, ldh = 0;
  bool copyInner = false, copyOuter = false; // operands begin at multiples of 16 bytes
  int32_t band = 8;
  const T *router = nullptr; // [experts, in] or null: scores are given
  const float *routerBias = nullptr;
  float *scores = nullptr;
  // Decoding: active [experts + 1], its start, slots; h and partials in float.
  int32_t *list = nullptr, *start = nullptr, *slot = nullptr;
  float *decodeH = nullptr, *decodePartial = nullptr;
  int32_t splits = 1, lanes = 1;
};

// Experts of floats with weights that were of 16 bits. A macro's argument holds no comma.
using ExpertsWithBF16 = ExpertCall<float, BF16>;
using ExpertsWithF16 = ExpertCall<float, F16>;

#ifdef __CUDACC__
/// A launch as one thread of the device sees it.
class DeviceGrid {
public:
  __device__ int block() const { return static_cast<int>(blockIdx.x); }
  __device__ int blockY() const { return static_cast<int>(blockIdx.y); }
  __device__ int blocks() const { return static_cast<int>(gridDim.x); }
  __device__ BlockTeam team() const { return {}; }
  template <typename F> __device__ void eachWarp(F &&f) const {
    WarpTeam warp;
    f(warp, static_cast<int64_t>(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32,
      static_cast<int64_t>(gridDim.x) * (blockDim.x / 32));
  }
  template <typename F> __device__ void eachThread(F &&f) const {
    f(static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x);
  }
  template <typename S> __device__ S &shared() const {
    extern __shared__ __align__(16) unsigned char memory[];
    return *reinterpret_cast<S *>(memory);
  }
};
#endif

/// One block of a launch on the host.
class HostGrid {
public:
  HostGrid(int block, int blockY, int blocks, int threads, void *memory)
      : x(block), y(blockY), across(blocks), threads(threads), memory(memory) {}
  int block() const { return x; }
  int blockY() const { return y; }
  int blocks() const { return across; }
  HostTeam team() const { return HostTeam(threads); }
  template <typename F> void eachWarp(F &&f) const {
    const int warps = threads / 32;
    for (int w = 0; w < warps; ++w) {
      HostTeam warp(32);
      f(warp, int64_t(x) * warps + w, int64_t(across) * warps);
    }
  }
  template <typename F> void eachThread(F &&f) const {
    for (int i = 0; i < threads; ++i)
      f(int64_t(x) * threads + i);
  }
  template <typename S> S &shared() const { return *static_cast<S *>(memory); }

private:
  int x, y, across, threads;
  void *memory;
};

/// A warp a row: gates and choice.
template <typename Grid> UOE_HOST_DEVICE void selectKernel(const Grid &grid, const Dispatch &d) {
  const int n = d.rule.experts;
  grid.eachWarp([&](auto &warp, int64_t row, int64_t) {
    if (row >= d.count())
      return;
    uint64_t *mask = d.masks + row * maskWords(n);
    const float *scores = d.scores + d.patchOf(row) * n;
    rowGates(warp, d.rule, scores, d.gates + row * n);
    chooseRow(warp, d.rule, scores, d.gates + row * n, nullptr, mask);
    if (d.rule.normalizeExperts)
      normaliseRow(warp, n, mask, d.gates + row * n);
  });
}

/// A warp a row: gates, and the experts that may be chosen. Then `choose` in place of `select`.
template <typename Grid> UOE_HOST_DEVICE void limitKernel(const Grid &grid, const Dispatch &d) {
  const int n = d.rule.experts;
  grid.eachWarp([&](auto &warp, int64_t row, int64_t) {
    if (row >= d.count())
      return;
    const float *scores = d.scores + row * n;
    float *gates = d.gates + row * n, *scratch = d.groupScratch + row * 3 * d.rule.groupCount;
    if (d.groupScores)
      groupShares(warp, d.rule, d.groupScores + row * d.rule.groupCount, scratch);
    if (d.groupScores && d.rule.scoring == Scoring::Softmax)
      groupGates(warp, d.rule, scores, scratch, gates);
    else
      rowGates(warp, d.rule, scores, gates);
    const int64_t around = row / d.rows.rows * d.withinPerSample + row % d.rows.rows / d.withinRows;
    limitRow(warp, d.rule, gates, d.groupScores != nullptr,
             d.within ? d.within + around * maskWords(n) : nullptr, scratch,
             d.eligible + row * maskWords(n));
  });
}

/// A warp a row: the choice among the eligible.
template <typename Grid> UOE_HOST_DEVICE void chooseKernel(const Grid &grid, const Dispatch &d) {
  const int n = d.rule.experts, words = maskWords(n);
  grid.eachWarp([&](auto &warp, int64_t row, int64_t) {
    if (row >= d.count())
      return;
    chooseRow(warp, d.rule, d.groupScores ? nullptr : d.scores + row * n, d.gates + row * n,
              d.eligible + row * words, d.masks + row * words);
    if (d.rule.normalizeExperts)
      normaliseRow(warp, n, d.masks + row * words, d.gates + row * n);
  });
}

/// A thread an expert of a sample, or of a position: gates normalised over rows.
template <typename Grid> UOE_HOST_DEVICE void normaliseKernel(const Grid &grid, const Dispatch &d) {
  const int n = d.rule.experts;
  const bool tokens = d.across == Across::Tokens;
  const int64_t sums = tokens ? d.rows.samples : d.count() / d.batch;
  grid.eachThread([&](int64_t i) {
    if (i >= sums * n)
      return;
    const int64_t which = i / n;
    if (tokens)
      normaliseRows(which * d.rows.rows, 1, d.rows.rows, n, static_cast<int>(i % n), d.masks,
                    d.gates);
    else
      normaliseRows(which, sums, d.batch, n, static_cast<int>(i % n), d.masks, d.gates);
  });
}

/// A thread a row and expert: a choice by patches, spread over their rows.
template <typename Grid> UOE_HOST_DEVICE void adoptKernel(const Grid &grid, const Dispatch &d) {
  const int n = d.rule.experts, words = maskWords(n);
  grid.eachThread([&](int64_t i) {
    const int64_t row = i / n, e = i % n;
    if (row >= d.count())
      return;
    const int64_t from = d.patchOf(row);
    d.gates[i] = d.givenGates[from * n + e];
    if (e < words)
      d.masks[row * words + e] = d.givenMasks[from * words + e];
  });
}

/// A thread a row and expert: the choice as arrays.
template <typename Grid> UOE_HOST_DEVICE void denseKernel(const Grid &grid, const Dispatch &d) {
  const int n = d.rule.experts, words = maskWords(n);
  grid.eachThread([&](int64_t i) {
    const int64_t row = i / n;
    if (row >= d.count())
      return;
    const uint64_t *mask = d.masks + row * words;
    const bool chosen = hasBit(mask, static_cast<int>(i % n));
    if (d.denseFlags)
      d.denseFlags[i] = chosen;
    if (d.denseWeights)
      d.denseWeights[i] = chosen ? weightOf(d.rule, d.gates[i], countMask(mask, words)) : 0.0f;
  });
}

/// A block for each block of rows.
template <typename Grid> UOE_HOST_DEVICE void columnsKernel(const Grid &grid, const Dispatch &d) {
  auto team = grid.team();
  masksToColumns(team, d.rows, d.rule.experts, grid.block(), d.masks, d.columns);
}

/// One warp.
template <typename Grid> UOE_HOST_DEVICE void takersKernel(const Grid &grid, const Dispatch &d) {
  const int n = d.rule.experts;
  grid.eachWarp([&](auto &warp, int64_t index, int64_t) {
    if (index > 0)
      return;
    const uint64_t found = warp.highest([&](int lane) {
      uint64_t own = 0;
      for (int e = lane; e < n; e += 32)
        own = most<uint64_t>(own, static_cast<uint64_t>(mostTakers(d.rows, n, e, d.columns)));
      return own;
    });
    warp.each([&](int lane) {
      if (lane == 0)
        *d.takers = static_cast<int32_t>(found);
    });
  });
}

/// A warp for each expert of each sample: capacity.
template <typename Grid> UOE_HOST_DEVICE void keepKernel(const Grid &grid, const Dispatch &d) {
  const int n = d.rule.experts;
  grid.eachWarp([&](auto &warp, int64_t i, int64_t) {
    if (i >= int64_t(d.rows.samples) * n)
      return;
    const int64_t sample = i / n, e = i % n;
    const int32_t capacity = d.takers ? least(d.capacity, *d.takers) : d.capacity;
    keepBest(warp, d.rows.rows, capacity, d.pad, d.columns + sample * d.rows.perSample() * n + e, n,
             d.gates + sample * d.rows.rows * n + e, n);
  });
}

/// A block for each block of rows, after keepKernel.
template <typename Grid> UOE_HOST_DEVICE void masksKernel(const Grid &grid, const Dispatch &d) {
  auto team = grid.team();
  columnsToMasks(team, d.rows, d.rule.experts, grid.block(), d.columns, d.masks);
}

/// A thread an expert.
template <typename Grid> UOE_HOST_DEVICE void countKernel(const Grid &grid, const Dispatch &d) {
  grid.eachThread([&](int64_t e) {
    if (e < d.rule.experts)
      countExpert(d.count() > 0 ? d.rows.blocks() : 0, d.rule.experts, static_cast<int>(e),
                  d.columns, d.base, d.first);
  });
}

inline constexpr int kScanThreads = 1024;
struct ScanShared {
  int32_t partial[2 * kScanThreads];
};

/// One block.
template <typename Grid> UOE_HOST_DEVICE void scanKernel(const Grid &grid, const Dispatch &d) {
  auto team = grid.team();
  scanAll(team, d.count(), d.rule.experts, d.tileHeight, d.masks, d.first, d.first, d.offset,
          d.tiles, grid.template shared<ScanShared>().partial);
}

/// A thread a row.
template <typename Grid> UOE_HOST_DEVICE void placeKernel(const Grid &grid, const Dispatch &d) {
  grid.eachThread([&](int64_t row) {
    if (row < d.count())
      placeRow(d.rows, d.rule, static_cast<int>(row), d.masks, d.columns, d.base, d.first, d.offset,
               d.gates, d.pairs);
  });
}

/// The router's scores: one dense product. Blocks go over its tiles.
template <typename T, typename Grid>
UOE_HOST_DEVICE void scoresKernel(const Grid &grid, const ExpertCall<T> &call) {
  using P = ProductTile<T>;
  auto team = grid.team();
  auto &shared = grid.template shared<typename P::Shared>();
  const int32_t n = call.layer.experts;
  const int64_t rows = call.dispatch.count();
  const int64_t across = ceilDiv(n, P::width), count = ceilDiv<int64_t>(rows, P::height) * across;
  for (int64_t i = grid.block(); i < count; i += grid.blocks()) {
    Tile tile;
    tile.expert = 0;
    tile.row = static_cast<int32_t>(i / across * P::height);
    tile.rows = static_cast<int32_t>(least<int64_t>(P::height, rows - tile.row));
    tile.column = static_cast<int32_t>(i % across * P::width);
    auto whole = [&](int) { return Segment<T>{call.router, call.layer.in, 0, call.layer.in}; };
    tileProduct<T>(team, shared, tile, call.x, call.ldx, nullptr, n, 1, whole, call.copyInner,
                   [&](int32_t row, int32_t column, float c, float next) {
                     const float *bias = call.routerBias;
                     float *to = call.scores + int64_t(row) * n + column;
                     to[0] = c + (bias ? bias[column] : 0.0f);
                     if (column + 1 < n)
                       to[1] = next + (bias ? bias[column + 1] : 0.0f);
                   });
  }
}

template <typename T, typename W>
UOE_HOST_DEVICE Schedule scheduleOf(const ExpertCall<T, W> &call, int32_t columns) {
  Schedule schedule;
  schedule.experts = call.layer.experts;
  schedule.height = ProductTile<T>::height;
  schedule.width = ProductTile<T>::width;
  schedule.columns = columns;
  schedule.band = call.band;
  schedule.first = call.dispatch.first;
  schedule.tiles = call.dispatch.tiles;
  return schedule;
}

/// Blocks go over the tiles of all experts.
template <typename T, typename W, typename Grid>
UOE_HOST_DEVICE void innerKernel(const Grid &grid, const ExpertCall<T, W> &call) {
  auto team = grid.team();
  auto &shared = grid.template shared<typename ProductTile<T>::Shared>();
  const Schedule schedule = scheduleOf(call, call.layer.mostHidden * call.layer.rowsPerNeuron());
  for (int64_t i = grid.block(); i < schedule.count(); i += grid.blocks())
    innerTile<T>(team, shared, call.layer, schedule.tile(i), call.x, call.ldx,
                 call.dispatch.pairs.source, call.dispatch.pairs.weights, call.copyInner, call.h,
                 call.ldh);
}

template <typename T, typename W, typename Grid>
UOE_HOST_DEVICE void outerKernel(const Grid &grid, const ExpertCall<T, W> &call) {
  auto team = grid.team();
  auto &shared = grid.template shared<typename ProductTile<T>::Shared>();
  const Schedule schedule = scheduleOf(call, call.layer.out);
  for (int64_t i = grid.block(); i < schedule.count(); i += grid.blocks())
    outerTile<T>(team, shared, call.layer, schedule.tile(i), call.h, call.ldh, call.copyOuter,
                 call.partial);
}

/// In place of outer and combine where rows of a patch share their choice: blocks go over the tiles
/// of all patches.
template <typename T, typename W, typename Grid>
UOE_HOST_DEVICE void sharedOuterKernel(const Grid &grid, const ExpertCall<T, W> &call) {
  using P = ProductTile<T>;
  auto team = grid.team();
  auto &shared = grid.template shared<typename P::Shared>();
  const Dispatch &d = call.dispatch;
  const int64_t across = ceilDiv(call.layer.out, P::width), parts = ceilDiv(d.patch, P::height);
  const int64_t count = d.rows.samples * d.patches() * parts * across;
  for (int64_t i = grid.block(); i < count; i += grid.blocks()) {
    const int64_t patch = i / across / parts, part = i / across % parts;
    const int64_t sample = patch / d.patches();
    // Of the sample.
    const int64_t begin = patch % d.patches() * d.patch + part * P::height;
    const int64_t end = least<int64_t>(d.rows.rows, (patch % d.patches() + 1) * d.patch);
    Tile tile;
    tile.expert = 0;
    tile.row = static_cast<int32_t>(sample * d.rows.rows + begin);
    tile.rows = static_cast<int32_t>(least<int64_t>(P::height, end - begin));
    tile.column = static_cast<int32_t>(i % across * P::width);
    if (tile.rows > 0)
      sharedOuterTile<T>(team, shared, call.layer, tile, d.offset, d.pairs.ids, d.pairs.place,
                         call.h, call.ldh, call.copyOuter, call.y, call.ldy);
  }
}

/// A thread an element of y.
template <typename T, typename W, typename Grid>
UOE_HOST_DEVICE void combineKernel(const Grid &grid, const ExpertCall<T, W> &call) {
  grid.eachThread([&](int64_t i) {
    const int32_t out = call.layer.out;
    if (i < call.dispatch.count() * out)
      combineElement<T>(i / out, static_cast<int32_t>(i % out), out, call.partial,
                        call.dispatch.offset, call.dispatch.pairs.ids, call.dispatch.pairs.place,
                        call.layer.outerBias, call.layer.skip, call.y, call.ldy);
  });
}

/// A warp an expert.
template <typename T, typename Grid>
UOE_HOST_DEVICE void decodeScoresKernel(const Grid &grid, const ExpertCall<T> &call) {
  constexpr int vector = 16 / sizeof(T);
  grid.eachWarp([&](auto &warp, int64_t e, int64_t) {
    if (e >= call.layer.experts)
      return;
    const int rows = static_cast<int>(call.dispatch.count());
    if (call.copyInner)
      decodeScores<vector>(warp, static_cast<int>(e), call.router, call.layer.in, call.x, call.ldx,
                           rows, call.routerBias, call.scores, call.layer.experts);
    else
      decodeScores<1>(warp, static_cast<int>(e), call.router, call.layer.in, call.x, call.ldx, rows,
                      call.routerBias, call.scores, call.layer.experts);
  });
}

/// One block.
template <typename T, typename W, typename Grid>
UOE_HOST_DEVICE void decodeActiveKernel(const Grid &grid, const ExpertCall<T, W> &call) {
  auto team = grid.team();
  activeExperts(
      team, static_cast<int>(call.dispatch.count()), call.layer.experts, call.dispatch.masks,
      [&](int e) { return call.layer.neurons(e); }, call.slot, call.list, call.start,
      grid.template shared<ScanShared>().partial);
}

/// Warps go over the active neurons.
template <typename T, typename W, typename Grid>
UOE_HOST_DEVICE void decodeHiddenKernel(const Grid &grid, const ExpertCall<T, W> &call) {
  constexpr int vector = 16 / sizeof(T);
  const Dispatch &d = call.dispatch;
  const int rows = static_cast<int>(d.count()), words = maskWords(call.layer.experts);
  const int32_t active = call.slot[call.layer.experts], neurons = call.start[active];
  auto weight = [&](int row, int e) {
    const int32_t entry = d.offset[row] + rankInMask(d.masks + int64_t(row) * words, e);
    return d.pairs.weights[d.pairs.place[entry]];
  };
  grid.eachWarp([&](auto &warp, int64_t first, int64_t warps) {
    for (int64_t i = first; i < neurons; i += warps)
      if (call.copyInner)
        decodeHidden<vector>(warp, call.layer, static_cast<int32_t>(i), active, call.list,
                             call.start, call.x, call.ldx, rows, d.masks, weight, call.decodeH);
      else
        decodeHidden<1>(warp, call.layer, static_cast<int32_t>(i), active, call.list, call.start,
                        call.x, call.ldx, rows, d.masks, weight, call.decodeH);
  });
}

inline constexpr int kOuterThreads = 256;

/// Block (x, y): columns from x * kOuterThreads / lanes on, part y of the active experts.
template <typename T, typename W, typename Grid>
UOE_HOST_DEVICE void decodeOuterKernel(const Grid &grid, const ExpertCall<T, W> &call) {
  constexpr int vector = 16 / sizeof(T);
  auto team = grid.team();
  const int32_t first = grid.block() * (kOuterThreads / call.lanes);
  const int64_t active = call.slot[call.layer.experts], part = grid.blockY();
  const int32_t begin = static_cast<int32_t>(active * part / call.splits);
  const int32_t end = static_cast<int32_t>(active * (part + 1) / call.splits);
  float *partial = call.decodePartial + part * kDecodeRows * call.layer.out;
  if (call.copyOuter)
    decodeOuter<vector>(team, call.layer, first, call.lanes, begin, end, call.list, call.start,
                        call.decodeH, partial);
  else
    decodeOuter<1>(team, call.layer, first, call.lanes, begin, end, call.list, call.start,
                   call.decodeH, partial);
}

/// A thread an element of y.
template <typename T, typename W, typename Grid>
UOE_HOST_DEVICE void decodeSumKernel(const Grid &grid, const ExpertCall<T, W> &call) {
  grid.eachThread([&](int64_t i) {
    const int32_t out = call.layer.out;
    if (i < call.dispatch.count() * out)
      decodeSum(call.layer, static_cast<int>(i / out), static_cast<int32_t>(i % out), call.splits,
                call.decodePartial, call.dispatch.offset, call.dispatch.pairs.ids, call.y,
                call.ldy);
  });
}

/// X(name, function, threads that a block may have): kernels of a Dispatch.
#define UOE_DISPATCH_KERNELS(X)                                                                    \
  X(select, selectKernel, 256)                                                                     \
  X(limit, limitKernel, 256)                                                                       \
  X(choose, chooseKernel, 256)                                                                     \
  X(normalise, normaliseKernel, 256)                                                               \
  X(adopt, adoptKernel, 256)                                                                       \
  X(dense, denseKernel, 256)                                                                       \
  X(columns, columnsKernel, 256)                                                                   \
  X(keep, keepKernel, 256)                                                                         \
  X(takers, takersKernel, 256)                                                                     \
  X(masks, masksKernel, 256)                                                                       \
  X(count, countKernel, 256)                                                                       \
  X(scan, scanKernel, 1024)                                                                        \
  X(place, placeKernel, 256)

/// Kernels of an ExpertCall, each for float, bf16 and f16; those of a router.
#define UOE_ROUTER_KERNELS(X)                                                                      \
  X(scores, scoresKernel, 256)                                                                     \
  X(decode_scores, decodeScoresKernel, 256)

/// Those of the experts, also for float with weights of bf16 or f16.
#define UOE_EXPERT_KERNELS(X)                                                                      \
  X(inner, innerKernel, 256)                                                                       \
  X(outer, outerKernel, 256)                                                                       \
  X(shared_outer, sharedOuterKernel, 256)                                                          \
  X(combine, combineKernel, 256)                                                                   \
  X(decode_active, decodeActiveKernel, 1024)                                                       \
  X(decode_hidden, decodeHiddenKernel, 256)                                                        \
  X(decode_outer, decodeOuterKernel, 256)                                                          \
  X(decode_sum, decodeSumKernel, 256)

} // namespace uoe::rt::cuda
