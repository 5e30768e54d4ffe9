// Products of 8-bit integers with scales, for operators that contain one.
#pragma once
#include "runtime/core/Kernel.h"

namespace uoe::rt {

/// (A - zeroA)·(B - zeroB)·scaleA·scaleB + bias as float, where B is input `bIndex` of the call,
/// kept in its state if it never changes. A and B are int8 or uint8 by MatMul's rules; zero points
/// may be null, scales and zero points are scalars or one per row of A and per column of B. Raises
/// Error for shapes that do not fit.
Tensor scaledIntegerProduct(KernelCall &call, const Tensor &a, size_t bIndex, const Tensor &scaleA,
                            const Tensor &scaleB, const Tensor *zeroA, const Tensor *zeroB,
                            const Tensor *bias);

} // namespace uoe::rt
