#include "Elementwise.h"

namespace uoe::rt {
namespace {

/// Elements that are converted to float at a time; two blocks stay in the first-level cache.
constexpr int64_t kBlock = 1024;

int64_t grainOf(RealUnary op) {
  switch (op) {
  case RealUnary::Abs:
  case RealUnary::Neg:
  case RealUnary::Relu:
  case RealUnary::Clip:
  case RealUnary::Square:
    return 2 * kElementGrain;
  default:
    return kElementGrain / 2;
  }
}

template <typename T>
void runHalfUnary(RealLoopsOf<float>::Unary loop, const T *x, T *y, int64_t n, float a, float b) {
  float block[kBlock];
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    int64_t count = std::min(kBlock, n - begin);
    toFloatRow(x + begin, block, count);
    loop(block, block, count, a, b);
    fromFloatRow(block, y + begin, count);
  }
}

template <typename T> struct HalfBinary {
  RealLoopsOf<float>::Binary loops[3];

  void operator()(const T *x, int64_t xStride, const T *y, int64_t yStride, T *z, int64_t n) const {
    float left[kBlock], right[kBlock];
    if (!xStride)
      left[0] = *x;
    if (!yStride)
      right[0] = *y;
    auto loop = loops[xStride && yStride ? 0 : xStride ? 1 : 2];
    for (int64_t begin = 0; begin < n; begin += kBlock) {
      int64_t count = std::min(kBlock, n - begin);
      if (xStride)
        toFloatRow(x + begin, left, count);
      if (yStride)
        toFloatRow(y + begin, right, count);
      float *to = xStride ? left : right;
      loop(left, right, to, count);
      fromFloatRow(to, z + begin, count);
    }
  }
};

} // namespace

Tensor &broadcastOutput(KernelCall &call, size_t i, size_t j, DType type) {
  const Tensor &a = call.in(i), &b = call.in(j);
  if (a.shape() == b.shape() || b.size() == 1) {
    if (b.rank() <= a.rank())
      return call.outInPlace(0, i, type, a.shape());
  }
  Shape shape = broadcastShapes(a.shape(), b.shape());
  if (shape == a.shape())
    return call.outInPlace(0, i, type, std::move(shape));
  if (shape == b.shape())
    return call.outInPlace(0, j, type, std::move(shape));
  return call.out(0, type, std::move(shape));
}

void expectSameType(const Tensor &a, const Tensor &b) {
  check(a.dtype() == b.dtype(), "the inputs have types ", nameOf(a.dtype()), " and ",
        nameOf(b.dtype()), ", expected one type");
}

void runRealBinary(RealBinary op, const Tensor &a, const Tensor &b, Tensor &result) {
  int64_t grain = op == RealBinary::Pow || op == RealBinary::Mod || op == RealBinary::FMod
                      ? kElementGrain / 8
                      : kElementGrain;
  dispatch(RealTypes(), a.dtype(), "an operand", [&](auto type) {
    using T = typename decltype(type)::type;
    const auto &loops = loopsOf<ComputeOf<T>>().binary[static_cast<int>(op)];
    if constexpr (isHalf<T>)
      runBinary<T, T>(a, b, result, grain, HalfBinary<T>{{loops[0], loops[1], loops[2]}});
    else
      runBinary<T, T>(a, b, result, grain, BinaryLoops<T, T>{loops[0], loops[1], loops[2]});
  });
}

void runRealUnary(RealUnary op, const Tensor &x, Tensor &result, double a, double b) {
  dispatch(RealTypes(), x.dtype(), "an input", [&](auto type) {
    using T = typename decltype(type)::type;
    auto loop = loopsOf<ComputeOf<T>>().unary[static_cast<int>(op)];
    const T *from = x.data<T>();
    T *to = result.data<T>();
    parallel(x.size(), grainOf(op), [&](int64_t begin, int64_t end) {
      if constexpr (isHalf<T>)
        runHalfUnary(loop, from + begin, to + begin, end - begin, static_cast<float>(a),
                     static_cast<float>(b));
      else
        loop(from + begin, to + begin, end - begin, static_cast<T>(a), static_cast<T>(b));
    });
  });
}

} // namespace uoe::rt
