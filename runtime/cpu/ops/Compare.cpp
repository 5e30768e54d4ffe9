// Comparisons, logic and bit operations.
#include "Elementwise.h"
#include "Register.h"

namespace uoe::rt {
namespace {

struct EqualOp {
  template <typename T> static bool apply(T x, T y) { return x == y; }
};
struct LessOp {
  template <typename T> static bool apply(T x, T y) { return x < y; }
};
struct LessOrEqualOp {
  template <typename T> static bool apply(T x, T y) { return x <= y; }
};
struct GreaterOp {
  template <typename T> static bool apply(T x, T y) { return x > y; }
};
struct GreaterOrEqualOp {
  template <typename T> static bool apply(T x, T y) { return x >= y; }
};
struct AndOp {
  template <typename T> static T apply(T x, T y) { return static_cast<T>(x & y); }
};
struct OrOp {
  template <typename T> static T apply(T x, T y) { return static_cast<T>(x | y); }
};
struct XorOp {
  template <typename T> static T apply(T x, T y) { return static_cast<T>(x ^ y); }
};
// Shifting by a negative amount or by the width and more is undefined in C++; in ONNX only the sign
// is left.
template <typename T> bool withinWidth(T y) {
  return y >= 0 && static_cast<uint64_t>(y) < 8 * sizeof(T);
}
struct ShiftLeftOp {
  template <typename T> static T apply(T x, T y) {
    return withinWidth(y) ? static_cast<T>(static_cast<uint64_t>(x) << y) : T(0);
  }
};
struct ShiftRightOp {
  template <typename T> static T apply(T x, T y) {
    return static_cast<T>(withinWidth(y) ? x >> y : x < 0 ? -1 : 0);
  }
};

template <typename Op, typename List> void compare(KernelCall &call) {
  const Tensor &a = call.in(0), &b = call.in(1);
  expectSameType(a, b);
  Tensor &result = broadcastOutput(call, 0, 1, DType::Bool);
  dispatch(List(), a.dtype(), "an operand", [&](auto type) {
    using T = typename decltype(type)::type;
    runBinary<T, bool>(a, b, result, kElementGrain, loopsFor<Op, T, bool>());
  });
}

template <typename Op, typename List> void combine(KernelCall &call) {
  const Tensor &a = call.in(0), &b = call.in(1);
  expectSameType(a, b);
  Tensor &result = broadcastOutput(call, 0, 1, a.dtype());
  dispatch(List(), a.dtype(), "an operand", [&](auto type) {
    using T = typename decltype(type)::type;
    runBinary<T, T>(a, b, result, kElementGrain, loopsFor<Op, T, T>());
  });
}

void shift(KernelCall &call) {
  std::string direction = call.node.string("direction", "");
  check(direction == "LEFT" || direction == "RIGHT",
        "attribute 'direction': expected LEFT or RIGHT, found '", direction, "'");
  if (direction == "LEFT")
    combine<ShiftLeftOp, IntegerTypes>(call);
  else
    combine<ShiftRightOp, IntegerTypes>(call);
}

} // namespace

void registerCompare(KernelTable &table) {
  table.add("", "Equal", compare<EqualOp, AllTypes>);
  table.add("", "Less", compare<LessOp, NumberTypes>);
  table.add("", "LessOrEqual", compare<LessOrEqualOp, NumberTypes>);
  table.add("", "Greater", compare<GreaterOp, NumberTypes>);
  table.add("", "GreaterOrEqual", compare<GreaterOrEqualOp, NumberTypes>);
  table.add("", "And", combine<AndOp, Types<bool>>);
  table.add("", "Or", combine<OrOp, Types<bool>>);
  table.add("", "Xor", combine<XorOp, Types<bool>>);
  table.add("", "BitwiseAnd", combine<AndOp, IntegerTypes>);
  table.add("", "BitwiseOr", combine<OrOp, IntegerTypes>);
  table.add("", "BitwiseXor", combine<XorOp, IntegerTypes>);
  table.add("", "BitShift", shift);
}

} // namespace uoe::rt
