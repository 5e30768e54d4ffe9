// The tiles of a grouped product: expert e has rows first[e] .. first[e + 1] of the permuted rows,
// any number of them, and is cut into tiles of `height` rows and `width` columns. Which tile a
// block does follows from its number alone, so that the host need not know the routing.
#pragma once
#include "HostDevice.h"

namespace uoe::rt::cuda {

/// The last i in 0 .. count - 1 with start[i] <= x, for ascending start[0 .. count], start[0] <= x
/// < start[count]: empty parts are passed over.
UOE_HOST_DEVICE inline int partOf(const int32_t *start, int count, int32_t x) {
  int low = 0, high = count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (start[middle] <= x)
      low = middle;
    else
      high = middle;
  }
  return low;
}

struct Tile {
  int expert = -1;           // -1: there is no such tile
  int32_t row = 0, rows = 0; // of the permuted rows
  int32_t column = 0;
};

/// No more tiles of rows than this for any routing of so many pairs.
UOE_HOST_DEVICE inline int64_t mostRowTiles(int64_t pairs, int experts, int height) {
  return pairs / height + least<int64_t>(pairs, experts);
}

struct Schedule {
  int experts = 0, height = 0, width = 0;
  int32_t columns = 0;
  int band = 8; // row tiles that share a pass over the columns: weights and rows stay in L2
  const int32_t *first = nullptr; // [experts + 1] rows
  const int32_t *tiles = nullptr; // [experts + 1] exclusive sums of ceil(rows of e / height)

  UOE_HOST_DEVICE int64_t count() const {
    return static_cast<int64_t>(tiles[experts]) * ceilDiv(columns, width);
  }
  UOE_HOST_DEVICE Tile tile(int64_t number) const {
    if (number < 0 || number >= count())
      return {};
    const int32_t across = ceilDiv(columns, width);
    const int32_t bandFirst =
        static_cast<int32_t>(number / (static_cast<int64_t>(band) * across)) * band;
    const int32_t bandHeight = least(band, tiles[experts] - bandFirst);
    const int32_t inside = static_cast<int32_t>(number - static_cast<int64_t>(bandFirst) * across);
    const int32_t rowTile = bandFirst + inside % bandHeight;
    Tile tile;
    tile.expert = partOf(tiles, experts, rowTile);
    tile.row = first[tile.expert] + (rowTile - tiles[tile.expert]) * height;
    tile.rows = least(height, first[tile.expert + 1] - tile.row);
    tile.column = inside / bandHeight * width;
    return tile;
  }
};

} // namespace uoe::rt::cuda
