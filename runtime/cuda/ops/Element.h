// Elements of any type as a kernel reads and writes them, and loops over strided operands.
#pragma once
#include "runtime/cuda/dispatch/HostDevice.h"

namespace uoe::rt::cuda {

/// Types that the kernels of whole models read and write.
UOE_HOST_DEVICE constexpr bool isDeviceFloat(DType type) {
  return type == DType::F32 || type == DType::F16 || type == DType::BF16;
}
UOE_HOST_DEVICE constexpr bool isDeviceInteger(DType type) {
  return type == DType::I64 || type == DType::I32 || type == DType::U8 || type == DType::I8 ||
         type == DType::Bool;
}

/// Element i of an array of `type`, as C: float or int64_t.
template <typename C> UOE_HOST_DEVICE inline C loadAs(DType type, const void *from, int64_t i) {
  switch (type) {
  case DType::F32:
    return static_cast<C>(static_cast<const float *>(from)[i]);
  case DType::F16:
    return static_cast<C>(toFloat(static_cast<const F16 *>(from)[i]));
  case DType::BF16:
    return static_cast<C>(toFloat(static_cast<const BF16 *>(from)[i]));
  case DType::I64:
    return static_cast<C>(static_cast<const int64_t *>(from)[i]);
  case DType::I32:
    return static_cast<C>(static_cast<const int32_t *>(from)[i]);
  case DType::I8:
    return static_cast<C>(static_cast<const int8_t *>(from)[i]);
  default:
    return static_cast<C>(static_cast<const uint8_t *>(from)[i]);
  }
}

/// The same the other way; Bool is 1 for all but 0.
template <typename C> UOE_HOST_DEVICE inline void storeAs(DType type, void *to, int64_t i, C x) {
  switch (type) {
  case DType::F32:
    static_cast<float *>(to)[i] = static_cast<float>(x);
    return;
  case DType::F16:
    static_cast<F16 *>(to)[i] = fromFloat<F16>(static_cast<float>(x));
    return;
  case DType::BF16:
    static_cast<BF16 *>(to)[i] = fromFloat<BF16>(static_cast<float>(x));
    return;
  case DType::I64:
    static_cast<int64_t *>(to)[i] = static_cast<int64_t>(x);
    return;
  case DType::I32:
    static_cast<int32_t *>(to)[i] = static_cast<int32_t>(x);
    return;
  case DType::I8:
    static_cast<int8_t *>(to)[i] = static_cast<int8_t>(static_cast<int64_t>(x));
    return;
  case DType::Bool:
    static_cast<uint8_t *>(to)[i] = x != C(0);
    return;
  default:
    static_cast<uint8_t *>(to)[i] = static_cast<uint8_t>(static_cast<int64_t>(x));
    return;
  }
}

constexpr int kMostDims = 8;

/// Loops over `count` elements, the innermost last, and the step of each of `operands` per loop.
template <int operands> struct StridedLoops {
  int64_t count = 0;
  int32_t rank = 1;
  int64_t dims[kMostDims] = {};
  int64_t strides[operands][kMostDims] = {};

  /// Where element i of the loops lies in each operand.
  UOE_HOST_DEVICE void offsets(int64_t i, int64_t *at) const {
    for (int k = 0; k < operands; ++k)
      at[k] = 0;
    for (int d = rank - 1; d > 0; --d) {
      const int64_t index = i % dims[d];
      i /= dims[d];
      for (int k = 0; k < operands; ++k)
        at[k] += index * strides[k][d];
    }
    for (int k = 0; k < operands; ++k)
      at[k] += i * strides[k][0];
  }
};

} // namespace uoe::rt::cuda
