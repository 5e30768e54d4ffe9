// MaxPool, AveragePool, LpPool and their global forms.
#include "Numeric.h"
#include "Register.h"
#include "Window.h"
#include <algorithm>
#include <cmath>
#include <limits>

namespace uoe::rt {
namespace {

/// The part of a window that lies inside the input, along one dimension: taps [first, last).
struct Span {
  int64_t start, first, last;
};
Span spanOf(const Window &w, int axis, int64_t position) {
  int64_t start = position * w.stride[axis] - w.padBegin[axis], d = w.dilation[axis];
  int64_t first = start < 0 ? (-start + d - 1) / d : 0;
  int64_t last = std::min(w.kernel[axis], (w.in[axis] - start + d - 1) / d);
  return {start, first, std::max(first, last)};
}

/// Calls body(plane, output index, spans of z, y and x) for every position of every plane, planes
/// in parallel.
template <typename Body> void eachPlane(int64_t planes, const Window &w, Body &&body) {
  int64_t work = std::max<int64_t>(1, w.outSize() * w.kernelSize());
  ThreadPool::global().parallelFor(
      planes, std::max<int64_t>(1, 16384 / work), [&](int64_t begin, int64_t end) {
        for (int64_t plane = begin; plane < end; ++plane)
          for (int64_t z = 0; z < w.out[0]; ++z)
            for (int64_t y = 0; y < w.out[1]; ++y)
              for (int64_t x = 0; x < w.out[2]; ++x)
                body(plane, (z * w.out[1] + y) * w.out[2] + x, spanOf(w, 0, z), spanOf(w, 1, y),
                     spanOf(w, 2, x));
      });
}

template <typename Visit>
void eachElement(const Window &w, const Span &z, const Span &y, const Span &x, Visit &&visit) {
  for (int64_t i = z.first; i < z.last; ++i)
    for (int64_t j = y.first; j < y.last; ++j) {
      int64_t row =
          ((z.start + i * w.dilation[0]) * w.in[1] + y.start + j * w.dilation[1]) * w.in[2];
      for (int64_t k = x.first; k < x.last; ++k)
        visit(row + x.start + k * w.dilation[2]);
    }
}

/// Windows tap by tap, for all positions of a row of results at once: row(output index) begins one,
/// join(output, input) takes one element in, in the order of eachElement; planes in parallel.
template <typename T, typename Join>
void joinRows(int64_t planes, const Window &w, const T *x, T first, T *result, Join &&join) {
  int64_t work = std::max<int64_t>(1, w.outSize() * w.kernelSize());
  ThreadPool::global().parallelFor(
      planes, std::max<int64_t>(1, 16384 / work), [&](int64_t begin, int64_t end) {
        for (int64_t task = begin * w.out[0] * w.out[1]; task < end * w.out[0] * w.out[1]; ++task) {
          const int64_t oy = task % w.out[1], oz = task / w.out[1] % w.out[0];
          const T *plane = x + task / (w.out[0] * w.out[1]) * w.inSize();
          T *row = result + task * w.out[2];
          std::fill(row, row + w.out[2], first);
          const Span z = spanOf(w, 0, oz), y = spanOf(w, 1, oy);
          for (int64_t i = z.first; i < z.last; ++i)
            for (int64_t j = y.first; j < y.last; ++j) {
              const T *from =
                  plane +
                  ((z.start + i * w.dilation[0]) * w.in[1] + y.start + j * w.dilation[1]) * w.in[2];
              for (int64_t k = 0; k < w.kernel[2]; ++k) {
                const auto [low, high, offset] = rowPart(w, k);
                for (int64_t p = low; p < high; ++p)
                  row[p] = join(row[p], from[p * w.stride[2] + offset]);
              }
            }
        }
      });
}

Shape pooledShape(const Shape &input, const Window &w) {
  Shape shape(input.begin(), input.begin() + 2), spatial = w.outShape();
  shape.insert(shape.end(), spatial.begin(), spatial.end());
  return shape;
}

template <typename T> void maxPool(KernelCall &call, const Tensor &x, DType type) {
  const Node &node = call.node;
  Window w = windowOf(node, x.shape(), {}, node.integer("ceil_mode", 0));
  Tensor result(DTypeOf<T>::value, pooledShape(x.shape(), w));
  Tensor indices;
  if (call.wants(1))
    indices = Tensor(DType::I64, result.shape());
  bool columnMajor = node.integer("storage_order", 0);
  int64_t inSize = w.inSize(), outSize = w.outSize();
  const T *from = x.data<T>();
  if (!indices.raw()) {
    T least = std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity()
                                          : std::numeric_limits<T>::lowest();
    joinRows(x.dim(0) * x.dim(1), w, from, least, result.data<T>(),
             [](T best, T value) { return value > best ? value : best; });
    if constexpr (std::is_floating_point_v<T>)
      return setReal(call, 0, result, type);
    return call.set(0, result);
  }
  eachPlane(x.dim(0) * x.dim(1), w,
            [&](int64_t plane, int64_t at, const Span &z, const Span &y, const Span &xs) {
              const T *source = from + plane * inSize;
              T best = std::numeric_limits<T>::lowest();
              int64_t where = -1;
              eachElement(w, z, y, xs, [&](int64_t i) {
                if (where < 0 || source[i] > best) {
                  best = source[i];
                  where = i;
                }
              });
              result.data<T>()[plane * outSize + at] = best;
              if (indices.raw()) {
                if (columnMajor && where >= 0) {
                  int64_t iz = where / (w.in[1] * w.in[2]), iy = where / w.in[2] % w.in[1],
                          ix = where % w.in[2];
                  where = w.rank == 1   ? ix
                          : w.rank == 2 ? ix * w.in[1] + iy
                                        : (ix * w.in[1] + iy) * w.in[0] + iz;
                }
                indices.data<int64_t>()[plane * outSize + at] = plane * inSize + where;
              }
            });
  if constexpr (std::is_floating_point_v<T>)
    setReal(call, 0, result, type);
  else
    call.set(0, result);
  if (indices.raw())
    call.set(1, indices);
}

void runMaxPool(KernelCall &call) {
  const Tensor &x = call.in(0);
  check(x.rank() >= 3, "MaxPool: input must have 1 to 3 spatial dimensions, found shape ",
        toString(x.shape()));
  if (x.dtype() == DType::I8)
    return maxPool<int8_t>(call, x, x.dtype());
  if (x.dtype() == DType::U8)
    return maxPool<uint8_t>(call, x, x.dtype());
  withCompute(x.dtype(), "MaxPool: X", [&](auto zero) {
    maxPool<decltype(zero)>(call, inputAs<decltype(zero)>(call, 0), x.dtype());
  });
}

template <typename T> void averagePool(KernelCall &call) {
  const Node &node = call.node;
  Tensor x = inputAs<T>(call, 0);
  check(x.rank() >= 3, "AveragePool: input must have 1 to 3 spatial dimensions, found shape ",
        toString(x.shape()));
  Window w = windowOf(node, x.shape(), {}, node.integer("ceil_mode", 0));
  bool includePad = node.integer("count_include_pad", 0);
  Tensor result(DTypeOf<T>::value, pooledShape(x.shape(), w));
  int64_t outSize = w.outSize();
  // With padding counted: the taps before the padded end, which a window of ceil_mode may pass.
  auto padded = [&](int axis, const Span &span) {
    int64_t end = w.in[axis] + w.padEnd[axis], d = w.dilation[axis];
    return std::max<int64_t>(1, std::min(w.kernel[axis], (end - span.start + d - 1) / d));
  };
  T *totals = result.data<T>();
  joinRows(x.dim(0) * x.dim(1), w, x.data<T>(), T(0), totals,
           [](T total, T value) { return total + value; });
  eachPlane(x.dim(0) * x.dim(1), w,
            [&](int64_t plane, int64_t at, const Span &z, const Span &y, const Span &xs) {
              T &total = totals[plane * outSize + at];
              int64_t count = includePad
                                  ? padded(0, z) * padded(1, y) * padded(2, xs)
                                  : (z.last - z.first) * (y.last - y.first) * (xs.last - xs.first);
              total = count ? total / static_cast<T>(count) : T(0);
            });
  setReal(call, 0, result, call.in(0).dtype());
}

template <typename T> void lpPool(KernelCall &call) {
  const Node &node = call.node;
  Tensor x = inputAs<T>(call, 0);
  check(x.rank() >= 3, "LpPool: input must have 1 to 3 spatial dimensions, found shape ",
        toString(x.shape()));
  Window w = windowOf(node, x.shape(), {}, node.integer("ceil_mode", 0));
  T p = static_cast<T>(node.integer("p", 2));
  check(p > 0, "LpPool: p must be positive, found ", p);
  Tensor result(DTypeOf<T>::value, pooledShape(x.shape(), w));
  int64_t inSize = w.inSize(), outSize = w.outSize();
  eachPlane(x.dim(0) * x.dim(1), w,
            [&](int64_t plane, int64_t at, const Span &z, const Span &y, const Span &xs) {
              const T *source = x.data<T>() + plane * inSize;
              T total = 0;
              eachElement(w, z, y, xs,
                          [&](int64_t i) { total += std::pow(std::fabs(source[i]), p); });
              result.data<T>()[plane * outSize + at] = std::pow(total, T(1) / p);
            });
  setReal(call, 0, result, call.in(0).dtype());
}

enum class Global { Average, Max, Lp };

template <typename T> void globalPool(KernelCall &call, Global kind) {
  const Node &node = call.node;
  Tensor x = inputAs<T>(call, 0);
  check(x.rank() >= 2, node.op, ": input must have shape (batch, channels, ...), found ",
        toString(x.shape()));
  int64_t planes = x.dim(0) * x.dim(1), size = extent(x.shape(), 2, x.rank());
  T p = static_cast<T>(node.integer("p", 2));
  Shape shape(x.shape().size(), 1);
  shape[0] = x.dim(0);
  shape[1] = x.dim(1);
  Tensor result(DTypeOf<T>::value, shape);
  for (int64_t plane = 0; plane < planes; ++plane) {
    const T *source = x.data<T>() + plane * size;
    T value = kind == Global::Max ? -std::numeric_limits<T>::infinity() : T(0);
    for (int64_t i = 0; i < size; ++i)
      if (kind == Global::Max)
        value = std::max(value, source[i]);
      else
        value += kind == Global::Average ? source[i] : std::pow(std::fabs(source[i]), p);
    if (kind == Global::Average)
      value /= static_cast<T>(size);
    else if (kind == Global::Lp)
      value = std::pow(value, T(1) / p);
    result.data<T>()[plane] = value;
  }
  setReal(call, 0, result, call.in(0).dtype());
}

template <Global kind> void runGlobal(KernelCall &call) {
  withCompute(call.in(0).dtype(), call.node.op.c_str(),
              [&](auto zero) { globalPool<decltype(zero)>(call, kind); });
}
void runAveragePool(KernelCall &call) {
  withCompute(call.in(0).dtype(), "AveragePool: X",
              [&](auto zero) { averagePool<decltype(zero)>(call); });
}
void runLpPool(KernelCall &call) {
  withCompute(call.in(0).dtype(), "LpPool: X", [&](auto zero) { lpPool<decltype(zero)>(call); });
}

} // namespace

void registerPool(KernelTable &table) {
  table.add("", "MaxPool", runMaxPool);
  table.add("", "AveragePool", runAveragePool);
  table.add("", "LpPool", runLpPool);
  table.add("", "GlobalAveragePool", runGlobal<Global::Average>);
  table.add("", "GlobalMaxPool", runGlobal<Global::Max>);
  table.add("", "GlobalLpPool", runGlobal<Global::Lp>);
}

} // namespace uoe::rt
