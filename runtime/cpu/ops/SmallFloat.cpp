#include "SmallFloat.h"
#include "runtime/core/Error.h"
#include <array>
#include <cmath>
#include <limits>

namespace uoe::rt {
namespace {

struct Format {
  int mantissa, bias;
  int largest;  // code of the largest finite value
  int infinity; // its code, or -1
  int nan;      // a code without sign; 0x80 where the formats have no negative zero
};

Format formatOf(DType type) {
  switch (type) {
  case DType::F8E4M3FN:
    return {3, 7, 0x7e, -1, 0x7f};
  case DType::F8E4M3FNUZ:
    return {3, 8, 0x7f, -1, 0x80};
  case DType::F8E5M2:
    return {2, 15, 0x7b, 0x7c, 0x7f};
  case DType::F8E5M2FNUZ:
    return {2, 16, 0x7f, -1, 0x80};
  default:
    return {1, 1, 7, -1, 0}; // float4
  }
}

float magnitudeOf(int code, const Format &format) {
  int exponent = code >> format.mantissa, fraction = code & ((1 << format.mantissa) - 1);
  if (exponent == 0)
    return std::ldexp(static_cast<float>(fraction), 1 - format.bias - format.mantissa);
  return std::ldexp(static_cast<float>(fraction + (1 << format.mantissa)),
                    exponent - format.bias - format.mantissa);
}

std::array<float, 256> valuesOf(DType type) {
  Format format = formatOf(type);
  std::array<float, 256> values;
  for (int code = 0; code < 256; ++code) {
    int magnitude = code & 0x7f;
    float value = magnitudeOf(magnitude, format);
    if (magnitude > format.largest)
      value = magnitude == format.infinity ? std::numeric_limits<float>::infinity()
                                           : std::numeric_limits<float>::quiet_NaN();
    values[code] = code & 0x80 ? -value : value;
  }
  if (format.nan == 0x80)
    values[0x80] = std::numeric_limits<float>::quiet_NaN();
  return values;
}

/// Code of the nearest magnitude, ties to even; codes beyond format.largest mean overflow.
int nearestCode(float magnitude, const Format &format) {
  if (magnitude == 0)
    return 0;
  int exponent;
  std::frexp(magnitude, &exponent);
  exponent = std::max(exponent - 1, 1 - format.bias);
  if (exponent > 20)
    return 0x100;
  // In units of the last place; a carry runs into the exponent field by itself.
  int units = static_cast<int>(std::nearbyint(std::ldexp(magnitude, format.mantissa - exponent)));
  return ((exponent + format.bias - 1) << format.mantissa) + units;
}

} // namespace

const float *float8Values(DType type) {
  static const std::array<float, 256> tables[] = {
      valuesOf(DType::F8E4M3FN), valuesOf(DType::F8E4M3FNUZ), valuesOf(DType::F8E5M2),
      valuesOf(DType::F8E5M2FNUZ)};
  check(isFloat8Type(type), "expected a float8 type, found ", nameOf(type));
  return tables[static_cast<int>(type) - static_cast<int>(DType::F8E4M3FN)].data();
}

uint8_t toFloat8(float value, DType type, bool saturate) {
  Format format = formatOf(type);
  bool zeroIsUnsigned = format.nan == 0x80;
  int sign = std::signbit(value) ? 0x80 : 0;
  if (std::isnan(value))
    return static_cast<uint8_t>(zeroIsUnsigned ? 0x80 : sign | format.nan);
  int code = std::isinf(value) ? 0x100 : nearestCode(std::fabs(value), format);
  if (code > format.largest) {
    if (saturate)
      code = format.largest;
    else if (format.infinity >= 0)
      code = format.infinity;
    else
      return static_cast<uint8_t>(zeroIsUnsigned ? 0x80 : sign | format.nan);
  }
  if (code == 0 && zeroIsUnsigned)
    return 0;
  return static_cast<uint8_t>(sign | code);
}

uint8_t toFloat4(float value) {
  Format format = formatOf(DType::F4E2M1);
  int sign = std::signbit(value) ? 8 : 0;
  // There is no NaN; its place is taken by the negative zero, as in ml_dtypes.
  if (std::isnan(value))
    return 8;
  int code = std::isinf(value) ? format.largest : nearestCode(std::fabs(value), format);
  return static_cast<uint8_t>(sign | std::min(code, format.largest));
}

uint8_t toPower(float value, bool saturate, PowerRounding rounding) {
  uint32_t bits = detail::floatBits(value), exponent = (bits >> 23) & 0xff,
           fraction = bits & 0x7fffff;
  if (exponent == 0xff)
    return 0xff;
  bool up = rounding == PowerRounding::Up && fraction != 0;
  if (rounding == PowerRounding::Nearest)
    up = fraction > 0x400000 || (fraction == 0x400000 && exponent > 0);
  if (saturate && exponent == 0xfe)
    up = false;
  return static_cast<uint8_t>(exponent + up);
}

float fromPower(uint8_t code) {
  return code == 0xff ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, code - 127);
}

float fromFloat4(uint8_t nibble) {
  float value = magnitudeOf(nibble & 7, formatOf(DType::F4E2M1));
  return nibble & 8 ? -value : value;
}

} // namespace uoe::rt
