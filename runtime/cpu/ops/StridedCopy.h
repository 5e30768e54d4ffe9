// Copying between strided views: what transposing, slicing, tiling, expanding and concatenating
// have in common.
#pragma once
#include "Dispatch.h"

namespace uoe::rt {

/// An element of 16 bytes, as complex numbers of doubles are.
struct Sixteen {
  uint64_t low, high;
};

/// Copies an array of shape `dims` from a view to another; strides count elements and may be 0 or
/// negative in the source. The target's elements must be distinct. `elementBytes` is 1, 2, 4, 8
/// or 16.
void stridedCopy(const Shape &dims, const void *from, const Shape &fromStrides, void *to,
                 const Shape &toStrides, size_t elementBytes);

/// Row-major strides in elements.
Shape stridesOf(const Shape &dims);

/// The tensor with 4-bit elements spread to one byte each, and back; other types are returned as
/// they are.
Tensor unpackedNibbles(const Tensor &tensor);
Tensor packedNibbles(const Tensor &bytes, DType type);

/// Runs `body` on input i with 4-bit types spread to bytes, and packs the result again.
template <typename Body> Tensor onBytes(const Tensor &tensor, Body &&body) {
  if (bitsOf(tensor.dtype()) != 4)
    return body(tensor);
  return packedNibbles(body(unpackedNibbles(tensor)), tensor.dtype());
}

inline size_t elementBytes(const Tensor &tensor) {
  int bits = bitsOf(tensor.dtype());
  check(bits >= 8, "type ", nameOf(tensor.dtype()), " is not supported");
  return static_cast<size_t>(bits / 8);
}

} // namespace uoe::rt
