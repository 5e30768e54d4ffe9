// The float formats of 8 and 4 bits (ONNX's float8 and float4 types).
#pragma once
#include "runtime/core/DType.h"

namespace uoe::rt {

/// One of the four float8 types.
inline bool isFloat8Type(DType type) {
  return type >= DType::F8E4M3FN && type <= DType::F8E5M2FNUZ;
}
/// The 256 values of a float8 type.
const float *float8Values(DType type);
/// Round to nearest even. What is too large becomes the largest value if `saturate`, else infinity,
/// or NaN in formats without infinities. float4 always saturates.
uint8_t toFloat8(float value, DType type, bool saturate);
uint8_t toFloat4(float value);
/// float8e8m0: a power of two, or NaN (255). The magnitude counts; infinity becomes NaN.
enum class PowerRounding { Up, Down, Nearest };
uint8_t toPower(float value, bool saturate, PowerRounding rounding);
float fromPower(uint8_t code);
float fromFloat4(uint8_t nibble);

} // namespace uoe::rt
