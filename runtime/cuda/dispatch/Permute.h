// From the rows' masks to the order of the experts: pairs (row, expert) lie by expert, and within
// an expert by row. Places are counted, never sorted or raced for: the same input gives the same
// order on any number of threads.
//
//   masks   [rows of all samples, words]    who chose whom, by row
//   columns [blocks, experts]               the same by expert, 64 rows a word
//   base    [blocks, experts]               how many pairs of the expert lie in earlier blocks
//   first   [experts + 1]                   the expert's first pair
//   offset  [rows + 1]                      the row's first entry of its list
#pragma once
#include "Mask.h"
#include "Scan.h"
#include "Select.h"

namespace uoe::rt::cuda {

/// The columns of one block of rows. A block's program.
template <typename Team>
UOE_HOST_DEVICE void masksToColumns(Team &team, const RowBlocks &rows, int experts, int block,
                                    const uint64_t *masks, uint64_t *columns) {
  const int words = maskWords(experts);
  const uint64_t *from = masks + int64_t(rows.firstRow(block)) * words;
  team.each([&](int thread) {
    for (int e = thread; e < experts; e += team.width())
      columns[int64_t(block) * experts + e] = columnOf(from, words, rows.rowsOf(block), e);
  });
}

/// The masks again, after a capacity has changed columns.
template <typename Team>
UOE_HOST_DEVICE void columnsToMasks(Team &team, const RowBlocks &rows, int experts, int block,
                                    const uint64_t *columns, uint64_t *masks) {
  const int words = maskWords(experts), count = rows.rowsOf(block) * words;
  uint64_t *to = masks + int64_t(rows.firstRow(block)) * words;
  team.each([&](int thread) {
    for (int i = thread; i < count; i += team.width())
      to[i] = rowWordOf(columns + int64_t(block) * experts, experts, i % words, i / words);
  });
}

/// base of one expert, and its pairs into total[e]: what one thread does.
UOE_HOST_DEVICE inline void countExpert(int blocks, int experts, int e, const uint64_t *columns,
                                        int32_t *base, int32_t *total) {
  int32_t sum = 0;
  for (int block = 0; block < blocks; ++block) {
    base[int64_t(block) * experts + e] = sum;
    sum += countBits(columns[int64_t(block) * experts + e]);
  }
  total[e] = sum;
}

/// `capacity_takers`: the most rows that chose expert e in one sample.
UOE_HOST_DEVICE inline int32_t mostTakers(const RowBlocks &rows, int experts, int e,
                                          const uint64_t *columns) {
  int32_t found = 0;
  for (int sample = 0; sample < rows.samples; ++sample) {
    int32_t count = 0;
    for (int i = 0; i < rows.perSample(); ++i)
      count += countBits(columns[int64_t(sample * rows.perSample() + i) * experts + e]);
    found = most(found, count);
  }
  return found;
}

/// From totals to first, from masks to offset, and from first to the tiles of Schedule.h. One
/// block's program; `partial` as in exclusiveScan. first may be total's memory.
template <typename Team>
UOE_HOST_DEVICE void scanAll(Team &team, int64_t rows, int experts, int tileHeight,
                             const uint64_t *masks, const int32_t *total, int32_t *first,
                             int32_t *offset, int32_t *tiles, int32_t *partial) {
  const int words = maskWords(experts);
  exclusiveScan(
      team, experts, [&](int64_t e) { return total[e]; }, first, partial);
  exclusiveScan(
      team, experts, [&](int64_t e) { return ceilDiv(first[e + 1] - first[e], tileHeight); }, tiles,
      partial);
  exclusiveScan(
      team, rows, [&](int64_t r) { return countMask(masks + r * words, words); }, offset, partial);
}

/// Where everything of a pair is kept.
struct Pairs {
  int32_t *ids = nullptr;    // [entries] the row's experts, ascending: by row
  int32_t *place = nullptr;  // [entries] the entry's pair: by row
  int32_t *source = nullptr; // [pairs] the pair's row: by expert
  float *weights = nullptr;  // [pairs]
};

/// The entries and pairs of one row: what one thread does.
UOE_HOST_DEVICE inline void placeRow(const RowBlocks &rows, const SelectRule &rule, int row,
                                     const uint64_t *masks, const uint64_t *columns,
                                     const int32_t *base, const int32_t *first,
                                     const int32_t *offset, const float *gates,
                                     const Pairs &pairs) {
  const int experts = rule.experts, words = maskWords(experts);
  const int block = rows.blockOf(row), bit = rows.bitOf(row);
  int32_t entry = offset[row];
  const int32_t active = offset[row + 1] - entry;
  for (int w = 0; w < words; ++w)
    for (uint64_t bits = masks[int64_t(row) * words + w]; bits; bits &= bits - 1, ++entry) {
      const int e = 64 * w + lowestBit(bits);
      const int64_t at = int64_t(block) * experts + e;
      const int32_t place = first[e] + base[at] + countBits(columns[at] & bitsBelow(bit));
      pairs.ids[entry] = e;
      pairs.place[entry] = place;
      pairs.source[place] = row;
      pairs.weights[place] = weightOf(rule, gates[int64_t(row) * experts + e], active);
    }
}

} // namespace uoe::rt::cuda
