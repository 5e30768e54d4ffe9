// Elements from one place to another: transposed, sliced, joined, repeated, gathered. A thread an
// element of the result.
#pragma once
#include "Element.h"

namespace uoe::rt::cuda {

/// to[loops] = from[loops]; the strides of operand 0 are from's, of operand 1 to's.
struct CopyCall {
  const void *from = nullptr;
  void *to = nullptr;
  int32_t bytes = 4; // of an element: 1, 2, 4 or 8
  StridedLoops<2> loops;
};

UOE_HOST_DEVICE inline void copyElement(int32_t bytes, const void *from, int64_t i, void *to,
                                        int64_t j) {
  switch (bytes) {
  case 1:
    static_cast<uint8_t *>(to)[j] = static_cast<const uint8_t *>(from)[i];
    return;
  case 2:
    static_cast<uint16_t *>(to)[j] = static_cast<const uint16_t *>(from)[i];
    return;
  case 4:
    static_cast<uint32_t *>(to)[j] = static_cast<const uint32_t *>(from)[i];
    return;
  default:
    static_cast<uint64_t *>(to)[j] = static_cast<const uint64_t *>(from)[i];
    return;
  }
}

UOE_HOST_DEVICE inline void clearElement(int32_t bytes, void *to, int64_t i) {
  switch (bytes) {
  case 1:
    static_cast<uint8_t *>(to)[i] = 0;
    return;
  case 2:
    static_cast<uint16_t *>(to)[i] = 0;
    return;
  case 4:
    static_cast<uint32_t *>(to)[i] = 0;
    return;
  default:
    static_cast<uint64_t *>(to)[i] = 0;
    return;
  }
}

template <typename Grid> UOE_HOST_DEVICE void copyKernel(const Grid &grid, const CopyCall &call) {
  grid.eachThread([&](int64_t i) {
    if (i >= call.loops.count)
      return;
    int64_t at[2];
    call.loops.offsets(i, at);
    copyElement(call.bytes, call.from, at[0], call.to, at[1]);
  });
}

/// to = from [.., rows, columns] on one side of a diagonal, zeros on the other.
struct TriangleCall {
  const void *from = nullptr;
  void *to = nullptr;
  int32_t bytes = 4;
  bool upper = true;
  int64_t count = 0, rows = 1, columns = 1, diagonal = 0;
};

template <typename Grid>
UOE_HOST_DEVICE void triangleKernel(const Grid &grid, const TriangleCall &call) {
  grid.eachThread([&](int64_t i) {
    if (i >= call.count)
      return;
    const int64_t right = i % call.columns - i / call.columns % call.rows - call.diagonal;
    if (call.upper ? right >= 0 : right <= 0)
      copyElement(call.bytes, call.from, i, call.to, i);
    else
      clearElement(call.bytes, call.to, i);
  });
}

/// An index, from the end where it is negative; a bad one leaves `mark` at `flag` and is -1.
UOE_HOST_DEVICE inline int64_t placeIn(const void *indices, bool wide, int64_t i, int64_t dim,
                                       int32_t *flag, int32_t mark) {
  int64_t index =
      wide ? static_cast<const int64_t *>(indices)[i] : static_cast<const int32_t *>(indices)[i];
  index += index < 0 ? dim : 0;
  if (index >= 0 && index < dim)
    return index;
  *flag = mark;
  return -1;
}

/// to [outer, n, inner] = from [outer, .., inner] at n tuples of `depth` indices into `dims`. An
/// index counts from the end where it is negative; a bad one leaves `mark` at `flag` and reads 0.
struct GatherCall {
  const void *from = nullptr, *indices = nullptr;
  void *to = nullptr;
  int32_t bytes = 4, depth = 1;
  bool wide = true;                                // indices are int64, else int32
  bool sameIndices = true;                         // for every outer; else [outer, n, depth]
  int64_t outer = 1, n = 0, inner = 1, stride = 0; // stride: of an outer in from
  int64_t dims[kMostDims] = {}, strides[kMostDims] = {};
  int32_t *flag = nullptr;
  int32_t mark = 0;
};

template <typename Grid>
UOE_HOST_DEVICE void gatherKernel(const Grid &grid, const GatherCall &call) {
  grid.eachThread([&](int64_t i) {
    if (i >= call.outer * call.n * call.inner)
      return;
    const int64_t tuple = i / call.inner, o = tuple / call.n;
    const int64_t first = (call.sameIndices ? tuple % call.n : tuple) * call.depth;
    int64_t at = o * call.stride + i % call.inner;
    for (int d = 0; d < call.depth; ++d) {
      const int64_t place =
          placeIn(call.indices, call.wide, first + d, call.dims[d], call.flag, call.mark);
      const int64_t index = place < 0 ? 0 : place; // the run fails, but reads what is there
      at += index * call.strides[d];
    }
    copyElement(call.bytes, call.from, at, call.to, i);
  });
}

/// to = from, element by element of the indices, each at its own index along one axis.
struct GatherElementsCall {
  const void *from = nullptr, *indices = nullptr;
  void *to = nullptr;
  int32_t bytes = 4;
  bool wide = true;
  StridedLoops<1> loops; // over the indices, with from's strides, 0 along the axis
  int64_t dim = 0, stride = 0;
  int32_t *flag = nullptr;
  int32_t mark = 0;
};

template <typename Grid>
UOE_HOST_DEVICE void gatherElementsKernel(const Grid &grid, const GatherElementsCall &call) {
  grid.eachThread([&](int64_t i) {
    if (i >= call.loops.count)
      return;
    int64_t at;
    call.loops.offsets(i, &at);
    const int64_t place = placeIn(call.indices, call.wide, i, call.dim, call.flag, call.mark);
    const int64_t index = place < 0 ? 0 : place; // the run fails, but reads what is there
    copyElement(call.bytes, call.from, at + index * call.stride, call.to, i);
  });
}

} // namespace uoe::rt::cuda
