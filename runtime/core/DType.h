// Element types. The numbers are those of ONNX's TensorProto.DataType, so that no table is needed.
#pragma once
#include <cstddef>
#include <cstdint>

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
};

/// Bits of one element; 0 for None and String. 4-bit types are packed two in a byte, low half first.
int bitsOf(DType type);
/// ONNX's lower-case name, as in "float", "int64", "bfloat16".
const char *nameOf(DType type);
/// Bytes that `count` elements take, the last byte of a packed type padded.
size_t bytesOf(DType type, int64_t count);

/// IEEE half and bfloat16 as storage types: arithmetic is done in float.
struct Half {
  uint16_t bits = 0;
  Half() = default;
  Half(float value);
  operator float() const;
};
struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  BFloat16(float value);
  operator float() const;
};

template <typename T> struct DTypeOf;
#define UOE_DTYPE(T, D)                                                                            \
  template <> struct DTypeOf<T> {                                                                  \
    static constexpr DType value = DType::D;                                                       \
  };
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
