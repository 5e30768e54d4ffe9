// Elements written where indices say, with an optional reduction. What meets in one place meets in
// the order of the indices, without atomics: the same on every run, and on the CPU.
#pragma once
#include "Copy.h"

namespace uoe::rt::cuda {

enum class Scatter : int32_t { Set, Add, Mul, Min, Max };

template <typename C> UOE_HOST_DEVICE inline C scattered(Scatter op, C old, C update) {
  switch (op) {
  case Scatter::Add:
    return old + update;
  case Scatter::Mul:
    return old * update;
  case Scatter::Min:
    return update < old ? update : old;
  case Scatter::Max:
    return update > old ? update : old;
  default:
    return update;
  }
}

/// to[at] becomes op(to[at], from[i]), in arithmetic of the type's kind.
UOE_HOST_DEVICE inline void scatterElement(Scatter op, DType type, int32_t bytes, const void *from,
                                           int64_t i, void *to, int64_t at) {
  if (op == Scatter::Set)
    copyElement(bytes, from, i, to, at);
  else if (isDeviceFloat(type))
    storeAs<float>(type, to, at,
                   scattered(op, loadAs<float>(type, to, at), loadAs<float>(type, from, i)));
  else
    storeAs<int64_t>(type, to, at,
                     scattered(op, loadAs<int64_t>(type, to, at), loadAs<int64_t>(type, from, i)));
}

/// ScatterElements. A line is what lies along the axis at one place of the others: `n` updates,
/// each `step` behind the last one, to places `stride` apart in `to`.
struct ScatterCall {
  const void *indices = nullptr, *updates = nullptr;
  void *to = nullptr;
  DType type = DType::F32;
  Scatter op = Scatter::Set;
  int32_t bytes = 4;
  bool wide = true;      // indices are int64, else int32
  StridedLoops<2> lines; // operand 0: updates and indices, 1: to
  int64_t n = 0, step = 1, dim = 0, stride = 1;
  int32_t *flag = nullptr;
  int32_t mark = 0;
};

/// A thread a line: no other line's updates meet its own.
template <typename Grid>
UOE_HOST_DEVICE void scatterKernel(const Grid &grid, const ScatterCall &call) {
  grid.eachThread([&](int64_t line) {
    if (line >= call.lines.count)
      return;
    int64_t at[2];
    call.lines.offsets(line, at);
    for (int64_t j = 0; j < call.n; ++j) {
      const int64_t i = at[0] + j * call.step;
      const int64_t place = placeIn(call.indices, call.wide, i, call.dim, call.flag, call.mark);
      if (place >= 0)
        scatterElement(call.op, call.type, call.bytes, call.updates, i, call.to,
                       at[1] + place * call.stride);
    }
  });
}

/// ScatterND: updates [n, block] to the places of n tuples of `depth` indices.
struct ScatterTuplesCall {
  const void *indices = nullptr, *updates = nullptr;
  void *to = nullptr;
  DType type = DType::F32;
  Scatter op = Scatter::Set;
  int32_t bytes = 4, depth = 1;
  bool wide = true;
  int64_t n = 0, block = 1;
  int64_t dims[kMostDims] = {}, strides[kMostDims] = {};
  int32_t *flag = nullptr;
  int32_t mark = 0;

  /// A thread's items: without a reduction no two tuples may be the same, so that all are apart.
  UOE_HOST_DEVICE int64_t threads() const { return op == Scatter::Set ? n * block : block; }
};

/// One element of a block, of one tuple.
UOE_HOST_DEVICE inline void scatterTuple(const ScatterTuplesCall &call, int64_t tuple,
                                         int64_t within) {
  int64_t at = within;
  for (int d = 0; d < call.depth; ++d) {
    const int64_t place = placeIn(call.indices, call.wide, tuple * call.depth + d, call.dims[d],
                                  call.flag, call.mark);
    if (place < 0)
      return;
    at += place * call.strides[d];
  }
  scatterElement(call.op, call.type, call.bytes, call.updates, tuple * call.block + within, call.to,
                 at);
}

/// A thread an element of the updates, or with a reduction one of a block, for all tuples.
template <typename Grid>
UOE_HOST_DEVICE void scatterTuplesKernel(const Grid &grid, const ScatterTuplesCall &call) {
  grid.eachThread([&](int64_t item) {
    if (item >= call.threads())
      return;
    if (call.op == Scatter::Set)
      return scatterTuple(call, item / call.block, item % call.block);
    for (int64_t tuple = 0; tuple < call.n; ++tuple)
      scatterTuple(call, tuple, item);
  });
}

} // namespace uoe::rt::cuda
