// The geometry that convolutions and pooling share: windows of a kernel sliding over up to three
// spatial dimensions.
#pragma once
#include "runtime/core/Kernel.h"
#include <algorithm>
#include <array>

namespace uoe::rt {

/// Spatial dimensions are kept as three; missing leading ones have size 1.
struct Window {
  using Dims = std::array<int64_t, 3>;
  int rank = 0; // spatial dimensions of the operand
  Dims in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1};
  Dims padBegin{0, 0, 0}, padEnd{0, 0, 0};

  int64_t inSize() const { return in[0] * in[1] * in[2]; }
  int64_t outSize() const { return out[0] * out[1] * out[2]; }
  int64_t kernelSize() const { return kernel[0] * kernel[1] * kernel[2]; }
  /// The spatial part of the result's shape, `rank` dimensions.
  Shape outShape() const { return Shape(out.end() - rank, out.end()); }
};

/// For one tap along the last dimension: the positions [low, high) of a row of results at which it
/// lies within the input, there at position · stride + offset.
struct RowPart {
  int64_t low, high, offset;
};
inline RowPart rowPart(const Window &w, int64_t tap) {
  const int64_t offset = tap * w.dilation[2] - w.padBegin[2], step = w.stride[2];
  const int64_t low = offset < 0 ? (-offset + step - 1) / step : 0;
  const int64_t high = w.in[2] > offset ? (w.in[2] - 1 - offset) / step + 1 : 0;
  return {low, std::min(high, w.out[2]), offset};
}

/// Reads kernel_shape, strides, dilations, pads and auto_pad for an operand of shape (batch,
/// channels, spatial...) and computes the result's size. `kernel` is the weights' spatial shape, or
/// empty where only the attribute gives it. Raises Error for attributes that do not fit.
Window windowOf(const Node &node, const Shape &input, Shape kernel, bool ceilMode);

/// The same for a transposed convolution: also output_padding and output_shape.
Window transposedWindowOf(const Node &node, const Shape &input, Shape kernel);

} // namespace uoe::rt
