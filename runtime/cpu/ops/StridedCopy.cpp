#include "StridedCopy.h"
#include <algorithm>
#include <array>
#include <cstring>

namespace uoe::rt {
namespace {

constexpr int kMostDims = 32;
constexpr int64_t kGrainBytes = 64 << 10;

/// The views with as few dimensions as possible, outermost first.
struct Views {
  int rank = 0;
  std::array<int64_t, kMostDims> dims, from, to;
};

Views collapsed(const Shape &dims, const Shape &from, const Shape &to) {
  Views views;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 1)
      continue;
    int last = views.rank - 1;
    if (last >= 0 && views.from[last] == from[i] * dims[i] && views.to[last] == to[i] * dims[i]) {
      views.dims[last] *= dims[i];
      views.from[last] = from[i];
      views.to[last] = to[i];
      continue;
    }
    check(views.rank < kMostDims, "more than ", kMostDims, " dimensions in a copy of shape ",
          toString(dims));
    views.dims[views.rank] = dims[i];
    views.from[views.rank] = from[i];
    views.to[views.rank] = to[i];
    ++views.rank;
  }
  if (views.rank == 0) {
    views.rank = 1;
    views.dims[0] = views.from[0] = views.to[0] = 1;
  }
  return views;
}

template <typename T>
void copyRow(const T *from, int64_t fromStride, T *to, int64_t toStride, int64_t n) {
  if (fromStride == 1 && toStride == 1) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
  } else if (toStride == 1 && fromStride == 0) {
    std::fill_n(to, n, *from);
  } else if (toStride == 1) {
    for (int64_t i = 0; i < n; ++i)
      to[i] = from[i * fromStride];
  } else {
    for (int64_t i = 0; i < n; ++i)
      to[i * toStride] = from[i * fromStride];
  }
}

/// Walks the first `outer` dimensions from index `begin` to `end`, calling body(from, to).
template <typename T, typename Body>
void walk(const Views &views, int outer, int64_t begin, int64_t end, const T *from, T *to,
          const Body &body) {
  std::array<int64_t, kMostDims> index{};
  int64_t rest = begin;
  for (int d = outer - 1; d >= 0; --d) {
    index[d] = rest % views.dims[d];
    rest /= views.dims[d];
    from += index[d] * views.from[d];
    to += index[d] * views.to[d];
  }
  for (int64_t at = begin; at < end; ++at) {
    body(from, to);
    for (int d = outer - 1; d >= 0; --d) {
      from += views.from[d];
      to += views.to[d];
      if (++index[d] < views.dims[d])
        break;
      from -= views.dims[d] * views.from[d];
      to -= views.dims[d] * views.to[d];
      index[d] = 0;
    }
  }
}

/// The last two dimensions are a transposition: in tiles, so that both sides use whole cache lines.
template <typename T>
void transposeTile(const T *from, int64_t fromStride, T *to, int64_t toStride, int64_t rows,
                   int64_t columns) {
  constexpr int64_t tile = sizeof(T) >= 8 ? 8 : 16;
  for (int64_t r0 = 0; r0 < rows; r0 += tile) {
    int64_t r1 = std::min(rows, r0 + tile);
    for (int64_t c0 = 0; c0 < columns; c0 += tile) {
      int64_t c1 = std::min(columns, c0 + tile);
      if (r1 - r0 == tile && c1 - c0 == tile) {
        T block[tile][tile];
        for (int64_t c = 0; c < tile; ++c)
          for (int64_t r = 0; r < tile; ++r)
            block[r][c] = from[(c0 + c) * fromStride + r0 + r];
        for (int64_t r = 0; r < tile; ++r)
          std::memcpy(to + (r0 + r) * toStride + c0, block[r], sizeof block[r]);
        continue;
      }
      for (int64_t r = r0; r < r1; ++r)
        for (int64_t c = c0; c < c1; ++c)
          to[r * toStride + c] = from[c * fromStride + r];
    }
  }
}

template <typename T> void copy(Views views, const T *from, T *to) {
  int inner = views.rank - 1;
  int64_t total = 1;
  for (int d = 0; d < views.rank; ++d)
    total *= views.dims[d];
  if (total == 0)
    return;
  int64_t grainElements = kGrainBytes / static_cast<int64_t>(sizeof(T));

  if (views.rank >= 2 && views.to[inner] == 1 && views.from[inner] != 1) {
    // Bring the dimension that is contiguous in the source next to the innermost one.
    int other = -1;
    for (int d = 0; d < inner; ++d)
      if (views.from[d] == 1)
        other = d;
    if (other >= 0) {
      for (int d = other; d + 1 < inner; ++d) {
        std::swap(views.dims[d], views.dims[d + 1]);
        std::swap(views.from[d], views.from[d + 1]);
        std::swap(views.to[d], views.to[d + 1]);
      }
      int rowsAt = inner - 1;
      int64_t rows = views.dims[rowsAt], columns = views.dims[inner];
      // Tall planes are cut so that few planes occupy all threads too.
      constexpr int64_t cut = 64;
      int64_t cuts = (rows + cut - 1) / cut, planes = total / (rows * columns);
      parallel(planes * cuts, std::max<int64_t>(1, grainElements / (cut * columns)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t at = begin; at < end; ++at) {
                   int64_t row = at % cuts * cut;
                   walk(views, rowsAt, at / cuts, at / cuts + 1, from, to,
                        [&](const T *source, T *target) {
                          transposeTile(source + row, views.from[inner],
                                        target + row * views.to[rowsAt], views.to[rowsAt],
                                        std::min(cut, rows - row), columns);
                        });
                 }
               });
      return;
    }
  }

  int64_t length = views.dims[inner], fromStride = views.from[inner], toStride = views.to[inner];
  if (views.rank == 1) {
    parallel(length, grainElements, [&](int64_t begin, int64_t end) {
      copyRow(from + begin * fromStride, fromStride, to + begin * toStride, toStride, end - begin);
    });
    return;
  }
  parallel(total / length, std::max<int64_t>(1, grainElements / length),
           [&](int64_t begin, int64_t end) {
             walk(views, inner, begin, end, from, to, [&](const T *source, T *target) {
               copyRow(source, fromStride, target, toStride, length);
             });
           });
}

} // namespace

Shape stridesOf(const Shape &dims) {
  Shape strides(dims.size());
  int64_t step = 1;
  for (size_t i = dims.size(); i-- > 0;) {
    strides[i] = step;
    step *= dims[i];
  }
  return strides;
}

void stridedCopy(const Shape &dims, const void *from, const Shape &fromStrides, void *to,
                 const Shape &toStrides, size_t elementBytes) {
  Views views = collapsed(dims, fromStrides, toStrides);
  switch (elementBytes) {
  case 1:
    return copy(views, static_cast<const uint8_t *>(from), static_cast<uint8_t *>(to));
  case 2:
    return copy(views, static_cast<const uint16_t *>(from), static_cast<uint16_t *>(to));
  case 4:
    return copy(views, static_cast<const uint32_t *>(from), static_cast<uint32_t *>(to));
  case 8:
    return copy(views, static_cast<const uint64_t *>(from), static_cast<uint64_t *>(to));
  case 16:
    return copy(views, static_cast<const Sixteen *>(from), static_cast<Sixteen *>(to));
  default:
    fail("elements of ", elementBytes, " bytes are not supported");
  }
}

Tensor unpackedNibbles(const Tensor &tensor) {
  if (bitsOf(tensor.dtype()) != 4)
    return tensor;
  Tensor bytes(DType::U8, tensor.shape());
  const uint8_t *from = tensor.data<uint8_t>();
  uint8_t *to = bytes.data<uint8_t>();
  for (int64_t i = 0, n = tensor.size(); i < n; ++i)
    to[i] = (from[i / 2] >> (i % 2 * 4)) & 15;
  return bytes;
}

Tensor packedNibbles(const Tensor &bytes, DType type) {
  Tensor tensor(type, bytes.shape());
  const uint8_t *from = bytes.data<uint8_t>();
  uint8_t *to = tensor.data<uint8_t>();
  int64_t n = bytes.size();
  for (int64_t i = 0; i < n; i += 2)
    to[i / 2] = static_cast<uint8_t>((from[i] & 15) | (i + 1 < n ? from[i + 1] << 4 : 0));
  return tensor;
}

} // namespace uoe::rt
