// Weights of products, feed-forward blocks and experts as the device's kernels take them, made on
// the host.
#pragma once
#include "runtime/core/Kernel.h"
#include "runtime/cuda/dispatch/Activate.h"

namespace uoe::rt::cuda {

/// A constant matrix [k, n], or [n, k] where it is `transposed`, as rows [n, k]. Row j of the
/// result is row first + j * step of `to`, so that two matrices can be interleaved.
void placeRows(const Tensor &matrix, bool transposed, Tensor &to, int64_t first, int64_t step);

/// Rows of up [hidden, in], or with a gate [hidden, 2, in], the gate's first.
Tensor innerRows(const Tensor &up, bool upTransposed, const Tensor *gate, bool gateTransposed);
/// The biases of these rows; type None without any.
Tensor innerBias(const Tensor *up, const Tensor *gate, bool gated, int64_t hidden);

/// A weight of floats all of which bfloat16, or float16, holds, as that: what was promoted before
/// it ran takes half the bytes again, and nothing is lost. Else the weight itself.
Tensor narrowed(const Tensor &weight);

/// The attribute "activation"; raises Error for an unknown one.
Activation deviceActivation(const Node &node);
/// The attributes "limit" and "up_offset".
Cut deviceCut(const Node &node);

} // namespace uoe::rt::cuda
