// Conversions between the float types, so that kernels compute in float or double alone.
#pragma once
#include "runtime/core/Kernel.h"

namespace uoe::rt {

/// float, double, float16 or bfloat16.
bool isReal(DType type);
/// One of the four float8 types.
bool isFloat8(DType type);

/// Converts `count` elements between float and a storage type (float16, bfloat16, float64, float8;
/// round to nearest even, float8 saturating). Raises Error for another type.
void toFloats(DType type, const void *from, float *to, int64_t count);
void fromFloats(DType type, const float *from, void *to, int64_t count);

/// The same elements as another real type; shares the storage if the type is that already.
Tensor castReal(const Tensor &tensor, DType type);

/// Elements of any integer type of 8 bits or fewer (packed 4-bit types unpacked), or of 16 and 32
/// bits, as int32.
std::vector<int32_t> toInt32s(const Tensor &tensor, const char *what);

/// The type that a real type is computed in: double for double, else float. Raises Error for other
/// types.
DType computeType(DType type, const char *what);

/// Calls body(float()) or body(double()), after the type that `type` is computed in.
template <typename Body> void withCompute(DType type, const char *what, Body &&body) {
  if (computeType(type, what) == DType::F64)
    body(double());
  else
    body(float());
}

/// Input i in the compute type T (converted if need be), null data if absent.
template <typename T> Tensor inputAs(const KernelCall &call, size_t i) {
  const Tensor &tensor = call.in(i);
  check(isReal(tensor.dtype()), call.node.op, ": input ", i, " must have a float type, found ",
        nameOf(tensor.dtype()));
  return castReal(tensor, DTypeOf<T>::value);
}

/// Sets output i, converting the computed tensor to `type`.
inline void setReal(KernelCall &call, size_t i, const Tensor &computed, DType type) {
  call.set(i, castReal(computed, type));
}

/// An axis in [0, rank), from one that may count from the end. Raises Error naming the operator if
/// it is outside.
int64_t resolveAxis(const Node &node, int64_t axis, int64_t rank);

/// Product of shape[begin, end).
int64_t extent(const Shape &shape, int64_t begin, int64_t end);

/// NumPy's broadcast of two shapes; raises Error naming the operator if they do not fit.
Shape broadcastShape(const Node &node, const Shape &a, const Shape &b);

/// Strides in elements of `shape` inside the broadcast `result` (right-aligned): 0 where the
/// dimension is 1 or missing.
std::vector<int64_t> broadcastStrides(const Shape &shape, const Shape &result);

} // namespace uoe::rt
