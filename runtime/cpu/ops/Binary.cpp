// Arithmetic of two and more operands with multidirectional broadcasting.
#include "Elementwise.h"
#include "Register.h"

namespace uoe::rt {
namespace {

// Integer arithmetic wraps, as ONNX Runtime's and NumPy's does: computed in the unsigned type.
template <typename T> using Wrapping = std::make_unsigned_t<std::common_type_t<T, int>>;
struct AddOp {
  template <typename T> static T apply(T x, T y) {
    return static_cast<T>(static_cast<Wrapping<T>>(x) + static_cast<Wrapping<T>>(y));
  }
};
struct SubOp {
  template <typename T> static T apply(T x, T y) {
    return static_cast<T>(static_cast<Wrapping<T>>(x) - static_cast<Wrapping<T>>(y));
  }
};
struct MulOp {
  template <typename T> static T apply(T x, T y) {
    return static_cast<T>(static_cast<Wrapping<T>>(x) * static_cast<Wrapping<T>>(y));
  }
};
struct MinOp {
  template <typename T> static T apply(T x, T y) { return x < y ? x : y; }
};
struct MaxOp {
  template <typename T> static T apply(T x, T y) { return x > y ? x : y; }
};
// The smallest integer divided by -1 overflows; divisors of 0 are refused before.
struct DivOp {
  template <typename T> static T apply(T x, T y) {
    if (std::is_signed<T>::value && y == static_cast<T>(-1))
      return SubOp::apply(T(0), x);
    return static_cast<T>(x / y);
  }
};
struct RemainderOp {
  template <typename T> static T apply(T x, T y) {
    if (std::is_signed<T>::value && y == static_cast<T>(-1))
      return 0;
    return static_cast<T>(x % y);
  }
};
struct ModOp {
  template <typename T> static T apply(T x, T y) {
    T r = RemainderOp::apply(x, y);
    return r != 0 && (r < 0) != (y < 0) ? static_cast<T>(r + y) : r;
  }
};
struct PReluOp {
  template <typename T> static T apply(T x, T y) { return x < 0 ? MulOp::apply(x, y) : x; }
};

template <RealBinary op, typename Op>
void runNumber(const Tensor &a, const Tensor &b, Tensor &result) {
  dispatch(NumberTypes(), a.dtype(), "an operand", [&](auto type) {
    using T = typename decltype(type)::type;
    if constexpr (std::is_integral<T>::value)
      runBinary<T, T>(a, b, result, kElementGrain, loopsFor<Op, T, T>());
    else
      runRealBinary(op, a, b, result);
  });
}

template <RealBinary op, typename Op> void number(KernelCall &call) {
  const Tensor &a = call.in(0), &b = call.in(1);
  expectSameType(a, b);
  runNumber<op, Op>(a, b, broadcastOutput(call, 0, 1, a.dtype()));
}

void refuseZeroDivisors(const Tensor &b) {
  dispatch(NumberTypes(), b.dtype(), "a divisor", [&](auto type) {
    using T = typename decltype(type)::type;
    if constexpr (std::is_integral<T>::value) {
      const T *y = b.data<T>();
      bool zero = false;
      for (int64_t i = 0, n = b.size(); i < n; ++i)
        zero |= y[i] == 0;
      check(!zero, "an integer is divided by zero");
    }
  });
}

void divide(KernelCall &call) {
  refuseZeroDivisors(call.in(1));
  number<RealBinary::Div, DivOp>(call);
}

void modulo(KernelCall &call) {
  refuseZeroDivisors(call.in(1));
  if (call.node.integer("fmod", 0))
    number<RealBinary::FMod, RemainderOp>(call);
  else
    number<RealBinary::Mod, ModOp>(call);
}

/// Unidirectional: the slope broadcasts to the input.
void prelu(KernelCall &call) {
  const Tensor &x = call.in(0), &slope = call.in(1);
  expectSameType(x, slope);
  check(broadcastShapes(x.shape(), slope.shape()) == x.shape(), "the slope of shape ",
        toString(slope.shape()), " does not broadcast to the input's ", toString(x.shape()));
  runNumber<RealBinary::PRelu, PReluOp>(x, slope, call.outInPlace(0, 0, x.dtype(), x.shape()));
}

/// Two or more operands, from left to right.
template <RealBinary op, typename Op> void accumulate(KernelCall &call) {
  check(call.count() > 0, "at least one input is expected");
  const Tensor &first = call.in(0);
  if (call.count() == 1) {
    call.set(0, first);
    return;
  }
  expectSameType(first, call.in(1));
  runNumber<op, Op>(first, call.in(1), broadcastOutput(call, 0, 1, first.dtype()));
  for (size_t i = 2; i < call.count(); ++i) {
    const Tensor &next = call.in(i);
    expectSameType(first, next);
    Tensor &sum = call.outputs[0].tensor;
    Shape shape = broadcastShapes(sum.shape(), next.shape());
    if (shape == sum.shape()) {
      runNumber<op, Op>(sum, next, sum);
    } else {
      Tensor wider(first.dtype(), std::move(shape));
      runNumber<op, Op>(sum, next, wider);
      call.set(0, std::move(wider));
    }
  }
}

void mean(KernelCall &call) {
  accumulate<RealBinary::Add, AddOp>(call);
  if (call.count() == 1)
    return;
  Tensor &sum = call.outputs[0].tensor;
  Tensor count = castTo(makeInts({static_cast<int64_t>(call.count())}).reshaped({}), sum.dtype());
  runRealBinary(RealBinary::Div, sum, count, sum);
}

/// By repeated squaring, wrapping around; a negative exponent leaves 0 but for bases 1 and -1.
template <typename T> T integerPower(T base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 1)
      return 1;
    if (std::is_signed<T>::value && base == static_cast<T>(-1))
      return exponent % 2 ? static_cast<T>(-1) : T(1);
    return 0;
  }
  T result = 1;
  for (; exponent; exponent >>= 1) {
    if (exponent & 1)
      result = MulOp::apply(result, base);
    base = MulOp::apply(base, base);
  }
  return result;
}

struct PowOp {
  template <typename T> static T apply(T x, T y) {
    return integerPower(x, static_cast<int64_t>(y));
  }
};

/// Powers with an exponent that is cheaper by other means; true if this was one.
bool commonPower(KernelCall &call, const Tensor &x, const Tensor &y) {
  if (!isReal(x.dtype()) || y.size() != 1 || y.rank() > x.rank())
    return false;
  double exponent = toDouble(y, "the exponent");
  RealUnary op;
  if (exponent == 2)
    op = RealUnary::Square;
  else if (exponent == 3)
    op = RealUnary::Cube;
  else if (exponent == 0.5)
    op = RealUnary::Sqrt;
  else if (exponent == -0.5)
    op = RealUnary::ReciprocalSqrt;
  else if (exponent == -1)
    op = RealUnary::Reciprocal;
  else
    return false;
  runRealUnary(op, x, call.outInPlace(0, 0, x.dtype(), x.shape()));
  return true;
}

/// The result has the base's type; the exponent may have any.
void power(KernelCall &call) {
  const Tensor &x = call.in(0), &y = call.in(1);
  if (commonPower(call, x, y))
    return;
  if (isReal(x.dtype())) {
    Tensor exponent = castTo(y, x.dtype());
    Tensor &result = call.out(0, x.dtype(), broadcastShapes(x.shape(), y.shape()));
    runRealBinary(RealBinary::Pow, x, exponent, result);
  } else if (isReal(y.dtype())) {
    Tensor wide(DType::F64, broadcastShapes(x.shape(), y.shape()));
    runRealBinary(RealBinary::Pow, castTo(x, DType::F64), castTo(y, DType::F64), wide);
    call.set(0, castTo(wide, x.dtype()));
  } else {
    Tensor base = castTo(x, DType::I64), exponent = castTo(y, DType::I64);
    Tensor wide(DType::I64, broadcastShapes(x.shape(), y.shape()));
    runBinary<int64_t, int64_t>(base, exponent, wide, kElementGrain,
                                loopsFor<PowOp, int64_t, int64_t>());
    call.set(0, castTo(wide, x.dtype()));
  }
}

/// Swish(A)·B.
void swiGlu(KernelCall &call) {
  const Tensor &a = call.in(0), &b = call.in(1);
  expectSameType(a, b);
  check(a.shape() == b.shape(), "the gate has shape ", toString(a.shape()), ", the value ",
        toString(b.shape()));
  Tensor &y = call.outInPlace(0, 0, a.dtype(), a.shape());
  runRealUnary(RealUnary::Swish, a, y, call.node.real("alpha", 1));
  runRealBinary(RealBinary::Mul, y, b, y);
}

} // namespace

void registerBinary(KernelTable &table) {
  using R = RealBinary;
  table.add("", "Add", number<R::Add, AddOp>);
  table.add("", "Sub", number<R::Sub, SubOp>);
  table.add("", "Mul", number<R::Mul, MulOp>);
  table.add("", "Div", divide);
  table.add("", "Mod", modulo);
  table.add("", "Pow", power);
  table.add("", "PRelu", prelu);
  table.add("", "Sum", accumulate<R::Add, AddOp>);
  table.add("", "Min", accumulate<R::Min, MinOp>);
  table.add("", "Max", accumulate<R::Max, MaxOp>);
  table.add("", "Mean", mean);
  table.add("", "SwiGLU", swiGlu);
}

} // namespace uoe::rt
