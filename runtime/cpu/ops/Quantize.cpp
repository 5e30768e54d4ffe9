// QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear.
#include "Numeric.h"
#include "Register.h"
#include <algorithm>
#include <cmath>
#include <cstring>

namespace uoe::rt {
namespace {

/// How scales lie over a tensor: runs of `length` elements, each with one scale or with consecutive
/// ones.
struct Layout {
  int64_t runs = 1, length = 0;
  bool vector = false; // consecutive scales along the run
  int64_t axisLength = 1, blockSize = 1, scaleBlocks = 1;
  bool perTensor = true;
  int64_t inner = 1;

  int64_t firstScale(int64_t run) const {
    if (perTensor)
      return 0;
    if (inner == 1) { // the axis is the last one
      if (vector)
        return 0;
      return run; // a run is a block
    }
    int64_t outer = run / axisLength, at = run % axisLength;
    return vector ? (outer * scaleBlocks + at / blockSize) * inner : at;
  }
};

Layout layoutOf(const Node &node, const Shape &shape, const Tensor &scale) {
  Layout l;
  l.length = elementCount(shape);
  int64_t blockSize = node.integer("block_size", 0);
  int64_t rank = static_cast<int64_t>(shape.size());
  if (scale.size() == 1 && blockSize == 0)
    return l;
  int64_t axis = resolveAxis(node, node.integer("axis", 1), rank);
  l.perTensor = false;
  l.inner = extent(shape, axis + 1, rank);
  l.axisLength = shape[axis];
  int64_t outer = extent(shape, 0, axis);
  if (blockSize == 0) {
    check(scale.size() == l.axisLength && scale.rank() <= 1, node.op,
          ": the scale must be a scalar or have the length ", l.axisLength, " of axis ", axis,
          ", found shape ", toString(scale.shape()));
    l.vector = l.inner == 1;
    l.runs = l.inner == 1 ? outer : outer * l.axisLength;
    l.length = l.inner == 1 ? l.axisLength : l.inner;
    return l;
  }
  check(blockSize > 0, node.op, ": block_size must not be negative, found ", blockSize);
  l.blockSize = blockSize;
  l.scaleBlocks = (l.axisLength + blockSize - 1) / blockSize;
  Shape expected = shape;
  expected[axis] = l.scaleBlocks;
  check(scale.shape() == expected, node.op, ": the scale of blocks of ", blockSize, " on axis ",
        axis, " must have shape ", toString(expected), ", found ", toString(scale.shape()));
  if (l.inner == 1 && l.axisLength % blockSize == 0) {
    l.runs = outer * l.scaleBlocks;
    l.length = blockSize;
  } else {
    // A ragged last block: the general form, a run for every index of the axis.
    l.vector = true;
    l.runs = outer * l.axisLength;
    l.length = l.inner;
  }
  return l;
}

/// The ragged general form with inner == 1 does not follow firstScale's short cuts.
int64_t scaleOf(const Layout &l, int64_t run) {
  if (!l.perTensor && l.inner == 1 && l.vector && l.length == 1)
    return run / l.axisLength * l.scaleBlocks + run % l.axisLength / l.blockSize;
  return l.firstScale(run);
}

bool isQuantised(DType type) {
  switch (type) {
  case DType::I8:
  case DType::U8:
  case DType::I16:
  case DType::U16:
  case DType::I4:
  case DType::U4:
  case DType::F4E2M1:
    return true;
  default:
    return isFloat8(type);
  }
}

struct Range {
  float low, high;
};
Range rangeOf(DType type) {
  switch (type) {
  case DType::I8:
    return {-128, 127};
  case DType::U8:
    return {0, 255};
  case DType::I16:
    return {-32768, 32767};
  case DType::U16:
    return {0, 65535};
  case DType::I4:
    return {-8, 7};
  default:
    return {0, 15};
  }
}

const float fourBitFloats[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                 -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

uint8_t toFourBitFloat(float value) {
  uint8_t sign = std::signbit(value) ? 8 : 0;
  float magnitude = std::isnan(value) ? 6.0f : std::fabs(value);
  // Midpoints between neighbours; a tie goes to the even code.
  const float middle[7] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};
  uint8_t code = 0;
  while (code < 7 && (magnitude > middle[code] || (magnitude == middle[code] && code % 2 == 1)))
    ++code;
  return sign | code;
}

/// Adding and subtracting 1.5·2^23 rounds to nearest even for |x| < 2^22.
float roundEven(float x) {
  return (x + 12582912.0f) - 12582912.0f;
}

/// Elements of any type that DequantizeLinear reads, as float (exact up to 2^24).
std::vector<float> elementsOf(const Tensor &tensor, const char *what) {
  std::vector<float> result(tensor.size());
  if (isFloat8(tensor.dtype()) || isReal(tensor.dtype())) {
    toFloats(tensor.dtype(), tensor.raw(), result.data(), tensor.size());
  } else if (tensor.dtype() == DType::F4E2M1) {
    const uint8_t *bytes = tensor.data<uint8_t>();
    for (size_t i = 0; i < result.size(); ++i)
      result[i] = fourBitFloats[(bytes[i / 2] >> (i % 2 * 4)) & 15];
  } else {
    auto integers = toInt32s(tensor, what);
    std::copy(integers.begin(), integers.end(), result.begin());
  }
  return result;
}

void checkZeroPoint(const Node &node, const Tensor &zero, const Tensor &scale) {
  check(zero.size() == scale.size(), node.op,
        ": zero point and scale must have the same shape, found ", toString(zero.shape()), " and ",
        toString(scale.shape()));
}

template <typename T>
void quantiseRun(const float *x, const float *scale, const float *zero, bool vector, Range range,
                 T *y, int64_t n) {
  if (vector) {
    for (int64_t i = 0; i < n; ++i) {
      float z = zero ? zero[i] : 0.0f;
      float v = std::min(std::max(x[i] / scale[i], range.low - z), range.high - z);
      y[i] = static_cast<T>(static_cast<int32_t>(roundEven(v) + z));
    }
    return;
  }
  float s = scale[0], z = zero ? zero[0] : 0.0f;
  float low = range.low - z, high = range.high - z;
  for (int64_t i = 0; i < n; ++i) {
    float v = x[i] / s;
    v = v > low ? v : low; // a NaN becomes the lowest value
    v = v < high ? v : high;
    y[i] = static_cast<T>(static_cast<int32_t>(roundEven(v) + z));
  }
}

void packNibbles(const std::vector<uint8_t> &from, uint8_t *to) {
  for (size_t i = 0; i < from.size(); i += 2) {
    uint8_t high = i + 1 < from.size() ? from[i + 1] & 15 : 0;
    to[i / 2] = static_cast<uint8_t>((from[i] & 15) | high << 4);
  }
}

void runQuantize(KernelCall &call) {
  const Node &node = call.node;
  const Tensor &x = call.in(0), &scale = call.in(1);
  DType type = DType::U8;
  if (const Tensor *zero = call.maybe(2)) {
    type = zero->dtype();
    checkZeroPoint(node, *zero, scale);
  } else if (int64_t wanted = node.integer("output_dtype", 0)) {
    type = static_cast<DType>(wanted);
  }
  check(isQuantised(type), "QuantizeLinear: cannot quantise to ", nameOf(type));
  check(isReal(x.dtype()) || x.dtype() == DType::I32,
        "QuantizeLinear: input 0 must be float or int32, found ", nameOf(x.dtype()));
  Layout layout = layoutOf(node, x.shape(), scale);
  std::vector<float> scales = elementsOf(scale, "QuantizeLinear: scale"), zeros;
  if (call.has(2))
    zeros = elementsOf(call.in(2), "QuantizeLinear: zero point");
  Tensor floats = x.dtype() == DType::I32 ? Tensor(DType::F32, x.shape()) : castReal(x, DType::F32);
  if (x.dtype() == DType::I32)
    std::copy_n(x.data<int32_t>(), x.size(), floats.data<float>());
  Tensor &result = call.out(0, type, x.shape());
  if (x.size() == 0)
    return;
  const float *from = floats.data<float>();
  auto eachRun = [&](auto &&body) {
    if (layout.runs == 1 && !layout.vector) {
      // One run: split its elements instead.
      ThreadPool::global().parallelFor(layout.length, 1 << 14, [&](int64_t begin, int64_t end) {
        body(begin, end - begin, int64_t(0));
      });
      return;
    }
    ThreadPool::global().parallelFor(
        layout.runs, std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(1, layout.length)),
        [&](int64_t begin, int64_t end) {
          for (int64_t run = begin; run < end; ++run)
            body(run * layout.length, layout.length, scaleOf(layout, run));
        });
  };
  auto quantise = [&](auto *to) {
    eachRun([&](int64_t first, int64_t count, int64_t s) {
      quantiseRun(from + first, &scales[s], zeros.empty() ? nullptr : &zeros[s], layout.vector,
                  rangeOf(type), to + first, count);
    });
  };
  bool saturate = node.integer("saturate", 1);
  switch (type) {
  case DType::I8:
    return quantise(result.data<int8_t>());
  case DType::U8:
    return quantise(result.data<uint8_t>());
  case DType::I16:
    return quantise(result.data<int16_t>());
  case DType::U16:
    return quantise(result.data<uint16_t>());
  case DType::I4:
  case DType::U4: {
    std::vector<uint8_t> wide(x.size());
    quantise(wide.data());
    return packNibbles(wide, result.data<uint8_t>());
  }
  default:
    break;
  }
  std::vector<uint8_t> wide(x.size());
  eachRun([&](int64_t first, int64_t count, int64_t s) {
    for (int64_t i = 0; i < count; ++i) {
      int64_t at = layout.vector ? s + i : s;
      float v = from[first + i] / scales[at] + (zeros.empty() ? 0.0f : zeros[at]);
      if (type == DType::F4E2M1)
        wide[first + i] = toFourBitFloat(v);
      else
        fromFloats(type, &v, &wide[first + i], 1);
      if (!saturate && isFloat8(type)) {
        // Without saturation what exceeds the largest finite value becomes infinity, or NaN where
        // there is none.
        float back;
        toFloats(type, &wide[first + i], &back, 1);
        float largest = type == DType::F8E4M3FN     ? 464.0f
                        : type == DType::F8E4M3FNUZ ? 248.0f
                                                    : 61440.0f;
        if (std::fabs(v) >= largest) {
          bool unsignedZero = type == DType::F8E4M3FNUZ || type == DType::F8E5M2FNUZ;
          uint8_t sign = std::signbit(v) ? 0x80 : 0;
          wide[first + i] = unsignedZero ? 0x80 : sign | (type == DType::F8E5M2 ? 0x7c : 0x7f);
        }
      }
    }
  });
  if (type == DType::F4E2M1)
    packNibbles(wide, result.data<uint8_t>());
  else
    std::memcpy(result.raw(), wide.data(), wide.size());
}

template <typename Q>
void dequantiseRun(const Q *x, const float *scale, const float *zero, bool vector, float *y,
                   int64_t n) {
  if (vector) {
    for (int64_t i = 0; i < n; ++i)
      y[i] = (static_cast<float>(x[i]) - (zero ? zero[i] : 0.0f)) * scale[i];
    return;
  }
  float s = scale[0], z = zero ? zero[0] : 0.0f;
  for (int64_t i = 0; i < n; ++i)
    y[i] = (static_cast<float>(x[i]) - z) * s;
}

void runDequantize(KernelCall &call) {
  const Node &node = call.node;
  const Tensor &x = call.in(0), &scale = call.in(1);
  check(isQuantised(x.dtype()) || x.dtype() == DType::I32,
        "DequantizeLinear: input 0 must be quantised, found ", nameOf(x.dtype()));
  check(isReal(scale.dtype()), "DequantizeLinear: the scale must be float, found ",
        nameOf(scale.dtype()));
  DType type =
      static_cast<DType>(node.integer("output_dtype", static_cast<int64_t>(scale.dtype())));
  if (type == DType::None)
    type = scale.dtype();
  Layout layout = layoutOf(node, x.shape(), scale);
  std::vector<float> scales = elementsOf(scale, "DequantizeLinear: scale"), zeros;
  if (const Tensor *zero = call.maybe(2)) {
    expectType(*zero, x.dtype(), "DequantizeLinear: zero point");
    checkZeroPoint(node, *zero, scale);
    zeros = elementsOf(*zero, "DequantizeLinear: zero point");
    if (std::all_of(zeros.begin(), zeros.end(), [](float z) { return z == 0; }))
      zeros.clear();
  }
  Tensor result(DType::F32, x.shape());
  float *to = result.data<float>();
  auto dequantise = [&](const auto *from) {
    int64_t pieces = layout.runs, length = layout.length;
    bool split = pieces == 1 && !layout.vector;
    int64_t grain =
        split ? 1 << 14 : std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(1, length));
    ThreadPool::global().parallelFor(
        split ? length : pieces, grain, [&](int64_t begin, int64_t end) {
          if (split)
            return dequantiseRun(from + begin, scales.data(),
                                 zeros.empty() ? nullptr : zeros.data(), false, to + begin,
                                 end - begin);
          for (int64_t run = begin; run < end; ++run) {
            int64_t s = scaleOf(layout, run);
            dequantiseRun(from + run * length, &scales[s], zeros.empty() ? nullptr : &zeros[s],
                          layout.vector, to + run * length, length);
          }
        });
  };
  if (x.size() > 0) {
    switch (x.dtype()) {
    case DType::I8:
      dequantise(x.data<int8_t>());
      break;
    case DType::U8:
      dequantise(x.data<uint8_t>());
      break;
    case DType::I16:
      dequantise(x.data<int16_t>());
      break;
    case DType::U16:
      dequantise(x.data<uint16_t>());
      break;
    case DType::I32:
      dequantise(x.data<int32_t>());
      break;
    default:
      dequantise(elementsOf(x, "DequantizeLinear: input 0").data());
      break;
    }
  }
  setReal(call, 0, result, type);
}

void runDynamicQuantize(KernelCall &call) {
  const Tensor &x = call.in(0);
  expectType(x, DType::F32, "DynamicQuantizeLinear: input 0");
  const float *from = x.data<float>();
  // Several at once, so that no element waits for the one before.
  float lows[16] = {}, highs[16] = {};
  auto join = [&](const float *at, int64_t width) {
    for (int64_t j = 0; j < width; ++j) {
      lows[j] = at[j] < lows[j] ? at[j] : lows[j];
      highs[j] = at[j] > highs[j] ? at[j] : highs[j];
    }
  };
  const int64_t whole = x.size() / 16 * 16;
  for (int64_t i = 0; i < whole; i += 16)
    join(from + i, 16);
  join(from + whole, x.size() - whole);
  const float low = *std::min_element(lows, lows + 16);
  const float high = *std::max_element(highs, highs + 16);
  float scale = low == high ? 1.0f : (high - low) / 255.0f;
  float zero = roundEven(std::min(255.0f, std::max(0.0f, -low / scale)));
  Tensor &result = call.out(0, DType::U8, x.shape());
  uint8_t *to = result.data<uint8_t>();
  ThreadPool::global().parallelFor(x.size(), 1 << 14, [&](int64_t begin, int64_t end) {
    quantiseRun(from + begin, &scale, &zero, false, rangeOf(DType::U8), to + begin, end - begin);
  });
  *call.out(1, DType::F32, {}).data<float>() = scale;
  *call.out(2, DType::U8, {}).data<uint8_t>() = static_cast<uint8_t>(zero);
}

} // namespace

void registerQuantize(KernelTable &table) {
  for (const char *domain : {"", "com.microsoft"}) {
    table.add(domain, "QuantizeLinear", runQuantize);
    table.add(domain, "DequantizeLinear", runDequantize);
  }
  table.add("", "DynamicQuantizeLinear", runDynamicQuantize);
}

} // namespace uoe::rt
