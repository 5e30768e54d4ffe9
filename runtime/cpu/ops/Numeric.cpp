#include "Numeric.h"
#include <cmath>
#include <cstring>

namespace uoe::rt {

bool isReal(DType type) {
  return type == DType::F32 || type == DType::F64 || type == DType::F16 || type == DType::BF16;
}

bool isFloat8(DType type) {
  return type >= DType::F8E4M3FN && type <= DType::F8E5M2FNUZ;
}

namespace {

uint32_t bitsOfFloat(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

float floatOfBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Branch-free forms, so that the loops over them vectorise.
float fromHalf(uint16_t half) {
  uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  uint32_t magnitude = half & 0x7fff;
  // A normal half's exponent moves by 112; multiplying by 2^112 does that for subnormals as well.
  float scaled = floatOfBits(magnitude << 13) * floatOfBits((254u - 15u) << 23);
  uint32_t special = (magnitude << 13) | 0x7f800000u;
  uint32_t bits = magnitude >= 0x7c00 ? special : bitsOfFloat(scaled);
  return floatOfBits(bits | sign);
}

uint16_t toHalf(float value) {
  uint32_t bits = bitsOfFloat(value);
  uint32_t sign = (bits >> 16) & 0x8000u;
  bits &= 0x7fffffffu;
  // Normal: rebias and round to even. Subnormal: adding 0.5 aligns the mantissa and rounds.
  uint32_t normal = (bits - (112u << 23) + 0xfffu + ((bits >> 13) & 1u)) >> 13;
  uint32_t subnormal = bitsOfFloat(floatOfBits(bits) + 0.5f) - bitsOfFloat(0.5f);
  uint32_t result = bits < (113u << 23) ? subnormal : normal;
  result = bits >= (143u << 23) ? 0x7c00u : result;
  result = bits > 0x7f800000u ? 0x7e00u : result;
  return static_cast<uint16_t>(result | sign);
}

uint16_t toBFloat(float value) {
  uint32_t bits = bitsOfFloat(value);
  uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  uint32_t quiet = (bits >> 16) | 0x40u;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

struct Float8Format {
  int mantissa, bias;
  bool finite;       // no infinities
  bool unsignedZero; // 0x80 is the only NaN
};

Float8Format formatOf(DType type) {
  switch (type) {
  case DType::F8E4M3FN:
    return {3, 7, true, false};
  case DType::F8E4M3FNUZ:
    return {3, 8, true, true};
  case DType::F8E5M2:
    return {2, 15, false, false};
  default:
    return {2, 16, true, true};
  }
}

float fromFloat8(uint8_t value, const Float8Format &format) {
  bool negative = value & 0x80;
  int magnitude = value & 0x7f;
  if (format.unsignedZero && value == 0x80)
    return NAN;
  if (!format.unsignedZero && format.mantissa == 3 && magnitude == 0x7f)
    return NAN;
  if (!format.finite && magnitude >= 0x7c)
    return magnitude == 0x7c ? (negative ? -INFINITY : INFINITY) : NAN;
  int exponent = magnitude >> format.mantissa;
  int fraction = magnitude & ((1 << format.mantissa) - 1);
  float result = exponent == 0
                     ? std::ldexp(static_cast<float>(fraction), 1 - format.bias - format.mantissa)
                     : std::ldexp(static_cast<float>(fraction | (1 << format.mantissa)),
                                  exponent - format.bias - format.mantissa);
  return negative ? -result : result;
}

uint8_t toFloat8(float value, const Float8Format &format) {
  bool negative = std::signbit(value);
  uint8_t sign = negative ? 0x80 : 0;
  if (std::isnan(value))
    return format.unsignedZero ? 0x80 : sign | 0x7f;
  int top = format.unsignedZero ? 0x7f : format.mantissa == 3 ? 0x7e : 0x7b;
  float largest = fromFloat8(static_cast<uint8_t>(top), format);
  float magnitude = std::fabs(value);
  int code = 0;
  if (magnitude > largest) {
    code = top;
  } else if (magnitude > 0) {
    int exponent;
    std::frexp(magnitude, &exponent);
    exponent = std::max(exponent - 1, 1 - format.bias);
    float quantum = std::ldexp(1.0f, exponent - format.mantissa);
    int steps = static_cast<int>(std::nearbyint(magnitude / quantum));
    // A carry into the next binade is a carry into the exponent field.
    code = ((exponent + format.bias - 1) << format.mantissa) + steps;
    code = std::min(code, top);
  }
  if (format.unsignedZero && code == 0)
    return 0;
  return static_cast<uint8_t>(sign | code);
}

} // namespace

void toFloats(DType type, const void *from, float *to, int64_t count) {
  switch (type) {
  case DType::F32:
    if (count > 0)
      std::memcpy(to, from, count * sizeof(float));
    return;
  case DType::F64: {
    const double *source = static_cast<const double *>(from);
    for (int64_t i = 0; i < count; ++i)
      to[i] = static_cast<float>(source[i]);
    return;
  }
  case DType::F16: {
    const uint16_t *source = static_cast<const uint16_t *>(from);
    for (int64_t i = 0; i < count; ++i)
      to[i] = fromHalf(source[i]);
    return;
  }
  case DType::BF16: {
    const uint16_t *source = static_cast<const uint16_t *>(from);
    for (int64_t i = 0; i < count; ++i)
      to[i] = floatOfBits(static_cast<uint32_t>(source[i]) << 16);
    return;
  }
  default:
    break;
  }
  check(isFloat8(type), "cannot read ", nameOf(type), " as float");
  Float8Format format = formatOf(type);
  const uint8_t *source = static_cast<const uint8_t *>(from);
  for (int64_t i = 0; i < count; ++i)
    to[i] = fromFloat8(source[i], format);
}

void fromFloats(DType type, const float *from, void *to, int64_t count) {
  switch (type) {
  case DType::F32:
    if (count > 0)
      std::memcpy(to, from, count * sizeof(float));
    return;
  case DType::F64:
    for (int64_t i = 0; i < count; ++i)
      static_cast<double *>(to)[i] = from[i];
    return;
  case DType::F16:
    for (int64_t i = 0; i < count; ++i)
      static_cast<uint16_t *>(to)[i] = toHalf(from[i]);
    return;
  case DType::BF16:
    for (int64_t i = 0; i < count; ++i)
      static_cast<uint16_t *>(to)[i] = toBFloat(from[i]);
    return;
  default:
    break;
  }
  check(isFloat8(type), "cannot write float as ", nameOf(type));
  Float8Format format = formatOf(type);
  for (int64_t i = 0; i < count; ++i)
    static_cast<uint8_t *>(to)[i] = toFloat8(from[i], format);
}

Tensor castReal(const Tensor &tensor, DType type) {
  if (tensor.dtype() == type)
    return tensor;
  Tensor result(type, tensor.shape());
  int64_t count = tensor.size();
  const int64_t grain = 1 << 14;
  if (tensor.dtype() == DType::F32 || type == DType::F32) {
    size_t fromSize = bytesOf(tensor.dtype(), 1), toSize = bytesOf(type, 1);
    const char *from = static_cast<const char *>(tensor.raw());
    char *to = static_cast<char *>(result.raw());
    ThreadPool::global().parallelFor(count, grain, [&](int64_t begin, int64_t end) {
      if (type == DType::F32)
        toFloats(tensor.dtype(), from + begin * fromSize, reinterpret_cast<float *>(to) + begin,
                 end - begin);
      else
        fromFloats(type, reinterpret_cast<const float *>(from) + begin, to + begin * toSize,
                   end - begin);
    });
    return result;
  }
  return castReal(castReal(tensor, DType::F32), type);
}

std::vector<int32_t> toInt32s(const Tensor &tensor, const char *what) {
  int64_t count = tensor.size();
  std::vector<int32_t> result(count);
  auto copy = [&](auto *source) {
    for (int64_t i = 0; i < count; ++i)
      result[i] = static_cast<int32_t>(source[i]);
  };
  switch (tensor.dtype()) {
  case DType::I8:
    copy(tensor.data<int8_t>());
    break;
  case DType::U8:
    copy(tensor.data<uint8_t>());
    break;
  case DType::I16:
    copy(tensor.data<int16_t>());
    break;
  case DType::U16:
    copy(tensor.data<uint16_t>());
    break;
  case DType::I32:
    copy(tensor.data<int32_t>());
    break;
  case DType::I4:
  case DType::U4: {
    const uint8_t *source = tensor.data<uint8_t>();
    for (int64_t i = 0; i < count; ++i) {
      int32_t nibble = (source[i / 2] >> (i % 2 * 4)) & 15;
      result[i] = tensor.dtype() == DType::I4 && nibble >= 8 ? nibble - 16 : nibble;
    }
    break;
  }
  default:
    fail(what, ": expected an integer type of at most 32 bits, found ", nameOf(tensor.dtype()));
  }
  return result;
}

DType computeType(DType type, const char *what) {
  check(isReal(type), what, ": expected a float type, found ", nameOf(type));
  return type == DType::F64 ? DType::F64 : DType::F32;
}

int64_t resolveAxis(const Node &node, int64_t axis, int64_t rank) {
  check(axis >= -rank && axis < std::max<int64_t>(rank, 1), node.op, ": axis must be in [", -rank,
        ", ", rank, "), found ", axis);
  return axis < 0 ? axis + rank : axis;
}

int64_t extent(const Shape &shape, int64_t begin, int64_t end) {
  int64_t product = 1;
  for (int64_t i = begin; i < end; ++i)
    product *= shape[i];
  return product;
}

Shape broadcastShape(const Node &node, const Shape &a, const Shape &b) {
  Shape result(std::max(a.size(), b.size()));
  for (size_t i = 0; i < result.size(); ++i) {
    int64_t x = i + a.size() < result.size() ? 1 : a[i + a.size() - result.size()];
    int64_t y = i + b.size() < result.size() ? 1 : b[i + b.size() - result.size()];
    check(x == y || x == 1 || y == 1, node.op, ": shapes ", toString(a), " and ", toString(b),
          " do not broadcast");
    result[i] = x == 1 ? y : x;
  }
  return result;
}

std::vector<int64_t> broadcastStrides(const Shape &shape, const Shape &result) {
  std::vector<int64_t> strides(result.size(), 0);
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1)
      strides[i + result.size() - shape.size()] = step;
    step *= shape[i];
  }
  return strides;
}

} // namespace uoe::rt
