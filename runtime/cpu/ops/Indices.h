// Index tensors, checked once and made non-negative.
#pragma once
#include "Dispatch.h"

namespace uoe::rt {

/// int32 or int64 indices into an axis of length `dim`, counted from the end if negative. Raises
/// Error if one is out of range.
std::vector<int64_t> indicesIn(const Tensor &indices, int64_t dim, const char *what);

/// The tuples in the last axis of GatherND's and ScatterND's indices, as offsets into the data.
struct TupleIndices {
  std::vector<int64_t> offsets;
  Shape outer, inner; // shape of the tuples; shape of what one of them selects
  int64_t block = 1;  // elements of `inner`
};
TupleIndices tupleIndices(const Tensor &data, const Tensor &indices, int64_t batchDims);

/// Walks an index shape in row-major order, tracking the offset into the data with one axis left
/// out.
struct ElementWalk {
  ElementWalk(const Shape &dims, const Shape &strides, int64_t axis)
      : dims(dims), strides(strides), index(dims.size()) {
    if (!this->strides.empty())
      this->strides[static_cast<size_t>(axis)] = 0;
  }
  void next() {
    for (size_t d = dims.size(); d-- > 0;) {
      offset += strides[d];
      if (++index[d] < dims[d])
        return;
      offset -= dims[d] * strides[d];
      index[d] = 0;
    }
  }
  Shape dims, strides;
  std::vector<int64_t> index;
  int64_t offset = 0;
};

} // namespace uoe::rt
