// Experts beside the feed-forward ones, over pairs of rows and experts in the order of Permute.h:
// one matrix each, attention among an expert's own rows, and rows handed out and taken back.
#pragma once
#include "Element.h"
#include "runtime/cuda/dispatch/Experts.h"
#include "runtime/cuda/dispatch/Mask.h"

namespace uoe::rt::cuda {

/// partial [pairs, out] = weight (x W_e + b_e) of each pair. Of several heads each has an equal
/// part of the experts: its part of a row of x where the input is split, else of a row of y.
struct GroupedCall {
  int32_t experts = 0, in = 0, out = 0; // experts: of the choice, or its slots
  const int32_t *slots = nullptr;       // [experts] or null: the expert of each, or -1
  int32_t perHead = 1;                  // experts
  bool splitInput = false, copies = false;
  const float *x = nullptr, *w = nullptr,
              *bias = nullptr; // W [.., out, in], bias [.., out] or null
  int64_t ldx = 0;
  const int32_t *first = nullptr, *tiles = nullptr; // of Permute.h and Schedule.h
  const int32_t *source = nullptr;                  // [pairs] rows of x, or null: the pair itself
  const float *weights = nullptr;                   // [pairs] or null: 1
  float *partial = nullptr;
  // The sums.
  const int32_t *offset = nullptr, *ids = nullptr, *place = nullptr;
  const float *residual = nullptr; // of y's shape, or null
  float *y = nullptr;              // [rows, width]
  int64_t rows = 0, width = 0;     // out, or one out a head

  UOE_HOST_DEVICE int32_t expertOf(int32_t slot) const { return slots ? slots[slot] : slot; }
};

/// Blocks go over the tiles of all experts.
template <typename Grid>
UOE_HOST_DEVICE void groupedProductKernel(const Grid &grid, const GroupedCall &call) {
  using P = ProductTile<float>;
  auto team = grid.team();
  auto &shared = grid.template shared<typename P::Shared>();
  Schedule schedule;
  schedule.experts = call.experts;
  schedule.height = P::height;
  schedule.width = P::width;
  schedule.columns = call.out;
  schedule.first = call.first;
  schedule.tiles = call.tiles;
  for (int64_t i = grid.block(); i < schedule.count(); i += grid.blocks()) {
    const Tile tile = schedule.tile(i);
    const int32_t e = call.expertOf(tile.expert);
    if (e < 0)
      continue;
    const float *bias = call.bias ? call.bias + int64_t(e) * call.out : nullptr;
    auto whole = [&](int) {
      return Segment<float>{call.w + int64_t(e) * call.out * call.in, call.in,
                            call.splitInput ? int64_t(e / call.perHead) * call.in : 0, call.in};
    };
    tileProduct<float>(team, shared, tile, call.x, call.ldx, call.source, call.out, 1, whole,
                       call.copies, [&](int32_t pair, int32_t column, float c, float next) {
                         const float weight = call.weights ? call.weights[pair] : 1.0f;
                         float *to = call.partial + int64_t(pair) * call.out + column;
                         to[0] = (c + (bias ? bias[column] : 0.0f)) * weight;
                         if (column + 1 < call.out)
                           to[1] = (next + (bias ? bias[column + 1] : 0.0f)) * weight;
                       });
  }
}

/// A thread an element of y: the partials of the row's experts, up its list.
template <typename Grid>
UOE_HOST_DEVICE void groupedSumKernel(const Grid &grid, const GroupedCall &call) {
  grid.eachThread([&](int64_t i) {
    if (i >= call.rows * call.width)
      return;
    const int64_t row = i / call.width, column = i % call.width;
    const bool split = call.width > call.out;
    const auto head = static_cast<int32_t>(column / call.out);
    float sum = call.residual ? call.residual[i] : 0.0f;
    for (int32_t k = call.offset[row]; k < call.offset[row + 1]; ++k) {
      const int32_t e = call.expertOf(call.ids[k]);
      if (e >= 0 && (!split || e / call.perHead == head))
        sum += call.partial[int64_t(call.place[k]) * call.out + column % call.out];
    }
    call.y[i] = sum;
  });
}

/// Masks of rows whose heads have chosen by themselves, [rows, heads, words], as masks of rows.
struct JoinCall {
  const uint64_t *from = nullptr;
  uint64_t *to = nullptr;
  int64_t rows = 0;
  int32_t heads = 1, perHead = 1; // experts
};

/// A thread a word.
template <typename Grid> UOE_HOST_DEVICE void joinKernel(const Grid &grid, const JoinCall &call) {
  const int experts = call.heads * call.perHead, words = maskWords(experts);
  grid.eachThread([&](int64_t i) {
    if (i >= call.rows * words)
      return;
    uint64_t word = 0;
    const int first = static_cast<int>(i % words) * 64;
    for (int e = first; e < least(experts, first + 64); ++e) {
      const int64_t head = i / words * call.heads + e / call.perHead;
      const bool chosen = hasBit(call.from + head * maskWords(call.perHead), e % call.perHead);
      word |= uint64_t(chosen) << (e - first);
    }
    call.to[i] = word;
  });
}

/// Where the pairs of each expert and sample lie, and where each pair's row lies in its sample and
/// among its expert's rows there.
struct SegmentCall {
  RowBlocks rows;
  int32_t experts = 0;
  const int32_t *first = nullptr, *base = nullptr, *source = nullptr; // of Permute.h
  int32_t *starts = nullptr;                                          // [experts * samples + 1]
  int32_t *tokens = nullptr;                                          // [pairs]
  int32_t *counted = nullptr;
  int64_t pairs = 0; // at most

  UOE_HOST_DEVICE int32_t start(int e, int sample) const {
    return first[e] + base[int64_t(sample) * rows.perSample() * experts + e];
  }
};

/// A thread a pair, or a start.
template <typename Grid>
UOE_HOST_DEVICE void segmentKernel(const Grid &grid, const SegmentCall &call) {
  grid.eachThread([&](int64_t i) {
    const int64_t segments = int64_t(call.experts) * call.rows.samples;
    if (i < segments)
      call.starts[i] = call.start(static_cast<int>(i / call.rows.samples),
                                  static_cast<int>(i % call.rows.samples));
    if (i == segments)
      call.starts[i] = call.first[call.experts];
    if (i >= call.first[call.experts])
      return;
    const int e = partOf(call.first, call.experts, static_cast<int32_t>(i));
    const int32_t row = call.source[i];
    call.tokens[i] = row % call.rows.rows;
    call.counted[i] = static_cast<int32_t>(i) - call.start(e, row / call.rows.rows);
  });
}

/// Queries and keys of pairs [pairs, width], the first `heads` of `size` features, turned in place
/// by the angles of their positions.
struct TurnCall {
  float *x = nullptr;
  int64_t width = 0, heads = 0, size = 0, half = 0;
  const float *cos = nullptr, *sin = nullptr; // [.., positions, half]
  int64_t stepSample = 0, length = 1;         // of the tables; tokens of a sample
  bool interleaved = false;
  const int32_t *source = nullptr, *positions = nullptr; // [pairs]
  const int32_t *count = nullptr;                        // of pairs, on the device
  int64_t pairs = 0;                                     // at most
};

/// A thread a pair of features.
template <typename Grid> UOE_HOST_DEVICE void turnKernel(const Grid &grid, const TurnCall &call) {
  grid.eachThread([&](int64_t i) {
    const int64_t f = i % call.half, h = i / call.half % call.heads,
                  pair = i / call.half / call.heads;
    if (pair >= call.pairs || pair >= *call.count)
      return;
    const int64_t at = call.source[pair] / call.length * call.stepSample +
                       int64_t(call.positions[pair]) * call.half + f;
    float *head = call.x + pair * call.width + h * call.size;
    float *first = head + (call.interleaved ? 2 * f : f);
    float *second = first + (call.interleaved ? 1 : call.half);
    const float x = *first, y = *second, c = call.cos[at], s = call.sin[at];
    *first = x * c - y * s;
    *second = x * s + y * c;
  });
}

/// y = `from`, or zeros, plus weights[i] rows[i] at index[i], no two of which are the same.
struct AddRowsCall {
  const float *rows = nullptr, *weights = nullptr; // [count, n], [count]
  const int64_t *index = nullptr;
  float *y = nullptr;
  int64_t count = 0, n = 0, all = 0;
  int32_t *flag = nullptr;
  int32_t mark = 0;
};

/// A thread an element of the rows; y holds what they are added to.
template <typename Grid>
UOE_HOST_DEVICE void addRowsKernel(const Grid &grid, const AddRowsCall &call) {
  grid.eachThread([&](int64_t i) {
    if (i >= call.count * call.n)
      return;
    const int64_t row = call.index[i / call.n];
    if (row < 0 || row >= call.all)
      *call.flag = call.mark;
    else
      call.y[row * call.n + i % call.n] += call.weights[i / call.n] * call.rows[i];
  });
}

} // namespace uoe::rt::cuda
