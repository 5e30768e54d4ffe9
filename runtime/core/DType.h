// Element types. The numbers are those of ONNX's TensorProto.DataType, so that no table is needed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace uoe::rt {

enum class DType : uint8_t {
  None = 0,
  F32 = 1,
  U8 = 2,
  I8 = 3,
  U16 = 4,
  I16 = 5,
  I32 = 6,
  I64 = 7,
  String = 8,
  Bool = 9,
  F16 = 10,
  F64 = 11,
  U32 = 12,
  U64 = 13,
  C64 = 14,
  C128 = 15,
  BF16 = 16,
  F8E4M3FN = 17,
  F8E4M3FNUZ = 18,
  F8E5M2 = 19,
  F8E5M2FNUZ = 20,
  U4 = 21,
  I4 = 22,
  F4E2M1 = 23,
  F8E8M0 = 24,
};

/// Bits of one element; 0 for None and String. 4-bit types are packed two in a byte, low half
/// first.
int bitsOf(DType type);
/// ONNX's lower-case name, as in "float", "int64", "bfloat16".
const char *nameOf(DType type);
/// Bytes that `count` elements take, the last byte of a packed type padded.
size_t bytesOf(DType type, int64_t count);

// Always inlined: a copy compiled for a newer instruction set must not be linked into code for
// older ones.
#define UOE_ALWAYS_INLINE inline __attribute__((always_inline))

namespace detail {
UOE_ALWAYS_INLINE uint32_t floatBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
UOE_ALWAYS_INLINE float floatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// Float to IEEE half, round to nearest even; overflow gives infinity, NaN stays NaN.
UOE_ALWAYS_INLINE uint16_t halfBits(float value) {
  uint32_t x = floatBits(value), sign = x & 0x80000000u;
  x ^= sign;
  uint32_t result;
  if (x > 0x7f800000u) {
    result = 0x7e00u | ((x >> 13) & 0x3ffu);
  } else if (x >= 0x47800000u) {
    result = 0x7c00u;
  } else if (x < 0x38800000u) {
    // The result is subnormal: adding 0.5 lets the float adder align and round the mantissa.
    result = floatBits(floatOf(x) + 0.5f) - 0x3f000000u;
  } else {
    result = (x + 0xc8000fffu + ((x >> 13) & 1)) >> 13;
  }
  return static_cast<uint16_t>(result | (sign >> 16));
}
UOE_ALWAYS_INLINE float halfValue(uint16_t bits) {
  uint32_t x = static_cast<uint32_t>(bits & 0x7fff) << 13, exponent = x & 0x0f800000u;
  x += 112u << 23;
  if (exponent == 0x0f800000u)
    x += 112u << 23;
  else if (exponent == 0)
    x = floatBits(floatOf(x + (1u << 23)) - floatOf(113u << 23));
  return floatOf(x | static_cast<uint32_t>(bits & 0x8000) << 16);
}
/// Float to bfloat16, round to nearest even; NaN stays NaN.
UOE_ALWAYS_INLINE uint16_t bfloatBits(float value) {
  uint32_t x = floatBits(value);
  if ((x & 0x7fffffffu) > 0x7f800000u)
    return static_cast<uint16_t>((x >> 16) | 0x40u);
  return static_cast<uint16_t>((x + 0x7fffu + ((x >> 16) & 1)) >> 16);
}
} // namespace detail

/// IEEE half and bfloat16 as storage types: arithmetic is done in float.
struct Half {
  uint16_t bits = 0;
  Half() = default;
  UOE_ALWAYS_INLINE Half(float value) : bits(detail::halfBits(value)) {}
  UOE_ALWAYS_INLINE operator float() const { return detail::halfValue(bits); }
};
struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  UOE_ALWAYS_INLINE BFloat16(float value) : bits(detail::bfloatBits(value)) {}
  UOE_ALWAYS_INLINE operator float() const {
    return detail::floatOf(static_cast<uint32_t>(bits) << 16);
  }
};

template <typename T> struct DTypeOf;
#define UOE_DTYPE(T, D)                                                                            \
  template <> struct DTypeOf<T> { static constexpr DType value = DType::D; };
UOE_DTYPE(float, F32)
UOE_DTYPE(double, F64)
UOE_DTYPE(Half, F16)
UOE_DTYPE(BFloat16, BF16)
UOE_DTYPE(int8_t, I8)
UOE_DTYPE(int16_t, I16)
UOE_DTYPE(int32_t, I32)
UOE_DTYPE(int64_t, I64)
UOE_DTYPE(uint8_t, U8)
UOE_DTYPE(uint16_t, U16)
UOE_DTYPE(uint32_t, U32)
UOE_DTYPE(uint64_t, U64)
UOE_DTYPE(bool, Bool)
#undef UOE_DTYPE

} // namespace uoe::rt
