// Rows of up to three tables added up (com.microsoft EmbedLayerNormalization), and ones of a mask
// counted.
#pragma once
#include "Element.h"

namespace uoe::rt::cuda {

/// sum [rows, width] = words[ids] + positions[..] + segments[..]. A bad index leaves `mark` at
/// `flag`.
struct EmbedCall {
  const void *ids = nullptr, *segmentIds = nullptr, *positionIds = nullptr; // the last two may be
                                                                            // null
  DType idType = DType::I32, segmentType = DType::I32, positionType = DType::I32;
  const void *words = nullptr, *positions = nullptr, *segments = nullptr;
  void *sum = nullptr;
  DType type = DType::F32;
  int64_t rows = 0, width = 0, sequence = 1, positionCount = 0; // positions repeat after so many
  int64_t wordRows = 0, positionRows = 0, segmentRows = 0;
  int32_t *flag = nullptr;
  int32_t mark = 0;

  UOE_HOST_DEVICE int64_t checked(int64_t index, int64_t rows) const {
    if (index >= 0 && index < rows)
      return index;
    *flag = mark;
    return 0;
  }
};

/// A thread an element.
template <typename Grid> UOE_HOST_DEVICE void embedKernel(const Grid &grid, const EmbedCall &call) {
  grid.eachThread([&](int64_t i) {
    if (i >= call.rows * call.width)
      return;
    const int64_t row = i / call.width, j = i % call.width;
    const int64_t word = call.checked(loadAs<int64_t>(call.idType, call.ids, row), call.wordRows);
    const int64_t place =
        call.checked(call.positionIds ? loadAs<int64_t>(call.positionType, call.positionIds,
                                                        row % call.positionCount)
                                      : row % call.sequence,
                     call.positionRows);
    float sum = loadAs<float>(call.type, call.words, word * call.width + j) +
                loadAs<float>(call.type, call.positions, place * call.width + j);
    if (call.segmentIds) {
      const int64_t segment =
          call.checked(loadAs<int64_t>(call.segmentType, call.segmentIds, row), call.segmentRows);
      sum += loadAs<float>(call.type, call.segments, segment * call.width + j);
    }
    storeAs<float>(call.type, call.sum, i, sum);
  });
}

/// counts [rows] = how many of mask [rows, n] are 1. A thread a row.
struct OnesCall {
  const void *mask = nullptr; // or null: none
  DType type = DType::I32;
  int32_t *counts = nullptr;
  int64_t rows = 0, n = 0;
};

template <typename Grid> UOE_HOST_DEVICE void onesKernel(const Grid &grid, const OnesCall &call) {
  grid.eachThread([&](int64_t row) {
    if (row >= call.rows)
      return;
    int32_t count = 0;
    for (int64_t j = 0; j < call.n && call.mask; ++j)
      count += loadAs<int64_t>(call.type, call.mask, row * call.n + j) == 1;
    call.counts[row] = count;
  });
}

} // namespace uoe::rt::cuda
