// Operators of one operand: elementary functions, activations, and the integer forms where they
// exist.
#include "Elementwise.h"
#include "Register.h"
#include <limits>

namespace uoe::rt {
namespace {

template <RealUnary op> void real(KernelCall &call) {
  const Tensor &x = call.in(0);
  runRealUnary(op, x, call.outInPlace(0, 0, x.dtype(), x.shape()));
}

void realWith(KernelCall &call, RealUnary op, double a, double b = 0) {
  const Tensor &x = call.in(0);
  runRealUnary(op, x, call.outInPlace(0, 0, x.dtype(), x.shape()), a, b);
}

/// The real loops for real types, Op::apply for integers.
template <RealUnary op, typename Op> void number(KernelCall &call) {
  const Tensor &x = call.in(0);
  Tensor &y = call.outInPlace(0, 0, x.dtype(), x.shape());
  dispatch(NumberTypes(), x.dtype(), "an input", [&](auto type) {
    using T = typename decltype(type)::type;
    if constexpr (std::is_integral<T>::value) {
      const T *from = x.data<T>();
      T *to = y.data<T>();
      parallel(x.size(), kElementGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          to[i] = Op::apply(from[i]);
      });
    } else {
      runRealUnary(op, x, y);
    }
  });
}

// Negation through the unsigned type: the smallest value has no positive counterpart.
template <typename T> T negated(T x) {
  return static_cast<T>(std::make_unsigned_t<T>(0) - static_cast<std::make_unsigned_t<T>>(x));
}
struct AbsOp {
  template <typename T> static T apply(T x) { return x < 0 ? negated(x) : x; }
};
struct NegOp {
  template <typename T> static T apply(T x) { return negated(x); }
};
struct SignOp {
  template <typename T> static T apply(T x) { return static_cast<T>((x > 0) - (x < 0)); }
};
struct ReluOp {
  template <typename T> static T apply(T x) { return x > 0 ? x : T(0); }
};

void clip(KernelCall &call) {
  const Tensor &x = call.in(0);
  const Tensor *low = call.maybe(1), *high = call.maybe(2);
  for (const Tensor *bound : {low, high})
    if (bound) {
      expectSameType(x, *bound);
      check(bound->size() == 1, "a bound must be a scalar, found ", describe(*bound));
    }
  Tensor &y = call.outInPlace(0, 0, x.dtype(), x.shape());
  dispatch(NumberTypes(), x.dtype(), "an input", [&](auto type) {
    using T = typename decltype(type)::type;
    if constexpr (std::is_integral<T>::value) {
      T least = low ? *low->data<T>() : std::numeric_limits<T>::lowest();
      T most = high ? *high->data<T>() : std::numeric_limits<T>::max();
      const T *from = x.data<T>();
      T *to = y.data<T>();
      parallel(x.size(), kElementGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          to[i] = std::min(std::max(from[i], least), most);
      });
    } else {
      // Before opset 11 the bounds are attributes.
      double infinity = std::numeric_limits<double>::infinity();
      double least = low                    ? static_cast<double>(*low->data<T>())
                     : call.node.has("min") ? call.node.real("min", 0)
                                            : -infinity;
      double most = high                   ? static_cast<double>(*high->data<T>())
                    : call.node.has("max") ? call.node.real("max", 0)
                                           : infinity;
      runRealUnary(RealUnary::Clip, x, y, least, most);
    }
  });
}

void invert(KernelCall &call) {
  const Tensor &x = call.in(0);
  expectType(x, DType::Bool, "input 0");
  Tensor &y = call.outInPlace(0, 0, DType::Bool, x.shape());
  const uint8_t *from = x.data<uint8_t>();
  uint8_t *to = y.data<uint8_t>();
  for (int64_t i = 0, n = x.size(); i < n; ++i)
    to[i] = from[i] == 0;
}

void bitwiseNot(KernelCall &call) {
  const Tensor &x = call.in(0);
  Tensor &y = call.outInPlace(0, 0, x.dtype(), x.shape());
  dispatch(IntegerTypes(), x.dtype(), "an input", [&](auto type) {
    using T = typename decltype(type)::type;
    const T *from = x.data<T>();
    T *to = y.data<T>();
    for (int64_t i = 0, n = x.size(); i < n; ++i)
      to[i] = static_cast<T>(~from[i]);
  });
}

/// Float8 inputs are widened first; they are rare.
Tensor realInput(const KernelCall &call) {
  const Tensor &x = call.in(0);
  bool small = x.dtype() >= DType::F8E4M3FN && x.dtype() <= DType::F8E5M2FNUZ;
  return small ? castTo(x, DType::F32) : x;
}

template <typename Test> void classify(KernelCall &call, const Test &test) {
  Tensor x = realInput(call);
  Tensor &y = call.out(0, DType::Bool, x.shape());
  bool *to = y.data<bool>();
  dispatch(RealTypes(), x.dtype(), "an input", [&](auto type) {
    using T = typename decltype(type)::type;
    const T *from = x.data<T>();
    parallel(x.size(), kElementGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        to[i] = test(static_cast<ComputeOf<T>>(from[i]));
    });
  });
}

void isNaN(KernelCall &call) {
  classify(call, [](auto x) { return x != x; });
}

void isInf(KernelCall &call) {
  bool negative = call.node.integer("detect_negative", 1) != 0;
  bool positive = call.node.integer("detect_positive", 1) != 0;
  classify(call, [=](auto x) {
    auto infinity = std::numeric_limits<decltype(x)>::infinity();
    return (positive && x == infinity) || (negative && x == -infinity);
  });
}

void gelu(KernelCall &call) {
  std::string form = call.node.string("approximate", "none");
  check(form == "none" || form == "tanh", "attribute 'approximate': expected none or tanh, found ",
        form);
  realWith(call, form == "none" ? RealUnary::GeluErf : RealUnary::GeluTanh, 0);
}

} // namespace

void registerUnary(KernelTable &table) {
  using R = RealUnary;
#define UOE_REAL(Name) table.add("", #Name, real<R::Name>);
  UOE_REAL(Ceil)
  UOE_REAL(Floor)
  UOE_REAL(Round)
  UOE_REAL(Sqrt)
  UOE_REAL(Reciprocal)
  UOE_REAL(Exp)
  UOE_REAL(Log)
  UOE_REAL(Sin)
  UOE_REAL(Cos)
  UOE_REAL(Tan)
  UOE_REAL(Asin)
  UOE_REAL(Acos)
  UOE_REAL(Atan)
  UOE_REAL(Sinh)
  UOE_REAL(Cosh)
  UOE_REAL(Tanh)
  UOE_REAL(Asinh)
  UOE_REAL(Acosh)
  UOE_REAL(Atanh)
  UOE_REAL(Erf)
  UOE_REAL(Sigmoid)
  UOE_REAL(Softplus)
  UOE_REAL(Softsign)
  UOE_REAL(HardSwish)
  UOE_REAL(Mish)
#undef UOE_REAL
  table.add("", "Abs", number<R::Abs, AbsOp>);
  table.add("", "Neg", number<R::Neg, NegOp>);
  table.add("", "Sign", number<R::Sign, SignOp>);
  table.add("", "Relu", number<R::Relu, ReluOp>);
  table.add("", "Clip", clip);
  table.add("", "Gelu", gelu);
  table.add("", "Not", invert);
  table.add("", "BitwiseNot", bitwiseNot);
  table.add("", "IsNaN", isNaN);
  table.add("", "IsInf", isInf);
  table.add("", "LeakyRelu",
            [](KernelCall &c) { realWith(c, R::LeakyRelu, c.node.real("alpha", 0.01f)); });
  table.add("", "ThresholdedRelu",
            [](KernelCall &c) { realWith(c, R::ThresholdedRelu, c.node.real("alpha", 1)); });
  table.add("", "Elu", [](KernelCall &c) { realWith(c, R::Elu, c.node.real("alpha", 1)); });
  table.add("", "Celu", [](KernelCall &c) { realWith(c, R::Celu, c.node.real("alpha", 1)); });
  table.add("", "Swish", [](KernelCall &c) { realWith(c, R::Swish, c.node.real("alpha", 1)); });
  table.add("", "Selu", [](KernelCall &c) {
    realWith(c, R::Selu, c.node.real("alpha", 1.67326319217681884765625f),
             c.node.real("gamma", 1.05070102214813232421875f));
  });
  table.add("", "HardSigmoid", [](KernelCall &c) {
    realWith(c, R::HardSigmoid, c.node.real("alpha", 0.2f), c.node.real("beta", 0.5f));
  });
  table.add("", "Shrink", [](KernelCall &c) {
    // Defined for all numbers; integers go through double, which holds what thresholds can
    // distinguish.
    const Tensor &x = c.in(0);
    double threshold = c.node.real("lambd", 0.5f), bias = c.node.real("bias", 0);
    if (isReal(x.dtype()))
      return realWith(c, R::Shrink, threshold, bias);
    Tensor wide = castTo(x, DType::F64);
    runRealUnary(R::Shrink, wide, wide, threshold, bias);
    c.set(0, castTo(wide, x.dtype()));
  });
}

} // namespace uoe::rt
