// Sets of experts as bits: bit e of a row's words says that the row has chosen expert e. 64 experts
// take one word, 4096 take 64.
#pragma once
#include "HostDevice.h"

namespace uoe::rt::cuda {

UOE_HOST_DEVICE inline int maskWords(int experts) {
  return ceilDiv(experts, 64);
}

UOE_HOST_DEVICE inline bool hasBit(const uint64_t *mask, int e) {
  return mask[e / 64] >> (e % 64) & 1;
}

/// The bits below bit i; i up to 64.
UOE_HOST_DEVICE inline uint64_t bitsBelow(int i) {
  return i >= 64 ? ~uint64_t(0) : (uint64_t(1) << i) - 1;
}

UOE_HOST_DEVICE inline int countMask(const uint64_t *mask, int words) {
  int count = 0;
  for (int w = 0; w < words; ++w)
    count += countBits(mask[w]);
  return count;
}

/// How many of the set come before expert e: its place in the row's ascending list.
UOE_HOST_DEVICE inline int rankInMask(const uint64_t *mask, int e) {
  return countMask(mask, e / 64) + countBits(mask[e / 64] & bitsBelow(e % 64));
}

// Up to 64 rows at a time the bits are also kept by expert: bit t of an expert's column says that
// row t of the block has chosen it.

/// The column of expert e from the masks [rows, words] of a block.
UOE_HOST_DEVICE inline uint64_t columnOf(const uint64_t *masks, int words, int rows, int e) {
  uint64_t column = 0;
  for (int t = 0; t < rows; ++t)
    column |= (masks[static_cast<int64_t>(t) * words + e / 64] >> (e % 64) & 1) << t;
  return column;
}

/// Word w of row t's mask from the columns [experts] of its block.
UOE_HOST_DEVICE inline uint64_t rowWordOf(const uint64_t *columns, int experts, int w, int t) {
  uint64_t word = 0;
  const int count = least(64, experts - 64 * w);
  for (int i = 0; i < count; ++i)
    word |= (columns[64 * w + i] >> t & 1) << i;
  return word;
}

/// Rows in blocks of at most 64, none of which holds rows of two samples.
struct RowBlocks {
  int samples = 1, rows = 0; // rows of each sample

  UOE_HOST_DEVICE int perSample() const { return ceilDiv(rows, 64); }
  UOE_HOST_DEVICE int blocks() const { return samples * perSample(); }
  UOE_HOST_DEVICE int firstRow(int block) const {
    return block / perSample() * rows + block % perSample() * 64;
  }
  UOE_HOST_DEVICE int rowsOf(int block) const { return least(64, rows - block % perSample() * 64); }
  /// The block of a row of all samples, and the row's bit in it.
  UOE_HOST_DEVICE int blockOf(int row) const { return row / rows * perSample() + row % rows / 64; }
  UOE_HOST_DEVICE int bitOf(int row) const { return row % rows % 64; }
};

} // namespace uoe::rt::cuda
