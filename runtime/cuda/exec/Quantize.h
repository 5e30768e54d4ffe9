// Products of 8-bit integers on a device, for operators that contain one.
#pragma once
#include "Call.h"
#include "runtime/cuda/ops/Quantize.h"

namespace uoe::rt::cuda {

/// a [.., m, k] and b [k, n] or [.., k, n] by MatMul's rules, each with a zero point that may be
/// None; all on the device. Fills `work` and gives the result's shape. False for what the kernel
/// does not cover: zero points by matrix, and shapes that do not fit.
bool integerProduct(IntegerProductCall &work, const Tensor &a, const Tensor &b, const Tensor &aZero,
                    const Tensor &bZero, Shape &result);
/// `scale` [1 or n] of the rows of a, or the columns of b.
bool productScale(const Tensor &scale, int64_t lines, const float *&to, bool &each);
/// Whether a node asks for sums of pairs that saturate, as x86 without VNNI makes them of these
/// types.
bool saturates(Call &call, DType a, DType b);
void launch(Call &call, const IntegerProductCall &work);

} // namespace uoe::rt::cuda
