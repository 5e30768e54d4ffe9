#include "Metrics.h"
#include <algorithm>
#include <cmath>
#include <limits>

namespace uoe {
using rt::DType;

namespace {
template <typename T, typename Out>
void convert(const rt::Tensor &tensor, int64_t begin, int64_t count, Out *out) {
  const T *data = tensor.data<T>() + begin;
  for (int64_t i = 0; i < count; ++i)
    out[i] = static_cast<Out>(data[i]);
}

/// A float of 8 or 4 bits with `exponentBits` and `mantissaBits`. `fn`: no infinities. `uz`: no
/// infinities, no negative zero, whose pattern is the only NaN. Source: ONNX's float8 and float4
/// pages.
double smallFloat(int bits, int exponentBits, int mantissaBits, int bias, bool fn, bool uz) {
  int width = exponentBits + mantissaBits;
  int sign = bits >> width & 1, exponent = bits >> mantissaBits & ((1 << exponentBits) - 1);
  int mantissa = bits & ((1 << mantissaBits) - 1), top = (1 << exponentBits) - 1;
  if (uz && bits == 1 << width)
    return std::numeric_limits<double>::quiet_NaN();
  if (!uz && width == 7 && exponent == top) {
    if (!fn)
      return mantissa ? std::numeric_limits<double>::quiet_NaN()
                      : (sign ? -1 : 1) * std::numeric_limits<double>::infinity();
    if (mantissa == (1 << mantissaBits) - 1)
      return std::numeric_limits<double>::quiet_NaN();
  }
  double value = exponent
                     ? std::ldexp((1 << mantissaBits) + mantissa, exponent - bias - mantissaBits)
                     : std::ldexp(mantissa, 1 - bias - mantissaBits);
  return sign ? -value : value;
}

double tinyNumber(const rt::Tensor &tensor, int64_t i) {
  const uint8_t *data = tensor.data<uint8_t>();
  int nibble = data[i / 2] >> (i % 2 * 4) & 15;
  switch (tensor.dtype()) {
  case DType::U4:
    return nibble;
  case DType::I4:
    return nibble > 7 ? nibble - 16 : nibble;
  case DType::F4E2M1:
    return smallFloat(nibble, 2, 1, 1, true, false);
  case DType::F8E4M3FN:
    return smallFloat(data[i], 4, 3, 7, true, false);
  case DType::F8E4M3FNUZ:
    return smallFloat(data[i], 4, 3, 8, false, true);
  case DType::F8E5M2:
    return smallFloat(data[i], 5, 2, 15, false, false);
  case DType::F8E5M2FNUZ:
    return smallFloat(data[i], 5, 2, 16, false, true);
  default:
    rt::fail("elements of type ", rt::nameOf(tensor.dtype()), " are no numbers");
  }
}

template <typename Out>
void numbers(const rt::Tensor &tensor, int64_t begin, int64_t count, Out *out) {
  switch (tensor.dtype()) {
  case DType::F32:
  case DType::C64:
    return convert<float>(tensor, begin, count, out);
  case DType::F64:
  case DType::C128:
    return convert<double>(tensor, begin, count, out);
  case DType::F16:
    return convert<rt::Half>(tensor, begin, count, out);
  case DType::BF16:
    return convert<rt::BFloat16>(tensor, begin, count, out);
  case DType::I8:
    return convert<int8_t>(tensor, begin, count, out);
  case DType::U8:
    return convert<uint8_t>(tensor, begin, count, out);
  case DType::I16:
    return convert<int16_t>(tensor, begin, count, out);
  case DType::U16:
    return convert<uint16_t>(tensor, begin, count, out);
  case DType::I32:
    return convert<int32_t>(tensor, begin, count, out);
  case DType::U32:
    return convert<uint32_t>(tensor, begin, count, out);
  case DType::I64:
    return convert<int64_t>(tensor, begin, count, out);
  case DType::U64:
    return convert<uint64_t>(tensor, begin, count, out);
  case DType::Bool:
    return convert<uint8_t>(tensor, begin, count, out);
  default:
    for (int64_t i = 0; i < count; ++i)
      out[i] = static_cast<Out>(tinyNumber(tensor, begin + i));
  }
}

/// Numbers in a tensor: a complex element is two.
int64_t numberCount(const rt::Tensor &tensor) {
  bool complex = tensor.dtype() == DType::C64 || tensor.dtype() == DType::C128;
  return tensor.size() * (complex ? 2 : 1);
}

constexpr int64_t block = 4096;

/// Calls body(begin, count, a, b) for blocks of both tensors.
template <typename Body>
void forBlocks(const rt::Tensor &a, const rt::Tensor &b, const Body &body) {
  std::vector<double> left(block), right(block);
  int64_t total = numberCount(a);
  for (int64_t begin = 0; begin < total; begin += block) {
    int64_t count = std::min(block, total - begin);
    readNumbers(a, begin, count, left.data());
    readNumbers(b, begin, count, right.data());
    body(begin, count, left.data(), right.data());
  }
}

/// Calls body(a, b) for every row along the last axis.
template <typename Body> void forRows(const rt::Tensor &a, const rt::Tensor &b, const Body &body) {
  int64_t width = a.rank() ? a.dim(-1) : 1;
  std::vector<float> left(width), right(width);
  for (int64_t begin = 0, total = a.size(); begin < total; begin += width) {
    readNumbers(a, begin, width, left.data());
    readNumbers(b, begin, width, right.data());
    body(left.data(), right.data(), width);
  }
}

/// exp for x <= 0, as arithmetic that a compiler turns into vector code: 2^n times a polynomial of
/// degree 6 on [-ln 2 / 2, ln 2 / 2], error below 2 ulp. Below -87 the result is 0.
inline float expOfNegative(float x) {
  float clamped = std::max(x, -87.0f);
  float shifted = clamped * 1.44269504f + 12582912.0f; // 1.5 * 2^23: the fraction is rounded away
  float n = shifted - 12582912.0f;
  float r = clamped - n * 0.693359375f + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  float power = rt::detail::floatOf(static_cast<uint32_t>(static_cast<int32_t>(n) + 127) << 23);
  return x < -87.0f ? 0.0f : p * power;
}

float largest(const float *row, int64_t count) {
  // Eight lanes, because a maximum over floats is not reordered by the compiler.
  float lanes[8];
  std::fill(lanes, lanes + 8, -std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (int lane = 0; lane < 8; ++lane)
      lanes[lane] = row[i + lane] > lanes[lane] ? row[i + lane] : lanes[lane];
  for (; i < count; ++i)
    lanes[0] = std::max(lanes[0], row[i]);
  return *std::max_element(lanes, lanes + 8);
}
} // namespace

void readNumbers(const rt::Tensor &tensor, int64_t begin, int64_t count, double *out) {
  numbers(tensor, begin, count, out);
}
void readNumbers(const rt::Tensor &tensor, int64_t begin, int64_t count, float *out) {
  numbers(tensor, begin, count, out);
}

bool isFloat(DType type) {
  switch (type) {
  case DType::F16:
  case DType::BF16:
  case DType::F32:
  case DType::F64:
  case DType::F8E4M3FN:
  case DType::F8E4M3FNUZ:
  case DType::F8E5M2:
  case DType::F8E5M2FNUZ:
  case DType::F4E2M1:
    return true;
  default:
    return false;
  }
}

Summary summarize(const rt::Tensor &tensor) {
  Summary result;
  double sum = 0;
  std::vector<double> values(block);
  for (int64_t begin = 0, total = numberCount(tensor); begin < total; begin += block) {
    int64_t count = std::min(block, total - begin);
    readNumbers(tensor, begin, count, values.data());
    for (int64_t i = 0; i < count; ++i) {
      double value = values[i];
      if (std::isnan(value)) {
        ++result.nans;
      } else if (std::isinf(value)) {
        ++result.infinities;
      } else {
        result.min = result.finite ? std::min(result.min, value) : value;
        result.max = result.finite ? std::max(result.max, value) : value;
        sum += value;
        ++result.finite;
      }
    }
  }
  result.mean = result.finite ? sum / static_cast<double>(result.finite) : 0;
  return result;
}

Difference difference(const rt::Tensor &expected, const rt::Tensor &result) {
  Difference found;
  if (expected.dtype() != result.dtype() || expected.shape() != result.shape()) {
    found.mismatch = "expected " + rt::describe(expected) + ", found " + rt::describe(result);
    return found;
  }
  found.elements = expected.size();
  // 64-bit integers that differ may be equal as double.
  bool wide = expected.dtype() == DType::I64 || expected.dtype() == DType::U64;
  forBlocks(expected, result, [&](int64_t begin, int64_t count, const double *a, const double *b) {
    for (int64_t i = 0; i < count; ++i) {
      if (std::isfinite(a[i]))
        found.magnitude = std::max(found.magnitude, std::fabs(a[i]));
      double distance = 0;
      if (std::isfinite(a[i]) && std::isfinite(b[i]))
        distance = std::fabs(a[i] - b[i]);
      else if (!(std::isnan(a[i]) && std::isnan(b[i])) && a[i] != b[i])
        distance = std::numeric_limits<double>::infinity();
      if (wide && distance == 0 &&
          expected.data<int64_t>()[begin + i] != result.data<int64_t>()[begin + i])
        distance = 1;
      if (distance > found.maxAbs) {
        found.maxAbs = distance;
        found.at = begin + i;
      }
    }
  });
  return found;
}

Difference difference(const rt::Value &expected, const rt::Value &result) {
  static const char *const kinds[] = {"nothing", "a tensor", "a sequence"};
  Difference worst;
  if (expected.kind != result.kind) {
    worst.mismatch = std::string("expected ") + kinds[static_cast<int>(expected.kind)] +
                     ", found " + kinds[static_cast<int>(result.kind)];
    return worst;
  }
  if (expected.kind == rt::Value::Kind::None)
    return worst;
  if (expected.kind == rt::Value::Kind::Tensor)
    return difference(expected.tensor, result.tensor);
  if (expected.sequence.size() != result.sequence.size()) {
    worst.mismatch = "expected a sequence of " + std::to_string(expected.sequence.size()) +
                     ", found one of " + std::to_string(result.sequence.size());
    return worst;
  }
  for (size_t i = 0; i < expected.sequence.size(); ++i) {
    Difference one = difference(expected.sequence[i], result.sequence[i]);
    if (!one.mismatch.empty()) {
      one.mismatch = "element " + std::to_string(i) + ": " + one.mismatch;
      return one;
    }
    if (i == 0 || one.relative() > worst.relative())
      worst = one;
  }
  return worst;
}

double cosine(const float *a, const float *b, int64_t count) {
  double product = 0, left = 0, right = 0;
  for (int64_t i = 0; i < count; ++i) {
    product += static_cast<double>(a[i]) * b[i];
    left += static_cast<double>(a[i]) * a[i];
    right += static_cast<double>(b[i]) * b[i];
  }
  if (left == 0 || right == 0)
    return left == right ? 1 : 0;
  return product / (std::sqrt(left) * std::sqrt(right));
}

double meanCosine(const rt::Tensor &a, const rt::Tensor &b) {
  double sum = 0;
  int64_t rows = 0;
  forRows(a, b, [&](const float *left, const float *right, int64_t width) {
    sum += cosine(left, right, width);
    ++rows;
  });
  return sum / static_cast<double>(rows);
}

int64_t argmax(const float *row, int64_t count) {
  return std::max_element(row, row + count) - row;
}

double argmaxAgreement(const rt::Tensor &a, const rt::Tensor &b) {
  int64_t rows = 0, equal = 0;
  forRows(a, b, [&](const float *left, const float *right, int64_t width) {
    equal += argmax(left, width) == argmax(right, width);
    ++rows;
  });
  return static_cast<double>(equal) / static_cast<double>(rows);
}

double logSumExp(const float *row, int64_t count) {
  float top = largest(row, count);
  if (!std::isfinite(top))
    return top;
  double sum = 0;
  for (int64_t begin = 0; begin < count; begin += 1024) {
    int64_t end = std::min(count, begin + 1024), i = begin;
    float lanes[16] = {};
    for (; i + 16 <= end; i += 16)
      for (int lane = 0; lane < 16; ++lane)
        lanes[lane] += expOfNegative(row[i + lane] - top);
    for (; i < end; ++i)
      lanes[0] += expOfNegative(row[i] - top);
    for (float lane : lanes)
      sum += lane;
  }
  return top + std::log(sum);
}

double divergence(const float *p, const float *q, int64_t count) {
  double logP = logSumExp(p, count), logQ = logSumExp(q, count), sum = 0;
  for (int64_t begin = 0; begin < count; begin += 1024) {
    int64_t end = std::min(count, begin + 1024), i = begin;
    float lanes[16] = {}, offset = static_cast<float>(logP), gap = static_cast<float>(logQ - logP);
    auto term = [&](int64_t at) {
      float weight = expOfNegative(std::min(p[at] - offset, 0.0f));
      return weight > 0 ? weight * (p[at] - q[at] + gap) : 0.0f;
    };
    for (; i + 16 <= end; i += 16)
      for (int lane = 0; lane < 16; ++lane)
        lanes[lane] += term(i + lane);
    for (; i < end; ++i)
      lanes[0] += term(i);
    for (float lane : lanes)
      sum += lane;
  }
  return sum;
}

} // namespace uoe
