// Elementwise operators with broadcasting, a thread an element. Arithmetic is float's where an
// operand is a floating-point number, else int64's.
#pragma once
#include "Element.h"
#include "runtime/cuda/dispatch/Activate.h"

namespace uoe::rt::cuda {

enum class Point : int32_t {
  Copy, // also a cast
  Abs,
  Neg,
  Not,
  Relu,
  Sigmoid,
  Tanh,
  Erf,
  Exp,
  Log,
  Sqrt,
  Reciprocal,
  Sin,
  Cos,
  Floor,
  Ceil,
  Gelu,
  GeluTanh,
  Swish,       // x sigmoid(alpha x)
  Clip,        // to alpha .. beta
  LeakyRelu,   // alpha x below 0
  Elu,         // alpha (e^x - 1) below 0
  HardSigmoid, // alpha x + beta, to 0 .. 1
  HardSwish,   // x times that with 1/6 and 1/2
  Softplus,
  Sign,
  Round, // to nearest, ties to even
  IsNaN,
  Add,
  Sub,
  Mul,
  Div,
  Pow,
  Min,
  Max,
  Equal,
  Less,
  LessOrEqual,
  Greater,
  GreaterOrEqual,
  And,
  Or,
  Xor,
  Where, // operand 0 tells between 1 and 2
};

/// out[i] = op(in[0], in[1], in[2]); out is contiguous.
struct PointwiseCall {
  Point op = Point::Copy;
  int32_t operands = 1;
  DType types[3] = {}, outType = DType::F32;
  const void *in[3] = {};
  void *out = nullptr;
  StridedLoops<3> loops;
  float alpha = 0, beta = 0;
};

// NaN where one of the two is.
UOE_HOST_DEVICE inline float lesser(float a, float b) {
  return a != a || a < b ? a : b;
}
UOE_HOST_DEVICE inline float greater(float a, float b) {
  return a != a || a > b ? a : b;
}

/// sin x, or cos x. The library's own take local memory for the reduction of large arguments; here
/// quarter turns are taken off in double, which holds up to 2^40 or so, and polynomials do the rest
/// (Moshier, Cephes, sinf.c).
UOE_HOST_DEVICE inline float sine(float x, bool cosine) {
  if (!(fabsf(x) < 1e12f))
    return x - x + (fabsf(x) < INFINITY ? NAN : 0.0f);
  const double turns = floor(x * 0.63661977236758134308 + 0.5);
  const auto r = static_cast<float>(x - turns * 1.57079632679489661923);
  const float z = r * r;
  const int quadrant = (static_cast<int>(static_cast<int64_t>(turns) & 3) + cosine) & 3;
  const float value =
      quadrant % 2
          ? ((2.443315711e-5f * z - 1.388731625e-3f) * z + 4.166664568e-2f) * z * z - 0.5f * z + 1
          : ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * r + r;
  return quadrant >= 2 ? -value : value;
}

UOE_HOST_DEVICE inline float hardSigmoid(float x, float alpha, float beta) {
  const float y = alpha * x + beta;
  return y < 0 ? 0.0f : y > 1 ? 1.0f : y;
}

UOE_HOST_DEVICE inline float pointOfOne(Point op, float x, float alpha, float beta) {
  switch (op) {
  case Point::Abs:
    return fabsf(x);
  case Point::Neg:
    return -x;
  case Point::Not:
    return x == 0;
  case Point::Relu:
    return activate(Activation::Relu, x);
  case Point::Sigmoid:
    return activate(Activation::Sigmoid, x);
  case Point::Tanh:
    return activate(Activation::Tanh, x);
  case Point::Erf:
    return activate(Activation::Erf, x);
  case Point::Exp:
    return activate(Activation::Exp, x);
  case Point::Log:
    return logf(x);
  case Point::Sqrt:
    return sqrtf(x);
  case Point::Reciprocal:
    return 1 / x;
  case Point::Sin:
    return sine(x, false);
  case Point::Cos:
    return sine(x, true);
  case Point::Floor:
    return floorf(x);
  case Point::Ceil:
    return ceilf(x);
  case Point::Gelu:
    return activate(Activation::Gelu, x);
  case Point::GeluTanh:
    return activate(Activation::GeluTanh, x);
  case Point::Swish:
    return x / (1 + expf(-alpha * x));
  case Point::Clip:
    return x != x ? x : x < alpha ? alpha : x > beta ? beta : x;
  case Point::IsNaN:
    return x != x;
  case Point::LeakyRelu:
    return x < 0 ? alpha * x : x;
  case Point::Elu:
    return x < 0 ? alpha * (expf(x) - 1) : x;
  case Point::HardSigmoid:
    return hardSigmoid(x, alpha, beta);
  case Point::HardSwish:
    return x * hardSigmoid(x, 1.0f / 6, 0.5f);
  case Point::Softplus:
    return greater(x, 0.0f) + logf(1 + expf(-fabsf(x)));
  case Point::Sign:
    return x > 0 ? 1.0f : x < 0 ? -1.0f : x;
  case Point::Round:
    return rintf(x);
  default:
    return x;
  }
}
UOE_HOST_DEVICE inline int64_t pointOfOne(Point op, int64_t x, float alpha, float beta) {
  switch (op) {
  case Point::Abs:
    return x < 0 ? -x : x;
  case Point::Neg:
    return -x;
  case Point::Not:
    return x == 0;
  case Point::Relu:
    return x > 0 ? x : 0;
  case Point::Clip: { // limits that float holds
    const auto high = beta < 9.2e18f ? static_cast<int64_t>(beta) : INT64_MAX;
    const int64_t low = alpha > -9.2e18f ? static_cast<int64_t>(alpha) : INT64_MIN;
    return x < low ? low : x > high ? high : x;
  }
  default:
    return x;
  }
}

UOE_HOST_DEVICE inline float arithmetic(Point op, float x, float y) {
  switch (op) {
  case Point::Div:
    return x / y;
  case Point::Pow:
    return y == 2 ? x * x : powf(x, y);
  case Point::Min:
    return lesser(x, y);
  default:
    return greater(x, y);
  }
}
UOE_HOST_DEVICE inline int64_t arithmetic(Point op, int64_t x, int64_t y) {
  return op == Point::Min ? least(x, y) : most(x, y);
}

template <typename C> UOE_HOST_DEVICE inline C pointOfTwo(Point op, C x, C y) {
  switch (op) {
  case Point::Add:
    return x + y;
  case Point::Sub:
    return x - y;
  case Point::Mul:
    return x * y;
  case Point::Equal:
    return x == y;
  case Point::Less:
    return x < y;
  case Point::LessOrEqual:
    return x <= y;
  case Point::Greater:
    return x > y;
  case Point::GreaterOrEqual:
    return x >= y;
  case Point::And:
    return x != C(0) && y != C(0);
  case Point::Or:
    return x != C(0) || y != C(0);
  case Point::Xor:
    return (x != C(0)) != (y != C(0));
  default:
    return arithmetic(op, x, y);
  }
}

template <typename C, typename Grid>
UOE_HOST_DEVICE void pointwiseKernel(const Grid &grid, const PointwiseCall &call) {
  grid.eachThread([&](int64_t i) {
    if (i >= call.loops.count)
      return;
    int64_t at[3];
    call.loops.offsets(i, at);
    if (call.op == Point::Where) {
      const bool first = static_cast<const uint8_t *>(call.in[0])[at[0]] != 0;
      const C x = first ? loadAs<C>(call.types[1], call.in[1], at[1])
                        : loadAs<C>(call.types[2], call.in[2], at[2]);
      return storeAs<C>(call.outType, call.out, i, x);
    }
    const C x = loadAs<C>(call.types[0], call.in[0], at[0]);
    if (call.operands == 1)
      return storeAs<C>(call.outType, call.out, i, pointOfOne(call.op, x, call.alpha, call.beta));
    const C y = loadAs<C>(call.types[1], call.in[1], at[1]);
    storeAs<C>(call.outType, call.out, i, pointOfTwo<C>(call.op, x, y));
  });
}

} // namespace uoe::rt::cuda
