// Conv, ConvTranspose, ConvInteger, QLinearConv: windows are laid out as columns of a matrix, then
// multiplied.
#include "MatrixMultiply.h"
#include "Numeric.h"
#include "Register.h"
#include "Window.h"
#include <algorithm>
#include <cmath>

namespace uoe::rt {
namespace {

/// For the output positions [begin, end), by rows: calls visit(channel · kernel index, position -
/// begin, length of the run, first and end of the part of it that lies within the input, input
/// offset of that part). The part's elements are w.stride[2] apart.
template <typename Visit>
void eachRun(const Window &w, int64_t channels, int64_t begin, int64_t end, Visit &&visit) {
  const int64_t plane = w.inSize(), width = w.out[2], step = w.stride[2];
  int64_t tap = 0;
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t kz = 0; kz < w.kernel[0]; ++kz)
      for (int64_t ky = 0; ky < w.kernel[1]; ++ky)
        for (int64_t kx = 0; kx < w.kernel[2]; ++kx, ++tap) {
          const auto [low, high, offset] = rowPart(w, kx);
          int64_t x = begin % width, y = begin / width % w.out[1], z = begin / (width * w.out[1]);
          for (int64_t p = begin; p < end; x = 0) {
            const int64_t n = std::min(width - x, end - p);
            const int64_t iz = z * w.stride[0] - w.padBegin[0] + kz * w.dilation[0];
            const int64_t iy = y * w.stride[1] - w.padBegin[1] + ky * w.dilation[1];
            const bool inside = iz >= 0 && iz < w.in[0] && iy >= 0 && iy < w.in[1];
            const int64_t first = inside ? std::clamp<int64_t>(low - x, 0, n) : 0;
            const int64_t last = inside ? std::clamp<int64_t>(high - x, first, n) : 0;
            visit(tap, p - begin, n, first, last,
                  c * plane + (iz * w.in[1] + iy) * w.in[2] + (x + first) * step + offset);
            p += n;
            if (++y == w.out[1]) {
              y = 0;
              ++z;
            }
          }
        }
}

/// The windows of the positions [begin, end) as columns: to[tap · count + position - begin].
template <typename T>
void layOut(const Window &w, int64_t channels, int64_t begin, int64_t end, const T *from, T *to) {
  const int64_t count = end - begin, step = w.stride[2];
  eachRun(w, channels, begin, end,
          [&](int64_t tap, int64_t p, int64_t n, int64_t first, int64_t last, int64_t at) {
            T *row = to + tap * count + p;
            std::fill(row, row + first, T(0));
            if (step == 1 && last > first)
              std::copy(from + at, from + at + last - first, row + first);
            else
              for (int64_t i = first; i < last; ++i, at += step)
                row[i] = from[at];
            std::fill(row + last, row + n, T(0));
          });
}

/// Checks X (batch, channels, spatial...) and W (out, channels / group, kernel...) against each
/// other.
struct Geometry {
  Window window;
  int64_t batch, channels, filters, groups, groupChannels, groupFilters, taps;
};

Geometry geometryOf(const Node &node, const Shape &x, const Shape &weights) {
  check(x.size() >= 3 && weights.size() == x.size(), node.op,
        ": X and W must have the same rank of at least 3, found shapes ", toString(x), " and ",
        toString(weights));
  Geometry g;
  g.groups = node.integer("group", 1);
  g.batch = x[0];
  g.channels = x[1];
  g.filters = weights[0];
  check(g.groups > 0 && g.channels == weights[1] * g.groups && g.filters % g.groups == 0, node.op,
        ": W must have shape [filters, ", g.channels,
        " / group, ...] with filters a multiple of group = ", g.groups, ", found ",
        toString(weights), " for X ", toString(x));
  g.window = windowOf(node, x, Shape(weights.begin() + 2, weights.end()), false);
  g.groupChannels = weights[1];
  g.groupFilters = g.filters / g.groups;
  g.taps = g.groupChannels * g.window.kernelSize();
  return g;
}

Shape resultShape(const Geometry &g) {
  Shape shape{g.batch, g.filters};
  Shape spatial = g.window.outShape();
  shape.insert(shape.end(), spatial.begin(), spatial.end());
  return shape;
}

void checkBias(const Node &node, const Tensor &bias, int64_t filters) {
  check(bias.size() == filters, node.op, ": the bias must have ", filters,
        " elements, found shape ", toString(bias.shape()));
}

/// One channel for each filter and no stride along rows: a row of results is a sum of rows of the
/// padded input, which nothing has to lay out.
template <typename T>
void convByChannel(const Geometry &g, const T *x, const T *weights, const T *bias, T *result) {
  const Window &w = g.window;
  Window::Dims padded;
  for (int i = 0; i < 3; ++i)
    padded[i] = std::max(w.padBegin[i] + w.in[i],
                         (w.out[i] - 1) * w.stride[i] + (w.kernel[i] - 1) * w.dilation[i] + 1);
  const int64_t inSize = w.inSize(), outSize = w.outSize(), row = padded[2];
  std::vector<int64_t> places;
  for (int64_t kz = 0; kz < w.kernel[0]; ++kz)
    for (int64_t ky = 0; ky < w.kernel[1]; ++ky)
      for (int64_t kx = 0; kx < w.kernel[2]; ++kx)
        places.push_back((kz * w.dilation[0] * padded[1] + ky * w.dilation[1]) * row +
                         kx * w.dilation[2]);
  int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, outSize * g.taps));
  ThreadPool::global().parallelFor(g.batch * g.filters, grain, [&](int64_t begin, int64_t end) {
    std::vector<T> plane(padded[0] * padded[1] * row), sums;
    int64_t laid = -1; // the channel that lies in `plane`
    for (int64_t task = begin; task < end; ++task) {
      const int64_t filter = task % g.filters;
      const int64_t channel = task / g.filters * g.channels + filter / g.groupFilters;
      if (channel != laid)
        for (int64_t z = 0; z < w.in[0]; ++z)
          for (int64_t y = 0; y < w.in[1]; ++y) {
            const T *from = x + channel * inSize + (z * w.in[1] + y) * w.in[2];
            std::copy(from, from + w.in[2],
                      plane.data() + ((z + w.padBegin[0]) * padded[1] + y + w.padBegin[1]) * row +
                          w.padBegin[2]);
          }
      laid = channel;
      // Rows that follow each other in the input are one, whose places between are for nothing.
      const bool whole = w.stride[1] == 1;
      const int64_t runs = whole ? 1 : w.out[1], rows = whole ? w.out[1] : 1;
      const int64_t length = (rows - 1) * row + w.out[2];
      sums.resize(length);
      T *out = result + task * outSize;
      for (int64_t z = 0; z < w.out[0]; ++z)
        for (int64_t run = 0; run < runs; ++run) {
          vec::combine(weights + filter * g.taps,
                       plane.data() + (z * w.stride[0] * padded[1] + run * w.stride[1]) * row,
                       places.data(), g.taps, sums.data(), length);
          for (int64_t y = 0; y < rows; ++y, out += w.out[2])
            for (int64_t p = 0; p < w.out[2]; ++p)
              out[p] = sums[y * row + p] + (bias ? bias[filter] : T(0));
        }
    }
  });
}

template <typename T> void conv(KernelCall &call) {
  Tensor x = inputAs<T>(call, 0), weights = inputAs<T>(call, 1), bias;
  Geometry g = geometryOf(call.node, x.shape(), weights.shape());
  if (call.has(2))
    checkBias(call.node, bias = inputAs<T>(call, 2), g.filters);
  const Window &w = g.window;
  Tensor result(DTypeOf<T>::value, resultShape(g));
  int64_t outSize = w.outSize(), inSize = w.inSize();
  if (g.groupChannels == 1 && w.stride[2] == 1 && w.kernelSize() > 1 && result.size() > 0 &&
      std::all_of(w.padBegin.begin(), w.padBegin.end(), [](int64_t pad) { return pad >= 0; })) {
    convByChannel<T>(g, x.data<T>(), weights.data<T>(),
                     call.has(2) ? bias.data<T>() : static_cast<const T *>(nullptr),
                     result.data<T>());
    return setReal(call, 0, result, call.in(0).dtype());
  }
  // A kernel of one element without stride or padding: the input already is the matrix of columns.
  bool direct = w.kernelSize() == 1 && w.in == w.out && w.stride == Window::Dims{1, 1, 1};
  int64_t chunk = std::max<int64_t>(64, (1 << 18) / std::max<int64_t>(1, g.taps));
  chunk = std::min(chunk, std::max<int64_t>(1, outSize));
  int64_t chunks = outSize ? (outSize + chunk - 1) / chunk : 0;
  auto body = [&](int64_t begin, int64_t end) {
    std::vector<T> columns(direct ? 0 : g.taps * chunk);
    for (int64_t task = begin; task < end; ++task) {
      int64_t first = task % chunks * chunk, count = std::min(chunk, outSize - first);
      int64_t group = task / chunks % g.groups, n = task / chunks / g.groups;
      const T *from = x.data<T>() + (n * g.channels + group * g.groupChannels) * inSize;
      const T *matrix = columns.data();
      int64_t stride = count;
      if (direct) {
        matrix = from + first;
        stride = inSize;
      } else {
        layOut(w, g.groupChannels, first, first + count, from, columns.data());
      }
      T *out = result.data<T>() + (n * g.filters + group * g.groupFilters) * outSize + first;
      const T *filter = weights.data<T>() + group * g.groupFilters * g.taps;
      if (g.groupFilters == 1)
        vec::combine(filter, matrix, stride, g.taps, out, count);
      else
        multiply(filter, g.taps, g.groupFilters, matrix, stride, false, g.taps, count, out,
                 outSize);
      for (int64_t f = 0; call.has(2) && f < g.groupFilters; ++f) {
        T b = bias.data<T>()[group * g.groupFilters + f];
        for (int64_t p = 0; p < count; ++p)
          out[f * outSize + p] += b;
      }
    }
  };
  int64_t tasks = g.batch * g.groups * chunks;
  // With fewer tasks than threads the products themselves are threaded.
  if (result.size() > 0) {
    if (tasks < ThreadPool::global().threads())
      body(0, tasks);
    else
      ThreadPool::global().parallelFor(tasks, 1, body);
  }
  setReal(call, 0, result, call.in(0).dtype());
}

template <typename T> void convTranspose(KernelCall &call) {
  const Node &node = call.node;
  Tensor x = inputAs<T>(call, 0), weights = inputAs<T>(call, 1), bias;
  int64_t groups = node.integer("group", 1);
  check(x.rank() >= 3 && weights.rank() == x.rank() && groups > 0 && weights.dim(0) == x.dim(1) &&
            x.dim(1) % groups == 0,
        node.op,
        ": expected X (batch, channels, ...) and W (channels, filters / group, ...), found ",
        toString(x.shape()), " and ", toString(weights.shape()));
  Window w = transposedWindowOf(node, x.shape(),
                                Shape(weights.shape().begin() + 2, weights.shape().end()));
  int64_t batch = x.dim(0), channels = x.dim(1), groupChannels = channels / groups;
  int64_t groupFilters = weights.dim(1), filters = groupFilters * groups;
  if (call.has(2))
    checkBias(node, bias = inputAs<T>(call, 2), filters);
  Shape shape{batch, filters}, spatial = w.outShape();
  shape.insert(shape.end(), spatial.begin(), spatial.end());
  Tensor result(DTypeOf<T>::value, shape);
  int64_t inSize = w.inSize(), outSize = w.outSize(), taps = groupFilters * w.kernelSize();
  // The forward convolution that has this one's result as its input reads the same positions.
  Window forward = w;
  forward.in = w.out;
  forward.out = w.in;
  std::vector<T> columns(taps * inSize), transposed(taps * groupChannels);
  for (int64_t n = 0; n < batch && result.size() > 0; ++n)
    for (int64_t group = 0; group < groups; ++group) {
      const T *filter = weights.data<T>() + group * groupChannels * taps;
      for (int64_t c = 0; c < groupChannels; ++c)
        for (int64_t t = 0; t < taps; ++t)
          transposed[t * groupChannels + c] = filter[c * taps + t];
      const T *from = x.data<T>() + (n * channels + group * groupChannels) * inSize;
      if (inSize > 0)
        multiply(transposed.data(), groupChannels, taps, from, inSize, false, groupChannels, inSize,
                 columns.data(), inSize);
      T *out = result.data<T>() + (n * filters + group * groupFilters) * outSize;
      for (int64_t f = 0; f < groupFilters; ++f)
        std::fill(out + f * outSize, out + (f + 1) * outSize,
                  call.has(2) ? bias.data<T>()[group * groupFilters + f] : T(0));
      eachRun(forward, groupFilters, 0, inSize,
              [&](int64_t tap, int64_t p, int64_t, int64_t first, int64_t last, int64_t at) {
                const T *row = columns.data() + tap * inSize + p;
                for (int64_t i = first; i < last; ++i, at += forward.stride[2])
                  out[at] += row[i];
              });
    }
  setReal(call, 0, result, call.in(0).dtype());
}

int32_t zeroPoint(KernelCall &call, size_t i, size_t at) {
  const Tensor *zero = call.maybe(i);
  if (!zero)
    return 0;
  auto values = toInt32s(*zero, "zero point");
  check(!values.empty(), call.node.op, ": an empty zero point");
  return values[values.size() == 1 ? 0 : at];
}

/// (X - zeroX) convolved with (W - zeroW), int32 of shape (batch, filters, spatial...).
Tensor integerConv(KernelCall &call, size_t xIndex, size_t wIndex, size_t zeroXIndex,
                   size_t zeroWIndex, Geometry &g) {
  const Node &node = call.node;
  const Tensor &x = call.in(xIndex), &weights = call.in(wIndex);
  for (const Tensor *operand : {&x, &weights})
    check(operand->dtype() == DType::I8 || operand->dtype() == DType::U8, node.op,
          ": X and W must be int8 or uint8, found ", nameOf(operand->dtype()));
  g = geometryOf(node, x.shape(), weights.shape());
  const Window &w = g.window;
  if (const Tensor *zero = call.maybe(zeroWIndex))
    check(zero->size() == 1 || zero->size() == g.filters, node.op,
          ": W's zero point must be a scalar or have ", g.filters, " elements, found shape ",
          toString(zero->shape()));
  check(g.taps < 1 << 15, node.op, ": the kernel must have fewer than 32768 taps, found ", g.taps);
  std::vector<int32_t> values = toInt32s(x, "X"), filters = toInt32s(weights, "W");
  int32_t zeroX = zeroPoint(call, zeroXIndex, 0);
  std::vector<int16_t> filter(filters.size());
  for (int64_t f = 0; f < g.filters; ++f) {
    int32_t zero = zeroPoint(call, zeroWIndex, f);
    for (int64_t t = 0; t < g.taps; ++t)
      filter[f * g.taps + t] = static_cast<int16_t>(filters[f * g.taps + t] - zero);
  }
  Tensor result(DType::I32, resultShape(g));
  int64_t outSize = w.outSize(), inSize = w.inSize();
  std::vector<int16_t> rows(outSize * g.taps);
  // Pairs are neighbours where channels are innermost; a depthwise filter has none.
  bool saturating = node.integer("saturating", 0) && x.dtype() == DType::U8 &&
                    weights.dtype() == DType::I8 && !(g.groupChannels == 1 && g.groupFilters == 1);
  std::vector<int64_t> order;
  std::vector<int32_t> zerosX, zerosW;
  if (saturating) {
    for (int64_t k = 0; k < w.kernelSize(); ++k)
      for (int64_t c = 0; c < g.groupChannels; ++c)
        order.push_back(c * w.kernelSize() + k);
    zerosX.assign(outSize, zeroX);
    for (int64_t f = 0; f < g.filters; ++f)
      zerosW.push_back(zeroPoint(call, zeroWIndex, f));
  }
  for (int64_t n = 0; n < g.batch && result.size() > 0; ++n)
    for (int64_t group = 0; group < g.groups; ++group) {
      const int32_t *from = values.data() + (n * g.channels + group * g.groupChannels) * inSize;
      std::fill(rows.begin(), rows.end(), int16_t(0));
      eachRun(w, g.groupChannels, 0, outSize,
              [&](int64_t tap, int64_t p, int64_t, int64_t first, int64_t last, int64_t at) {
                for (int64_t i = first; i < last; ++i, at += w.stride[2])
                  rows[(p + i) * g.taps + tap] = static_cast<int16_t>(from[at] - zeroX);
              });
      int64_t firstFilter = group * g.groupFilters;
      const int16_t *groupFilter = filter.data() + firstFilter * g.taps;
      int32_t *out = result.data<int32_t>() + (n * g.filters + firstFilter) * outSize;
      multiplyShorts(groupFilter, g.groupFilters, rows.data(), g.taps, outSize, out);
      if (saturating)
        addPairSaturation(groupFilter, zerosW.data() + firstFilter, g.groupFilters, rows.data(),
                          zerosX.data(), outSize, g.taps, order.data(), out);
    }
  return result;
}

void runConvInteger(KernelCall &call) {
  Geometry g;
  call.set(0, integerConv(call, 0, 1, 2, 3, g));
}

/// Inputs: x, its scale and zero point, w, its scale and zero point, y's scale and zero point, bias
/// (int32).
void runQLinearConv(KernelCall &call) {
  const Node &node = call.node;
  Geometry g;
  Tensor sums = integerConv(call, 0, 3, 2, 5, g);
  const Tensor &zeroTensor = call.in(7);
  DType type = zeroTensor.dtype();
  check(type == DType::I8 || type == DType::U8, node.op,
        ": y_zero_point must be int8 or uint8, found ", nameOf(type));
  float zero = static_cast<float>(zeroPoint(call, 7, 0));
  Tensor wScale = inputAs<float>(call, 4);
  check(wScale.size() == 1 || wScale.size() == g.filters, node.op,
        ": w_scale must be a scalar or have ", g.filters, " elements, found shape ",
        toString(wScale.shape()));
  float xScale = static_cast<float>(toDouble(call.in(1), "x_scale"));
  float yScale = static_cast<float>(toDouble(call.in(6), "y_scale"));
  std::vector<int32_t> bias(g.filters, 0);
  if (call.has(8)) {
    bias = toInt32s(call.in(8), "bias");
    check(static_cast<int64_t>(bias.size()) == g.filters, node.op, ": the bias must have ",
          g.filters, " elements, found ", bias.size());
  }
  Tensor &result = call.out(0, type, sums.shape());
  float low = type == DType::I8 ? -128.0f : 0.0f, high = type == DType::I8 ? 127.0f : 255.0f;
  int64_t plane = g.window.outSize();
  for (int64_t i = 0, n = sums.size(); i < n; ++i) {
    int64_t f = i / plane % g.filters;
    float scale = xScale * wScale.data<float>()[wScale.size() == 1 ? 0 : f] / yScale;
    float v = std::nearbyint(static_cast<float>(sums.data<int32_t>()[i] + bias[f]) * scale) + zero;
    v = v > low ? v : low;
    v = v < high ? v : high;
    static_cast<uint8_t *>(result.raw())[i] = static_cast<uint8_t>(static_cast<int32_t>(v));
  }
}

void runConv(KernelCall &call) {
  withCompute(call.in(0).dtype(), "Conv: X", [&](auto zero) { conv<decltype(zero)>(call); });
}
void runConvTranspose(KernelCall &call) {
  withCompute(call.in(0).dtype(), "ConvTranspose: X",
              [&](auto zero) { convTranspose<decltype(zero)>(call); });
}

} // namespace

void registerConv(KernelTable &table) {
  table.add("", "Conv", runConv);
  table.add("", "ConvTranspose", runConvTranspose);
  table.add("", "ConvInteger", runConvInteger);
  table.add("", "QLinearConv", runQLinearConv);
}

} // namespace uoe::rt
